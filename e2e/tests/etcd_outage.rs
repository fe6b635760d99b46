//! etcd goes away in every way there is, and comes back.

mod etcd_support;

use std::time::Duration;

use e2e::{Etcd, Proxy};
use etcd_support::{DEADLINE, key, register, registration, requests, watch, watch_web};
use serde_json::json;
use tokio::time::Instant;

/// The keep-alive of these scenarios: the shortest there is.
fn shortest() -> serde_json::Value {
    json!({ "keep_alive_interval": 5, "keep_alive_timeout": 1 })
}

/// When a server that froze must have been noticed and told: the sum of both, a second's grace, and what a busy machine adds.
const BOUND: Duration = Duration::from_secs(5 + 1 + 1 + 2);

#[tokio::test]
async fn a_killed_etcd_is_told_and_what_it_then_has_is_known() {
    let mut etcd = Etcd::start().await;
    register(&etcd, 1).await;
    register(&etcd, 2).await;
    let mut web = watch_web(&etcd);
    web.until_ports([1, 2]).await;
    for round in 3..6 {
        etcd.kill().await;
        let error = web.until_failing().await;
        assert!(error.starts_with("watching /services/web/ in etcd (http://127.0.0.1:"), "{error}");
        let kept = web.now().snapshot.expect("the last good stays");
        assert_eq!(kept.len(), 2);
        etcd.restart().await;
        etcd.delete(&key(round - 1)).await;
        register(&etcd, round).await;
        web.until_ports([1, round]).await;
    }
}

#[tokio::test]
async fn an_etcd_that_ends_politely_is_told_too() {
    let mut etcd = Etcd::start().await;
    register(&etcd, 1).await;
    let mut web = watch_web(&etcd);
    web.until_ports([1]).await;
    etcd.terminate().await;
    web.until_failing().await;
    etcd.restart().await;
    web.until_ports([1]).await;
}

#[tokio::test]
async fn an_etcd_that_is_not_there_yet_is_waited_for() {
    let mut etcd = Etcd::start().await;
    register(&etcd, 1).await;
    etcd.kill().await;
    let mut web = watch_web(&etcd);
    let error = web.until_failing().await;
    assert!(error.contains("onnection refused"), "{error}");
    etcd.restart().await;
    web.until_ports([1]).await;
}

#[tokio::test]
async fn changes_during_an_outage_are_known_without_listing_again() {
    let etcd = Etcd::start().await;
    let mut proxy = Proxy::start(etcd.address()).await;
    for port in 1..=3 {
        register(&etcd, port).await;
    }
    let mut web = watch(&[proxy.address().to_string()], json!({}));
    web.until_ports(1..=3).await;
    proxy.cut().await;
    web.until_failing().await;
    etcd.delete(&key(2)).await;
    etcd.put_with_lease(&key(4), &registration(4), 60).await;
    register(&etcd, 5).await;
    let lists = requests(&etcd, "Range").await;
    proxy.heal().await;
    web.until_ports([1, 3, 4, 5]).await;
    // The one by which a connection finds out where it is.
    assert_eq!(requests(&etcd, "Range").await - lists, 1);
}

#[tokio::test]
async fn a_lease_that_expires_during_an_outage_is_gone() {
    let etcd = Etcd::start().await;
    let mut proxy = Proxy::start(etcd.address()).await;
    register(&etcd, 1).await;
    etcd.put_with_lease(&key(2), &registration(2), 3).await;
    let mut web = watch(&[proxy.address().to_string()], json!({}));
    web.until_ports([1, 2]).await;
    proxy.cut().await;
    web.until_failing().await;
    e2e::wait_until(DEADLINE, "the lease to expire", async || {
        let left = etcd.gateway().get(&key(2)).await.map_err(|error| error.to_string())?;
        left.map_or(Ok(()), Err)
    })
    .await;
    proxy.heal().await;
    web.until_ports([1]).await;
}

