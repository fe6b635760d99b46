//! Several sources as one: each combinator is a watcher like any other, and no child spoils the others.

mod conform;
#[path = "../registry/mod.rs"]
#[allow(dead_code, reason = "its faults are for the test of the kit itself")]
mod registry;
mod sequential;
mod toggle;
mod union;
mod whole;

use std::time::Duration;

use discovery_core::{
    Backoff, Endpoint, Observed, Retry, Snapshot, WatchError, Watcher,
    multi::Multi,
    supervise,
    testing::{ScriptedWatcher, Step},
};
use tokio::{sync::watch, time::timeout};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn boxed(watcher: impl Watcher + 'static) -> Box<dyn Watcher> {
    Box::new(watcher)
}

pub(crate) fn endpoint(number: u8) -> Endpoint {
    Endpoint::new(std::net::IpAddr::from([10, 0, 0, number]).try_into().expect("it is specified"), 80)
        .expect("80 is a port")
}

pub(crate) fn endpoints<const N: usize>(numbers: [u8; N]) -> Snapshot {
    numbers.into_iter().map(endpoint).collect()
}

pub(crate) fn says<const N: usize>(numbers: [u8; N]) -> Step {
    Step::Yield(endpoints(numbers))
}

pub(crate) fn fails() -> Step {
    Step::Fail(WatchError::new("asking"))
}

pub(crate) fn ends() -> Step {
    Step::Fail(WatchError::new("closed").retry(Retry::Never))
}

pub(crate) fn many(step: fn() -> Step) -> Vec<Step> {
    (0..1000).map(|_| step()).collect()
}

pub(crate) fn play(steps: impl IntoIterator<Item = Step>) -> Box<dyn Watcher> {
    boxed(ScriptedWatcher::new(steps))
}

pub(crate) fn union<const N: usize>(children: [(&str, Box<dyn Watcher>); N]) -> Multi {
    Multi::union("web", children, Backoff::default())
}

pub(crate) fn sequential<const N: usize>(children: [(&str, Box<dyn Watcher>); N]) -> Multi {
    Multi::sequential("web", children, Backoff::default())
}

pub(crate) fn run(multi: Multi) -> watch::Receiver<Observed> {
    let (publish, observed) = watch::channel(Observed::default());
    tokio::spawn(async move {
        supervise("web", multi, Backoff::default(), publish, std::future::pending()).await;
    });
    observed
}

/// Waits for an answer with these endpoints, at most an hour.
pub(crate) async fn until<const N: usize>(observed: &mut watch::Receiver<Observed>, numbers: [u8; N]) {
    let wanted = endpoints(numbers);
    let known =
        |now: &Observed| now.snapshot.as_ref().is_some_and(|now| now.endpoints() == wanted.endpoints());
    let heard = timeout(3600 * SECOND, observed.wait_for(known)).await.is_ok_and(|heard| heard.is_ok());
    assert!(heard, "{wanted:?} was not said; last was {:?}", observed.borrow().snapshot);
}

pub(crate) fn ports(observed: &watch::Receiver<Observed>) -> Option<Snapshot> {
    observed.borrow().snapshot.clone()
}
