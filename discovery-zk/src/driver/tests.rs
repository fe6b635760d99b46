//! Everything above the seam, over a ZooKeeper in memory, on a paused clock.

mod change;
mod deed;
mod departure;
mod random;
mod refusal;
mod settings;
mod trouble;

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Mutex, time::Duration};

use async_trait::async_trait;
use discovery_core::{Backoff, Retry, Snapshot, WatchError, Watcher};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    Address, Decode, Ensemble, EnsembleConfig, Member, Node, Path,
    resolve::Resolve,
    session::scripted::{Fake, Kind, Mode},
};

const DEADLINE: Duration = Duration::from_mins(5);

/// Resolves `zk-1`, `zk-2` and so on to the fake's servers, but for the names that are lost.
#[derive(Default, Clone)]
struct Names(std::sync::Arc<Mutex<BTreeMap<String, Option<SocketAddr>>>>);

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, server: &Address) -> io::Result<Vec<SocketAddr>> {
        let known = self.0.lock().unwrap().get(&server.host().to_string()).copied();
        match known {
            Some(Some(address)) => Ok(vec![address]),
            Some(None) => std::future::pending().await,
            None => Err(io::Error::other("Name or service not known")),
        }
    }
}

struct World {
    fake: Fake,
    names: Names,
    ensemble: Ensemble,
    driver: JoinHandle<()>,
}

/// Polls something as long as others need, and no longer.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, work).await.expect("in time")
}

impl World {
    fn new(servers: u8) -> Self {
        let fake = Fake::of(servers);
        let names = Names::default();
        for nth in 1..=servers {
            names.0.lock().unwrap().insert(format!("zk-{nth}"), Some(Fake::address(nth)));
        }
        let servers = (1..=servers).map(|nth| format!("zk-{nth}").parse().unwrap());
        let config = EnsembleConfig::new(servers).unwrap();
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).unwrap();
        let (ensemble, driver) = Ensemble::through(config, backoff, fake.connector(), names.clone());
        Self { fake, names, ensemble, driver: tokio::spawn(driver) }
    }

    fn member(&self, path: &str) -> Member {
        self.ensemble.member(node(path))
    }

    /// A service that is registered and watched.
    async fn web(children: &[(&str, u16)]) -> (Self, Member) {
        let world = Self::new(1);
        world.fake.create("/web", "");
        for (name, port) in children {
            world.put(name, *port);
        }
        let mut member = world.member("/web");
        assert_eq!(ports(&next(&mut member).await.unwrap()).len(), children.len());
        world.fake.take_asked();
        (world, member)
    }

    fn put(&self, name: &str, port: u16) {
        self.fake.create(&format!("/web/{name}"), registration(port));
    }

    /// What was asked for since the last time, but for signs of life.
    fn asked(&self) -> Vec<(Kind, String)> {
        let mut asked = self.fake.take_asked();
        asked.retain(|(_, path)| path != "/");
        asked
    }
}

fn node(path: &str) -> Node {
    Node::new(Path::new(path).unwrap(), Decode::Nerve).with_settings(None)
}

fn registration(port: u16) -> String {
    format!(r#"{{"host":"10.0.0.1","port":{port},"name":"i-{port}"}}"#)
}

async fn next(member: &mut Member) -> Result<Snapshot, WatchError> {
    soon(member.next()).await
}

/// Waits for an answer with these ports; failures and equal answers may come before it.
async fn until(member: &mut Member, wanted: &[u16]) {
    soon(async {
        loop {
            if member.next().await.is_ok_and(|snapshot| ports(&snapshot) == wanted) {
                return;
            }
        }
    })
    .await;
}

/// Nothing is told for so long.
async fn silent(member: &mut Member, within: Duration) {
    let told = timeout(within, member.next()).await;
    assert!(told.is_err(), "{told:?}");
}

fn ports(snapshot: &Snapshot) -> Vec<u16> {
    snapshot.iter().map(|endpoint| endpoint.port().get()).collect()
}
