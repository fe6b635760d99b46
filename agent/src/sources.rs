//! The watchers of all services, running side by side.

use std::{fmt, future::pending, sync::Arc, time::Duration};

use discovery_core::{Health, Observed, Watcher, supervise};
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tracing::error;

use crate::{
    config::{Config, Times},
    news::News,
    registry::{Connections, Context},
    status::SourceView,
};

/// Watchers that were made and not started yet.
pub(crate) struct Sources {
    watchers: Vec<(Box<dyn Watcher>, watch::Sender<Observed>)>,
    connections: Connections,
    times: Times,
    pub(crate) views: Arc<[SourceView]>,
    pub(crate) news: Arc<News>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("views", &self.views).finish_non_exhaustive()
    }
}

/// Watchers at work. Dropping this stops them.
#[derive(Debug)]
pub(crate) struct Running {
    /// Dropped first: supervisors that know of the end don't report the end of what they lean on.
    _stop: watch::Sender<()>,
    tasks: JoinSet<()>,
    pub(crate) views: Arc<[SourceView]>,
    pub(crate) news: Arc<News>,
}

impl Sources {
    /// Makes the watchers. Nothing is connected or read.
    pub(crate) fn new(config: &Config) -> Self {
        let mut connections = Connections::default();
        let (mut watchers, mut views) = (Vec::new(), Vec::new());
        for service in &config.services {
            let (publish, observed) = watch::channel(Observed::default());
            let mut context = Context {
                service: service.name.as_str(),
                port: service.rules.port,
                backoff: config.times.backoff,
                connections: &mut connections,
                children: None,
            };
            watchers.push((service.source.watcher(&mut context), publish));
            let children = context.children;
            let (service, method) = (service.name.to_string(), service.method.clone());
            views.push(SourceView { service, method, observed, children });
        }
        Self { watchers, connections, times: config.times, views: views.into(), news: Arc::default() }
    }

    /// Starts them all.
    pub(crate) fn start(self) -> Running {
        let mut tasks = JoinSet::new();
        let (stop, stopped) = watch::channel(());
        for driver in self.connections.drivers {
            tasks.spawn(driver);
        }
        for (index, (watcher, publish)) in self.watchers.into_iter().enumerate() {
            let (views, news, backoff) =
                (Arc::clone(&self.views), Arc::clone(&self.news), self.times.backoff);
            let mut observed = self.views[index].observed.clone();
            let mut stopped = stopped.clone();
            tasks.spawn(async move {
                let stop = async {
                    // Nothing is ever sent: an error says that the sender is gone.
                    while stopped.changed().await.is_ok() {}
                };
                let supervised = supervise(&views[index].service, watcher, backoff, publish, stop);
                let followed = async {
                    while observed.changed().await.is_ok() {
                        news.mark(index);
                    }
                };
                tokio::join!(supervised, followed);
            });
        }
        Running { _stop: stop, tasks, views: self.views, news: self.news }
    }
}

impl Running {
    /// Waits until every source has answered or ended, but no longer than `longest`. Returns the services whose source has
    /// not, and their places in the configuration. Cancel safe.
    pub(crate) async fn first_answers(&self, longest: Duration) -> Vec<(usize, &SourceView)> {
        let all = async {
            for view in self.views.iter() {
                // An error means that the source has ended: there is nothing to wait for.
                let _ = view.observed.clone().wait_for(answered).await;
            }
        };
        let _ = timeout(longest, all).await;
        let views = self.views.iter().enumerate();
        views.filter(|(_, view)| view.observed.borrow().snapshot.is_none()).collect()
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

fn answered(observed: &Observed) -> bool {
    observed.snapshot.is_some() || matches!(observed.health, Health::Ended { .. })
}
