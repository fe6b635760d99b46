//! The ZooKeeper source keeps the rules of every source.

mod zk_support;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use discovery_core::{
    Endpoint, Record,
    testing::conformance::{Subject, assert_conforms},
};
use discovery_zk::{Ensemble, Member, Node};
use e2e::{NodeKind, Proxy, Registrar, RegistrarOptions, Zookeeper};
use serde_json::json;
use zk_support::{WEB, connect, over_both_clients, section};

over_both_clients!(the_zookeeper_source_keeps_the_rules_of_every_source);

struct Subjected {
    _zookeeper: Zookeeper,
    registrar: Registrar,
    proxy: Proxy,
    ensemble: Ensemble,
    node: Node,
    /// The node of each registration.
    held: BTreeMap<String, String>,
}

impl Subjected {
    async fn new(client: &str) -> Self {
        let zookeeper = Zookeeper::start().await;
        let proxy = Proxy::start(zookeeper.address()).await;
        let long = RegistrarOptions::new().with_session_timeout(Duration::from_mins(1));
        let registrar = Registrar::connect_with(&zookeeper.hosts(), long).await;
        registrar.create_path(WEB).await;
        let (ensemble, node) = connect(section(client, &[proxy.address().to_string()], WEB, json!({})));
        Self { _zookeeper: zookeeper, registrar, proxy, ensemble, node, held: BTreeMap::new() }
    }
}

#[async_trait]
impl Subject for Subjected {
    type Watcher = Member;

    async fn watcher(&mut self) -> Member {
        self.ensemble.member(self.node.clone())
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        let mut wanted = BTreeMap::new();
        for endpoint in endpoints {
            let json = serde_json::to_string(&Record::from(endpoint)).expect("a record is JSON");
            let node = match self.held.remove(&endpoint.host().to_string()) {
                Some(node) => {
                    self.registrar.set(&node, json).await;
                    node
                }
                None => self.registrar.create(&format!("{WEB}/a"), json, NodeKind::EphemeralSequential).await,
            };
            wanted.insert(endpoint.host().to_string(), node);
        }
        for node in self.held.values() {
            self.registrar.delete(node).await;
        }
        self.held = wanted;
    }

    async fn corrupt(&mut self) -> bool {
        let node = self.registrar.create(&format!("{WEB}/bad"), "{", NodeKind::EphemeralSequential).await;
        self.held.insert("bad".to_owned(), node);
        true
    }

    async fn go_down(&mut self) -> bool {
        self.proxy.cut().await;
        true
    }

    async fn come_back(&mut self) {
        self.proxy.heal().await;
    }

    async fn freeze(&mut self) -> bool {
        self.proxy.freeze().await;
        true
    }

    async fn thaw(&mut self) {
        self.proxy.heal().await;
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(20)
    }
}

async fn the_zookeeper_source_keeps_the_rules_of_every_source(client: &str) {
    let report = assert_conforms(&mut Subjected::new(client).await).await;
    assert!(report.skipped().is_empty(), "{report:?}");
}