#[tokio::test]
async fn compaction_while_disconnected_loses_no_change_and_no_delete() {
    let etcd = Etcd::start().await;
    let mut proxy = Proxy::start(etcd.address()).await;
    for port in 1..=5 {
        register(&etcd, port).await;
    }
    let mut web = watch(&[proxy.address().to_string()], json!({}));
    web.until_ports(1..=5).await;
    proxy.cut().await;
    web.until_failing().await;
    etcd.delete(&key(2)).await;
    etcd.delete(&key(4)).await;
    register(&etcd, 6).await;
    etcd.put("/elsewhere", "so that the delete itself is compacted").await;
    etcd.compact().await;
    proxy.heal().await;
    web.until_ports([1, 3, 5, 6]).await;
    register(&etcd, 7).await;
    web.until_ports([1, 3, 5, 6, 7]).await;
}

#[tokio::test]
async fn a_wiped_etcd_is_listed_again() {
    let mut etcd = Etcd::start().await;
    for port in 1..=20 {
        register(&etcd, port).await;
    }
    let mut web = watch_web(&etcd);
    web.until_ports(1..=20).await;
    etcd.kill().await;
    etcd.wipe();
    etcd.restart().await;
    register(&etcd, 99).await;
    web.until_ports([99]).await;
    register(&etcd, 100).await;
    web.until_ports([99, 100]).await;
}

#[tokio::test]
async fn a_wiped_etcd_that_has_outgrown_its_former_self_is_listed_again() {
    let mut etcd = Etcd::start().await;
    // Each restart is a term of its own.
    etcd.kill().await;
    etcd.restart().await;
    let mut proxy = Proxy::start(etcd.address()).await;
    register(&etcd, 1).await;
    register(&etcd, 2).await;
    let mut web = watch(&[proxy.address().to_string()], json!({}));
    web.until_ports([1, 2]).await;
    proxy.cut().await;
    web.until_failing().await;
    etcd.kill().await;
    etcd.wipe();
    etcd.restart().await;
    register(&etcd, 3).await;
    for _ in 0..20 {
        etcd.put("/elsewhere", "grows").await;
    }
    proxy.heal().await;
    web.until_ports([3]).await;
}

#[tokio::test]
async fn a_frozen_etcd_is_told_within_the_bound() {
    let mut etcd = Etcd::start().await;
    register(&etcd, 1).await;
    let mut web = watch(&etcd.endpoints(), shortest());
    web.until_ports([1]).await;
    let frozen = Instant::now();
    etcd.freeze().await;
    web.until_failing().await;
    assert!(frozen.elapsed() < BOUND, "{:?}", frozen.elapsed());
    etcd.thaw();
    register(&etcd, 2).await;
    web.until_ports([1, 2]).await;
}

#[tokio::test]
async fn a_half_open_connection_is_told_within_the_bound() {
    let etcd = Etcd::start().await;
    register(&etcd, 1).await;
    let mut proxy = Proxy::start(etcd.address()).await;
    let mut web = watch(&[proxy.address().to_string()], shortest());
    web.until_ports([1]).await;
    let frozen = Instant::now();
    proxy.freeze().await;
    register(&etcd, 2).await;
    web.until_failing().await;
    assert!(frozen.elapsed() < BOUND, "{:?}", frozen.elapsed());
    proxy.heal().await;
    web.until_ports([1, 2]).await;
}

#[tokio::test]
async fn what_a_silent_etcd_said_is_confirmed_twice_a_minute() {
    let etcd = Etcd::start().await;
    register(&etcd, 1).await;
    let mut web = watch_web(&etcd);
    let first = web.until_ports([1]).await.confirmed.expect("it answered");
    e2e::wait_until(DEADLINE, "a confirmation", async || {
        let now = web.now();
        assert!(now.health.error().is_none(), "{now:?}");
        let confirmed = now.confirmed.expect("it answered");
        if confirmed > first + Duration::from_secs(5) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    assert_eq!(requests(&etcd, "Watch").await, 1, "on the same stream");
}
