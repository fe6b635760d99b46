//! What an agent knows and does, for people and programs that look.

use std::{collections::HashMap, sync::Arc, time::Duration};

use discovery_core::{
    Health, Observed, Rejected, Snapshot,
    multi::{ChildView, View},
};
use haproxy_render::{Name, Service};
use tokio::{sync::watch, time::Instant};

use crate::{
    file_output::{Board, FileOutputStatus},
    model::Said,
    pulse::Pulse,
    state::{Memory, Restored, StateFileStatus},
    statsd::{Statsd, StatsdStatus},
};
pub use crate::{
    handle::ConfigurationStatus,
    output::{HaproxyStatus, History, How, OutputStatus, PastChange, Pending},
    window::WindowStatus,
};

/// A cheap view on a running agent. It goes on showing the last state after the agent has stopped.
#[derive(Debug, Clone)]
pub struct Status {
    pub(crate) sources: watch::Receiver<Views>,
    pub(crate) applied: watch::Receiver<AppliedView>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) configuration: watch::Receiver<ConfigurationStatus>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) files: Arc<Board>,
    pub(crate) statsd: Arc<Statsd>,
    pub(crate) window: watch::Receiver<Option<WindowStatus>>,
}

/// The sources of all services, in the order of the configuration.
pub(crate) type Views = Arc<[Arc<SourceView>]>;

/// One service's source.
#[derive(Debug)]
pub(crate) struct SourceView {
    pub(crate) service: Name,
    pub(crate) method: String,
    pub(crate) observed: watch::Receiver<Observed>,
    pub(crate) children: Option<View>,
}

/// What the reconcile loop last made of it all.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppliedView {
    pub(crate) output: OutputStatus,
    /// How each service is to be served, and what is not served of it.
    pub(crate) services: HashMap<Name, (Option<Arc<Service>>, Rejected)>,
}

/// One service at the moment it was looked at.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// Its name.
    pub service: String,
    /// Its discovery method.
    pub method: String,
    /// What its source is made of, where that is several: each child with its last good answer, its health, and whether it is
    /// in use.
    pub children: Vec<ChildView>,
    /// How what they say becomes one (`union`, `sequential`, `toggle`); `None` where there is one source.
    pub resolver: Option<&'static str>,
    /// What its source said last that was good; `None` before the first answer.
    pub snapshot: Option<Snapshot>,
    /// What the state file has of it (`haproxy.state_file_path`), which is served until the source has answered; `None`
    /// afterwards, and where the file has nothing that may be used.
    pub restored: Option<Snapshot>,
    /// How long ago the source last said so, or said that it still is so: what it said in [`snapshot`](Self::snapshot), or
    /// else, to an earlier run, what is [`restored`](Self::restored).
    pub age: Option<Duration>,
    /// How its source is doing.
    pub health: Health,
    /// How often its source has failed since it was first asked.
    pub failures: u64,
    /// How many servers HAProxy is to use for it.
    pub servers: usize,
    /// Entries of the source, and endpoints, that are not served because they can't be, and generator configuration of the
    /// registry that is refused.
    pub rejected: Rejected,
    #[cfg_attr(not(feature = "status"), allow(dead_code, reason = "the status is not served by this build"))]
    pub(crate) desired: Option<Arc<Service>>,
}

impl SourceView {
    /// What it said last that was good.
    pub(crate) fn said(&self) -> Option<Said> {
        let snapshot = self.observed.borrow().snapshot.clone()?;
        Some(Said::new(snapshot, self.children.clone()))
    }
}

impl Status {
    /// All services, in the order of the configuration that is in use.
    pub fn services(&self) -> Vec<ServiceStatus> {
        let applied = self.applied.borrow().services.clone();
        let nothing = (None, Rejected::default());
        let view = |source: &Arc<SourceView>| {
            let observed = source.observed.borrow().clone();
            let (desired, unservable) = applied.get(&source.service).unwrap_or(&nothing);
            let restored = || self.memory.restored(source.service.as_str());
            let restored = observed.snapshot.is_none().then(restored).flatten();
            let age = observed.confirmed.map(|at| Instant::now().saturating_duration_since(at));
            let unreadable = observed.snapshot.as_ref().map(Snapshot::rejected).cloned().unwrap_or_default();
            ServiceStatus {
                service: source.service.to_string(),
                method: source.method.clone(),
                children: source.children.as_ref().map(View::children).unwrap_or_default(),
                resolver: source.children.as_ref().map(View::resolver),
                age: age.or_else(|| restored.as_ref().map(Restored::age)),
                restored: restored.map(|restored| restored.snapshot),
                rejected: unreadable.and(unservable),
                snapshot: observed.snapshot,
                health: observed.health,
                failures: observed.failures,
                servers: desired.as_ref().map_or(0, |desired| desired.backend.servers.len()),
                desired: desired.clone(),
            }
        };
        self.sources.borrow().iter().map(view).collect()
    }

    /// What HAProxy was last brought to run, and how.
    pub fn output(&self) -> OutputStatus {
        self.applied.borrow().output.clone()
    }

    /// Which configuration is in use, and what became of those that should have replaced it.
    pub fn configuration(&self) -> ConfigurationStatus {
        self.configuration.borrow().clone()
    }

    /// How the state file is doing; `None` before the agent runs, and where no file is kept.
    pub fn state_file(&self) -> Option<StateFileStatus> {
        self.memory.status()
    }

    /// Where the status is served over HTTP, or why it is not; `None` before the agent runs, and where nobody asked for it.
    pub fn window(&self) -> Option<WindowStatus> {
        self.window.borrow().clone()
    }

    /// Whether the loop that applies gives signs of life: it does so every few seconds while it waits. An apply may take as long as
    /// its checks and reloads may, and two minutes more. `false` before [`Agent::run`](crate::Agent::run) and soon after its end:
    /// an agent that is not heard of for so long hangs, and does not come back by itself.
    pub fn is_alive(&self) -> bool {
        self.pulse.is_there()
    }

    /// How the files of `file_output` are doing; `None` before the agent runs, and where there are none.
    pub fn file_output(&self) -> Option<FileOutputStatus> {
        self.files.status()
    }

    /// How metrics are sent by statsd; `None` before the agent runs, and where none are.
    pub fn statsd(&self) -> Option<StatsdStatus> {
        self.statsd.status()
    }

    /// Waits until, at `asked` or later, a configuration was taken over, or found to be of no use: what
    /// [`configuration`](Self::configuration) then says is the answer to whoever asked for it then. `false` when the agent has stopped.
    /// Cancel safe.
    pub async fn reconfigured(&mut self, asked: Instant) -> bool {
        let answers = |status: &ConfigurationStatus| {
            status.since >= asked || status.failure.as_ref().is_some_and(|failure| failure.at >= asked)
        };
        self.configuration.wait_for(answers).await.is_ok()
    }

    /// Waits for the next apply, or the next failure of one. `false` when the agent has stopped. Cancel safe.
    pub async fn changed(&mut self) -> bool {
        self.applied.changed().await.is_ok()
    }
}

impl ServiceStatus {
    /// One word for a table: `waiting`, `ok`, `failing` or `ended`.
    pub fn state(&self) -> &'static str {
        self.health.state()
    }
}
