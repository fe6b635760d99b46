//! A daemon, and somebody who watches it.

use std::{num::NonZeroU16, time::Duration};

use discovery_core::{Backoff, Endpoint, Snapshot, Watcher};
use discovery_docker::{Daemon, DaemonConfig, Member, Place, Selector, Server};
use tokio::{task::JoinHandle, time::timeout};

use crate::fake::{Fake, PATIENCE};

/// So long that nothing in a test is seen by asking at intervals.
pub(crate) const NEVER: Duration = Duration::from_hours(1);
pub(crate) const OFTEN: Duration = Duration::from_secs(1);

/// Where published ports of tests are.
pub(crate) const HOST: &str = "10.0.0.1";

pub(crate) struct Watched {
    pub(crate) fake: Fake,
    pub(crate) daemon: Daemon,
    pub(crate) server: Server,
    driver: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

pub(crate) fn selector() -> Selector {
    Selector::new(["app".parse().unwrap()], NonZeroU16::new(80).unwrap())
}

pub(crate) fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_millis(200)).unwrap()
}

impl Watched {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker.sock");
        let fake = Fake::socket(&path).await;
        let server = Server::new(DaemonConfig::Socket(path), Some(HOST.parse().unwrap()));
        let (daemon, driver) = Daemon::new(server.daemon().clone(), backoff());
        Self { fake, daemon, server, driver: tokio::spawn(driver), _dir: dir }
    }

    pub(crate) fn member(&self, every: Duration) -> Member {
        self.daemon.member(self.server.clone(), selector(), every)
    }

    pub(crate) fn inside(&self, every: Duration) -> Member {
        self.daemon.member(self.server.clone(), selector().at(Place::Container { network: None }), every)
    }
}

pub(crate) fn at(ports: &[u16]) -> Vec<Endpoint> {
    ports.iter().map(|port| Endpoint::new(HOST.parse().unwrap(), *port).unwrap()).collect()
}

/// Waits until an answer is as `wanted`; errors and other answers before it are let be.
pub(crate) async fn until<W: Watcher>(watcher: &mut W, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let mut last = None;
    let answer = timeout(PATIENCE, async {
        loop {
            let answer = watcher.next().await;
            match answer {
                Ok(snapshot) if wanted(&snapshot) => return snapshot,
                other => last = Some(other.map_err(|error| error.chain())),
            }
        }
    });
    let found = answer.await.ok();
    found.unwrap_or_else(|| panic!("it did not say what was waited for; last {last:?}"))
}

pub(crate) async fn until_at<W: Watcher>(watcher: &mut W, ports: &[u16]) -> Snapshot {
    let wanted = at(ports);
    until(watcher, |snapshot| snapshot.endpoints() == wanted).await
}

/// Waits for an error, and tells it with its causes.
pub(crate) async fn error<W: Watcher>(watcher: &mut W) -> String {
    let failed = timeout(PATIENCE, async {
        loop {
            if let Err(error) = watcher.next().await {
                return error.chain();
            }
        }
    });
    failed.await.expect("an error")
}
