//! The DNS source keeps the rules of every source.

mod dns_support;

use std::time::Duration;

use async_trait::async_trait;
use discovery_core::{
    Endpoint,
    testing::conformance::{Subject, assert_conforms},
};
use discovery_dns::Member;
use dns_support::{EVERY, at, resolver};
use e2e::Knot;

struct Subjected {
    knot: Knot,
    held: Vec<String>,
}

impl Subjected {
    async fn write(&self, more: &[&str]) {
        let held: Vec<&str> = self.held.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.knot.set("web", "A", 1, &held).await;
    }
}

#[async_trait]
impl Subject for Subjected {
    type Watcher = Member;

    async fn watcher(&mut self) -> Member {
        // A resolver of its own: what one has in common for its services may be as old as the TTL allows.
        resolver(&[self.knot.address()]).member([at("web.example")], EVERY)
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        self.held = endpoints.iter().map(|endpoint| endpoint.host().to_string()).collect();
        self.write(&[]).await;
    }

    fn endpoint(&self, number: u8) -> Endpoint {
        let host = std::net::IpAddr::from([10, 0, 0, number]).try_into().expect("it is specified");
        Endpoint::new(host, 80).expect("80 is not 0")
    }

    fn altered(&self, _endpoint: &Endpoint) -> Option<Endpoint> {
        None
    }

    async fn corrupt(&mut self) -> bool {
        self.write(&["0.0.0.0"]).await;
        true
    }

    async fn go_down(&mut self) -> bool {
        self.knot.kill().await;
        true
    }

    async fn come_back(&mut self) {
        self.knot.restart().await;
    }

    async fn freeze(&mut self) -> bool {
        self.knot.freeze().await;
        true
    }

    async fn thaw(&mut self) {
        self.knot.thaw().await;
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(20)
    }
}

#[tokio::test]
async fn the_dns_source_keeps_the_rules_of_every_source() {
    let report = assert_conforms(&mut Subjected { knot: Knot::start().await, held: Vec::new() }).await;
    assert!(report.skipped().is_empty(), "{report:?}");
}
