//! The checks that every watcher must pass, against a daemon on a real socket.

use std::{num::NonZeroU16, path::PathBuf, time::Duration};

use async_trait::async_trait;
use discovery_core::{
    Backoff, Endpoint,
    testing::conformance::{Subject, assert_conforms},
};
use discovery_docker::{Daemon, DaemonConfig, Member, Selector, Server};
use serde_json::{Value, json};

use crate::fake::{Fake, Telling, container};

const EVERY: Duration = Duration::from_secs(1);

struct Docker {
    fake: Fake,
    server: Server,
    held: Vec<Value>,
    _dir: tempfile::TempDir,
}

impl Docker {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("docker.sock");
        let server = Server::new(DaemonConfig::Socket(path.clone()), Some("10.0.0.1".parse().unwrap()));
        Self { fake: Fake::socket(&path).await, server, held: Vec::new(), _dir: dir }
    }

    /// Its list says so at once: whoever begins to watch is to be told what is so now.
    fn run(&self, containers: Vec<Value>) {
        self.fake.run_quietly(containers);
        self.fake.tell("container", "start");
    }

    fn member(&self) -> Member {
        let backoff = Backoff::new(Duration::from_millis(50), EVERY).unwrap();
        let (daemon, driver) = Daemon::new(self.server.daemon().clone(), backoff);
        tokio::spawn(driver);
        let selector = Selector::new(["app".parse().unwrap()], NonZeroU16::new(80).unwrap());
        daemon.member(self.server.clone(), selector, EVERY)
    }
}

/// What is held to be an endpoint: its number is its port, what is altered a label.
fn made(endpoint: &Endpoint) -> Value {
    let port = endpoint.port().get();
    let mut made = container(port - 1000, "app:1", 80, port);
    made["Labels"] = endpoint.labels().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    made
}

#[async_trait]
impl Subject for Docker {
    type Watcher = Member;

    async fn watcher(&mut self) -> Member {
        self.member()
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        self.held = endpoints.iter().map(made).collect();
        self.run(self.held.clone());
    }

    fn endpoint(&self, number: u8) -> Endpoint {
        Endpoint::new("10.0.0.1".parse().unwrap(), 1000 + u16::from(number)).unwrap()
    }

    fn altered(&self, endpoint: &Endpoint) -> Option<Endpoint> {
        Some(endpoint.clone().with_labels([("altered".to_owned(), "yes".to_owned())].into()).unwrap())
    }

    async fn corrupt(&mut self) -> bool {
        let mut bad = container(999, "app:1", 80, 1);
        bad["Ports"][0]["PrivatePort"] = json!("eighty");
        self.run(self.held.iter().cloned().chain([bad]).collect());
        true
    }

    async fn go_down(&mut self) -> bool {
        self.fake.stop().await;
        true
    }

    async fn come_back(&mut self) {
        self.fake.start().await;
    }

    async fn freeze(&mut self) -> bool {
        self.fake.freeze(true);
        true
    }

    async fn thaw(&mut self) {
        self.fake.freeze(false);
    }

    /// An interval, and an answer that does not come.
    fn notices_within(&self) -> Duration {
        Duration::from_secs(15)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_keeps_all_rules_of_its_trait() {
    let report = assert_conforms(&mut Docker::start().await).await;
    assert!(report.skipped().is_empty(), "{:?}", report.skipped());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_them_without_events() {
    let mut docker = Docker::start().await;
    docker.fake.telling(Telling::Refuses);
    let report = assert_conforms(&mut docker).await;
    assert!(report.skipped().is_empty(), "{:?}", report.skipped());
}
