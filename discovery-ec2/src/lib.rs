//! Service discovery by EC2 tags.
