//! From a registration in etcd to the first request that its server answers, HAProxy being told over its socket, or by a reload;
//! and from a deregistration to the last one.
//!
//! `cargo bench -p e2e --bench latency`; with `-- socket` or `-- reload` only that part.
//!
//! etcd writes to disk as in production. The agent runs in this process, with its default times but for
//! `restart_interval`, which is 0: every change that takes a reload gets it at once. One client asks HAProxy over and over, each time over
//! a new connection. Beside reloads a second HAProxy, with the same two files in turn and nobody but the benchmark to reload it, shows what
//! HAProxy takes by itself; the two are measured alternately, so that both see the same noise.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "latency/place.rs"]
mod place;
#[path = "latency/stamp.rs"]
mod stamp;
mod support;

use std::time::Duration;

use e2e::Haproxy;
use place::Place;
use support::{Sample, Table};

/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(30);
/// A server that has not answered for so long, on a HAProxy that is asked all the time, is gone.
const GONE: Duration = Duration::from_millis(400);
/// The key that comes and goes.
const KEY: &str = "/services/web/comes";

/// How a key gets into etcd.
#[derive(Debug, Clone, Copy)]
enum Put {
    /// Through etcd's JSON gateway, over a connection that is kept.
    Gateway,
    /// By a process of `etcdctl`.
    Etcdctl,
}

/// How HAProxy is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// By commands on its socket. What would reload it is a signal.
    Commands,
    /// `kill -USR2 PID`, in the shell.
    Signal,
    /// `reload` on the master's socket. Perl, because every Debian has it; its start takes most of the time.
    Socket,
}

impl Told {
    fn command(self, haproxy: &Haproxy) -> String {
        match self {
            Self::Commands | Self::Signal => {
                let pid = std::fs::read_to_string(haproxy.dir().join("haproxy.pid"));
                format!("kill -USR2 {}", pid.expect("the harness writes it"))
            }
            Self::Socket => format!(
                "perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(shift) or die $!; print $s \"reload\\n\"; \
                 shutdown $s, 1; print <$s>' '{}'",
                haproxy.master_socket().display()
            ),
        }
    }
}

fn main() {
    if !support::wanted() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let only = |part: &str| {
        let mut parts = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
        parts.peek().is_none() || parts.any(|argument| argument == part)
    };
    runtime.expect("a runtime of two threads").block_on(async {
        if only("socket") {
            measure("put through etcd's gateway, commands on the socket", Put::Gateway, Told::Commands, 100)
                .await;
            measure("put by etcdctl, commands on the socket", Put::Etcdctl, Told::Commands, 20).await;
        }
        if only("reload") {
            measure("put through etcd's gateway, reload by signal", Put::Gateway, Told::Signal, 50).await;
            let title = "put through etcd's gateway, reload over the master's socket";
            measure(title, Put::Gateway, Told::Socket, 20).await;
            measure("put by etcdctl, reload by signal", Put::Etcdctl, Told::Signal, 20).await;
        }
    });
}

async fn measure(title: &str, put: Put, told: Told, rounds: usize) {
    let place = Box::pin(Place::build(told)).await;
    let (mut came, mut went, mut alone) = (Timeline::default(), Timeline::default(), Timeline::default());
    let (mut with, before) = (String::new(), place.reloads().await);
    for _ in 0..rounds {
        let without = place.text();
        came.add(place.change(put, Some(&place.comes)).await);
        with = place.text();
        assert_ne!(with, without, "the file follows etcd");
        went.add(place.change(put, None).await);
        if told != Told::Commands {
            place.replace_alone(&without, &with, told, &mut alone).await;
        }
    }
    let mut table = Table::new(&format!("{title}: {rounds} rounds, {} bytes", with.len()));
    came.rows(&mut table, "register: ", told);
    went.rows(&mut table, "deregister: ", told);
    alone.rows(&mut table, "HAProxy alone: ", told);
    println!("{table}");
    for (what, timeline) in [("register", &came), ("deregister", &went), ("HAProxy alone", &alone)] {
        if timeline.requests > 0 {
            println!("  requests, {what}: {}, failed: {}", timeline.requests, timeline.failed);
        }
    }
    println!("  reloads: {}", place.reloads().await - before);
}

/// One change, each moment counted from before the put.
#[derive(Debug, Default, Clone, Copy)]
struct Moments {
    acknowledged: Option<Duration>,
    source: Option<Duration>,
    written: Option<Duration>,
    told: Option<Duration>,
    served: Option<Duration>,
    requests: usize,
    failed: usize,
}

/// Many changes.
#[derive(Debug, Default)]
struct Timeline {
    acknowledged: Sample,
    source: Sample,
    written: Sample,
    told: Sample,
    /// Between what the source says and what HAProxy has been told.
    ours: Sample,
    served: Sample,
    requests: usize,
    failed: usize,
}

impl Timeline {
    fn add(&mut self, moments: Moments) {
        let ours = moments.told.zip(moments.source).map(|(told, source)| told.saturating_sub(source));
        for (sample, moment) in [
            (&mut self.acknowledged, moments.acknowledged),
            (&mut self.source, moments.source),
            (&mut self.written, moments.written),
            (&mut self.told, moments.told),
            (&mut self.ours, ours),
            (&mut self.served, moments.served),
        ] {
            if let Some(moment) = moment {
                sample.add(moment);
            }
        }
        self.requests += moments.requests;
        self.failed += moments.failed;
    }

    fn rows(&self, table: &mut Table, of: &str, told: Told) {
        let (carried_out, served) = (
            if told == Told::Commands {
                "the commands are carried out"
            } else {
                "the reload command has ended"
            },
            if of.starts_with("de") { "LAST REQUEST" } else { "FIRST REQUEST" },
        );
        for (what, sample) in [
            ("the put is acknowledged", &self.acknowledged),
            ("the source says so", &self.source),
            ("the file is replaced", &self.written),
            (carried_out, &self.told),
            ("ours: from the source to that", &self.ours),
            (served, &self.served),
        ] {
            if sample.percentile(100) > Duration::ZERO {
                table.row(&format!("{of}{what}"), sample);
            }
        }
    }
}
