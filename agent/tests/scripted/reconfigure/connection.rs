//! Connections that come and go.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use agent::{
    Agent, Config, Registry, Source,
    discovery::{Snapshot, WatchError, Watcher},
};
use async_trait::async_trait;
use serde_json::json;
use tokio::sync::watch;

use crate::site::{Running, endpoints, until};

/// Counts what is alive.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn one(&self) -> One {
        self.0.fetch_add(1, Ordering::SeqCst);
        One(self.clone())
    }
}

struct One(Alive);

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection to `host`: its driver runs until nobody holds a handle.
struct Member {
    told: watch::Receiver<Snapshot>,
    first: bool,
    _one: One,
    _handle: Arc<()>,
}

#[async_trait]
impl Watcher for Member {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        if !std::mem::take(&mut self.first) {
            self.told.changed().await.map_err(|error| WatchError::new("waiting").because(error))?;
        }
        Ok(self.told.borrow_and_update().clone())
    }
}

#[derive(serde::Deserialize)]
struct Keys {
    host: String,
}

/// A registry, its drivers, its watchers, and how many drivers there ever were.
fn registry() -> (Registry, Alive, Alive, Arc<AtomicUsize>) {
    let (drivers, watchers, made) = (Alive::default(), Alive::default(), Arc::<AtomicUsize>::default());
    let (of_drivers, of_watchers, count) = (drivers.clone(), watchers.clone(), Arc::clone(&made));
    let registry = Registry::empty().with("shared", move |section| {
        let Keys { host } = section.parse()?;
        let (drivers, watchers, made) = (of_drivers.clone(), of_watchers.clone(), Arc::clone(&count));
        Ok(Source::new(move |context| {
            let (told, handle) = context.shared(host.clone(), |_| {
                made.fetch_add(1, Ordering::SeqCst);
                let (tell, told) = watch::channel(endpoints([1]));
                let (handle, one) = (Arc::new(()), drivers.one());
                ((told, handle), async move {
                    tell.closed().await;
                    drop(one);
                })
            });
            Member { told, first: true, _one: watchers.one(), _handle: handle }
        }))
    });
    (registry, drivers, watchers, made)
}

fn config(registry: &Registry, services: &[(String, &str)]) -> Config {
    let services: serde_json::Map<_, _> = services
        .iter()
        .map(|(name, host)| {
            let service =
                json!({ "discovery": { "method": "shared", "host": host }, "haproxy": { "port": null } });
            (name.clone(), service)
        })
        .collect();
    let text = json!({
        "services": services,
        "haproxy": { "do_writes": false, "do_reloads": false, "global": [], "defaults": [] },
    });
    Config::parse(&text.to_string(), None, registry).unwrap()
}

fn named(name: &str) -> String {
    name.to_owned()
}

#[tokio::test(start_paused = true)]
async fn who_joins_uses_the_connection_that_there_is_and_the_last_to_leave_closes_it() {
    let (registry, drivers, watchers, made) = registry();
    let mut running = Running::start(config(&registry, &[(named("a"), "x")]));
    running.applied().await;
    running.reconfigure(config(&registry, &[(named("a"), "x"), (named("b"), "x")])).await;
    assert_eq!((drivers.count(), watchers.count(), made.load(Ordering::SeqCst)), (1, 2, 1));
    running.reconfigure(config(&registry, &[(named("b"), "x"), (named("c"), "x")])).await;
    until("a to be gone", || watchers.count() == 2).await;
    assert_eq!((drivers.count(), made.load(Ordering::SeqCst)), (1, 1));
    running.reconfigure(config(&registry, &[(named("c"), "y")])).await;
    until("the connection to be closed", || (drivers.count(), watchers.count()) == (1, 1)).await;
    running.reconfigure(config(&registry, &[(named("c"), "x")])).await;
    until("the other to be closed", || (drivers.count(), watchers.count()) == (1, 1)).await;
    assert_eq!(made.load(Ordering::SeqCst), 3, "one that has ended is not used again");
    assert_eq!(running.status.services()[0].state(), "ok");
    running.stop().await;
    until("all to be gone", || drivers.count() + watchers.count() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_reconfigurations_leave_no_tasks_behind() {
    let (registry, drivers, watchers, _) = registry();
    let round = |round: usize| {
        let hosts = ["x", "y", "z"];
        let mut services = vec![(named("stays"), "x")];
        services.push((format!("s{round}"), hosts[round % 3]));
        services.push((named("moves"), hosts[(round + 1) % 3]));
        config(&registry, &services)
    };
    let mut running = Running::start(round(0));
    running.applied().await;
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let settled = |counts: (usize, usize)| counts == (3, 3) || counts == (2, 3);
    for at in 1..1000 {
        let done = running.reconfigure(round(at)).await;
        assert_eq!((done.added.len(), done.removed.len()), (1, 1), "{done:?}");
        if at % 100 == 1 {
            until("what is gone to be gone", || settled((drivers.count(), watchers.count()))).await;
            // The agent, what looks at the sources for whoever counts, what serves the status, and a task a watcher and a driver.
            until("tasks to be gone", || alive() <= 3 + 3 + 3).await;
        }
    }
    assert_eq!(running.status.services().len(), 3);
    assert_eq!(running.status.configuration().taken, 999);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_does_not_keep_an_agent() {
    let (registry, ..) = registry();
    let agent = Agent::new(config(&registry, &[(named("a"), "x")]));
    let handle = agent.handle();
    agent.discover().await;
    handle.reconfigure(config(&registry, &[])).await.unwrap_err();
}
