//! What the scenarios of the ZooKeeper source have in common.

#![allow(dead_code, unused_macros, reason = "each scenario uses its part")]

use std::time::Duration;

use discovery_core::Backoff;
use discovery_zk::{Ensemble, Node, ZkConfig};
use e2e::{Registrar, Registration, Watching, Zookeeper};
use serde_json::{Value, json};

/// Longest wait for anything that must happen, on a machine that is busy with other tests.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// The path of most scenarios.
pub(crate) const WEB: &str = "/nerve/services/web";

/// The shortest session that there is: what is lost is lost soon.
pub(crate) const SESSION: Duration = Duration::from_secs(2);

/// Makes of each scenario two tests: one over each client crate.
macro_rules! over_both_clients {
    ($($scenario:ident),+ $(,)?) => {
        mod zookeeper_async {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario("zookeeper-async").await;
            })+
        }
        mod zookeeper_client {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario("zookeeper-client").await;
            })+
        }
    };
}
#[allow(unused_imports, reason = "each scenario uses its part")]
pub(crate) use over_both_clients;

/// The section of a configuration: `hosts` and `path`, short times, and what `more` has.
pub(crate) fn section(client: &str, hosts: &[String], path: &str, more: Value) -> ZkConfig {
    let mut section = json!({
        "hosts": hosts, "path": path, "client": client, "session_timeout": SESSION.as_secs(),
        "connect_timeout": 1, "request_timeout": 5,
    });
    if let (Value::Object(section), Value::Object(more)) = (&mut section, more) {
        section.extend(more);
    }
    serde_json::from_value(section).unwrap_or_else(|error| panic!("the test's own configuration: {error}"))
}

/// An ensemble whose driver runs.
pub(crate) fn connect(config: ZkConfig) -> (Ensemble, Node) {
    e2e::show_logs();
    let (config, node) = config.into_parts();
    let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let (ensemble, driver) = Ensemble::new(config, backoff.expect("the bounds are in order"));
    tokio::spawn(driver);
    (ensemble, node)
}

/// Supervises what is watched below a node.
pub(crate) fn watching(ensemble: &Ensemble, node: Node) -> Watching {
    let name = node.path().to_string();
    Watching::new(&name, ensemble.member(node))
}

/// Watches [`WEB`].
pub(crate) fn watch(client: &str, hosts: &[String], more: Value) -> Watching {
    let (ensemble, node) = connect(section(client, hosts, WEB, more));
    watching(&ensemble, node)
}

/// A registration as nerve writes it.
pub(crate) fn registration(port: u16) -> Registration {
    Registration::nerve(&format!("i-{port}"), "10.0.0.1", port)
}

/// Registers ports below [`WEB`], and returns their nodes.
pub(crate) async fn register(registrar: &Registrar, ports: impl IntoIterator<Item = u16>) -> Vec<String> {
    let registrations: Vec<_> = ports.into_iter().map(registration).collect();
    registrar.register_many(WEB, &registrations).await
}

/// How often sessions other than `but` have asked for something since the `from`th request, in the order of asking.
pub(crate) fn asked(zookeeper: &Zookeeper, from: usize, but: i64) -> Vec<(String, String)> {
    let requests = zookeeper.requests();
    let asked = requests[from..].iter().filter(|request| request.session != but);
    asked
        .filter_map(|request| Some((request.kind.clone(), request.path.clone()?)))
        // Signs of life.
        .filter(|(_, path)| path != "/")
        .collect()
}
