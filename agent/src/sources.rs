//! The watchers of all services, running side by side.

mod staged;

use std::{
    collections::HashMap,
    fmt,
    future::pending,
    num::NonZeroU16,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use discovery_core::{Backoff, Health, Observed, Watcher, supervise};
use haproxy_render::Name;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tracing::error;

pub(crate) use self::staged::Staged;
use crate::{
    config::{Config, Digest, Service},
    connection::{Connections, Hold},
    meter::{Meter, Standing},
    model::Said,
    news::News,
    registry::Context,
    status::{SourceView, Views},
};

/// Watchers that were made and not started yet.
pub(crate) struct Sources {
    made: Vec<Made>,
    connections: Connections,
    backoff: Backoff,
    shown: watch::Sender<Views>,
    meter: Meter,
}

/// One of them.
struct Made {
    member: Member,
    watcher: Box<dyn Watcher>,
    publish: watch::Sender<Observed>,
    holds: Vec<Hold>,
    stopped: watch::Receiver<()>,
}

/// A service's source.
#[derive(Debug)]
struct Member {
    view: Arc<SourceView>,
    identity: Identity,
    /// Dropped, it stops the watcher.
    _stop: watch::Sender<()>,
}

/// What a service's watcher was made of: for an equal one there is no need to make another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Identity {
    discovery: Digest,
    port: Option<NonZeroU16>,
    backoff: Backoff,
}

impl Identity {
    fn of(service: &Service, backoff: Backoff) -> Self {
        Self { discovery: service.discovery, port: service.rules.port, backoff }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("shown", &self.shown).finish_non_exhaustive()
    }
}

/// Watchers at work. Dropping this stops them.
pub(crate) struct Running {
    /// In the order of the configuration. Dropped first: supervisors that know of the end don't report the end of what they lean on.
    members: Vec<Member>,
    places: HashMap<Name, usize>,
    tasks: JoinSet<()>,
    /// Never locked: futures that look at the sources are sent between threads, which drivers must not need to be shared for.
    connections: Mutex<Connections>,
    /// That of `connections`.
    backoff: Backoff,
    shown: watch::Sender<Views>,
    pub(crate) news: Arc<News>,
    meter: Meter,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("members", &self.members).finish_non_exhaustive()
    }
}

impl Sources {
    /// Makes the watchers. Nothing is connected or read.
    pub(crate) fn new(config: &Config, meter: &Meter) -> Self {
        let (mut connections, backoff) = (Connections::default(), config.times.backoff);
        let made: Vec<_> =
            config.services.iter().map(|service| make(service, backoff, &mut connections, meter)).collect();
        let views: Views = made.iter().map(|made| Arc::clone(&made.member.view)).collect();
        Self { made, connections, backoff, shown: watch::Sender::new(views), meter: meter.clone() }
    }

    /// How the sources can be looked at, now and as long as they are at work.
    pub(crate) fn views(&self) -> watch::Receiver<Views> {
        self.shown.subscribe()
    }

    /// Starts them all.
    pub(crate) fn start(self) -> Running {
        let Self { made, connections, backoff, shown, meter } = self;
        let (tasks, news) = (JoinSet::new(), Arc::default());
        let (members, places, connections) = (Vec::new(), HashMap::new(), Mutex::new(connections));
        let mut running = Running { members, places, tasks, connections, backoff, shown, news, meter };
        let members = made.into_iter().map(|made| running.begin(made)).collect();
        running.set(members);
        running.drive();
        running
    }
}

fn make(service: &Service, backoff: Backoff, connections: &mut Connections, meter: &Meter) -> Made {
    let (publish, observed) = watch::channel(Observed::default());
    let mut context = Context {
        service: service.name.as_str(),
        port: service.rules.port,
        backoff,
        connections,
        holds: Vec::new(),
        meter,
        children: None,
    };
    let watcher = service.source.watcher(&mut context);
    let (holds, children) = (context.holds, context.children);
    let (name, method) = (service.name.clone(), service.method.clone());
    let view = Arc::new(SourceView { service: name, method, observed, children });
    let (stop, stopped) = watch::channel(());
    let member = Member { view, identity: Identity::of(service, backoff), _stop: stop };
    Made { member, watcher, publish, holds, stopped }
}

impl Running {
    fn begin(&mut self, made: Made) -> Member {
        let Made { member, watcher, publish, holds, mut stopped } = made;
        let (view, news, meter) = (Arc::clone(&member.view), Arc::clone(&self.news), self.meter.clone());
        let (mut observed, backoff) = (view.observed.clone(), member.identity.backoff);
        self.tasks.spawn(async move {
            let stop = async {
                // Nothing is ever sent: an error says that the sender is gone.
                while stopped.changed().await.is_ok() {}
            };
            let supervised = supervise(view.service.as_str(), watcher, backoff, publish, stop);
            let followed = async {
                let mut standing = Standing::default();
                while observed.changed().await.is_ok() {
                    standing.see(view.service.as_str(), &view.method, &observed.borrow_and_update(), &meter);
                    news.mark(&view.service);
                }
            };
            // The last of several to answer may add nothing, and still ends what is served for want of its answer.
            let heard = async {
                if let Some(children) = &view.children {
                    children.heard().await;
                    news.mark(&view.service);
                }
            };
            tokio::join!(supervised, followed, heard);
            drop(holds);
        });
        member
    }

    fn connections(&mut self) -> &mut Connections {
        self.connections.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what drives new connections.
    fn drive(&mut self) {
        for driver in self.connections().take_drivers() {
            self.tasks.spawn(driver);
        }
    }

    /// The sources, in the order of the configuration.
    pub(crate) fn views(&self) -> Views {
        self.shown.borrow().clone()
    }

    /// As [`views`](Self::views), now and whenever there are others.
    pub(crate) fn shown(&self) -> watch::Receiver<Views> {
        self.shown.subscribe()
    }

    /// What the source of a service said last that was good.
    pub(crate) fn said(&self, service: &Name) -> Option<Said> {
        self.members.get(*self.places.get(service)?)?.view.said()
    }

    fn set(&mut self, members: Vec<Member>) {
        self.places =
            members.iter().enumerate().map(|(place, member)| (member.view.service.clone(), place)).collect();
        // Those that there were end here, if they are not among these.
        self.members = members;
    }

    /// Waits until every source has answered or ended, but no longer than `longest`. Returns those that have not answered. Cancel
    /// safe.
    pub(crate) async fn first_answers(&self, longest: Duration) -> Vec<Arc<SourceView>> {
        let views = self.views();
        let _ = timeout(longest, all_answered(&views)).await;
        silent(&views)
    }

    /// Returns, after logging it, when a task has died. Never returns otherwise. Cancel safe.
    pub(crate) async fn died(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            // A source that ended for good has said so itself.
            if let Err(error) = ended {
                error!(%error, "a source's task has died; what it said last stays in use");
                return;
            }
        }
        pending::<()>().await;
    }
}

/// Waits until each of them has answered or ended. Cancel safe.
async fn all_answered(views: &[Arc<SourceView>]) {
    for view in views {
        // An error means that the source has ended: there is nothing to wait for.
        let _ = view.observed.clone().wait_for(answered).await;
    }
}

fn answered(observed: &Observed) -> bool {
    observed.snapshot.is_some() || matches!(observed.health, Health::Ended { .. })
}

/// Those that have not answered.
fn silent(views: &[Arc<SourceView>]) -> Vec<Arc<SourceView>> {
    views.iter().filter(|view| view.observed.borrow().snapshot.is_none()).cloned().collect()
}
