//! The etcd source keeps the rules of every source.

mod etcd_support;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use discovery_core::{
    Endpoint, Record,
    testing::conformance::{Subject, assert_conforms},
};
use discovery_etcd::{Cluster, Member, Prefix};
use e2e::{Etcd, Proxy};
use etcd_support::{WEB, connect, section};
use serde_json::json;

struct Subjected {
    etcd: Etcd,
    proxy: Proxy,
    cluster: Cluster,
    prefix: Prefix,
    held: BTreeSet<String>,
}

impl Subjected {
    async fn new() -> Self {
        let etcd = Etcd::start().await;
        let proxy = Proxy::start(etcd.address()).await;
        let quick = json!({
            "connect_timeout": 1, "request_timeout": 1, "keep_alive_interval": 5, "keep_alive_timeout": 1,
        });
        let (cluster, prefix) = connect(section(&[proxy.address().to_string()], WEB, quick));
        Self { etcd, proxy, cluster, prefix, held: BTreeSet::new() }
    }

    fn key(endpoint: &Endpoint) -> String {
        format!("{WEB}/{}", endpoint.host())
    }
}

#[async_trait]
impl Subject for Subjected {
    type Watcher = Member;

    async fn watcher(&mut self) -> Member {
        self.cluster.member(self.prefix.clone())
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        let mut pairs = Vec::new();
        for endpoint in endpoints {
            let json = serde_json::to_string(&Record::from(endpoint)).expect("a record is JSON");
            pairs.push((Self::key(endpoint), json));
        }
        self.etcd.put_many(pairs).await;
        let wanted = endpoints.iter().map(Self::key).collect();
        for gone in self.held.difference(&wanted) {
            self.etcd.delete(gone).await;
        }
        self.held = wanted;
    }

    async fn corrupt(&mut self) -> bool {
        let key = format!("{WEB}/bad");
        self.etcd.put(&key, "{").await;
        self.held.insert(key);
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

#[tokio::test]
async fn the_etcd_source_keeps_the_rules_of_every_source() {
    let report = assert_conforms(&mut Subjected::new().await).await;
    assert!(report.skipped().is_empty(), "{report:?}");
}
