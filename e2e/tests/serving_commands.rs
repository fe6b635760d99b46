//! Servers come and go over HAProxy's socket, without a reload.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod serving_support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use e2e::{Connection, HttpBackend};
use serving_support::{DEADLINE, Web, key, register, servers, until};
use tokio::{task::JoinHandle, time::sleep};

/// Clients that hold on to their connections.
const CLIENTS: usize = 8;
/// Servers that are replaced, one after the other.
const ROUNDS: usize = 8;

/// Clients that ask again and again, each over one connection.
struct KeepAlive {
    requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl KeepAlive {
    fn start(front: SocketAddr) -> Self {
        let (requests, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let tasks = (0..CLIENTS)
            .map(|_| {
                let (requests, stop) = (Arc::clone(&requests), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut failures = Vec::new();
                    let mut connection = Connection::open(front).await.unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        match connection.request("GET", "/", &[], "").await {
                            Ok(response) if response.status == 200 && connection.is_reusable() => {}
                            other => {
                                failures.push(format!("{other:?}"));
                                connection = Connection::open(front).await.unwrap();
                            }
                        }
                        requests.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_millis(5)).await;
                    }
                    failures
                })
            })
            .collect();
        Self { requests, stop, tasks }
    }

    /// How many requests there were, and what became of those that failed or cost their connection.
    async fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for task in self.tasks {
            failures.extend(task.await.unwrap());
        }
        (self.requests.load(Ordering::Relaxed), failures)
    }
}

async fn web() -> Web {
    let mut web = Web::prepare().await;
    let socket = web.site.haproxy().dir().join("admin.sock");
    web.site.set("/haproxy", "socket_file_path", socket.display().to_string());
    web.site.set(
        "/haproxy",
        "defaults",
        vec![
            "mode http",
            "balance roundrobin",
            "retries 0",
            "timeout connect 2s",
            "timeout client 1m",
            "timeout server 1m",
        ],
    );
    web
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_deploy_takes_no_reload_and_costs_no_request() {
    let web = web().await;
    let (agent, traffic) = web.serve().await;
    let before = (agent.status().output().counters.reloads, web.site.haproxy().processes().await);
    let clients = KeepAlive::start(web.site.front("web"));

    let mut running: Vec<HttpBackend> = Vec::new();
    for round in 0..ROUNDS {
        let new = HttpBackend::start(&format!("new{round}")).await;
        register(&web.etcd, &new).await;
        until("the new server to be asked", || {
            if new.requests() > 0 { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        running.push(new);
        if running.len() > 2 {
            let mut old = running.remove(0);
            web.etcd.delete(&key(old.name())).await;
            // Its process goes on for a moment, as it does in a deploy.
            sleep(Duration::from_millis(500)).await;
            old.stop().await;
        }
    }
    let names = [running[0].name().to_owned(), running[1].name().to_owned()];
    web.site.until_serves("web", &["blue", "green", &names[0], &names[1]]).await;

    let (requests, failures) = clients.stop().await;
    assert!(failures.is_empty() && requests > 500, "{requests} requests, {failures:#?}");
    serving_support::all_answered(traffic).await;
    let after = (agent.status().output().counters.reloads, web.site.haproxy().processes().await);
    assert_eq!(after, before, "no reload, and the same worker");
    let output = agent.status().output();
    assert!(output.done.contains("by ") && output.done.contains("command"), "{output:?}");
    let live = output.live.unwrap();
    assert!(live.by_commands >= ROUNDS as u64 && live.refusals == 0, "{live:?}");
    assert_eq!(servers(&web.site), ["blue", "green", &names[0], &names[1]], "the file says the same");
}

#[tokio::test]
async fn an_agent_that_is_started_again_goes_on_without_a_reload() {
    let web = web().await;
    let (agent, traffic) = web.serve().await;
    let before = web.site.haproxy().processes().await;
    let commands = web.site.haproxy().reload_commands();
    drop(agent);
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    let _agent = web.site.run_agent();
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    assert_eq!(web.site.haproxy().processes().await, before);
    assert_eq!(web.site.haproxy().reload_commands(), commands);
    serving_support::all_answered(traffic).await;
}

#[tokio::test]
async fn without_do_socket_no_socket_is_opened() {
    let mut web = web().await;
    web.site.set("/haproxy", "do_socket", false);
    let (agent, traffic) = web.serve().await;
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    let output = agent.status().output();
    assert!(output.live.is_none() && output.counters.reloads >= 2, "{output:?}");
    assert!(!web.site.file().contains("stats socket") && !web.site.file().contains("synapse_rev"));
    serving_support::all_answered(traffic).await;
}

#[tokio::test]
async fn an_haproxy_that_was_started_anew_is_gone_on_with() {
    let mut web = web().await;
    let (agent, traffic) = web.serve().await;
    drop(traffic);
    let reloads = agent.status().output().counters.reloads;
    web.site.haproxy_mut().stop().await;
    web.site.haproxy_mut().restart().await.unwrap();
    web.etcd.delete(&key("blue")).await;
    web.site.until_serves("web", &["green"]).await;
    let status = || agent.status().output();
    e2e::wait_until(DEADLINE, "an apply without an error", async || status().error.map_or(Ok(()), Err)).await;
    assert_eq!(status().counters.reloads, reloads);
}
