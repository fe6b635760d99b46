//! 1,000 services of 100 endpoints each, from a real etcd: what they cost the real program.
//!
//! `cargo bench -p e2e --bench scale`
//!
//! The program is built in the release profile first, without the sources that it does not need. It runs as a child process
//! with `do_reloads` off, so that the figures are its own: processor time and memory as the kernel counts them (in steps of
//! 10 ms). Two further parts have a real HAProxy of that file: single changes by commands on its socket, and by reloads.
//! `-- socket` is the former alone.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "scale/metrics.rs"]
mod metrics;
mod support;

use std::path::Path;
use std::time::Duration;

use e2e::{Dir, Etcd, Haproxy, Port};
use haproxy_runtime::{CommandLine, Socket, SocketAddress};
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
    let socket_alone = std::env::args().any(|argument| argument == "socket");
    let mut program = cold(binary, &config, &file).await;
    if !socket_alone {
        idle(&etcd, &program).await;
        changes(&etcd, &program, &file).await;
    }
    program.end().await;
    commands(&etcd, binary, &dir, &fronts, &file).await;
    if socket_alone {
        return;
    }
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

/// With a HAProxy that is told over its socket.
async fn commands(etcd: &Etcd, binary: &Path, dir: &Dir, fronts: &[Port], file: &Path) {
    let haproxy = Haproxy::start_at(file).await;
    let path = haproxy.dir().join("admin.sock");
    let mut text: serde_json::Value =
        serde_json::from_str(&config(etcd, fronts, file, Some(&haproxy.reload_command())))
            .expect("it was just written");
    text["haproxy"]["socket_file_path"] = json!(path);
    let program = Program::start(binary, &dir.write("commanding.json", text.to_string()));
    let socket = Socket::new(SocketAddress::unix(&path).expect("a short path"));
    watches(etcd).await;
    // The socket comes with a reload, which is the last one.
    e2e::wait_until(DEADLINE, "HAProxy's socket", async || runs(&socket, 0, 1, 8080).await).await;
    let reloads = settled(&haproxy).await;
    let (mut before, mut first, mut told) = (program.usage(), Sample::default(), Sample::default());
    for change in 0..=CHANGES as usize {
        let (service, number) = (change * 7, change % ENDPOINTS);
        let start = Instant::now();
        etcd.put(&key(service, number), &registration(service, number, 2)).await;
        e2e::wait_until(DEADLINE, "HAProxy to know", async || runs(&socket, service, number, 8082).await)
            .await;
        // Nothing is known of a HAProxy that was not there before: everything that it runs is read back once.
        if change == 0 {
            first.add(start.elapsed());
            before = program.usage();
        } else {
            told.add(start.elapsed());
        }
    }
    let usage = program.usage();
    println!(
        "{CHANGES} single changes by commands: {:.1} ms of processor time each, writing the file included; {} reloads; {usage}",
        milliseconds(usage.cpu.saturating_sub(before.cpu)) / f64::from(CHANGES),
        settled(&haproxy).await - reloads,
    );
    let mut table = Table::new("one change of 100,000, by commands");
    table.row("the first, after a look at what runs", &first);
    table.row("from the put to HAProxy running it", &told);
    println!("{table}");
    e2e::wait_until(DEADLINE, "the file to follow", async || {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let found = text.matches(":8082 id ").count();
        if found == CHANGES as usize + 1 { Ok(()) } else { Err(format!("{found} of the changes")) }
    })
    .await;
    program.end().await;
}

/// Whether HAProxy has this endpoint at this port.
async fn runs(socket: &Socket, service: usize, number: usize, port: usize) -> Result<(), String> {
    let ask = CommandLine::parse(&format!("show servers state service-{service:04}")).expect("plain words");
    let (name, port) = (format!(" {}_", services::name(service, number)), port.to_string());
    let mut found = false;
    let each = |_, line: &str| found |= line.contains(&name) && line.split(' ').nth(18) == Some(&port);
    socket.read(&[ask], each).await.map_err(|error| error.to_string())?;
    if found { Ok(()) } else { Err("not yet".to_owned()) }
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
