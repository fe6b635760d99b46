//! A source under supervision.

use std::collections::BTreeSet;
use std::time::Duration;

use discovery_core::{Backoff, Health, Observed, Snapshot, WatchError, Watcher, supervise};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest wait for anything that must happen, on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_mins(1);

/// A watcher that is supervised by a task of the current runtime, and what was observed of it. Dropping it drops the watcher.
#[derive(Debug)]
pub struct Watching {
    observed: watch::Receiver<Observed>,
    task: JoinHandle<()>,
}

impl Watching {
    /// Supervises a watcher, and sends what is logged to the test's output. Failures are waited out for a second at most.
    pub fn new(service: &str, watcher: impl Watcher + 'static) -> Self {
        crate::show_logs();
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let backoff = backoff.expect("the bounds are in order");
        let (publish, observed) = watch::channel(Observed::default());
        let service = service.to_owned();
        let task = tokio::spawn(async move {
            supervise(&service, watcher, backoff, publish, std::future::pending()).await;
        });
        Self { observed, task }
    }

    /// Waits, for a minute at most, for something to be observed.
    pub async fn until(&mut self, what: &str, wanted: impl FnMut(&Observed) -> bool) -> Observed {
        let seen = tokio::time::timeout(DEADLINE, self.observed.wait_for(wanted)).await;
        let seen = seen.map(|seen| seen.expect("the supervisor runs as long as it is listened to").clone());
        seen.unwrap_or_else(|_| {
            panic!("waited {DEADLINE:?} for {what}; observed: {:?}", self.observed.borrow())
        })
    }

    /// Waits until exactly these ports are known, and the source is healthy. All endpoints must have one host.
    pub async fn until_ports(&mut self, ports: impl IntoIterator<Item = u16>) -> Observed {
        let wanted: BTreeSet<u16> = ports.into_iter().collect();
        let what = if wanted.len() > 20 { format!("{} ports", wanted.len()) } else { format!("{wanted:?}") };
        self.until(&what, |now| {
            let known = now.snapshot.as_ref().filter(|snapshot| snapshot.len() == wanted.len());
            matches!(now.health, Health::Healthy) && known.is_some_and(|known| ports_of(known) == wanted)
        })
        .await
    }

    /// Waits until the source fails, and returns what it says.
    pub async fn until_failing(&mut self) -> String {
        let failing = self.until("a failure", |now| now.health.error().is_some()).await;
        failing.health.error().map(WatchError::chain).expect("it was waited for")
    }

    /// What is observed now.
    pub fn now(&self) -> Observed {
        self.observed.borrow().clone()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ports_of(snapshot: &Snapshot) -> BTreeSet<u16> {
    snapshot.iter().map(|endpoint| endpoint.port().get()).collect()
}
