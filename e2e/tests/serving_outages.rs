//! etcd goes away while HAProxy serves what it said last, and comes back with something else.

mod serving_support;

use std::time::Duration;

use e2e::{EtcdCluster, HttpBackend, Proxy, Site};
use serving_support::{Web, all_answered, key, register, registration, until, until_state};
use tokio::time::{Instant, sleep};

/// How long most outages last: long enough for several attempts to connect again.
const OUTAGE: Duration = Duration::from_secs(5);
/// How long the longest outage lasts: long enough for the pauses between attempts to become long.
const LONG_OUTAGE: Duration = Duration::from_secs(30);
/// When a server that froze must be noticed: `keep_alive_interval` and `keep_alive_timeout` as they are by default, and the
/// second within which it is told.
const BOUND: Duration = Duration::from_secs(6 + 4 + 1);
/// What a busy machine adds to it.
const GRACE: Duration = Duration::from_secs(2);

// Tests begin in the order of their names, and this one, which takes longest, is to begin first.
#[tokio::test]
async fn a_change_through_another_member_is_served_after_thirty_seconds_without_etcd() {
    let mut cluster = EtcdCluster::start(3).await;
    let [blue, green, red] = ["blue", "green", "red"].map(HttpBackend::start);
    let (blue, green, red) = tokio::join!(blue, green, red);
    register(cluster.member(0), &blue).await;
    register(cluster.member(0), &green).await;
    let mut site = Site::start().await;
    site.add_service("web", &[cluster.member(0).endpoint()]);
    // Pauses as they are by default.
    site.set("", "agent", serde_json::json!({}));
    let agent = site.run_agent();
    site.until_serves("web", &["blue", "green"]).await;
    let traffic = site.traffic("web");
    let begin = Instant::now();
    cluster.member_mut(0).kill().await;
    until_state(&agent, "failing").await;
    cluster.leader(serving_support::DEADLINE).await;
    cluster.member(1).delete(&key("blue")).await;
    register(cluster.member(2), &red).await;
    // Not a wait for anything: how long the outage lasts.
    sleep((begin + LONG_OUTAGE).saturating_duration_since(Instant::now())).await;
    site.until_serves("web", &["blue", "green"]).await;

    cluster.member_mut(0).restart().await;
    site.until_serves("web", &["green", "red"]).await;
    until_state(&agent, "ok").await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_killed_etcd_stops_no_request_and_what_it_comes_back_with_is_served() {
    let mut web = Web::prepare().await;
    // Through it the agent sees etcd again only when the changes have been made.
    let mut proxy = Proxy::start(web.etcd.address()).await;
    web.site.set("/services/web/discovery", "endpoints", vec![proxy.address().to_string()]);
    let (agent, traffic) = web.serve().await;
    let begin = Instant::now();
    proxy.cut().await;
    web.etcd.kill().await;
    until_state(&agent, "failing").await;
    web.etcd.restart().await;
    let red = HttpBackend::start("red").await;
    web.etcd.delete(&key("blue")).await;
    register(&web.etcd, &red).await;
    // Not a wait for anything: how long the outage lasts.
    sleep((begin + OUTAGE).saturating_duration_since(Instant::now())).await;
    web.site.until_serves("web", &["blue", "green"]).await;

    proxy.heal().await;
    web.site.until_serves("web", &["green", "red"]).await;
    until_state(&agent, "ok").await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn changes_go_on_while_one_member_after_the_other_is_killed() {
    let mut cluster = EtcdCluster::start(3).await;
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    register(cluster.member(0), &blue).await;
    let mut site = Site::start().await;
    site.add_service("web", &cluster.endpoints());
    let _agent = site.run_agent();
    site.until_serves("web", &["blue"]).await;
    let traffic = site.traffic("web");
    for (killed, now) in [(0, &green), (1, &blue), (2, &green)] {
        cluster.member_mut(killed).kill().await;
        cluster.leader(serving_support::DEADLINE).await;
        cluster.put(&key("blue"), &registration(now)).await;
        site.until_serves("web", &[now.name()]).await;
        cluster.member_mut(killed).restart().await;
        cluster.wait_ready(serving_support::DEADLINE).await;
    }
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_frozen_etcd_is_told_in_time_and_stops_no_request() {
    let mut web = Web::prepare().await;
    let (agent, traffic) = web.serve().await;
    let frozen = Instant::now();
    web.etcd.freeze().await;
    until_state(&agent, "failing").await;
    let told = frozen.elapsed();
    assert!(told < BOUND + GRACE, "{told:?}");
    let status = agent.service("web");
    assert_eq!((status.servers, status.snapshot.map(|known| known.len())), (2, Some(2)));
    web.site.until_serves("web", &["blue", "green"]).await;

    web.etcd.thaw();
    until_state(&agent, "ok").await;
    web.etcd.delete(&key("blue")).await;
    web.site.until_serves("web", &["green"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn what_was_deleted_and_compacted_during_an_outage_is_not_served() {
    let mut web = Web::prepare().await;
    let mut proxy = Proxy::start(web.etcd.address()).await;
    web.site.set("/services/web/discovery", "endpoints", vec![proxy.address().to_string()]);
    let (agent, traffic) = web.serve().await;
    proxy.cut().await;
    until_state(&agent, "failing").await;
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.etcd.delete(&key("blue")).await;
    web.etcd.put("/elsewhere", "so that the delete itself is compacted").await;
    web.etcd.compact().await;
    proxy.heal().await;
    web.site.until_serves("web", &["green", "red"]).await;
    // And the watch goes on from there.
    web.etcd.delete(&key("green")).await;
    web.site.until_serves("web", &["red"]).await;
    until("the status to know", || match agent.service("web").servers {
        1 => Ok(()),
        other => Err(format!("{other} servers")),
    })
    .await;
    all_answered(traffic).await;
}
