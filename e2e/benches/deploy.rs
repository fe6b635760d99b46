//! A rolling deploy of 20 processes under 500 requests a second, over HAProxy's socket, and by reloads for comparison.
//!
//! `cargo bench -p e2e --bench deploy`
//!
//! Clients keep their connections, as clients of a service do, and HAProxy repeats nothing (`retries 0`). A process is replaced
//! by another each second, then each fifth of one: the new one is registered and the old one deregistered at the same time, and
//! half a second later the old one ends. HAProxy runs in master-worker mode with `expose-fd listeners`, and health checks of 2 s.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod support;

use std::time::Duration;

use e2e::{Deploy, Etcd, EtcdOptions, Haproxy, KeepAlive, Kept, Processes, Site, wait_until};

const PROCESSES: usize = 20;
/// Replaced in a second.
const PACES: [u32; 2] = [1, 5];
/// How long a process goes on that was deregistered.
const GRACE: Duration = Duration::from_millis(500);
const CLIENTS: u32 = 50;
const REQUESTS_A_SECOND: u32 = 500;
/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// How HAProxy learns what has changed.
#[derive(Debug, Clone, Copy)]
enum By {
    Commands,
    /// Reloads with at least so many seconds between them.
    Reloads(f64),
}

impl By {
    fn title(self) -> String {
        match self {
            Self::Commands => "commands (the default)".to_owned(),
            Self::Reloads(0.0) => "a reload for each change".to_owned(),
            Self::Reloads(pause) => format!("reloads, one in {pause} s at most"),
        }
    }

    fn configure(self, site: &mut Site) {
        let socket = site.haproxy().dir().join("admin.sock").display().to_string();
        match self {
            Self::Commands => site.set("/haproxy", "socket_file_path", socket),
            Self::Reloads(pause) => {
                site.set("/haproxy", "do_socket", false);
                site.set("/haproxy", "restart_interval", pause);
                let lines = [
                    "maxconn 1000".to_owned(),
                    format!("stats socket {socket} level admin expose-fd listeners"),
                ];
                site.set("/haproxy", "global", lines.to_vec());
            }
        }
    }
}

fn main() {
    if !support::wanted() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime of two threads").block_on(async {
        println!(
            "\n{:<26}{:>9}{:>10}{:>8}{:>8}{:>9}{:>12}{:>11}",
            "", "a second", "requests", "failed", "closed", "reloads", "workers now", "at most"
        );
        for pace in PACES {
            for by in [By::Commands, By::Reloads(0.0), By::Reloads(2.0)] {
                println!("{}", measure(by, pace).await);
            }
        }
    });
}

/// Deploys once, and says in a line what came of it.
async fn measure(by: By, pace: u32) -> String {
    let etcd = EtcdOptions::new().with_fsync().start().await;
    let mut site = site(&etcd).await;
    by.configure(&mut site);
    let mut deploy = Deploy::start(&etcd, "web", PROCESSES).await;
    let agent = site.run_agent();
    wait_until(DEADLINE, "the first apply", async || {
        let output = agent.status().output();
        output.applied.map(drop).ok_or_else(|| format!("{output:?}"))
    })
    .await;
    let front = site.front("web");
    site.haproxy().wait_serving(front.port(), DEADLINE).await;
    let before = settled(site.haproxy()).await;
    let clients = KeepAlive::start(front, CLIENTS, REQUESTS_A_SECOND);
    asked(&deploy).await;

    let mut most = 1;
    {
        let roll = deploy.roll(Duration::from_secs(1) / pace, GRACE, async |_| {});
        tokio::pin!(roll);
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                () = &mut roll => break,
                _ = looks.tick() => most = most.max(workers(&site.haproxy().processes().await)),
            }
        }
    }
    let after = site.haproxy().processes().await;
    asked(&deploy).await;
    let Kept { requests, failed, closed, .. } = clients.stop().await;
    let line = format!(
        "{:<26}{pace:>9}{requests:>10}{:>8}{closed:>8}{:>9}{:>12}{most:>11}",
        by.title(),
        failed.len(),
        after.reloads - before.reloads,
        workers(&after),
    );
    agent.stop().await;
    line
}

async fn site(etcd: &Etcd) -> Site {
    let mut site = Site::start().await;
    site.set("/haproxy", "global", vec!["maxconn 1000"]);
    let defaults = [
        "mode http",
        "balance roundrobin",
        "retries 0",
        "timeout connect 1s",
        "timeout client 1m",
        "timeout server 1m",
    ];
    site.set("/haproxy", "defaults", defaults.to_vec());
    site.add_service("web", &etcd.endpoints());
    site.set("/services/web/haproxy", "server_options", "check inter 2s rise 3 fall 2");
    site
}

/// Waits until each process has been asked.
async fn asked(deploy: &Deploy<'_>) {
    wait_until(DEADLINE, "every process to be asked", async || {
        let idle = deploy.running().filter(|process| process.requests() == 0).count();
        if idle == 0 { Ok(()) } else { Err(format!("{idle} were not")) }
    })
    .await;
}

/// Waits until only one worker is left.
async fn settled(haproxy: &Haproxy) -> Processes {
    wait_until(DEADLINE, "the old workers to end", async || {
        let processes = haproxy.processes().await;
        if processes.old_workers.is_empty() { Ok(processes) } else { Err(format!("{processes:?}")) }
    })
    .await
}

fn workers(processes: &Processes) -> usize {
    processes.old_workers.len() + usize::from(processes.worker.is_some())
}
