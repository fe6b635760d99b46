//! ZooKeeper goes away in every way there is, and comes back.

mod zk_support;

use std::time::Duration;

use discovery_core::Health;
use e2e::{Proxy, Registrar, RegistrarOptions, Zookeeper, ZookeeperEnsemble};
use serde_json::json;
use tokio::time::{Instant, sleep};
use zk_support::{DEADLINE, SESSION, over_both_clients, register, watch};

over_both_clients!(
    a_killed_server_is_told_and_what_it_then_has_is_known,
    a_server_that_is_not_there_yet_is_waited_for,
    a_server_frozen_for_longer_than_the_session_is_told_in_time,
    a_session_that_is_expired_from_outside_is_followed_by_another,
    a_short_partition_changes_nothing,
    a_long_partition_ends_in_the_right_set,
    a_killed_leader_is_told_to_nobody,
    a_whole_ensemble_that_stops_comes_back_with_other_members,
    hosts_that_do_not_resolve_or_answer_are_passed_over,
);

/// When a server that froze must have been noticed and told: five sixths of the session's time, a second's grace, an attempt to
/// connect again, and what a busy machine adds.
const BOUND: Duration = Duration::from_secs(2 + 1 + 1 + 3);

/// A publisher whose registrations outlast what happens to its session.
async fn publisher(hosts: &[String]) -> Registrar {
    Registrar::connect_with(hosts, RegistrarOptions::new().with_session_timeout(Duration::from_secs(40)))
        .await
}

async fn a_killed_server_is_told_and_what_it_then_has_is_known(client: &str) {
    let mut zookeeper = Zookeeper::start().await;
    let registrar = publisher(&zookeeper.hosts()).await;
    register(&registrar, [1, 2]).await;
    let mut web = watch(client, &zookeeper.hosts(), json!({}));
    web.until_ports([1, 2]).await;
    for round in 3..5 {
        zookeeper.kill().await;
        let error = web.until_failing().await;
        assert!(error.starts_with("watching /nerve/services/web in ZooKeeper (127.0.0.1:"), "{error}");
        assert_eq!(web.now().snapshot.expect("the last good stays").len(), usize::from(round) - 1);
        zookeeper.restart().await;
        let other = publisher(&zookeeper.hosts()).await;
        register(&other, [round]).await;
        web.until_ports(1..=round).await;
        std::mem::forget(other);
    }
}

async fn a_server_that_is_not_there_yet_is_waited_for(client: &str) {
    let mut zookeeper = Zookeeper::start().await;
    let registrar = publisher(&zookeeper.hosts()).await;
    register(&registrar, [1]).await;
    zookeeper.kill().await;
    let mut web = watch(client, &zookeeper.hosts(), json!({}));
    web.until_failing().await;
    assert!(web.now().snapshot.is_none(), "nobody has said that there is nobody");
    zookeeper.restart().await;
    web.until_ports([1]).await;
}

async fn a_server_frozen_for_longer_than_the_session_is_told_in_time(client: &str) {
    let mut zookeeper = Zookeeper::start().await;
    let registrar = publisher(&zookeeper.hosts()).await;
    register(&registrar, [1, 2]).await;
    let mut web = watch(client, &zookeeper.hosts(), json!({}));
    web.until_ports([1, 2]).await;
    let frozen = Instant::now();
    zookeeper.freeze().await;
    web.until_failing().await;
    assert!(frozen.elapsed() < BOUND, "{:?}", frozen.elapsed());
    sleep((frozen + 3 * SESSION).saturating_duration_since(Instant::now())).await;
    assert_eq!(web.now().snapshot.expect("the last good stays").len(), 2);
    zookeeper.thaw();
    web.until_ports([1, 2]).await;
    register(&registrar, [3]).await;
    web.until_ports([1, 2, 3]).await;
}

