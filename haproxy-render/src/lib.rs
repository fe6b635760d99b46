//! haproxy-render.
