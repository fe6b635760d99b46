//! A source of one's own: a text file with one `host:port` a line.
//!
//!     cargo run -p discovery-core --example watcher -- servers.txt
//!
//! What can only be asked is a [`Fetch`]; [`Polled`] asks it again and again, and [`supervise`] does the rest: it waits longer
//! after each failure, and remembers the last good answer. A source that speaks by itself implements `Watcher` instead.

use std::{error::Error, path::PathBuf, time::Duration};

use async_trait::async_trait;
use discovery_core::{
    Backoff, Endpoint, Fetch, Observed, Polled, Rejection, Snapshot, WatchError, diff, supervise,
};
use tokio::sync::watch;

struct Lines(PathBuf);

#[async_trait]
impl Fetch for Lines {
    async fn fetch(&mut self) -> Result<Snapshot, WatchError> {
        // A file that can't be read is a failure. An empty one is an answer: nobody.
        let text = tokio::fs::read_to_string(&self.0)
            .await
            .map_err(|error| WatchError::new(format!("reading {}", self.0.display())).because(error))?;
        let (mut endpoints, mut rejected) = (Vec::new(), Vec::new());
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            // One bad line costs that line.
            match endpoint(line.trim()) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(error) => rejected.push(Rejection::new(line, &error)),
            }
        }
        Ok(Snapshot::new(endpoints).with_rejected(rejected))
    }
}

fn endpoint(line: &str) -> Result<Endpoint, Box<dyn Error>> {
    let (host, port) = line.rsplit_once(':').ok_or("expected host:port")?;
    Ok(Endpoint::new(host.parse()?, port.parse()?)?)
}

/// Tells what changes, for ever.
pub(crate) async fn follow(path: PathBuf, tell: impl Fn(String)) {
    let source = Polled::new(Lines(path), Duration::from_millis(500));
    let (publish, mut observed) = watch::channel(Observed::default());
    tokio::spawn(supervise("example", source, Backoff::default(), publish, std::future::pending()));

    let mut known = Snapshot::default();
    while observed.changed().await.is_ok() {
        let now = observed.borrow_and_update().clone();
        if let Some(error) = now.health.error() {
            tell(format!("! {}", error.chain()));
        }
        let Some(snapshot) = now.snapshot else { continue };
        diff(&snapshot, &known).added.iter().for_each(|gone| tell(format!("- {gone}")));
        diff(&known, &snapshot).added.iter().for_each(|new| tell(format!("+ {new}")));
        known = snapshot;
    }
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "a program for a terminal")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: watcher FILE")?;
    follow(path.into(), |line| println!("{line}")).await;
    Ok(())
}
