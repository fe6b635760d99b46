//! 1,000 services of 100 endpoints each, from a real ZooKeeper: what they cost the real program.
//!
//! `cargo bench -p e2e --bench zookeeper`
//!
//! The program is built in the release profile first, without the sources that it does not need. It runs as a child process
//! with `do_reloads` off, so that the figures are its own: processor time and memory as the kernel counts them (in steps of
//! 10 ms). The registrations are nerve's: ephemeral nodes whose data have to be read, and watched one by one. A last part has
//! them in the nodes' names (`use_path_encoding`).
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod support;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use e2e::{Dir, Port, Proxy, Registrar, Registration, Zookeeper, ZookeeperOptions};
use serde_json::json;
use support::program::{self, Program};
use support::services::{self, DEADLINE, ENDPOINTS, SERVICES, inode, replaced};
use support::{Sample, Table, milliseconds};
use tokio::time::{Instant, sleep};

/// Single changes of each kind, each waited for.
const CHANGES: u32 = 50;
/// After this the text of the file is in no buffer any more: memory is what stays.
const SETTLED: Duration = Duration::from_millis(200);
/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(30);

fn main() {
    if !support::wanted() {
        return;
    }
    let binary = program::build("zk");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime of one thread").block_on(measure(&binary));
}

/// What the program is run with.
struct Setting<'a> {
    binary: &'a Path,
    dir: Dir,
    fronts: Vec<Port>,
    server: Zookeeper,
    /// Of all that is registered.
    registrar: Registrar,
}

async fn measure(binary: &Path) {
    // The heap holds the nodes and all that is said of them.
    let server = ZookeeperOptions::new().with_fsync().with_heap(1024).start().await;
    let registrar = Registrar::connect(&server.hosts()).await;
    let fronts = (0..SERVICES).map(|_| Port::free()).collect();
    let setting = Setting { binary, dir: Dir::new("zookeeper-scale"), fronts, server, registrar };
    let mut nodes = Vec::new();
    for service in 0..SERVICES {
        let registrations: Vec<_> =
            (0..ENDPOINTS).map(|number| registration(service, number, 8080)).collect();
        nodes.push(setting.registrar.register_many(&path("data", service), &registrations).await);
        setting.registrar.register_many_encoded(&path("names", service), &registrations).await;
    }
    println!("\n{SERVICES} services of {ENDPOINTS} endpoints, from ZooKeeper\n");
    let file = setting.dir.join("data.cfg");
    let program = setting.start("data", setting.server.address(), &file);
    setting.cold(&program, &file).await;
    setting.idle(&program).await;
    setting.changes(&program, &nodes, &file).await;
    program.end().await;
    setting.warm(&nodes[3][3], &file).await;
    setting.reconnect("data", SERVICES * (ENDPOINTS + 1)).await;

    println!("\nwith the registrations in the nodes' names\n");
    let file = setting.dir.join("names.cfg");
    let program = setting.start("names", setting.server.address(), &file);
    setting.cold(&program, &file).await;
    program.end().await;
    setting.reconnect("names", SERVICES).await;
}

