//! Metrics, as a server of statsd has them.

use std::{collections::BTreeMap, net::UdpSocket, time::Duration};

use agent::discovery::{Rejection, Snapshot, testing::Step};
use serde_json::{Value, json};

use crate::site::{Running, Site, endpoints, fails, says, until};

/// A server, and a site whose metrics it is sent.
fn site(sample_rate: &Value) -> (UdpSocket, Site) {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    server.set_nonblocking(true).expect("a socket can be that");
    let port = server.local_addr().expect("it is bound").port();
    let statsd = json!({ "host": "127.0.0.1", "port": port.to_string(), "sample_rate": sample_rate });
    (server, Site::new().set(&["statsd"], statsd))
}

/// How often each line was sent, of all that was.
fn received(server: &UdpSocket) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    let mut datagram = vec![0; 65536];
    while let Ok(length) = server.recv(&mut datagram) {
        assert!(length <= 1432, "a datagram of {length} bytes");
        for line in std::str::from_utf8(&datagram[..length]).expect("lines are text").lines() {
            *counted.entry(line.to_owned()).or_default() += 1;
        }
    }
    counted
}

async fn run(site: &Site) -> Running {
    let mut running = site.start();
    running.applied().await;
    running
}

/// The lines whose values are times, without the times.
fn timed(counted: &mut BTreeMap<String, usize>) -> Vec<String> {
    let times: Vec<_> = counted.keys().filter(|line| line.contains("|ms")).cloned().collect();
    times
        .into_iter()
        .map(|line| {
            counted.remove(&line);
            line.split(':').next().unwrap_or_default().to_owned()
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_is_told_from_its_start_to_its_end() {
    let (server, site) = site(&json!({}));
    let refused = || endpoints([1]).with_rejected([Rejection::new("a", "bad"), Rejection::new("b", "bad")]);
    let site = site
        .service("web", move || vec![Step::Yield(refused()), fails(), fails(), Step::Hang])
        .service("silent", || vec![Step::Hang]);
    let running = run(&site).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    running.stop().await;

    let mut lines = received(&server);
    assert_eq!(timed(&mut lines), ["synapse.main_loop.elapsed_time", "synapse.watchers.start.time"]);
    let pings: Vec<_> = ["success", "failure"]
        .map(|result| {
            lines.remove(&format!("synapse.watcher.ping.count:1|c|#watcher_name:web,ping_result:{result}"))
        })
        .into();
    assert!(pings[1].is_some_and(|failures| failures >= 8), "{pings:?}");
    let expected = [
        ("synapse.config.update:1|c", 1),
        ("synapse.retry:1|c|#op:retry_after_sleep,service_name:web", 2),
        ("synapse.start:1|c", 1),
        ("synapse.stop:1|c|#stop_avenue:clean,stop_location:main_loop", 1),
        ("synapse.watcher.start:1|c|#start_result:success,watcher_name:silent", 1),
        ("synapse.watcher.start:1|c|#start_result:success,watcher_name:web", 1),
        ("synapse.watcher.stop:1|c|#stop_avenue:clean,stop_location:main_loop,watcher_name:silent", 1),
        ("synapse.watcher.stop:1|c|#stop_avenue:clean,stop_location:main_loop,watcher_name:web", 1),
    ];
    assert_eq!(lines, expected.map(|(line, times)| (line.to_owned(), times)).into());
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_counted() {
    let (server, site) = site(&json!({}));
    let site = site
        .service("web", || vec![says([1]), Step::Wait(Duration::from_secs(5)), says([1, 2])])
        .set(&["file_output"], json!({ "output_directory": "/dev/null/x" }));
    std::fs::create_dir(site.path()).unwrap();
    let running = run(&site).await;
    let status = running.status.clone();
    until("both to have failed", || {
        status.output().error.is_some() && status.file_output().unwrap().error.is_some()
    })
    .await;
    running.stop().await;
    let lines = received(&server);
    for output in ["haproxy", "file_output"] {
        let line = format!("synapse.config.update_failed:1|c|#config_name:{output}");
        assert!(lines.contains_key(&line), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_counted_when_it_comes_and_not_when_nothing_is_new() {
    let (server, site) = site(&json!({ "synapse.watcher.ping.count": 0 }));
    let wait = || Step::Wait(Duration::from_secs(5));
    let site = site.service("web", move || vec![says([1]), wait(), says([1]), wait(), says([2])]);
    let running = run(&site).await;
    until("the change to be served", || site.served("web") == [2]).await;
    running.stop().await;
    let lines = received(&server);
    assert_eq!(lines["synapse.config.update:1|c"], 2);
    assert!(lines.keys().all(|line| !line.contains("ping.count")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_costs_nothing() {
    let (server, site) = site(&json!({}));
    drop(server);
    let site = site.service("web", || vec![says([1])]);
    let unknown = site.set(&["statsd", "host"], json!("no-such-host.invalid"));
    let site = Site::new()
        .set(&["statsd"], json!({ "host": "127.0.0.1", "port": 9 }))
        .service("web", || vec![says([1])]);
    for site in [unknown, site] {
        let running = run(&site).await;
        assert_eq!(site.served("web"), [1]);
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_source_in_use_is_counted() {
    use agent::{Registry, Source, discovery::testing::ScriptedWatcher};

    let (server, site) = site(&json!({}));
    let registry = Registry::builtin()
        .with("first", |_| {
            let steps = || {
                vec![
                    says([1]),
                    Step::Wait(Duration::from_secs(5)),
                    Step::Yield(Snapshot::default()),
                    Step::Hang,
                ]
            };
            Ok(Source::new(move |_| ScriptedWatcher::new(steps())))
        })
        .with("second", |_| Ok(Source::new(|_| ScriptedWatcher::new(vec![says([2]), Step::Hang]))));
    let site = site.service("web", || vec![Step::Hang]).set(
        &["services", "web", "discovery"],
        json!({
            "method": "multi",
            "watchers": { "one": { "method": "first" }, "other": { "method": "second" } },
            "resolver": { "method": "sequential" },
        }),
    );
    let mut running = Running::start(site.config_with(&registry));
    running.applied().await;
    until("the other to be served", || site.served("web") == [2]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    running.stop().await;
    let lines = received(&server);
    let switched = |to: &str| {
        format!(
            "synapse.watcher.multi.resolver.sequential.switch:1|c|#result:success,watcher:{to},service_name:web"
        )
    };
    for line in [
        &switched("one"),
        &switched("other"),
        "synapse.watcher.multi.start:1|c|#service_name:web",
        "synapse.watcher.multi.stop:1|c|#service_name:web",
    ] {
        assert_eq!(lines.get(line), Some(&1), "{line}: {lines:?}");
    }
}
