//! One server comes, changes and goes in a running HAProxy: how long until HAProxy has taken it, and what that costs this program.
//!
//! `cargo bench -p haproxy-runtime --bench change`
//!
//! A real HAProxy (the first on the `PATH` or in an `sbin` directory, or the one that `E2E_HAPROXY` names), a real file on a real
//! disk, one thread. Times end when HAProxy has answered all commands and the stamp. The file is waited for after each change, and
//! measured by itself.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and fails by panicking")]

#[allow(dead_code, reason = "shared with tests, each of which needs some of it")]
#[path = "../tests/socket/haproxy.rs"]
mod haproxy;

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use haproxy_render::{
    Address, Backend, Document, Line, Name, Server, ServerId, ServerOptions, Service, render,
};
use haproxy_runtime::{ConfigFile, Limits, Live, Pace, Progress, Sockets, Staging};
use tokio::time::Instant;

/// Changes of each kind.
const ROUNDS: usize = 100;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        println!("                          to HAProxy, ms       of the processor, ms    to the file, ms");
        println!("                          min  median   p90      min  median           min  median");
        for (services, servers) in [(1, 2), (100, 100), (1_000, 100)] {
            measure(services, servers).await;
        }
    });
}

fn line(text: &str) -> Line {
    Line::parse(text).unwrap()
}

fn server(service: usize, id: u32, weight: u32, options: &ServerOptions) -> Server {
    let address = Address::parse(&format!("10.{}.{}.{id}", service / 250, service % 250)).unwrap();
    let name = Name::parse(&format!("node-{service}-{id}_{address}:8080")).unwrap();
    let weight = haproxy_render::Weight::new(weight).unwrap();
    Server::builder(name, address, NonZeroU16::new(8080).unwrap(), ServerId::new(id).unwrap())
        .weight(Some(weight))
        .options(options.clone())
        .build()
        .unwrap()
}

fn service(at: usize, servers: Vec<Server>) -> Arc<Service> {
    let name = Name::parse(&format!("service-{at}")).unwrap();
    let mut backend = Backend::new(name.clone(), vec![line("balance roundrobin")]);
    backend.servers = servers;
    Arc::new(Service::new(name, backend))
}

/// What this process has used of the processor.
fn used() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of_one = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(tasks.map(of_one).sum())
}

async fn measure(services: usize, servers: u32) {
    let options = ServerOptions::trusted("inter 2s rise 3 fall 2").unwrap();
    let global = ["stats socket unix@admin.sock mode 600 level admin", "stats timeout 2m"];
    let defaults = ["mode http", "timeout connect 5s", "timeout client 1m", "timeout server 1m"];
    let mut document = Document::new(global.map(line).to_vec(), defaults.map(line).to_vec());
    let all = |at| (1..=servers).map(|id| server(at, id, 1, &options)).collect::<Vec<_>>();
    document.services = (0..services).map(|at| service(at, all(at))).collect();

    let haproxy = haproxy::Haproxy::alone(&render(&document)).await;
    std::fs::create_dir(haproxy.path(".synapse")).unwrap();
    let file = ConfigFile::open(haproxy.path("haproxy.cfg"), Staging::Beside).unwrap();
    let sockets = Sockets::parse([haproxy.path("admin.sock").to_str().unwrap()], Limits::default()).unwrap();
    let mut live = Live::new(file, sockets, Pace::default());
    live.apply(&document).await.unwrap();
    live.flush().await.unwrap();

    let mut of_kind: [(&str, Vec<[Duration; 3]>); 3] =
        [("comes", Vec::new()), ("changes", Vec::new()), ("goes", Vec::new())];
    for round in 0..ROUNDS {
        let at = round % services;
        let new = |weight| server(at, servers + 1, weight, &options);
        let mut more = all(at);
        more.push(new(1));
        let mut other = all(at);
        other.push(new(7));
        for ((_, samples), wanted) in of_kind.iter_mut().zip([more, other, all(at)]) {
            document.services[at] = service(at, wanted);
            let (began, before) = (Instant::now(), used());
            let progress = live.apply(&document).await.unwrap();
            let (told, cost) = (began.elapsed(), used().saturating_sub(before));
            assert!(matches!(&progress, Progress::Changed(deed) if deed.reloaded.is_none()), "{progress:?}");
            let began = Instant::now();
            live.flush().await.unwrap();
            samples.push([told, cost, began.elapsed()]);
        }
        while let Some(due) = live.due() {
            tokio::time::sleep_until(due).await;
            live.tend().await;
        }
    }
    for (kind, samples) in of_kind {
        let sorted = |column: usize| {
            let mut values: Vec<_> =
                samples.iter().map(|sample| sample[column].as_secs_f64() * 1e3).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (told, cost, file) = (sorted(0), sorted(1), sorted(2));
        println!(
            "{services:>5} x {servers:<3} {kind:<10} {:>6.2} {:>7.2} {:>5.2}   {:>6.2} {:>7.2}        {:>6.2} {:>7.2}",
            told[0],
            told[ROUNDS / 2],
            told[ROUNDS * 9 / 10],
            cost[0],
            cost[ROUNDS / 2],
            file[0],
            file[ROUNDS / 2],
        );
    }
}
