//! The harness itself, against the real programs: what scenarios take for granted.

use std::time::Duration;

use e2e::{
    Certificates, Connection, Etcd, EtcdCluster, EtcdOptions, Haproxy, HttpBackend, Port, Proxy, get,
    requests_over, wait_until,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// Whether the process exists and is not a zombie.
fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything; the state follows it.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn wait_gone(pid: u32) {
    wait_until(DEADLINE, "the process to be gone", async || {
        if alive(pid) { Err(format!("{pid} runs")) } else { Ok(()) }
    })
    .await;
}

/// One frontend on `port`, its servers on the addresses of `backends`.
fn config(port: &Port, backends: &[&HttpBackend]) -> String {
    let servers: Vec<String> = backends
        .iter()
        .map(|backend| format!("  server {} {}\n", backend.name(), backend.address()))
        .collect();
    format!(
        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n\
         listen web\n  bind 127.0.0.1:{port}\n{}",
        servers.concat()
    )
}

async fn wait_servers(port: &Port, expected: &[&str]) {
    wait_until(DEADLINE, "the expected servers", async || {
        let spread = requests_over(port.address(), 6).await;
        if spread.servers() == expected && spread.failed().is_empty() {
            Ok(())
        } else {
            Err(format!("{spread:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn keys_come_and_go() {
    let etcd = Etcd::start().await;
    let first = etcd.put("/s/a", "one").await;
    let second = etcd.put("/s/a", "two \"quoted\" ü").await;
    assert_eq!(second, first + 1);
    assert_eq!(etcd.gateway().get("/s/a").await.unwrap().as_deref(), Some("two \"quoted\" ü"));
    etcd.delete("/s/a").await;
    assert_eq!(etcd.gateway().get("/s/a").await.unwrap(), None);
}

#[tokio::test]
async fn a_thousand_keys_take_few_transactions() {
    let etcd = Etcd::start().await;
    let before = etcd.gateway().revision().await.unwrap();
    let pairs = (0..1000).map(|n| (format!("/many/{n:04}"), format!("value {n}")));
    // Twice the same key: the later value stays.
    etcd.put_many(pairs.chain([("/many/0999".to_owned(), "last".to_owned())])).await;
    assert_eq!(etcd.gateway().count("/many/").await.unwrap(), 1000);
    assert_eq!(etcd.gateway().get("/many/0999").await.unwrap().as_deref(), Some("last"));
    assert_eq!(etcd.gateway().revision().await.unwrap() - before, 9);
    assert_eq!(etcd.gateway().delete_prefix("/many/").await.unwrap(), 1000);
    assert_eq!(etcd.gateway().count("/many/").await.unwrap(), 0);
}

#[tokio::test]
async fn a_lease_takes_its_key_along() {
    let etcd = Etcd::start().await;
    etcd.put_with_lease("/leased", "x", 2).await;
    assert!(etcd.gateway().get("/leased").await.unwrap().is_some());
    wait_until(DEADLINE, "the lease to expire", async || match etcd.gateway().get("/leased").await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let lease = etcd.put_with_lease("/leased", "x", 600).await;
    etcd.gateway().revoke(lease).await.unwrap();
    assert_eq!(etcd.gateway().get("/leased").await.unwrap(), None);
}

#[tokio::test]
async fn compaction_forgets_old_revisions() {
    let etcd = Etcd::start().await;
    let old = etcd.put("/a", "1").await;
    etcd.put("/a", "2").await;
    let now = etcd.compact().await;
    assert!(now > old);
    let output = etcd.etcdctl(&["get", "/a", &format!("--rev={old}")]).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("compacted"), "{output:?}");
    let output = etcd.etcdctl(&["get", "/a", "--print-value-only"]).await;
    assert_eq!(output.stdout, b"2\n");
}

#[tokio::test]
async fn an_etcd_that_was_killed_comes_back_with_its_data() {
    let mut etcd = Etcd::start().await;
    let endpoint = etcd.endpoint();
    etcd.put("/a", "kept").await;
    etcd.kill().await;
    assert!(etcd.gateway().get("/a").await.is_err());
    assert!(get(etcd.address(), "/health").await.is_err());
    etcd.restart().await;
    assert_eq!(etcd.endpoint(), endpoint);
    assert_eq!(etcd.gateway().get("/a").await.unwrap().as_deref(), Some("kept"));
    etcd.terminate().await;
    etcd.restart().await;
    assert_eq!(etcd.gateway().get("/a").await.unwrap().as_deref(), Some("kept"));
    etcd.kill().await;
    etcd.wipe();
    etcd.restart().await;
    assert_eq!(etcd.gateway().revision().await.unwrap(), 1);
}

#[tokio::test]
async fn a_frozen_etcd_is_silent_until_it_thaws() {
    let mut etcd = Etcd::start().await;
    etcd.put("/a", "1").await;
    etcd.freeze().await;
    let silent = tokio::time::timeout(Duration::from_millis(300), etcd.gateway().get("/a")).await;
    assert!(silent.is_err(), "{silent:?}");
    // Connecting works: the kernel does that.
    Connection::open(etcd.address()).await.unwrap();
    etcd.thaw();
    assert_eq!(etcd.gateway().get("/a").await.unwrap().as_deref(), Some("1"));
    etcd.freeze().await;
    etcd.kill().await;
    etcd.restart().await;
}

#[tokio::test]
async fn clients_need_certificates_when_told_so() {
    let certificates = Certificates::generate();
    let etcd = EtcdOptions::new().with_mutual_tls(&certificates).start().await;
    assert!(etcd.endpoint().starts_with("https://"));
    etcd.put("/a", "secret").await;
    let output = etcd.etcdctl(&["get", "/a", "--print-value-only"]).await;
    assert_eq!(output.stdout, b"secret\n", "{output:?}");
    // Flags given twice: the later ones count, and name a certificate of an authority that the server does not know.
    let stranger = Certificates::generate();
    let certificate = format!("--cert={}", stranger.client_certificate().display());
    let key = format!("--key={}", stranger.client_key().display());
    let output =
        etcd.etcdctl(&["get", "/a", "--dial-timeout=1s", "--command-timeout=1s", &certificate, &key]).await;
    assert!(!output.status.success(), "{output:?}");
}

#[tokio::test]
async fn a_server_certificate_alone_lets_anonymous_clients_in() {
    let certificates = Certificates::generate();
    let etcd = EtcdOptions::new().with_tls(&certificates).start().await;
    let output = etcd.etcdctl(&["put", "/a", "b"]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(etcd.gateway().get("/a").await.unwrap().as_deref(), Some("b"));
}

#[tokio::test]
async fn a_reader_reads_its_prefix_and_no_more() {
    let etcd = EtcdOptions::new().with_auth_token_ttl(Duration::from_mins(1)).start().await;
    etcd.enable_auth("root password", "reader", "reader password", "/s/").await;
    etcd.put("/s/a", "1").await;
    etcd.put("/t/a", "1").await;
    let user = "--user=reader:reader password";
    assert_eq!(etcd.etcdctl(&[user, "get", "/s/a", "--print-value-only"]).await.stdout, b"1\n");
    assert!(!etcd.etcdctl(&[user, "get", "/t/a"]).await.status.success());
    assert!(!etcd.etcdctl(&[user, "put", "/s/a", "2"]).await.status.success());
    assert!(!etcd.etcdctl(&["get", "/s/a"]).await.status.success());
}

#[tokio::test]
async fn a_cluster_survives_its_leader_and_changes_its_members() {
    let mut cluster = EtcdCluster::start(3).await;
    assert_eq!(cluster.endpoints().len(), 3);
    cluster.put("/a", "1").await;
    let leader = cluster.leader(DEADLINE).await;
    cluster.member_mut(leader).kill().await;
    let next = cluster.leader(DEADLINE).await;
    assert_ne!(next, leader);
    cluster.member(next).put("/a", "2").await;
    cluster.member_mut(leader).restart().await;
    cluster.wait_ready(DEADLINE).await;
    assert_eq!(cluster.member(leader).gateway().get("/a").await.unwrap().as_deref(), Some("2"));

    let removed = cluster.member(leader).endpoint();
    cluster.member_remove(leader).await;
    assert_eq!(cluster.size(), 2);
    let added = cluster.member_add().await;
    assert_eq!(added, 2);
    assert!(!cluster.endpoints().contains(&removed));
    assert_eq!(cluster.member(added).gateway().get("/a").await.unwrap().as_deref(), Some("2"));
}

#[tokio::test]
async fn a_cluster_without_quorum_serves_again_when_one_is_back() {
    let mut cluster = EtcdCluster::start(3).await;
    cluster.put("/a", "1").await;
    cluster.member_mut(0).kill().await;
    cluster.member_mut(1).kill().await;
    let silent =
        tokio::time::timeout(Duration::from_millis(500), cluster.member(2).gateway().get("/a")).await;
    assert!(!matches!(silent, Ok(Ok(_))), "{silent:?}");
    cluster.member_mut(0).resume().await;
    cluster.member(2).wait_ready(DEADLINE).await;
    assert_eq!(cluster.member(2).gateway().get("/a").await.unwrap().as_deref(), Some("1"));
}

#[tokio::test]
async fn requests_are_spread_over_the_servers_of_the_configuration() {
    let (blue, green) = (HttpBackend::start("blue").await, HttpBackend::start("green").await);
    let front = Port::free();
    let haproxy = Haproxy::start(&config(&front, &[&blue, &green])).await;
    haproxy.wait_serving(front.number(), DEADLINE).await;
    let spread = requests_over(front.address(), 10).await;
    assert_eq!((spread.count("blue"), spread.count("green")), (5, 5), "{spread:?}");
    assert_eq!((blue.requests(), green.requests()), (5, 5));
    let response = get(front.address(), "/").await.unwrap();
    assert_eq!((response.status, Some(response.body)), (200, response.server));
}

#[tokio::test]
async fn reloads_take_effect_and_are_counted() {
    let (blue, green) = (HttpBackend::start("blue").await, HttpBackend::start("green").await);
    let front = Port::free();
    let haproxy = Haproxy::start(&config(&front, &[&blue])).await;
    wait_servers(&front, &["blue"]).await;
    let before = haproxy.processes().await;
    assert_eq!(before.reloads, 0);

    std::fs::write(haproxy.config(), config(&front, &[&blue, &green])).unwrap();
    haproxy.reload().await.unwrap();
    wait_servers(&front, &["blue", "green"]).await;
    let after = haproxy.processes().await;
    assert_eq!((after.reloads, after.failed, after.master), (1, 0, before.master));
    assert_ne!(after.worker, before.worker);
    assert_eq!(haproxy.reload_commands(), 0);

    std::fs::write(haproxy.config(), config(&front, &[&green])).unwrap();
    let status =
        tokio::process::Command::new("sh").args(["-c", &haproxy.reload_command()]).status().await.unwrap();
    assert!(status.success());
    wait_servers(&front, &["green"]).await;
    assert_eq!((haproxy.reloads().await, haproxy.reload_commands()), (2, 1));
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_an_error_and_the_old_worker_goes_on() {
    let blue = HttpBackend::start("blue").await;
    let front = Port::free();
    let good = config(&front, &[&blue]);
    let mut haproxy = Haproxy::start(&good).await;
    wait_servers(&front, &["blue"]).await;
    let wrong = format!("{good}  no-such-keyword\n");
    std::fs::write(haproxy.config(), &wrong).unwrap();
    haproxy.reload().await.unwrap_err();
    wait_servers(&front, &["blue"]).await;
    assert_eq!(haproxy.processes().await.failed, 1);
    assert!(haproxy.log().contains("no-such-keyword"));

    assert!(Haproxy::check(&wrong).await.unwrap_err().to_string().contains("no-such-keyword"));
    Haproxy::check("global\n").await.unwrap_err();
    Haproxy::check(&good).await.unwrap();

    assert!(haproxy.restart().await.unwrap_err().to_string().contains("no-such-keyword"));
    std::fs::write(haproxy.config(), &good).unwrap();
    haproxy.restart().await.unwrap();
    wait_servers(&front, &["blue"]).await;
}

#[tokio::test]
async fn a_backend_that_stops_refuses_and_comes_back() {
    let mut blue = HttpBackend::start("blue").await;
    let mut kept = Connection::open(blue.address()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(kept.request("GET", "/", &[], "").await.unwrap().body, "blue");
        assert!(kept.is_reusable());
    }
    assert_eq!(blue.requests(), 3);
    assert_eq!(get(blue.address(), "/health").await.unwrap().status, 200);
    blue.set_healthy(false);
    assert_eq!(get(blue.address(), "/health").await.unwrap().status, 503);
    assert_eq!((blue.requests(), blue.health_checks()), (3, 2));

    blue.stop().await;
    assert!(kept.request("GET", "/", &[], "").await.is_err());
    assert!(get(blue.address(), "/").await.is_err());
    blue.resume().await;
    assert_eq!(get(blue.address(), "/").await.unwrap().server.as_deref(), Some("blue"));
    let address = blue.address();
    drop(blue);
    wait_until(DEADLINE, "a dropped backend to refuse", async || match get(address, "/").await {
        Err(_) => Ok(()),
        Ok(response) => Err(format!("{response:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_slow_backend_is_slow_for_requests_but_not_for_checks() {
    let delay = Duration::from_millis(500);
    let slow = HttpBackend::start_with_delay("slow", delay).await;
    let start = tokio::time::Instant::now();
    assert_eq!(get(slow.address(), "/").await.unwrap().status, 200);
    assert!(start.elapsed() >= delay);

    let waiting = get(slow.address(), "/");
    tokio::select! {
        biased;
        answer = get(slow.address(), "/health") => assert_eq!(answer.unwrap().status, 200),
        _ = waiting => panic!("the request was answered before the check"),
    }
}

#[tokio::test]
async fn a_proxy_cuts_freezes_and_heals() {
    let blue = HttpBackend::start("blue").await;
    let mut proxy = Proxy::start(blue.address()).await;
    let mut kept = Connection::open(proxy.address()).await.unwrap();
    assert_eq!(kept.request("GET", "/", &[], "").await.unwrap().body, "blue");

    proxy.freeze().await;
    let mut late = Connection::open(proxy.address()).await.unwrap();
    let mut both = Box::pin(async {
        tokio::join!(kept.request("GET", "/", &[], ""), late.request("GET", "/", &[], ""))
    });
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut both).await.is_err());
    assert_eq!(blue.requests(), 1);
    proxy.heal().await;
    let (old, new) = both.await;
    assert_eq!((old.unwrap().body.as_str(), new.unwrap().body.as_str()), ("blue", "blue"));

    proxy.cut().await;
    assert!(kept.request("GET", "/", &[], "").await.is_err());
    assert!(Connection::open(proxy.address()).await.is_err());
    proxy.heal().await;
    assert_eq!(get(proxy.address(), "/").await.unwrap().body, "blue");
}

#[tokio::test]
async fn etcd_can_be_reached_through_a_proxy() {
    let etcd = Etcd::start().await;
    let mut proxy = Proxy::start(etcd.address()).await;
    assert_eq!(get(proxy.address(), "/health").await.unwrap().status, 200);
    proxy.cut().await;
    assert!(get(proxy.address(), "/health").await.is_err());
    // The server itself is as well as before.
    etcd.put("/a", "1").await;
}

#[tokio::test]
async fn a_test_that_panics_leaves_no_process_and_no_file() {
    let (send, receive) = tokio::sync::oneshot::channel();
    let test = tokio::spawn(async move {
        let etcd = Etcd::start().await;
        let front = Port::free();
        let haproxy = Haproxy::start(&config(&front, &[])).await;
        let processes = haproxy.processes().await;
        let directories = [etcd.dir().path().to_owned(), haproxy.dir().path().to_owned()];
        send.send((etcd.address(), processes.master, processes.worker.unwrap(), directories)).unwrap();
        panic!("as a test does that fails");
    });
    let (address, master, worker, directories) = receive.await.unwrap();
    assert!(test.await.unwrap_err().is_panic());
    wait_gone(master).await;
    wait_gone(worker).await;
    assert!(get(address, "/health").await.is_err());
    for directory in directories {
        assert_eq!(directory.exists(), keeping(), "{}", directory.display());
    }
}

/// Whether whoever runs the tests asked for the directories of failed ones.
#[allow(clippy::disallowed_methods, reason = "the harness is configured by its environment")]
fn keeping() -> bool {
    std::env::var("E2E_KEEP").is_ok_and(|value| !value.is_empty())
}
