//! What the scenarios of the etcd source have in common.

#![allow(dead_code, reason = "each scenario uses its part")]

use std::{fmt::Debug, time::Duration};

use discovery_core::Backoff;
use discovery_etcd::{Cluster, EtcdConfig, Prefix};
use e2e::{Etcd, Watching};
use serde_json::{Value, json};

/// Longest wait for anything that must happen, on a machine that is busy with other tests.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// The prefix of most scenarios.
pub(crate) const WEB: &str = "/services/web";

/// Pauses short enough for a test.
pub(crate) fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(50), Duration::from_secs(1)).expect("the bounds are in order")
}

/// The section of a configuration: `endpoints` and `prefix`, and what `more` has.
pub(crate) fn section<E: Into<String> + Clone>(endpoints: &[E], prefix: &str, more: Value) -> EtcdConfig {
    let endpoints: Vec<String> = endpoints.iter().cloned().map(Into::into).collect();
    let mut section = json!({ "endpoints": endpoints, "prefix": prefix });
    if let (Value::Object(section), Value::Object(more)) = (&mut section, more) {
        section.extend(more);
    }
    serde_json::from_value(section).unwrap_or_else(|error| panic!("the test's own configuration: {error}"))
}

/// A cluster whose driver runs.
pub(crate) fn connect(config: EtcdConfig) -> (Cluster, Prefix) {
    e2e::show_logs();
    let (config, prefix) = config.into_parts();
    let (cluster, driver) = Cluster::new(config, backoff());
    tokio::spawn(driver);
    (cluster, prefix)
}

/// Watches [`WEB`] in one etcd.
pub(crate) fn watch_web(etcd: &Etcd) -> Watching {
    watch(&etcd.endpoints(), json!({}))
}

/// Watches [`WEB`] in a cluster.
pub(crate) fn watch<E: Into<String> + Clone>(endpoints: &[E], more: Value) -> Watching {
    let (cluster, prefix) = connect(section(endpoints, WEB, more));
    watching(&cluster, &prefix)
}

/// A registration as nerve writes it.
pub(crate) fn registration(port: u16) -> String {
    json!({ "host": "10.0.0.1", "port": port }).to_string()
}

/// The key of a registration below [`WEB`].
pub(crate) fn key(port: u16) -> String {
    format!("{WEB}/{port}")
}

/// Registers a port below [`WEB`].
pub(crate) async fn register(etcd: &Etcd, port: u16) {
    etcd.put(&key(port), &registration(port)).await;
}

/// Supervises what is watched below a prefix.
pub(crate) fn watching(cluster: &Cluster, prefix: &Prefix) -> Watching {
    let member = cluster.member(prefix.clone());
    Watching::new(prefix.as_str(), member)
}

/// The ports of a snapshot whose hosts are all the same, in order.
pub(crate) fn ports_of(snapshot: &discovery_core::Snapshot) -> impl Iterator<Item = u16> {
    snapshot.into_iter().map(|endpoint| endpoint.port().get())
}

/// How many requests to a method of its API a server has begun to answer.
pub(crate) async fn requests(etcd: &Etcd, method: &str) -> u64 {
    metric(etcd, &format!("grpc_server_started_total{{grpc_method=\"{method}\"")).await
}

/// How many watch streams are open on a server: one for each client that is connected to it.
pub(crate) async fn streams(etcd: &Etcd) -> u64 {
    metric(etcd, "etcd_debugging_mvcc_watch_stream_total").await
}

/// The sum of a server's metrics whose names begin like this.
pub(crate) async fn metric(etcd: &Etcd, name: &str) -> u64 {
    let response = e2e::get(etcd.address(), "/metrics").await.expect("etcd serves its metrics");
    let values = response.body.lines().filter(|line| line.starts_with(name));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// `Ok` when equal, for `wait_until`.
pub(crate) fn equal<T: Copy + PartialEq + Debug>(seen: T, wanted: T) -> Result<(), String> {
    if seen == wanted { Ok(()) } else { Err(format!("{seen:?}")) }
}
