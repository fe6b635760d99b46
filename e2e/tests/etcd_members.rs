//! Members of an etcd cluster come and go.

mod etcd_support;

use discovery_core::Watcher as _;
use e2e::{Etcd, EtcdCluster, Port, Proxy};
use etcd_support::{DEADLINE, WEB, connect, key, ports_of, register, registration, section, streams, watch};
use serde_json::json;

#[tokio::test]
async fn a_lost_leader_is_survived() {
    let mut etcd = EtcdCluster::start(3).await;
    etcd.put(&key(1), &registration(1)).await;
    let mut web = watch(&etcd.endpoints(), json!({}));
    web.until_ports([1]).await;
    let leader = etcd.leader(DEADLINE).await;
    etcd.member_mut(leader).kill().await;
    let new = etcd.leader(DEADLINE).await;
    register(etcd.member(new), 2).await;
    etcd.member(new).delete(&key(1)).await;
    web.until_ports([2]).await;
}

#[tokio::test]
async fn a_lost_quorum_is_told_and_survived() {
    let mut etcd = EtcdCluster::start(3).await;
    etcd.put(&key(1), &registration(1)).await;
    // Connected to the only one that will be left: its connection stays open.
    let mut web = watch(&[etcd.member(0).endpoint()], json!({}));
    web.until_ports([1]).await;
    etcd.member_mut(1).kill().await;
    etcd.member_mut(2).kill().await;
    let error = web.until_failing().await;
    assert!(error.contains("no leader") || error.contains("timed out"), "{error}");
    etcd.member_mut(1).resume().await;
    etcd.member_mut(2).resume().await;
    etcd.wait_ready(DEADLINE).await;
    etcd.put(&key(2), &registration(2)).await;
    web.until_ports([1, 2]).await;
}

#[tokio::test]
async fn what_another_member_was_told_while_ours_was_away_is_known() {
    let mut etcd = EtcdCluster::start(3).await;
    etcd.put(&key(1), &registration(1)).await;
    let mut web = watch(&[etcd.member(0).endpoint()], json!({}));
    web.until_ports([1]).await;
    etcd.member_mut(0).kill().await;
    web.until_failing().await;
    let leader = etcd.leader(DEADLINE).await;
    register(etcd.member(leader), 2).await;
    etcd.member(leader).delete(&key(1)).await;
    etcd.member_mut(0).restart().await;
    web.until_ports([2]).await;
}

#[tokio::test]
async fn a_removed_member_is_left_and_an_added_one_heard() {
    let mut etcd = EtcdCluster::start(3).await;
    etcd.put(&key(1), &registration(1)).await;
    let mut proxies =
        [Proxy::start(etcd.member(0).address()).await, Proxy::start(etcd.member(1).address()).await];
    let mut web = watch(&proxies.each_ref().map(|proxy| proxy.address().to_string()), json!({}));
    web.until_ports([1]).await;
    let removed = used(&etcd, [0, 1]).await;
    etcd.member_remove(removed).await;
    etcd.leader(DEADLINE).await;
    etcd.put(&key(2), &registration(2)).await;
    web.until_ports([1, 2]).await;
    let added = etcd.member_add().await;
    // The address of the one that was removed is given to the one that was added, and the other cannot be reached any more.
    proxies[removed].lead_to(etcd.member(added).address()).await;
    proxies[1 - removed].cut().await;
    register(etcd.member(added), 3).await;
    web.until_ports([1, 2, 3]).await;
    assert_eq!(used(&etcd, 0..3).await, added);
}

/// Which member a single client is connected to.
async fn used(etcd: &EtcdCluster, numbers: impl IntoIterator<Item = usize>) -> usize {
    let mut used = Vec::new();
    for number in numbers {
        if streams(etcd.member(number)).await > 0 {
            used.push(number);
        }
    }
    assert_eq!(used.len(), 1, "{used:?}");
    used[0]
}

#[tokio::test]
async fn a_dead_endpoint_is_passed_over_without_a_word() {
    let etcd = Etcd::start().await;
    register(&etcd, 1).await;
    let (dead, dead_too) = (Port::free(), Port::free());
    let endpoints = [dead.address().to_string(), etcd.endpoint(), dead_too.address().to_string()];
    // The endpoints are tried in random order.
    for _ in 0..10 {
        let (cluster, prefix) = connect(section(&endpoints, WEB, json!({})));
        let first = cluster.member(prefix).next().await.expect("one of three runs");
        assert_eq!(ports_of(&first).collect::<Vec<_>>(), [1]);
    }
}

#[tokio::test]
async fn another_member_takes_over_without_a_word() {
    let mut etcd = EtcdCluster::start(3).await;
    etcd.put(&key(1), &registration(1)).await;
    let leader = etcd.leader(DEADLINE).await;
    let followers: Vec<_> = (0..3).filter(|&number| number != leader).collect();
    // Not the leader, whose end would need an election.
    let endpoints = [etcd.member(followers[0]).endpoint(), etcd.member(followers[1]).endpoint()];
    let (cluster, prefix) = connect(section(&endpoints, WEB, json!({})));
    let mut web = cluster.member(prefix);
    assert_eq!(ports_of(&web.next().await.expect("all run")).collect::<Vec<_>>(), [1]);
    let killed = used(&etcd, followers.iter().copied()).await;
    etcd.member_mut(killed).kill().await;
    register(etcd.member(leader), 2).await;
    let known = tokio::time::timeout(DEADLINE, async {
        loop {
            let snapshot = web.next().await.expect("a second member takes over before a failure is told");
            if snapshot.len() == 2 {
                break snapshot;
            }
        }
    });
    assert_eq!(ports_of(&known.await.expect("in time")).collect::<Vec<_>>(), [1, 2]);
}
