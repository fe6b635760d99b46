//! What is registered in etcd is known, and what is not is not.

mod etcd_support;

use discovery_core::Watcher as _;
use e2e::Etcd;
use etcd_support::{WEB, connect, key, register, registration, section, watch_web};
use serde_json::json;

#[tokio::test]
async fn what_is_registered_is_known_and_what_is_deregistered_is_not() {
    let etcd = Etcd::start().await;
    let mut web = watch_web(&etcd);
    web.until_ports([]).await;
    register(&etcd, 1).await;
    web.until_ports([1]).await;
    register(&etcd, 2).await;
    web.until_ports([1, 2]).await;
    etcd.delete(&key(1)).await;
    web.until_ports([2]).await;
}

#[tokio::test]
async fn what_was_registered_before_is_known_at_once() {
    let etcd = Etcd::start().await;
    register(&etcd, 1).await;
    etcd.put("/services/web2/a", &registration(2)).await;
    etcd.put("/services/webs", &registration(3)).await;
    let (cluster, prefix) = connect(section(&etcd.endpoints(), WEB, json!({})));
    let first = cluster.member(prefix).next().await.expect("etcd runs");
    assert_eq!(etcd_support::ports_of(&first).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_registration_whose_lease_expires_is_gone() {
    let etcd = Etcd::start().await;
    register(&etcd, 1).await;
    let mut web = watch_web(&etcd);
    etcd.put_with_lease(&key(2), &registration(2), 2).await;
    web.until_ports([1, 2]).await;
    web.until_ports([1]).await;
}

#[tokio::test]
async fn of_two_puts_in_a_millisecond_the_last_one_counts() {
    let etcd = Etcd::start().await;
    let mut web = watch_web(&etcd);
    web.until_ports([]).await;
    for round in 1..=50 {
        etcd.put(&format!("{WEB}/a"), &registration(round)).await;
        etcd.put(&format!("{WEB}/a"), &registration(1000 + round)).await;
        web.until_ports([1000 + round]).await;
    }
}

#[tokio::test]
async fn a_malformed_value_takes_nothing_else_with_it() {
    let etcd = Etcd::start().await;
    for port in 1..=9 {
        register(&etcd, port).await;
    }
    etcd.put(&format!("{WEB}/bad"), r#"{"host": "10.0.0.1\n  server evil 10.6.6.6:80", "port": 1}"#).await;
    let mut web = watch_web(&etcd);
    let now = web.until_ports(1..=9).await;
    let snapshot = now.snapshot.expect("it was waited for");
    assert_eq!(snapshot.rejected().total(), 1);
    assert_eq!(snapshot.rejected().named()[0].entry(), format!("{WEB}/bad"));

    etcd.put(&key(9), "no registration any more").await;
    web.until_ports(1..=8).await;
    etcd.put(&key(9), "10.0.0.1:9").await;
    etcd.put(&format!("{WEB}/bad"), "10.0.0.1:10").await;
    let now = web.until_ports(1..=10).await;
    assert_eq!(now.snapshot.expect("it was waited for").rejected().total(), 0);
}

#[tokio::test]
async fn keys_at_any_depth_are_endpoints_and_their_last_number_is_the_id() {
    let etcd = Etcd::start().await;
    etcd.put(&format!("{WEB}/"), "").await;
    etcd.put(&format!("{WEB}/web_0000000003"), &registration(1)).await;
    etcd.put(&format!("{WEB}/i-1/7"), "10.0.0.1:2").await;
    let now = watch_web(&etcd).until_ports([1, 2]).await;
    let snapshot = now.snapshot.expect("it was waited for");
    let ids: Vec<_> = snapshot.into_iter().map(discovery_core::Endpoint::id).collect();
    assert_eq!(ids, [Some(3), Some(7)]);
    assert_eq!(snapshot.rejected().total(), 0, "the directory's marker is no endpoint");
}

#[tokio::test]
async fn a_thousand_keys_are_known_and_gone_again() {
    let etcd = Etcd::start().await;
    let mut web = watch_web(&etcd);
    etcd.put_many((1..=1000).map(|port| (key(port), registration(port)))).await;
    web.until_ports(1..=1000).await;
    etcd.gateway().delete_prefix("/services/web/").await.expect("etcd runs");
    web.until_ports([]).await;
}

#[tokio::test]
async fn twenty_thousand_keys_below_one_prefix_are_known_and_gone_again() {
    let etcd = Etcd::start().await;
    let long = |port: u16| {
        // As much as real registrations have: all of them together are more than a message's usual 4 MiB.
        let labels = json!({ "zone": "eu-central-1a", "filler": "x".repeat(200) });
        json!({ "host": "10.0.0.1", "port": port, "name": format!("i-{port:017}"), "labels": labels })
            .to_string()
    };
    etcd.put_many((1..=20_000).map(|port| (key(port), long(port)))).await;
    let mut web = watch_web(&etcd);
    web.until_ports(1..=20_000).await;
    etcd.put_many([(key(20_001), long(20_001))]).await;
    web.until_ports(1..=20_001).await;
    etcd.gateway().delete_prefix("/services/web/").await.expect("etcd runs");
    web.until_ports([]).await;
}
