//! What publishers do in ZooKeeper is known, and costs what changed.

mod zk_support;

use std::time::Duration;

use discovery_core::Snapshot;
use e2e::{NodeKind, Registrar, RegistrarOptions, Registration, Zookeeper, ZookeeperOptions};
use serde_json::json;
use zk_support::{WEB, asked, connect, over_both_clients, register, registration, section, watch, watching};

over_both_clients!(
    registrations_come_and_go_with_the_sessions_of_their_publishers,
    one_change_among_many_costs_three_requests_at_most,
    bad_children_are_named_and_the_good_ones_served,
    what_go_nerve_writes_is_honoured,
    children_that_say_it_in_their_names_are_not_read,
    a_path_that_does_not_exist_yet_is_waited_for_and_not_made,
    a_chroot_is_a_path_in_front,
    a_server_set_is_read_by_its_endpoints_name,
    the_generator_configuration_comes_with_the_endpoints,
    a_path_that_changes_all_the_time_is_read_at_the_pace_that_was_asked_for,
);

fn weights(snapshot: &Snapshot) -> Vec<Option<u32>> {
    snapshot.iter().map(discovery_core::Endpoint::weight).collect()
}

async fn registrations_come_and_go_with_the_sessions_of_their_publishers(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let (one, other) =
        (Registrar::connect(&zookeeper.hosts()).await, Registrar::connect(&zookeeper.hosts()).await);
    register(&one, [1, 2]).await;
    let mut web = watch(client, &zookeeper.hosts(), json!({}));
    web.until_ports([1, 2]).await;
    let nodes = register(&other, [3, 4]).await;
    let seen = web.until_ports([1, 2, 3, 4]).await.snapshot.expect("it was waited for");
    let names: Vec<_> = seen.iter().filter_map(discovery_core::Endpoint::name).collect();
    assert_eq!(names, ["i-1", "i-2", "i-3", "i-4"]);
    assert!(seen.iter().all(|endpoint| endpoint.id().is_some()), "the sequence number is the id: {seen:?}");
    other.set(&nodes[0], registration(3).with_weight(7).json()).await;
    web.until("the weight", |now| now.snapshot.as_ref().is_some_and(|known| weights(known)[2] == Some(7)))
        .await;
    other.delete(&nodes[1]).await;
    web.until_ports([1, 2, 3]).await;
    one.close().await;
    web.until_ports([3]).await;
    zookeeper.expire(other.session()).await;
    web.until_ports([]).await;
}

async fn one_change_among_many_costs_three_requests_at_most(client: &str) {
    for children in [100, 10_000] {
        one_change(client, children).await;
    }
}

async fn one_change(client: &str, children: u16) {
    let zookeeper = ZookeeperOptions::new().with_request_log().with_heap(512).start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    let nodes = register(&registrar, 1..=children).await;
    let mut web = watch(client, &zookeeper.hosts(), json!({}));
    web.until_ports(1..=children).await;
    let us = registrar.session();
    let (half, later) = (usize::from(children) / 2, usize::from(children) * 7 / 10);

    let before = zookeeper.requests().len();
    register(&registrar, [20_000]).await;
    web.until("the new one", |now| known(now) == usize::from(children) + 1).await;
    let arrival = asked(&zookeeper, before, us);
    assert!(arrival.len() <= 3, "{arrival:?}");

    let before = zookeeper.requests().len();
    let changed = registration(u16::try_from(half + 1).expect("it is half of one")).with_weight(9);
    registrar.set(&nodes[half], changed.json()).await;
    web.until("the weight", |now| {
        now.snapshot.as_ref().is_some_and(|known| weights(known).contains(&Some(9)))
    })
    .await;
    let change = asked(&zookeeper, before, us);
    assert_eq!(change.len(), 1, "{change:?}");

    let before = zookeeper.requests().len();
    registrar.delete(&nodes[later]).await;
    web.until("the departure", |now| known(now) == usize::from(children)).await;
    // The list that follows may come after that was known.
    let listed = async || {
        let departure = asked(&zookeeper, before, us);
        if departure.len() == 1 { Ok(()) } else { Err(format!("{departure:?}")) }
    };
    e2e::wait_until(zk_support::DEADLINE, "the list", listed).await;
}

fn known(now: &discovery_core::Observed) -> usize {
    now.snapshot.as_ref().map_or(0, Snapshot::len)
}