impl Setting<'_> {
    /// Starts the program on the services below one node, through the server's address or one that leads there.
    fn start(&self, below: &str, server: std::net::SocketAddr, file: &Path) -> Program {
        let discovery = |service| json!({ "method": "zookeeper", "hosts": [server.to_string()], "path": path(below, service) });
        let text = services::config(&self.fronts, file, None, discovery);
        let config = self.dir.write(&format!("{below}.json"), text);
        Program::start(self.binary, &config)
    }

    /// From nothing.
    async fn cold(&self, program: &Program, file: &Path) {
        replaced(file, 0).await;
        let took = program.age();
        sleep(SETTLED).await;
        let usage = program.usage();
        let text = services::whole(file);
        println!(
            "first start, to the whole file ({} bytes): {:.0} ms; {usage}; ZooKeeper: {}",
            text.len(),
            milliseconds(took),
            self.traffic().await.since(Traffic::default()),
        );
    }

    async fn idle(&self, program: &Program) {
        let (before, traffic) = (program.usage(), self.traffic().await);
        sleep(IDLE).await;
        let usage = program.usage();
        println!(
            "idle for {} s: {:.0} ms of processor time; ZooKeeper: {}; {usage}",
            IDLE.as_secs(),
            milliseconds(usage.cpu.saturating_sub(before.cpu)),
            self.traffic().await.since(traffic),
        );
    }

    async fn changes(&self, program: &Program, nodes: &[Vec<String>], file: &Path) {
        let mut table = Table::new("one change of 100,000");
        let written = async |change: usize| {
            self.registrar
                .set(&nodes[change * 7][change], registration(change * 7, change, 8081).json())
                .await;
        };
        table.row(
            "from a write to the file that has it",
            &self.change("written", program, file, written).await,
        );
        let new = RefCell::new(Vec::new());
        let registered = async |change: usize| {
            let one = registration(change * 7, ENDPOINTS + change, 8080);
            let node = self.registrar.register(&path("data", change * 7), &one).await;
            new.borrow_mut().push(node);
        };
        let sample = self.change("registered", program, file, registered).await;
        table.row("from a registration to the file that has it", &sample);
        let new = new.into_inner();
        let deleted = async |change: usize| self.registrar.delete(&new[change]).await;
        let sample = self.change("deleted", program, file, deleted).await;
        table.row("from a deletion to the file that has it", &sample);
        println!("{table}");
    }

    /// Changes of one kind, one by one.
    async fn change(&self, what: &str, program: &Program, file: &Path, make: impl AsyncFn(usize)) -> Sample {
        let mut written = Sample::default();
        let (before, traffic) = (program.usage(), self.traffic().await);
        for change in 0..CHANGES as usize {
            let (inode, start) = (inode(file), Instant::now());
            make(change).await;
            replaced(file, inode).await;
            written.add(start.elapsed());
        }
        sleep(SETTLED).await;
        let usage = program.usage();
        println!(
            "{CHANGES} nodes {what}, one by one: {:.1} ms of processor time each; ZooKeeper: {}; {usage}",
            milliseconds(usage.cpu.saturating_sub(before.cpu)) / f64::from(CHANGES),
            self.traffic().await.since(traffic),
        );
        written
    }

    /// With the file of an earlier run, and one change since.
    async fn warm(&self, node: &str, file: &Path) {
        self.registrar.set(node, registration(3, 3, 8082).json()).await;
        let inode = inode(file);
        let program = self.start("data", self.server.address(), file);
        replaced(file, inode).await;
        let took = program.age();
        sleep(SETTLED).await;
        println!(
            "start with the file of an earlier run, to the one change: {:.0} ms; {}",
            milliseconds(took),
            program.usage()
        );
        program.end().await;
    }

    /// The connection breaks, and another can be had at once. From a first start, through a proxy that can be cut.
    async fn reconnect(&self, below: &str, watches: usize) {
        let mut proxy = Proxy::start(self.server.address()).await;
        let file = self.dir.join("proxied.cfg");
        let program = self.start(below, proxy.address(), &file);
        replaced(&file, 0).await;
        self.watched(watches).await;
        sleep(SETTLED).await;
        let (inode, before) = (inode(&file), program.usage());
        program.forget_most();
        proxy.cut().await;
        self.watched(0).await;
        let start = Instant::now();
        proxy.heal().await;
        self.watched(watches).await;
        let took = start.elapsed();
        sleep(SETTLED).await;
        let usage = program.usage();
        println!(
            "reconnect, until all is read and watched again: {:.0} ms; {:.2} s of processor time; ZooKeeper: {}; \
             before: {before}; after: {usage}",
            milliseconds(took),
            usage.cpu.saturating_sub(before.cpu).as_secs_f64(),
            self.traffic().await.since(Traffic::default()),
        );
        assert_eq!(services::inode(&file), inode, "what is read again is what was known");
        std::fs::remove_file(&file).expect("it is ours");
        program.end().await;
    }

    /// Waits until the program watches the data of so many nodes: of those that it reads, and of each service's own, where
    /// generator configuration may stand. Both are asked for after the service's children are watched.
    async fn watched(&self, wanted: usize) {
        e2e::wait_until(DEADLINE, "all watches", async || {
            // Not `mntr`, which looks at each node that there is.
            let watches = self.server.watches().await.watches;
            if watches == wanted as u64 { Ok(()) } else { Err(format!("{watches} of {wanted} watches")) }
        })
        .await;
    }

    async fn traffic(&self) -> Traffic {
        let publisher = self.registrar.session();
        let connections = self.server.connections().await;
        let ours = connections.iter().filter(|connection| connection.session != publisher);
        ours.fold(Traffic::default(), |sum, one| Traffic {
            received: sum.received + one.received,
            sent: sum.sent + one.sent,
        })
    }
}

fn path(below: &str, service: usize) -> String {
    format!("/{below}/service-{service:04}")
}

/// As nerve writes it.
fn registration(service: usize, number: usize, port: u16) -> Registration {
    Registration::nerve(&services::name(service, number), &services::host(service, number), port)
}

/// What ZooKeeper has done in the program's present session; its handshake and its pings are among it.
#[derive(Debug, Clone, Copy, Default)]
struct Traffic {
    received: u64,
    sent: u64,
}

impl Traffic {
    fn since(self, before: Self) -> String {
        format!("{} packets received, {} sent", self.received - before.received, self.sent - before.sent)
    }
}
