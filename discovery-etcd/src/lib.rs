//! discovery-etcd.