async fn bad_children_are_named_and_the_good_ones_served(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    register(&registrar, 1..=9).await;
    let mut web = watch(client, &zookeeper.hosts(), json!({}));
    web.until_ports(1..=9).await;
    // A server takes a mebibyte with everything around it.
    let large = format!(r#"{{"host":"10.0.0.1","port":10,"name":"{}"}}"#, "x".repeat(1_040_000));
    let bad: [&[u8]; 8] = [
        b"{\"host\":\"10.0.0.1\",\"port\"",
        br#"{"port":10}"#,
        br#"{"host":"10.0.0.1","port":0}"#,
        br#"{"host":"10.0.0.1\n  server evil 6.6.6.6:66","port":10}"#,
        br#"{"host":"10.0.0.1","port":10,"name":"a\nb"}"#,
        large.as_bytes(),
        b"\x00\xff\xfe\x80",
        b"",
    ];
    for data in bad {
        let node = registrar.create(&format!("{WEB}/bad"), data, NodeKind::EphemeralSequential).await;
        let seen = web
            .until("the bad one", |now| {
                now.snapshot.as_ref().is_some_and(|known| known.rejected().total() == 1)
            })
            .await;
        let seen = seen.snapshot.expect("it was waited for");
        assert_eq!(seen.len(), 9);
        assert_eq!(seen.rejected().named()[0].entry(), node);
        assert!(seen.rejected().named()[0].reason().len() < 1000);
        registrar.set(&node, registration(10).json()).await;
        web.until_ports(1..=10).await;
        registrar.delete(&node).await;
        web.until_ports(1..=9).await;
    }
}

async fn what_go_nerve_writes_is_honoured(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    let path = registrar.register(WEB, &Registration::go_nerve("a", "10.0.0.1", 1).with_weight(128)).await;
    registrar.register(WEB, &Registration::go_nerve("b", "10.0.0.1", 2).unavailable("disabled")).await;
    // Its known fault: a second node for the same server.
    registrar.register(WEB, &Registration::go_nerve("a", "10.0.0.1", 1).with_weight(128)).await;
    let mut web = watch(client, &zookeeper.hosts(), json!({}));
    let seen = web.until_ports([1, 2]).await.snapshot.expect("it was waited for");
    let available: Vec<_> = seen.iter().map(discovery_core::Endpoint::available).collect();
    assert_eq!((available, weights(&seen)[0]), (vec![true, false], Some(128)));
    registrar.delete(&path).await;
    registrar.register(WEB, &Registration::go_nerve("c", "10.0.0.1", 3)).await;
    web.until_ports([1, 2, 3]).await;
}

async fn children_that_say_it_in_their_names_are_not_read(client: &str) {
    let zookeeper = ZookeeperOptions::new().with_request_log().start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    let all: Vec<_> = (1..=100).map(registration).collect();
    registrar.register_many_encoded(WEB, &all).await;
    let before = zookeeper.requests().len();
    let mut web = watch(client, &zookeeper.hosts(), json!({ "generator_config_path": "disabled" }));
    web.until_ports(1..=100).await;
    let read = asked(&zookeeper, before, registrar.session());
    assert_eq!(read.len(), 1, "{read:?}");
    registrar.register_encoded(WEB, &registration(101)).await;
    web.until_ports(1..=101).await;
    assert_eq!(asked(&zookeeper, before, registrar.session()).len(), 2);
}

async fn a_path_that_does_not_exist_yet_is_waited_for_and_not_made(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let mut web = watch(client, &zookeeper.hosts(), json!({}));
    web.until_ports([]).await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    assert!(!registrar.exists("/nerve").await);
    let nodes = register(&registrar, [1]).await;
    web.until_ports([1]).await;
    registrar.delete(&nodes[0]).await;
    registrar.delete(WEB).await;
    web.until_ports([]).await;
    register(&registrar, [2, 3]).await;
    web.until_ports([2, 3]).await;
}

async fn a_chroot_is_a_path_in_front(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    registrar.register("/smartstack/web", &registration(1)).await;
    registrar.register("/smartstack", &registration(2)).await;
    let hosts = format!("{}/smartstack", zookeeper.hosts().join(","));
    for (path, port) in [("/web", 1), ("/", 2)] {
        let config = section(client, &[], path, json!({ "hosts": hosts }));
        let (ensemble, node) = connect(config);
        let mut service = watching(&ensemble, node);
        service
            .until("the endpoint", |now| {
                now.snapshot.as_ref().is_some_and(|known| known.iter().any(|one| one.port().get() == port))
            })
            .await;
    }
}

async fn a_server_set_is_read_by_its_endpoints_name(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    registrar.create_path(WEB).await;
    for (port, status) in [(1, "ALIVE"), (2, "STOPPING")] {
        let data = json!({
            "serviceEndpoint": { "host": "10.0.0.9", "port": 9 },
            "additionalEndpoints": { "http": { "host": "10.0.0.1", "port": port } },
            "status": status, "shard": port,
        });
        let member = format!("{WEB}/member_");
        registrar.create(&member, data.to_string(), NodeKind::EphemeralSequential).await;
    }
    let decode = json!({ "decode": { "method": "serverset", "endpoint_name": "http" } });
    let mut web = watch(client, &zookeeper.hosts(), decode);
    let seen = web.until_ports([1, 2]).await.snapshot.expect("it was waited for");
    let told: Vec<_> = seen.iter().map(|endpoint| (endpoint.name(), endpoint.available())).collect();
    assert_eq!(told, [(Some("1"), true), (Some("2"), false)]);
}

async fn the_generator_configuration_comes_with_the_endpoints(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    register(&registrar, [1]).await;
    let mut web = watch(client, &zookeeper.hosts(), json!({ "generator_config_path": "/config/web" }));
    let seen = web.until_ports([1]).await.snapshot.expect("it was waited for");
    assert!(seen.settings().is_none());
    registrar.create_path("/config").await;
    let data = r#"{"haproxy":{"server_options":"check"}}"#;
    registrar.create("/config/web", data, NodeKind::Persistent).await;
    let haproxy = |now: &discovery_core::Observed| {
        let known = now.snapshot.as_ref()?.settings()?.generator("haproxy")?;
        Some(known.to_owned())
    };
    web.until("settings", |now| haproxy(now).is_some_and(|text| text.contains("check"))).await;
    registrar.set("/config/web", r#"{"haproxy":{"server_options":"backup"}}"#).await;
    web.until("other settings", |now| haproxy(now).is_some_and(|text| text.contains("backup"))).await;
    registrar.set("/config/web", "\x00nonsense").await;
    let seen = web.until("no settings", |now| haproxy(now).is_none()).await.snapshot.expect("endpoints");
    assert_eq!((seen.len(), seen.rejected().named()[0].entry()), (1, "/config/web"));
    registrar.delete("/config/web").await;
    web.until("nothing to reject", |now| {
        now.snapshot.as_ref().is_some_and(|known| known.rejected().total() == 0 && known.len() == 1)
    })
    .await;
}

async fn a_path_that_changes_all_the_time_is_read_at_the_pace_that_was_asked_for(client: &str) {
    let zookeeper = ZookeeperOptions::new().with_request_log().start().await;
    let registrar = Registrar::connect_with(&zookeeper.hosts(), RegistrarOptions::new()).await;
    registrar.create_path(WEB).await;
    let mut polled = json!({ "hosts": zookeeper.hosts(), "path": WEB, "client": client });
    polled["polling_interval_sec"] = 2.into();
    let config: discovery_zk::ZkPollConfig = serde_json::from_value(polled).expect("the test's own section");
    let (config, node) = config.into_parts();
    assert_eq!(node.every(), Duration::from_secs(2));
    let (ensemble, driver) = discovery_zk::Ensemble::new(config, discovery_core::Backoff::default());
    tokio::spawn(driver);
    let mut web = watching(&ensemble, node);
    web.until_ports([]).await;
    let before = zookeeper.requests().len();
    let begun = tokio::time::Instant::now();
    let lists = || {
        let asked = asked(&zookeeper, before, registrar.session());
        asked.iter().filter(|(kind, _)| kind.starts_with("getChildren")).count() as u64
    };
    let mut port = 0;
    // All the time something is new, until it was listed for the third time.
    let thrice = async || {
        port += 1;
        register(&registrar, [port]).await;
        if lists() >= 3 { Ok(()) } else { Err(format!("{} lists of {port} changes", lists())) }
    };
    e2e::wait_until(zk_support::DEADLINE, "three lists", thrice).await;
    web.until_ports(1..=port).await;
    let intervals = begun.elapsed().as_secs() / 2 + 1;
    assert!(lists() <= intervals, "{} lists in {intervals} intervals", lists());
}
