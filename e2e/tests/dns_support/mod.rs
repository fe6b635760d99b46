//! What the scenarios of the DNS source have in common.

#![allow(dead_code, reason = "each scenario uses its part")]

use std::{net::SocketAddr, time::Duration};

use discovery_core::{Backoff, Endpoint, Health, Observed, Watcher};
use discovery_dns::{Nameserver, Nameservers, Resolver, Server};
use e2e::Watching;

/// The interval of all: records that are to be asked for sooner have a short TTL.
pub(crate) const EVERY: Duration = Duration::from_secs(30);

/// A resolver whose driver runs, with pauses that are short enough for a test.
pub(crate) fn resolver(nameservers: &[SocketAddr]) -> Resolver {
    e2e::show_logs();
    let backoff =
        Backoff::new(Duration::from_millis(50), Duration::from_secs(1)).expect("the bounds are in order");
    let listed =
        nameservers.iter().map(|address| Nameserver::new(*address).expect("a test's own nameserver"));
    let (resolver, driver) = Resolver::new(Nameservers::Listed(listed.collect()), backoff);
    tokio::spawn(driver);
    resolver
}

/// A server whose host is a name, on port 80.
pub(crate) fn at(host: &str) -> Server {
    Server::at(Endpoint::new(host.parse().expect("a test's own host"), 80).expect("80 is not 0"))
}

/// Watches the addresses of these names, on port 80.
pub(crate) fn watch(nameservers: &[SocketAddr], hosts: &[&str]) -> Watching {
    watching(resolver(nameservers).member(hosts.iter().map(|host| at(host)), EVERY))
}

pub(crate) fn watching(watcher: impl Watcher + 'static) -> Watching {
    Watching::new("web", watcher)
}

/// Each endpoint as it is shown, with all that it has.
pub(crate) fn shown(now: &Observed) -> Vec<String> {
    now.snapshot.iter().flat_map(|snapshot| snapshot.iter()).map(|endpoint| format!("{endpoint:?}")).collect()
}

/// Waits until exactly these are known, and the source is healthy.
pub(crate) async fn until_shown(web: &mut Watching, expected: &[&str]) {
    web.until(&format!("{expected:?}"), |now| {
        matches!(now.health, Health::Healthy) && shown(now) == expected
    })
    .await;
}
