//! What it takes to add a source from outside: a type, a method, and the kit says whether it is right.

use std::{error::Error, net::SocketAddr};

use async_trait::async_trait;
use discovery_core::{
    Backoff, Endpoint, Observed, Rejection, Snapshot, WatchError, Watcher, supervise,
    testing::conformance::{Check, Subject, assert_conforms},
};
use tokio::sync::watch;

/// Addresses, one a line, as another part of the program publishes them.
struct Lines {
    lines: watch::Receiver<String>,
    told: Option<String>,
}

fn endpoint(line: &str) -> Result<Endpoint, Box<dyn Error>> {
    let address: SocketAddr = line.parse()?;
    Ok(Endpoint::new(address.ip().try_into()?, address.port())?)
}

#[async_trait]
impl Watcher for Lines {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        let told = &self.told;
        let news = self.lines.wait_for(|now| told.as_ref() != Some(now)).await;
        let now = news.map_err(|error| WatchError::new("waiting for lines").because(error))?.clone();
        let (mut endpoints, mut rejected) = (Vec::new(), Vec::new());
        for line in now.lines() {
            match endpoint(line) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(error) => rejected.push(Rejection::new(line, &error)),
            }
        }
        self.told = Some(now);
        Ok(Snapshot::new(endpoints).with_rejected(rejected))
    }
}

struct Publisher(watch::Sender<String>);

#[async_trait]
impl Subject for Publisher {
    type Watcher = Lines;

    async fn watcher(&mut self) -> Lines {
        Lines { lines: self.0.subscribe(), told: None }
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        let lines: Vec<_> = endpoints.iter().map(Endpoint::to_string).collect();
        self.0.send_replace(lines.join("\n"));
    }

    fn altered(&self, _: &Endpoint) -> Option<Endpoint> {
        None // A line has room for an address alone.
    }

    async fn corrupt(&mut self) -> bool {
        self.0.send_modify(|lines| lines.push_str("\n10.0.0.1:http"));
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_from_outside_conforms() {
    let report = assert_conforms(&mut Publisher(watch::Sender::default())).await;
    let cannot_fail = [
        Check::FailsWhenDown,
        Check::RecoversAfterErrors,
        Check::SeesWhatItMissed,
        Check::NoticesAFrozenPeer,
    ];
    assert_eq!(report.skipped(), cannot_fail);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_from_outside_is_supervised_like_any_other() {
    let lines = watch::Sender::new("10.0.0.1:80\n".to_owned());
    let source: Box<dyn Watcher> = Box::new(Lines { lines: lines.subscribe(), told: None });
    let (publish, mut observed) = watch::channel(Observed::default());
    tokio::spawn(supervise("web", source, Backoff::default(), publish, std::future::pending()));

    observed.wait_for(|now| now.snapshot.as_ref().is_some_and(|all| all.len() == 1)).await.unwrap();
    lines.send_replace("10.0.0.1:80\n10.0.0.2:80\n".to_owned());
    observed.wait_for(|now| now.snapshot.as_ref().is_some_and(|all| all.len() == 2)).await.unwrap();
}
