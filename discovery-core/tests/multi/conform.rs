//! The kit's checks.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use discovery_core::{
    Backoff, Endpoint,
    multi::{Multi, Toggle},
    testing::conformance::{Subject, assert_conforms},
};

use crate::{SECOND, boxed, registry::Registry};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Union,
    Sequential,
    Toggle,
}

/// Two registries that are asked through one combinator.
struct Pair {
    kind: Kind,
    one: Registry,
    two: Registry,
    weights: PathBuf,
    _dir: tempfile::TempDir,
}

impl Pair {
    fn new(kind: Kind) -> Self {
        let dir = tempfile::tempdir().expect("temporary directories can be made");
        let weights = dir.path().join("weights.yaml");
        std::fs::write(&weights, "one: 0\ntwo: 1\n").expect("it can be written");
        Self { kind, one: Registry::new(None), two: Registry::new(None), weights, _dir: dir }
    }
}

#[async_trait]
impl Subject for Pair {
    type Watcher = Multi;

    async fn watcher(&mut self) -> Multi {
        let children = [("one", boxed(self.one.watcher().await)), ("two", boxed(self.two.watcher().await))];
        let backoff =
            Backoff::new(Duration::from_millis(5), Duration::from_millis(20)).expect("5 is less than 20");
        match self.kind {
            Kind::Union => Multi::union("web", children, backoff),
            Kind::Sequential => Multi::sequential("web", children, backoff),
            Kind::Toggle => {
                Multi::toggle("web", children, backoff, Toggle::new(&self.weights, SECOND).with_seed(1))
            }
        }
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        let odd = |endpoint: &&Endpoint| endpoint.host().to_string().ends_with(['1', '3', '5', '7', '9']);
        let (one, two) = match self.kind {
            Kind::Union => endpoints.iter().cloned().partition(|endpoint| odd(&endpoint)),
            Kind::Sequential => (endpoints.to_vec(), endpoints.to_vec()),
            Kind::Toggle => (Vec::new(), endpoints.to_vec()),
        };
        self.one.set(&one).await;
        self.two.set(&two).await;
    }

    async fn corrupt(&mut self) -> bool {
        self.two.corrupt().await
    }

    async fn go_down(&mut self) -> bool {
        self.one.go_down().await && self.two.go_down().await
    }

    async fn come_back(&mut self) {
        self.one.come_back().await;
        self.two.come_back().await;
    }

    async fn freeze(&mut self) -> bool {
        self.one.freeze().await && self.two.freeze().await
    }

    async fn thaw(&mut self) {
        self.one.thaw().await;
        self.two.thaw().await;
    }

    fn notices_within(&self) -> Duration {
        8 * SECOND
    }
}

#[tokio::test(start_paused = true)]
async fn a_union_conforms() {
    assert_eq!(assert_conforms(&mut Pair::new(Kind::Union)).await.skipped(), []);
}

#[tokio::test(start_paused = true)]
async fn a_sequence_conforms() {
    assert_eq!(assert_conforms(&mut Pair::new(Kind::Sequential)).await.skipped(), []);
}

#[tokio::test(start_paused = true)]
async fn a_toggle_conforms() {
    assert_eq!(assert_conforms(&mut Pair::new(Kind::Toggle)).await.skipped(), []);
}