async fn a_session_that_is_expired_from_outside_is_followed_by_another(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let registrar = publisher(&zookeeper.hosts()).await;
    register(&registrar, [1]).await;
    let mut web = watch(client, &zookeeper.hosts(), json!({}));
    web.until_ports([1]).await;
    for port in 2..5 {
        let ours = e2e::wait_until(DEADLINE, "one session, whatever happened before", async || {
            let mut sessions = zookeeper.sessions().await;
            sessions.retain(|session| *session != registrar.session());
            if let [ours] = sessions[..] { Ok(ours) } else { Err(format!("{sessions:?}")) }
        })
        .await;
        zookeeper.expire(ours).await;
        register(&registrar, [port]).await;
        web.until_ports(1..=port).await;
    }
}

async fn a_short_partition_changes_nothing(client: &str) {
    partition(client, Duration::from_secs(5), json!({ "session_timeout": 10 })).await;
}

async fn a_long_partition_ends_in_the_right_set(client: &str) {
    partition(client, 4 * SESSION, json!({})).await;
}

async fn partition(client: &str, lasts: Duration, more: serde_json::Value) {
    let zookeeper = Zookeeper::start().await;
    let mut proxy = Proxy::start(zookeeper.address()).await;
    let registrar = publisher(&zookeeper.hosts()).await;
    let nodes = register(&registrar, [1, 2]).await;
    let mut web = watch(client, &[proxy.address().to_string()], more);
    web.until_ports([1, 2]).await;
    let begun = Instant::now();
    // Nothing gets through, and nobody is told: a network, not a server.
    proxy.freeze().await;
    registrar.delete(&nodes[0]).await;
    register(&registrar, [3]).await;
    while begun.elapsed() < lasts {
        let known = web.now().snapshot.expect("the last good stays");
        assert_eq!(known.len(), 2);
        assert!(known.iter().any(|endpoint| endpoint.port().get() == 1));
        sleep(Duration::from_millis(100)).await;
    }
    proxy.heal().await;
    web.until_ports([2, 3]).await;
}

async fn a_killed_leader_is_told_to_nobody(client: &str) {
    let mut ensemble = ZookeeperEnsemble::start().await;
    let registrar = publisher(&ensemble.hosts()).await;
    register(&registrar, [1]).await;
    let mut web = watch(client, &ensemble.hosts(), json!({}));
    web.until_ports([1]).await;
    for port in 2..4 {
        let leader = ensemble.leader(DEADLINE).await;
        ensemble.member_mut(leader).kill().await;
        ensemble.leader(DEADLINE).await;
        register(&registrar, [port]).await;
        web.until_ports(1..=port).await;
        ensemble.member_mut(leader).restart().await;
        ensemble.wait_ready(DEADLINE).await;
    }
}

async fn a_whole_ensemble_that_stops_comes_back_with_other_members(client: &str) {
    let mut ensemble = ZookeeperEnsemble::start().await;
    // A session as short as ours would not outlast a second in which the machine is busy.
    let short = RegistrarOptions::new().with_session_timeout(3 * SESSION).abandoning();
    let registrar = Registrar::connect_with(&ensemble.hosts(), short).await;
    register(&registrar, [1, 2]).await;
    drop(registrar);
    let mut web = watch(client, &ensemble.hosts(), json!({}));
    web.until_ports([1, 2]).await;
    let begun = Instant::now();
    ensemble.kill().await;
    web.until_failing().await;
    sleep((begun + 4 * SESSION).saturating_duration_since(Instant::now())).await;
    assert_eq!(web.now().snapshot.expect("the last good stays").len(), 2);
    ensemble.restart().await;
    let registrar = publisher(&ensemble.hosts()).await;
    register(&registrar, [7, 8]).await;
    // The publisher of the first two is gone: its session expires once there is a leader to say so.
    web.until_ports([7, 8]).await;
}

async fn hosts_that_do_not_resolve_or_answer_are_passed_over(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let mute = Proxy::start(zookeeper.address()).await;
    let mut mute = mute;
    mute.freeze().await;
    let registrar = publisher(&zookeeper.hosts()).await;
    register(&registrar, [1]).await;
    let hosts = [
        "no-such-host.invalid:2181".to_owned(),
        "127.0.0.1:1".to_owned(),
        mute.address().to_string(),
        zookeeper.hosts()[0].clone(),
    ];
    for _ in 0..4 {
        let mut web = watch(client, &hosts, json!({}));
        web.until_ports([1]).await;
        assert!(matches!(web.now().health, Health::Healthy));
    }
}
