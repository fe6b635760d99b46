//! Servers that leave.

use std::time::Duration;

use haproxy_runtime::{Live, Tended};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    haproxy::DEADLINE,
    site::{By, Client, Echo, Site, changed, document, server},
};

/// Tends until something is done.
async fn tend(live: &mut Live) -> Tended {
    let end = Instant::now() + DEADLINE;
    loop {
        sleep_until(live.due().expect("somebody is leaving")).await;
        let tended = live.tend().await;
        if !tended.is_nothing() {
            return tended;
        }
        assert!(Instant::now() < end);
    }
}

async fn site(a: &Echo) -> (Site, Live) {
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    (site, live)
}

#[tokio::test]
async fn live_a_server_without_connections_is_deleted_soon() {
    let a = Echo::start(b'a').await;
    let (site, mut live) = site(&a).await;
    assert!(live.due().is_none() && live.tend().await.is_nothing());
    changed(&mut live, &document(vec![])).await;
    let tended = tend(&mut live).await;
    assert_eq!(tended.to_string(), "deleted web/a");
    assert!(site.servers().await.is_empty() && live.leaving().unwrap().is_empty() && live.due().is_none());
    assert_eq!(live.counters().deleted, 1);
}

#[tokio::test]
async fn live_a_server_is_deleted_when_its_last_connection_has_ended() {
    let a = Echo::start(b'a').await;
    let (site, mut live) = site(&a).await;
    let mut client = Client::connect(&site.haproxy).await.unwrap();
    changed(&mut live, &document(vec![])).await;
    for _ in 0..4 {
        sleep_until(live.due().unwrap()).await;
        assert!(live.tend().await.is_nothing());
    }
    assert!(client.echoes().await);
    drop(client);
    assert_eq!(tend(&mut live).await.deleted, ["web/a"]);
    assert!(site.servers().await.is_empty());
}

#[tokio::test]
async fn live_connections_that_have_had_their_time_are_ended() {
    let a = Echo::start(b'a').await;
    let (site, live) = site(&a).await;
    let mut live = live.with_drain_timeout(Duration::from_millis(300));
    let mut client = Client::connect(&site.haproxy).await.unwrap();
    let left = Instant::now();
    changed(&mut live, &document(vec![])).await;
    assert_eq!(tend(&mut live).await.ended, ["web/a"]);
    assert!(left.elapsed() >= Duration::from_millis(300));
    assert_eq!(tend(&mut live).await.deleted, ["web/a"]);
    assert!(!client.echoes().await && site.servers().await.is_empty());
    assert_eq!((live.counters().ended, site.reloads()), (1, 0));
}

#[tokio::test]
async fn live_a_hundred_servers_that_leave_at_once_are_deleted() {
    let a = Echo::start(b'a').await;
    let many = (1..=100).map(|id| server(&format!("s{id}"), a.port, id, "")).collect();
    let site = Site::start(&document(vec![]), By::Nothing).await;
    let mut live = site.live();
    assert_eq!(changed(&mut live, &document(many)).await.changes.len(), 100);
    changed(&mut live, &document(vec![])).await;
    let mut deleted = 0;
    while live.due().is_some() {
        deleted += tend(&mut live).await.deleted.len();
    }
    assert_eq!((deleted, site.servers().await.len(), site.reloads()), (100, 0, 0));
}

#[tokio::test]
async fn live_those_that_leave_are_forgotten_with_their_process() {
    let a = Echo::start(b'a').await;
    let (mut site, mut live) = site(&a).await;
    let _client = Client::connect(&site.haproxy).await.unwrap();
    changed(&mut live, &document(vec![])).await;
    assert!(live.due().is_some());
    site.haproxy.restart().await;
    let end = Instant::now() + DEADLINE;
    while live.due().is_some() {
        assert!(live.tend().await.is_nothing() && Instant::now() < end);
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(live.process().unwrap().pid, site.haproxy.pid());
    assert_eq!(site.reloads(), 0);
}
