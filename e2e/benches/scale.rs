//! 1,000 services of 100 endpoints each, from a real etcd: what they cost the real program.
//!
//! `cargo bench -p e2e --bench scale`
//!
//! The program is built in the release profile first, without the sources that it does not need. It runs as a child process
//! with `do_reloads` off, so that the figures are its own: processor time and memory as the kernel counts them (in steps of
//! 10 ms). A last part has a real HAProxy reload the same file.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "scale/metrics.rs"]
mod metrics;
mod support;

use std::path::Path;
use std::time::Duration;

use e2e::{Dir, Etcd, Haproxy, Port};
use metrics::Metrics;
use serde_json::json;
use support::program::{self, Program};
use support::services::{self, DEADLINE, ENDPOINTS, SERVICES, inode, replaced};
use support::{Sample, Table, milliseconds};
use tokio::time::{Instant, sleep};

/// Single changes, each waited for.
const CHANGES: u32 = 100;
/// Single changes that a real HAProxy reloads for.
const RELOADS: usize = 5;
/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(30);

fn main() {
    if !support::wanted() {
        return;
    }
    let binary = program::build("etcd");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime of one thread").block_on(measure(&binary));
}

async fn measure(binary: &Path) {
    let etcd = e2e::EtcdOptions::new().with_fsync().start().await;
    for service in 0..SERVICES {
        etcd.put_many((0..ENDPOINTS).map(|number| (key(service, number), registration(service, number, 0))))
            .await;
    }
    let dir = Dir::new("scale");
    let fronts: Vec<Port> = (0..SERVICES).map(|_| Port::free()).collect();
    let file = dir.join("haproxy.cfg");
    let config = dir.write("synapse.json", config(&etcd, &fronts, &file, None));

    println!("\n{SERVICES} services of {ENDPOINTS} endpoints, from etcd\n");
    let mut program = cold(binary, &config, &file).await;
    idle(&etcd, &program).await;
    changes(&etcd, &program, &file).await;
    program.end().await;
    program = warm(&etcd, binary, &config, &file).await;
    program.end().await;
    reloads(&etcd, binary, &dir, &fronts, &file).await;
}

/// From nothing.
async fn cold(binary: &Path, config: &Path, file: &Path) -> Program {
    let program = Program::start(binary, config);
    replaced(file, 0).await;
    let took = program.age();
    let text = services::whole(file);
    let usage = program.usage();
    println!("first start, to the whole file ({} bytes): {:.0} ms; {usage}", text.len(), milliseconds(took));
    program
}

async fn idle(etcd: &Etcd, program: &Program) {
    let (before, traffic) = (program.usage(), Traffic::of(etcd).await);
    sleep(IDLE).await;
    let usage = program.usage();
    println!(
        "idle for {} s: {:.0} ms of processor time; {}; {usage}",
        IDLE.as_secs(),
        milliseconds(usage.cpu.saturating_sub(before.cpu)),
        Traffic::of(etcd).await.since(&traffic),
    );
}

async fn changes(etcd: &Etcd, program: &Program, file: &Path) {
    let (before, traffic, start) = (program.usage(), Traffic::of(etcd).await, Instant::now());
    let mut written = Sample::default();
    for change in 0..CHANGES as usize {
        let (inode, start) = (inode(file), Instant::now());
        etcd.put(&key(change * 7, change), &registration(change * 7, change, 1)).await;
        replaced(file, inode).await;
        written.add(start.elapsed());
    }
    let usage = program.usage();
    println!(
        "{CHANGES} single changes in {:.1} s: {:.1} ms of processor time each; {}; {usage}",
        start.elapsed().as_secs_f64(),
        milliseconds(usage.cpu.saturating_sub(before.cpu)) / f64::from(CHANGES),
        Traffic::of(etcd).await.since(&traffic),
    );
    let mut table = Table::new("one change of 100,000");
    table.row("from the put to the file that has it", &written);
    println!("{table}");
}

