//! The checks that every watcher must pass, through the real SDK.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod endpoint;

use std::{collections::BTreeMap, num::NonZeroU16, time::Duration};

use async_trait::async_trait;
use discovery_core::{
    Backoff, Endpoint,
    testing::conformance::{Subject, assert_conforms},
};
use discovery_ec2::{Deadlines, Keys, Member, Region, RegionConfig, Secret, Selector};
use endpoint::{Instance, Mood};

const EVERY: Duration = Duration::from_secs(1);

struct Ec2 {
    endpoint: endpoint::Endpoint,
    held: Vec<Instance>,
}

/// What an endpoint is to be made of: its number is in its address, what is altered in a tag.
fn instance(endpoint: &Endpoint) -> Instance {
    let number = endpoint.host().to_string().rsplit('.').next().unwrap().parse().unwrap();
    let tags: Vec<_> = endpoint.labels().filter(|(name, _)| !name.starts_with("aws:")).collect();
    Instance::numbered(number, &tags)
}

#[async_trait]
impl Subject for Ec2 {
    type Watcher = Member;

    async fn watcher(&mut self) -> Member {
        let keys = Keys::new(Secret::new("AKIDTEST"), Secret::new("x"), None);
        let deadlines = Deadlines { request: Duration::from_secs(2), ..Deadlines::default() };
        let config = RegionConfig::default().with_region("us-east-1").unwrap().with_keys(keys);
        let config = config.with_endpoint(&self.endpoint.url()).unwrap().with_deadlines(deadlines).unwrap();
        let backoff = Backoff::new(Duration::from_millis(100), EVERY).unwrap();
        // A region of its own: another's last answer may be older than what is held now.
        let (region, driver) = Region::new(config, backoff);
        tokio::spawn(driver);
        region.member(Selector::tag("role", ["web"]).unwrap(), NonZeroU16::new(8080).unwrap(), EVERY)
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        self.held = endpoints.iter().map(instance).collect();
        self.endpoint.hold(self.held.clone());
    }

    fn endpoint(&self, number: u8) -> Endpoint {
        let made = Instance::numbered(number.into(), &[("role", "web")]);
        let mut labels = made.tags;
        labels.extend(BTreeMap::from([
            ("aws:availability_zone".to_owned(), "us-east-1a".to_owned()),
            ("aws:instance_id".to_owned(), made.id),
            ("aws:instance_type".to_owned(), "m5.large".to_owned()),
        ]));
        let endpoint = Endpoint::new(made.private_ip.unwrap().parse().unwrap(), 8080).unwrap();
        endpoint.with_name(&made.private_dns).unwrap().with_labels(labels).unwrap()
    }

    fn altered(&self, endpoint: &Endpoint) -> Option<Endpoint> {
        let mut labels: BTreeMap<_, _> =
            endpoint.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        labels.insert("altered".to_owned(), "yes".to_owned());
        endpoint.clone().with_labels(labels).ok()
    }

    async fn corrupt(&mut self) -> bool {
        let nowhere = Instance { private_ip: None, ..Instance::numbered(999, &[("role", "web")]) };
        self.endpoint.hold(self.held.iter().cloned().chain([nowhere]));
        true
    }

    async fn go_down(&mut self) -> bool {
        self.endpoint.stop().await;
        true
    }

    async fn come_back(&mut self) {
        self.endpoint.restart().await;
    }

    async fn freeze(&mut self) -> bool {
        self.endpoint.mood(Mood::Freezes);
        true
    }

    async fn thaw(&mut self) {
        self.endpoint.mood(Mood::Good);
    }
}

#[tokio::test]
async fn a_member_keeps_the_rules_of_watchers() {
    let mut subject = Ec2 { endpoint: endpoint::Endpoint::start().await, held: Vec::new() };
    let report = assert_conforms(&mut subject).await;
    assert!(report.skipped().is_empty(), "{:?}", report.skipped());
}
