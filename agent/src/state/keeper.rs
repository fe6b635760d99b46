//! Writes the state file while an agent runs.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{error, info, warn};

use super::{
    file::{Aside, Loaded, StateError, StateFile},
    memory::Memory,
};
use crate::{
    config::Config,
    model::{Difference, Model},
    output::chain,
    status::Views,
};

/// Keeps the state file of a running agent. Dropping it ends that.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    memory: Arc<Memory>,
    /// `None`: there is no file to keep.
    work: Option<Work>,
}

#[derive(Debug)]
struct Work {
    stop: oneshot::Sender<()>,
    tasks: JoinSet<()>,
}

/// The least time between two writes.
const GAP: Duration = Duration::from_secs(10);
/// As much of its time as this a large file may take: one part in so many.
const SHARE: u32 = 20;
/// How long the last write may take before an agent ends without it.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// Reads the state file, and gives `model` what it has of services whose source has not answered. `None`: there is none to read.
/// Changes nothing on disk.
async fn load(config: &Config, memory: &Memory, model: &mut Model) -> Option<(StateFile, Option<Aside>)> {
    let file = config.haproxy.state.clone()?;
    let written = config.haproxy.output.file.as_ref().map(|file| file.path().to_owned());
    if let Some(other) = &written
        && same_file(file.path(), other).await
    {
        error!(path = %file.path().display(), "the state file is HAProxy's configuration by another name: no state is kept");
        return None;
    }
    let Loaded { mut remembered, aside } = file.load(SystemTime::now()).await;
    let changed = match &written {
        Some(path) => tokio::fs::metadata(path).await.and_then(|found| found.modified()).ok(),
        None => None,
    };
    let newer = changed.is_some_and(|changed| changed > remembered.written);
    let used = config.services().filter_map(|name| {
        let entry = remembered.services.remove(name)?;
        model.recall(name, &entry, newer).then(|| (name.to_owned(), entry))
    });
    memory.begin(used.collect(), remembered.services);
    Some((file, aside))
}

/// Reads the state file for whoever changes nothing, and gives `model` what it has.
pub(crate) async fn recall(config: &Config, memory: &Memory, model: &mut Model) {
    let _ = load(config, memory, model).await;
}

impl Keeper {
    /// Reads the state file, if the configuration names one, into `model` and `memory`, and begins to keep it.
    pub(crate) async fn start(
        config: &Config,
        memory: Arc<Memory>,
        model: &mut Model,
        views: watch::Receiver<Views>,
    ) -> Self {
        let Some((file, aside)) = load(config, &memory, model).await else {
            return Self { memory, work: None };
        };
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(Writer { file, aside, failing: None }, Arc::clone(&memory), views, stopped));
        Self { memory, work: Some(Work { stop, tasks }) }
    }

    /// Goes on as `config` has it, where `before` has become that by `difference`. What is kept of services that have come is given to
    /// `model`, and what is kept of those that have gone forgotten.
    pub(crate) async fn reconfigure(
        &mut self,
        before: &Config,
        config: &Config,
        difference: &Difference,
        model: &mut Model,
        views: watch::Receiver<Views>,
    ) {
        for service in &difference.removed {
            self.memory.forget(service.as_str());
        }
        if !before.haproxy.keeps_state_like(&config.haproxy) {
            self.finish().await;
            self.memory.end();
            *self = Self::start(config, Arc::clone(&self.memory), model, views).await;
            return;
        }
        for service in &difference.added {
            let entry = self.memory.other(service.as_str());
            if entry.is_some_and(|entry| model.recall(service.as_str(), &entry, false)) {
                self.memory.restore(service.as_str());
            }
        }
    }

    /// Takes over what `model` has learnt of a service.
    pub(crate) fn note(&self, service: &str, model: &Model) {
        if self.work.is_some()
            && let Some((known, ids, restored)) = model.known(service)
        {
            self.memory.note(service, known, ids, restored);
        }
    }

    /// How old what the state file has of a service is, if that is served.
    pub(crate) fn age(&self, service: &str) -> Option<Duration> {
        self.memory.restored(service).map(|restored| restored.age())
    }

    /// Has the file written though nothing is new: so its age tells whether an agent is at work.
    pub(crate) fn beat(&self) {
        if self.work.is_some() {
            self.memory.mark();
        }
    }

    /// Writes the file a last time, if the disk answers within some seconds.
    pub(crate) async fn finish(&mut self) {
        let Some(Work { stop, mut tasks }) = self.work.take() else { return };
        // A task that has died can't be told.
        let _ = stop.send(());
        if timeout(LAST_WRITE, tasks.join_next()).await.is_err() {
            warn!(waited = ?LAST_WRITE, "the state file was not written at the end");
        }
    }
}

/// Whether both are there, and one.
async fn same_file(one: &Path, other: &Path) -> bool {
    let (one, other) = (tokio::fs::canonicalize(one).await, tokio::fs::canonicalize(other).await);
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}

/// Writes when there is something to write, at a bounded pace, and at the end.
async fn keep(
    mut writer: Writer,
    memory: Arc<Memory>,
    views: watch::Receiver<Views>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut earliest = Instant::now();
    loop {
        let last = tokio::select! {
            biased;
            _ = &mut stopped => true,
            () = memory.due(earliest) => false,
        };
        let begun = Instant::now();
        let now = views.borrow().clone();
        writer.write(&memory, &now).await;
        if last {
            return;
        }
        earliest = Instant::now() + GAP.max(begun.elapsed() * SHARE);
    }
}

struct Writer {
    file: StateFile,
    /// To be done before the first write.
    aside: Option<Aside>,
    failing: Option<String>,
}

impl Writer {
    async fn write(&mut self, memory: &Memory, views: &Views) {
        let attempt = self.attempt(memory, views).await;
        let path = self.file.path().display();
        match attempt {
            Ok(bytes) => {
                if self.failing.take().is_some() {
                    info!(%path, "the state file is written again");
                }
                memory.tell(|status| {
                    status.written = Some(Instant::now());
                    status.bytes = bytes;
                    status.writes += 1;
                    status.error = None;
                });
            }
            Err(error) => {
                let error = chain(&error);
                memory.tell(|status| status.error = Some(error.clone()));
                // Once for each reason: it is tried again and again.
                if self.failing.as_ref() != Some(&error) {
                    warn!(%path, error, "the state file was not written; trying again");
                }
                self.failing = Some(error);
                memory.mark();
            }
        }
    }

    async fn attempt(&mut self, memory: &Memory, views: &Views) -> Result<u64, StateError> {
        if let Some(aside) = &self.aside {
            self.file.put_aside(aside).await?;
            self.aside = None;
        }
        let now = SystemTime::now();
        let mut remembered = memory.take(now, views);
        remembered.services = self.file.expire(now, remembered.services).kept;
        self.file.write(remembered).await
    }
}
