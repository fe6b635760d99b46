//! A real HAProxy under hundreds of random changes: what runs is always what its file says.
//!
//! It is the first `haproxy` on the `PATH` or in an `sbin` directory, or the one that `E2E_HAPROXY` names. Each run is another one;
//! `E2E_SEED` repeats one that has failed, which says its seed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, reason = "shared with other tests, each of which needs some of it")]
#[path = "../socket/haproxy.rs"]
mod haproxy;
mod running;
#[allow(dead_code, reason = "shared with other tests, each of which needs some of it")]
#[path = "../live/site.rs"]
mod site;
mod spec;
mod world;

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;
use haproxy_render::{
    Document,
    plan::{Leaving, Obstacle, Reason},
};
use haproxy_runtime::{Cause, Live, Progress};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    haproxy::{DEADLINE, Haproxy, version},
    running::Running,
    site::{By, Client, Echo, Site},
    world::World,
};

const OPERATIONS: usize = 500;
/// After so many a new HAProxy is started from the file.
const EVERY: usize = 25;
/// Within which newer versions carry out what they have acknowledged: addresses are changed by a task of theirs.
const SOON: Duration = Duration::from_secs(5);
/// Connections that are held at once.
const HELD: usize = 12;

/// Connections through HAProxy to servers of the world.
struct Connections {
    held: Vec<(String, Client)>,
    /// Servers that may have connections: who was connected to, in this process. HAProxy notices an end when it gets to it.
    touched: BTreeSet<String>,
}

impl Connections {
    async fn open(&mut self, site: &Site, world: &World) {
        if self.held.len() < HELD {
            let client =
                Client::connect(&site.haproxy).await.expect("some servers are never out of rotation");
            let server =
                world.called(client.letter).expect("only servers that are wanted get new connections");
            self.touched.insert(server.clone());
            self.held.push((server, client));
        }
    }

    fn close_one(&mut self, rng: &mut Rng) {
        if !self.held.is_empty() {
            self.held.swap_remove(rng.usize(..self.held.len()));
        }
    }

    /// All of them live, those to servers that have left, too.
    async fn check(&mut self, what: &str) {
        for (server, client) in &mut self.held {
            assert!(client.echoes().await, "{what} ended a connection to {server}");
        }
    }

    /// They stay with an old worker.
    fn forget(&mut self) {
        self.held.clear();
        self.touched.clear();
    }
}

#[tokio::test]
async fn live_after_500_random_changes_what_runs_is_what_a_new_process_makes_of_the_file() {
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    // Shown if the test fails.
    let told = format!("E2E_SEED={seed}");
    let mut echoes = Vec::new();
    for letter in world::LETTERS {
        echoes.push(Echo::start(letter).await);
    }
    let mut world = World::new(echoes.iter().map(|echo| echo.port).collect(), version() >= (3, 0));
    let site = Site::start(&world.document(), By::Master).await;
    let mut live = site.live();
    live.apply(&world.document()).await.unwrap();

    let mut connections = Connections { held: Vec::new(), touched: BTreeSet::new() };
    let (mut reloads, mut compared) = (0, 0);
    for operation in 1..=OPERATIONS {
        match rng.u8(..10) {
            0 | 1 => connections.open(&site, &world).await,
            2 => connections.close_one(&mut rng),
            _ => {}
        }
        let step = world.step(&mut rng, &connections.touched, &live);
        let what = format!("{told}, operation {operation}: {step}");
        let reloaded = apply(&mut live, &world.document(), &what).await;
        assert_eq!(reloaded, step.reloads, "{what}");
        if reloaded {
            connections.forget();
            reloads += 1;
        }
        connections.check(&what).await;
        if rng.bool() && live.due().is_some_and(|due| due <= Instant::now()) {
            live.tend().await;
        }
        if operation % EVERY == 0 {
            compared += compare(&site, &mut live, &world, &what).await;
        }
    }
    assert_eq!(site.reloads(), reloads, "{told}");
    assert!(reloads * 10 < OPERATIONS, "{told}: {reloads} reloads");
    assert!(compared >= OPERATIONS, "{told}: {compared} servers compared");

    connections.forget();
    let end = Instant::now() + DEADLINE;
    while live.leaving().is_none_or(|leaving| !leaving.is_empty()) {
        assert!(Instant::now() < end, "{told}: {:?}", live.leaving());
        sleep_until(live.due().unwrap()).await;
        live.tend().await;
    }
    assert_eq!(Running::of(&site.haproxy).await.len(), world.len(), "{told}: nobody is left behind");
    assert_eq!(live.counters().refusals, 0, "{told}");
}

/// Whether it took a reload, which must be one for an option that this version does not take otherwise.
async fn apply(live: &mut Live, document: &Document, what: &str) -> bool {
    let deed = match live.apply(document).await {
        Ok(Progress::Changed(deed)) => deed,
        other => panic!("{what}: {other:?}"),
    };
    let Some(reload) = &deed.reloaded else { return false };
    let by_option =
        |cause: &Cause| matches!(cause, Cause::Needed(Reason::Server { obstacle: Obstacle::Option(..), .. }));
    assert!(reload.causes.iter().all(by_option), "{what}: {deed}");
    true
}

/// Compares what runs with what a new process makes of the file, and says how many servers that were.
async fn compare(site: &Site, live: &mut Live, world: &World, what: &str) -> usize {
    settle(site, live, what).await;
    let fresh = Haproxy::alone(&site.file()).await;
    let started = Running::of(&fresh).await;
    assert_eq!(started.len(), world.len(), "{what}");
    let end = Instant::now() + SOON;
    loop {
        let mut running = Running::of(&site.haproxy).await;
        for departure in live.leaving().into_iter().flat_map(Leaving::iter) {
            running.remove(departure.backend().as_str(), departure.server().as_str());
        }
        let differences = running.differences(&started);
        if differences.is_empty() {
            return started.len();
        }
        assert!(Instant::now() < end, "{what}: {differences:#?}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the file is that of the revision that runs.
async fn settle(site: &Site, live: &mut Live, what: &str) {
    let process = site.haproxy.socket().process().await.unwrap();
    let directive = process.revision.unwrap().directive();
    let end = Instant::now() + DEADLINE;
    while !site.file().contains(&directive) {
        assert!(Instant::now() < end, "{what}: the file does not follow");
        live.flush().await.unwrap();
        live.tend().await;
        sleep(Duration::from_millis(5)).await;
    }
}

#[allow(clippy::disallowed_methods, reason = "a test is a program of its own: its environment configures it")]
fn seed() -> u64 {
    match std::env::var("E2E_SEED") {
        Ok(seed) => seed.parse().expect("E2E_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}
