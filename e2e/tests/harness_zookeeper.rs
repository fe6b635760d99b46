//! The ZooKeeper part of the harness, against the real thing: what scenarios take for granted.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::{
    Certificates, NodeKind, Proxy, Registrar, RegistrarOptions, Registration, Zookeeper, ZookeeperEnsemble,
    ZookeeperOptions, wait_until,
};
use zookeeper_client::Error;

const DEADLINE: Duration = Duration::from_secs(30);

fn hosts(address: SocketAddr) -> Vec<String> {
    vec![address.to_string()]
}

/// Waits until `path` has so many children, as `registrar` sees it.
async fn wait_children(registrar: &Registrar, path: &str, count: usize) {
    wait_until(DEADLINE, &format!("{count} children"), async || {
        let children = registrar.children(path).await;
        if children.len() == count { Ok(()) } else { Err(format!("{children:?}")) }
    })
    .await;
}

/// Waits until the server has no such session.
async fn wait_ended(zookeeper: &Zookeeper, session: i64) {
    wait_until(DEADLINE, "the session to end", async || {
        let sessions = zookeeper.sessions().await;
        if sessions.contains(&session) { Err(format!("{sessions:x?}")) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn registrations_come_change_and_go_with_their_session() {
    let zookeeper = Zookeeper::start().await;
    let observer = Registrar::connect(&zookeeper.hosts()).await;
    let nerve = Registrar::connect(&zookeeper.hosts()).await;
    let one = Registration::nerve("i-1", "127.0.0.1", 8001);
    let two = Registration::nerve("i-2", "127.0.0.1", 8002);
    let first = nerve.register("/smartstack/services/web", &one).await;
    let second = nerve.register_encoded("/smartstack/services/web", &two).await;
    assert_eq!(first, "/smartstack/services/web/i-1_0000000000");
    assert_eq!(second, format!("/smartstack/services/web/{}0000000001", two.encoded_node()));
    assert_eq!(observer.children("/smartstack/services/web").await.len(), 2);
    assert_eq!(observer.data(&first).await.unwrap(), one.json().as_bytes());
    assert_eq!(observer.data(&second).await.unwrap(), two.json().as_bytes());
    // Any bytes will do.
    nerve.set(&first, [0xff, 0x00, 0xfe]).await;
    assert_eq!(observer.data(&first).await.unwrap(), [0xff, 0x00, 0xfe]);
    nerve.delete(&second).await;
    assert_eq!(observer.data(&second).await, None);
    assert_eq!(zookeeper.counters().await.ephemerals(), 1);
    let session = nerve.session();
    nerve.close().await;
    assert!(!observer.exists(&first).await);
    assert_eq!(zookeeper.counters().await.ephemerals(), 0);
    assert_eq!(zookeeper.sessions().await, [observer.session()]);
    assert_ne!(session, observer.session());
}

#[tokio::test]
async fn a_publisher_that_is_killed_is_gone_after_its_time_out_only() {
    let zookeeper = Zookeeper::start().await;
    let observer = Registrar::connect(&zookeeper.hosts()).await;
    let options = RegistrarOptions::new().with_session_timeout(Duration::from_secs(1)).abandoning();
    let nerve = Registrar::connect_with(&zookeeper.hosts(), options).await;
    let node = nerve.register("/web", &Registration::go_nerve("web", "127.0.0.1", 8001)).await;
    nerve.close().await;
    assert!(observer.exists(&node).await);
    wait_children(&observer, "/web", 0).await;
}

#[tokio::test]
async fn a_hundred_thousand_nodes_take_seconds() {
    let zookeeper = Zookeeper::start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    registrar.create_path("/many").await;
    let started = tokio::time::Instant::now();
    let node =
        |n: u32| (format!("/many/{n:06}"), Registration::nerve("i", "10.0.0.1", 80).json().into_bytes());
    let paths = registrar.create_many((0..100_000).map(node), NodeKind::Persistent).await;
    let taken = started.elapsed();
    assert_eq!(zookeeper.counters().await.nodes(), 100_000 + 6);
    assert_eq!(registrar.children("/many").await.len(), 100_000);
    assert_eq!(paths[99_999], "/many/099999");
    assert!(taken < Duration::from_secs(20), "{taken:?}");
    registrar.delete_many(&paths).await;
    assert!(registrar.children("/many").await.is_empty());
    // Numbered ones come back in the order of what was asked for.
    let registrations: Vec<Registration> =
        (1..=2_000).map(|port| Registration::nerve(&format!("i-{port}"), "10.0.0.1", port)).collect();
    let paths = registrar.register_many("/web", &registrations).await;
    assert!(paths[1_999].starts_with("/web/i-2000_"), "{}", paths[1_999]);
    assert_eq!(registrar.data(&paths[1_999]).await.unwrap(), registrations[1_999].json().as_bytes());
    let paths = registrar.register_many_encoded("/web", &registrations).await;
    assert!(paths[0].starts_with(&format!("/web/{}", registrations[0].encoded_node())), "{}", paths[0]);
    registrar.close().await;
    assert_eq!(zookeeper.counters().await.ephemerals(), 0);
}

#[tokio::test]
async fn a_server_that_was_killed_comes_back_with_its_data_and_its_sessions() {
    let mut zookeeper = Zookeeper::start().await;
    let address = zookeeper.address();
    let nerve = Registrar::connect(&zookeeper.hosts()).await;
    let node = nerve.register("/web", &Registration::nerve("i-1", "127.0.0.1", 8001)).await;
    zookeeper.kill().await;
    assert!(zookeeper.command("srvr").await.is_err());
    zookeeper.restart().await;
    assert_eq!(zookeeper.address(), address);
    assert!(nerve.exists(&node).await);
    zookeeper.terminate().await;
    zookeeper.restart().await;
    assert!(nerve.exists(&node).await);
    assert_eq!(zookeeper.sessions().await, [nerve.session()]);
    zookeeper.kill().await;
    zookeeper.wipe();
    zookeeper.restart().await;
    let observer = Registrar::connect(&zookeeper.hosts()).await;
    assert_eq!(observer.children("/").await, ["zookeeper"]);
}

#[tokio::test]
async fn a_frozen_server_is_silent_until_it_thaws() {
    let mut zookeeper = Zookeeper::start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    registrar.create_path("/a").await;
    zookeeper.freeze().await;
    let silent = tokio::time::timeout(Duration::from_millis(300), zookeeper.command("srvr")).await;
    assert!(silent.is_err(), "{silent:?}");
    zookeeper.thaw();
    assert!(registrar.exists("/a").await);
    zookeeper.freeze().await;
    zookeeper.kill().await;
    zookeeper.restart().await;
    assert!(registrar.exists("/a").await);
}

#[tokio::test]
async fn a_session_can_be_ended_by_somebody_else() {
    let zookeeper = Zookeeper::start().await;
    let observer = Registrar::connect(&zookeeper.hosts()).await;
    let nerve = Registrar::connect(&zookeeper.hosts()).await;
    let node = nerve.register("/web", &Registration::nerve("i-1", "127.0.0.1", 8001)).await;
    zookeeper.expire(nerve.session()).await;
    assert!(!observer.exists(&node).await);
    assert_eq!(zookeeper.sessions().await, [observer.session()]);
    // The one who had it is told when it is back; what it asks before that is lost.
    wait_until(DEADLINE, "the session to be refused", async || {
        match nerve.client().check_stat("/web").await {
            Err(Error::SessionExpired) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_counts_what_it_was_asked() {
    let zookeeper = ZookeeperOptions::new().with_request_log().start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    registrar.create_path("/a b").await;
    let counted = async || {
        let connections = zookeeper.connections().await;
        let [connection] = connections.as_slice() else { panic!("{connections:?}") };
        assert_eq!(connection.session, registrar.session());
        connection.received
    };
    let (before, logged) = (counted().await, zookeeper.requests().len());
    let received = zookeeper.status().await.received;
    registrar.data("/a b").await.unwrap();
    registrar.children("/a b").await;
    registrar.exists("/nowhere").await;
    registrar.set("/a b", "x").await;
    // Pings are counted as well, and may have come meanwhile.
    let after = counted().await;
    assert!((4..10).contains(&(after - before)), "{before} {after}");
    assert!(zookeeper.status().await.received >= received + 4);
    let requests: Vec<_> = zookeeper.requests().split_off(logged);
    let requests: Vec<(&str, Option<&str>)> = requests
        .iter()
        .filter(|request| request.session == registrar.session() && request.kind != "ping")
        .map(|request| (request.kind.as_str(), request.path.as_deref()))
        .collect();
    let expected = [
        ("getData", Some("/a b")),
        ("getChildren", Some("/a b")),
        ("exists", Some("/nowhere")),
        ("setData", None),
    ];
    assert_eq!(requests, expected);
    let status = zookeeper.status().await;
    assert_eq!((status.mode.as_str(), status.nodes), ("standalone", 6));
    let counters = zookeeper.counters().await;
    assert_eq!((counters.nodes(), counters.sessions(), counters.watches()), (6, 1, 0));
    let watches = zookeeper.watches().await;
    assert_eq!((watches.connections, watches.paths, watches.watches), (0, 0, 0));
}

#[tokio::test]
async fn what_belongs_to_somebody_can_be_read_by_whom_he_lets() {
    let zookeeper = Zookeeper::start().await;
    let owner = RegistrarOptions::new().with_auth("nerve", "secret").with_reader("synapse", "other");
    let owner = Registrar::connect_with(&zookeeper.hosts(), owner).await;
    let node = owner.register("/private", &Registration::nerve("i-1", "127.0.0.1", 8001)).await;
    let reader = RegistrarOptions::new().with_auth("synapse", "other");
    let reader = Registrar::connect_with(&zookeeper.hosts(), reader).await;
    assert!(reader.data(&node).await.is_some());
    assert_eq!(reader.children("/private").await.len(), 1);
    assert_eq!(reader.client().set_data(&node, b"x", None).await, Err(Error::NoAuth));
    let stranger = Registrar::connect(&zookeeper.hosts()).await;
    assert_eq!(stranger.client().list_children("/private").await, Err(Error::NoAuth));
}

#[tokio::test]
async fn clients_can_come_over_tls_and_say_by_sasl_who_they_are() {
    let certificates = Certificates::generate();
    let zookeeper =
        ZookeeperOptions::new().with_mutual_tls(&certificates).with_sasl("synapse", "secret").start().await;
    let owner = RegistrarOptions::new().with_auth("nerve", "secret").with_sasl_reader("synapse");
    let owner = Registrar::connect_with(&zookeeper.hosts(), owner).await;
    owner.create("/private", "for synapse", NodeKind::Persistent).await;
    let output = zookeeper.client(&["get", "/private"]).await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("for synapse"), "{output:?}");
    // TLS it was: the plain port knows nothing of the encrypted one, and that one nothing of plain text.
    assert_ne!(zookeeper.tls_address(), zookeeper.address());
    let plain = e2e::get(zookeeper.tls_address(), "/").await;
    assert!(plain.is_err(), "{plain:?}");
}

#[tokio::test]
async fn a_server_is_started_as_the_options_say() {
    let zookeeper = ZookeeperOptions::new()
        .with_session_timeouts(Duration::from_secs(4), Duration::from_secs(5))
        .with_max_client_connections(2)
        .with_jute_max_buffer(4 << 20)
        .start()
        .await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    registrar.create("/large", vec![b'x'; 3 << 20], NodeKind::Persistent).await;
    assert_eq!(registrar.data("/large").await.unwrap().len(), 3 << 20);
    let configuration = zookeeper.command("conf").await.unwrap();
    for line in ["minSessionTimeout=4000", "maxSessionTimeout=5000", "maxClientCnxns=2", "tickTime=500"] {
        assert!(configuration.contains(line), "{configuration}");
    }
    // Itself, the word that asks, and one too many.
    let _second = tokio::net::TcpStream::connect(zookeeper.address()).await.unwrap();
    wait_until(DEADLINE, "a third connection to be refused", async || {
        match zookeeper.command("ruok").await.as_deref() {
            Ok("imok") => Err("it is served".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_proxy_can_cut_freeze_and_slow_down_what_is_behind_it() {
    let zookeeper = Zookeeper::start().await;
    let mut proxy = Proxy::start(zookeeper.address()).await;
    let observer = Registrar::connect(&zookeeper.hosts()).await;
    let options = RegistrarOptions::new().with_session_timeout(Duration::from_secs(4));
    let nerve = Registrar::connect_with(&hosts(proxy.address()), options).await;
    let node = nerve.register("/web", &Registration::nerve("i-1", "127.0.0.1", 8001)).await;
    // Shorter than the session: nothing is lost.
    proxy.cut().await;
    wait_until(DEADLINE, "the connection to be closed", async || {
        let connections = zookeeper.connections().await;
        let open = connections.iter().any(|connection| connection.session == nerve.session());
        if open { Err(format!("{connections:?}")) } else { Ok(()) }
    })
    .await;
    assert!(observer.exists(&node).await);
    proxy.heal().await;
    assert!(nerve.exists(&node).await);
    assert!(zookeeper.sessions().await.contains(&nerve.session()));
    // A second's worth goes at once, and what follows waits.
    proxy.throttle(Some(2_000));
    let started = tokio::time::Instant::now();
    nerve.set(&node, vec![b'x'; 2_000]).await;
    nerve.set(&node, "x").await;
    assert!(started.elapsed() > Duration::from_millis(500), "{:?}", started.elapsed());
    proxy.throttle(None);
    // Longer than the session.
    proxy.freeze().await;
    wait_ended(&zookeeper, nerve.session()).await;
    assert!(!observer.exists(&node).await);
}

#[tokio::test]
async fn an_ensemble_survives_its_leader_and_loses_its_quorum() {
    let mut ensemble = ZookeeperEnsemble::start().await;
    assert_eq!((ensemble.size(), ensemble.hosts().len()), (3, 3));
    let leader = ensemble.leader(DEADLINE).await;
    let followers = ensemble.followers(DEADLINE).await;
    assert_eq!(followers.len(), 2);
    assert!(!followers.contains(&leader));
    let nerve = Registrar::connect(&ensemble.hosts()).await;
    let node = nerve.register("/web", &Registration::nerve("i-1", "127.0.0.1", 8001)).await;
    ensemble.member_mut(leader).kill().await;
    let new = ensemble.leader(DEADLINE).await;
    assert_ne!(new, leader);
    assert!(nerve.exists(&node).await);
    assert_eq!(ensemble.sessions().await, [nerve.session()]);
    // One of three is no quorum.
    let other = followers.into_iter().find(|number| *number != new).unwrap();
    ensemble.member_mut(new).freeze().await;
    wait_until(DEADLINE, "the last member to give up", async || {
        match ensemble.member(other).command("srvr").await.map_err(|error| error.to_string())? {
            answer if answer.contains("Mode:") => Err(answer),
            _ => Ok(()),
        }
    })
    .await;
    ensemble.member_mut(new).thaw();
    ensemble.member_mut(leader).resume().await;
    ensemble.wait_ready(DEADLINE).await;
    // A session can be ended through any member.
    ensemble.expire(nerve.session()).await;
    assert!(ensemble.sessions().await.is_empty());
    let observer = Registrar::connect(&ensemble.member(0).hosts()).await;
    assert!(observer.children("/web").await.is_empty());
    observer.close().await;
    ensemble.kill().await;
    ensemble.restart().await;
    ensemble.leader(DEADLINE).await;
}
