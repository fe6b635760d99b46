//! What changes cost over a real HAProxy's socket: many servers at once, and one among 100,000.
//!
//! `cargo bench -p haproxy-runtime --bench socket`
//!
//! HAProxy is the first on the `PATH` or in an `sbin` directory, or the one that `E2E_HAPROXY` names. Processor time is that of this
//! thread, which plans and talks, and that of all threads, the ones that write the file included.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where it can't go on"
)]

#[allow(dead_code, reason = "shared with tests, each of which needs some of it")]
#[path = "../tests/socket/haproxy.rs"]
mod haproxy;

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use haproxy::Haproxy;
use haproxy_render::{
    Address, Backend, Document, Frontend, Line, Name, Server, ServerId, ServerOptions, Service, Weight,
    plan::{Capabilities, Leaving, Plan, Planner, Step, Version},
    render,
};
use haproxy_runtime::{ConfigFile, Limits, Live, Pace, Progress, Sockets, Staging};
use tokio::time::Instant;

const ROUNDS: usize = 7;
/// Single changes.
const CHANGES: usize = 50;

fn main() {
    // `cargo test --all-targets` starts benchmarks too.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        println!("\nservers that come at once, {ROUNDS} times: min and median, in milliseconds");
        println!(
            "{:<28}{:>9}{:>10}{:>18}{:>18}{:>20}",
            "", "servers", "commands", "planned", "socket", "of it our thread"
        );
        for (title, backends, servers) in [
            ("one backend", 1, 100),
            ("one backend", 1, 1_000),
            ("100 backends of 10", 100, 10),
            ("100 backends of 100", 100, 100),
        ] {
            arrive(title, backends, servers).await;
        }
        one_of_many(1_000, 100).await;
    });
}

/// All servers of a document come at once to one that has none.
async fn arrive(title: &str, backends: usize, servers: usize) {
    let (none, all) = (document(backends, 0), document(backends, servers));
    let (mut decided, mut socket, mut ours) = (Sample::default(), Sample::default(), Sample::default());
    let mut count = 0;
    for _ in 0..ROUNDS {
        let haproxy = Haproxy::alone(&render(&none)).await;
        let process = haproxy.socket().process().await.unwrap();
        let planner = Planner::new(Capabilities::of(Version::parse(&process.version).unwrap()));
        let start = Instant::now();
        let Plan::Commands(commands) = planner.change(&none, &all, &Leaving::default()) else {
            panic!("servers alone come by commands")
        };
        decided.add(start.elapsed());
        count = commands.steps().len();
        let (start, busy) = (Instant::now(), thread_time());
        let answers = haproxy.socket().batch::<Step>(process.identity, commands.steps(), None).await.unwrap();
        socket.add(start.elapsed());
        ours.add(thread_time().saturating_sub(busy));
        assert!(answers.succeeded(), "{:?}", answers.failures().next());
    }
    println!("{title:<28}{:>9}{count:>10}{decided:>18}{socket:>18}{ours:>20}", backends * servers);
}

/// One server changes among very many.
async fn one_of_many(backends: usize, servers: usize) {
    let mut wanted = document(backends, servers);
    let haproxy = Haproxy::alone(&render(&wanted)).await;
    std::fs::create_dir(haproxy.path(".synapse")).unwrap();
    let path = haproxy.path("admin.sock");
    let sockets = Sockets::parse([path.to_str().unwrap()], Limits::default()).unwrap();
    let file = ConfigFile::open(haproxy.path("haproxy.cfg"), Staging::Beside).unwrap();
    let mut live = Live::new(file, sockets, Pace::new(Duration::ZERO, 0.0).unwrap());
    live.apply(&wanted).await.unwrap();

    let (mut took, mut ours, mut all) = (Sample::default(), Sample::default(), Sample::default());
    for change in 0..CHANGES {
        let at = change * 17 % backends;
        let mut service = (*wanted.services[at]).clone();
        service.backend.servers[change % servers] = server(at, change % servers, 2);
        wanted.services[at] = Arc::new(service);
        let (start, thread, process) = (Instant::now(), thread_time(), process_time());
        let progress = live.apply(&wanted).await.unwrap();
        took.add(start.elapsed());
        ours.add(thread_time().saturating_sub(thread));
        all.add(process_time().saturating_sub(process));
        let Progress::Changed(deed) = progress else { panic!("{progress:?}") };
        assert_eq!((deed.commands, deed.reloaded), (1, None));
        if live.due().is_some_and(|due| due <= Instant::now()) {
            live.tend().await;
        }
    }
    println!("\none weight of {}, {CHANGES} times: min and median, in milliseconds", backends * servers);
    println!("{:<44}{took:>18}", "from the new document to HAProxy running it");
    println!("{:<44}{ours:>18}", "processor time of this thread");
    println!("{:<44}{all:>18}", "of all threads");
}

fn document(backends: usize, servers: usize) -> Document {
    let global =
        ["stats socket unix@admin.sock mode 600 level admin expose-fd listeners", "stats timeout 2m"];
    let defaults =
        ["mode http", "balance roundrobin", "timeout connect 5s", "timeout client 5m", "timeout server 5m"];
    let lines = |texts: &[&str]| texts.iter().map(|text| Line::parse(text).unwrap()).collect::<Vec<_>>();
    let mut document = Document::new(lines(&global), lines(&defaults));
    document.services = (0..backends)
        .map(|number| {
            let name = Name::parse(&format!("service-{number:04}")).unwrap();
            let mut backend = Backend::new(name.clone(), Vec::new());
            backend.servers = (0..servers).map(|server| self::server(number, server, 1)).collect();
            let mut service = Service::new(name.clone(), backend);
            if number == 0 {
                // HAProxy does not start without a listener; one is enough.
                let mut frontend = Frontend::new(name.clone(), name);
                frontend.lines = lines(&["bind unix@web.sock"]);
                service.frontend = Some(frontend);
            }
            Arc::new(service)
        })
        .collect();
    document
}

/// As registries have them, but without `check`, for which HAProxy wants a file descriptor a server.
fn server(backend: usize, number: usize, weight: u32) -> Server {
    let name = Name::parse(&format!("node-{backend:04}-{number:04}")).unwrap();
    let address = Address::parse(&format!("10.{}.{}.{}", backend % 256, number / 256, number % 256)).unwrap();
    let id = ServerId::new(u32::try_from(number + 1).unwrap()).unwrap();
    Server::builder(name, address, NonZeroU16::new(8080).unwrap(), id)
        .options(ServerOptions::trusted("maxconn 100").unwrap())
        .weight(Some(Weight::new(weight).unwrap()))
        .build()
        .unwrap()
}

/// What the kernel counts of this thread, in nanoseconds.
fn thread_time() -> Duration {
    time_of("/proc/thread-self/schedstat")
}

fn process_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.map(|task| time_of(task.unwrap().path().join("schedstat").to_str().unwrap())).sum()
}

fn time_of(path: &str) -> Duration {
    let text = std::fs::read_to_string(path).unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Repeated measurements of one thing. `Display` writes min and median.
#[derive(Debug, Default)]
struct Sample(Vec<Duration>);

impl Sample {
    fn add(&mut self, measured: Duration) {
        self.0.push(measured);
        self.0.sort_unstable();
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [min, median] = [0, self.0.len() / 2].map(|at| self.0[at].as_secs_f64() * 1e3);
        f.pad(&format!("{min:.2} {median:.2}"))
    }
}