/// With the file of an earlier run, and one change since.
async fn warm(etcd: &Etcd, binary: &Path, config: &Path, file: &Path) -> Program {
    etcd.put(&key(3, 3), &registration(3, 3, 2)).await;
    let inode = inode(file);
    let program = Program::start(binary, config);
    replaced(file, inode).await;
    println!(
        "start with the file of an earlier run, to the one change: {:.0} ms; {}",
        milliseconds(program.age()),
        program.usage()
    );
    program
}

/// With a HAProxy that reloads.
async fn reloads(etcd: &Etcd, binary: &Path, dir: &Dir, fronts: &[Port], file: &Path) {
    let haproxy = Haproxy::start_at(file).await;
    let config = config(etcd, fronts, file, Some(&haproxy.reload_command()));
    let config = dir.write("reloading.json", config);
    let (mut alone, mut whole) = (Sample::default(), Sample::default());
    for _ in 0..RELOADS {
        settled(&haproxy).await;
        let start = Instant::now();
        haproxy.reload().await.expect("HAProxy takes the file");
        alone.add(start.elapsed());
    }
    let program = Program::start(binary, &config);
    watches(etcd).await;
    for change in 0..RELOADS {
        let before = settled(&haproxy).await;
        let start = Instant::now();
        etcd.put(&key(change, 0), &registration(change, 0, 3)).await;
        e2e::wait_until(DEADLINE, "the reload", async || {
            let now = haproxy.processes().await.reloads;
            if now > before { Ok(()) } else { Err(format!("{now} reloads")) }
        })
        .await;
        whole.add(start.elapsed());
    }
    let mut table = Table::new("a real HAProxy with 100,000 servers");
    table.row("reload by hand, to the new worker", &alone);
    table.row("one change, from the put to the new worker", &whole);
    println!("{table}");
    program.end().await;
}

/// Waits until only one worker is left; returns how many reloads there were.
async fn settled(haproxy: &Haproxy) -> u32 {
    e2e::wait_until(DEADLINE, "the old workers to end", async || {
        let processes = haproxy.processes().await;
        if processes.old_workers.is_empty() { Ok(processes.reloads) } else { Err(format!("{processes:?}")) }
    })
    .await
}

/// Waits until the program watches everything.
async fn watches(etcd: &Etcd) {
    e2e::wait_until(DEADLINE, "all watches", async || {
        let watches = Metrics::of(etcd).await.sum("etcd_debugging_mvcc_watcher_total ");
        if watches >= SERVICES as u64 { Ok(()) } else { Err(format!("{watches} watches")) }
    })
    .await;
}

fn key(service: usize, number: usize) -> String {
    format!("{}/node-{number:03}", prefix(service))
}

fn prefix(service: usize) -> String {
    format!("/services/service-{service:04}")
}

/// As nerve writes it. `change` makes it another one.
fn registration(service: usize, number: usize, change: usize) -> String {
    let (name, host) = (services::name(service, number), services::host(service, number));
    json!({ "host": host, "port": 8080 + change, "name": name }).to_string()
}

fn config(etcd: &Etcd, fronts: &[Port], file: &Path, reload: Option<&str>) -> String {
    let discovery =
        |service| json!({ "method": "etcd", "endpoints": etcd.endpoints(), "prefix": prefix(service) });
    services::config(fronts, file, reload, discovery)
}

/// What etcd has done for its clients, the benchmark's own puts not included.
#[derive(Debug, Clone, Copy)]
struct Traffic {
    ranges: u64,
    watches: u64,
    events: u64,
    sent: u64,
}

impl Traffic {
    async fn of(etcd: &Etcd) -> Self {
        let metrics = Metrics::of(etcd).await;
        let sum = |name| metrics.sum(name);
        Self {
            ranges: sum("grpc_server_started_total{grpc_method=\"Range\""),
            watches: sum("grpc_server_msg_received_total{grpc_method=\"Watch\""),
            events: sum("etcd_debugging_mvcc_events_total"),
            sent: sum("etcd_network_client_grpc_sent_bytes_total"),
        }
    }

    fn since(self, before: &Self) -> String {
        format!(
            "etcd: {} ranges, {} watch requests, {} watch events, {} bytes sent",
            self.ranges - before.ranges,
            self.watches - before.watches,
            self.events - before.events,
            self.sent - before.sent
        )
    }
}
