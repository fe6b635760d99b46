//! Keeps the files as they should be while an agent runs.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use discovery_core::Backoff;
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

use super::{
    board::{Board, Wanted, Work},
    directory::{Directory, FileError},
};
use crate::{
    config::Config,
    fold::Served,
    meter::{Event, Meter},
    output::chain,
};

/// How long the disk may take over a round before that is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last round may take before an agent ends without it.
const LAST_ROUND: Duration = Duration::from_secs(5);
/// How much longer than a round the pause behind it is, and the longest pause.
const REST: u32 = 4;
const LONGEST_REST: Duration = Duration::from_secs(5);
/// How soon what failed is tried again, at first and at last.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Keeps the files of a running agent. Dropping it ends that; what is being written then is finished.
#[derive(Debug)]
pub(crate) struct Files {
    board: Arc<Board>,
    meter: Meter,
    /// `None`: there are no files.
    work: Option<Task>,
}

#[derive(Debug)]
struct Task {
    directory: PathBuf,
    stop: oneshot::Sender<()>,
    tasks: JoinSet<()>,
}

impl Files {
    /// Begins to keep the files that the configuration asks for.
    pub(crate) async fn start(board: Arc<Board>, config: &Config, meter: Meter) -> Self {
        let mut files = Self { board, meter, work: None };
        files.configure(config).await;
        files
    }

    /// Goes on with the files that another configuration asks for. Files of services that it does not have are removed; those in a
    /// directory that is not used any more stay. Who serves each service is to be [said](Self::say) again.
    pub(crate) async fn configure(&mut self, config: &Config) {
        let directory = config.file_output.as_ref();
        if self.work.as_ref().map(|work| &work.directory) != directory {
            let _ = self.finish().await;
            self.board.begin(directory.map(PathBuf::as_path));
            self.work = directory.map(|directory| {
                let (stop, stopped) = oneshot::channel();
                let mut tasks = JoinSet::new();
                let writer = Writer::new(directory.clone(), Arc::clone(&self.board), self.meter.clone());
                tasks.spawn(writer.run(stopped));
                Task { directory: directory.clone(), stop, tasks }
            });
        }
        let services = config.services.iter().filter(|service| service.has_file);
        self.board.keep(services.map(|service| service.name.as_str()));
    }

    /// Has the file of a service say who serves it. `heard`: its source has said so since the start; until then a file that is there
    /// stays as it is. Whether that is something else than before.
    pub(crate) fn say(&self, service: &str, served: &Served, heard: bool) -> bool {
        self.work.is_some() && self.board.want(service, served, heard)
    }

    /// Has all files looked at: somebody may have changed them.
    pub(crate) fn recheck(&self) {
        if self.work.is_some() {
            self.board.recheck();
        }
    }

    /// Has the files be as they should a last time, if the disk answers within some seconds.
    ///
    /// # Errors
    ///
    /// They are not, and why.
    pub(crate) async fn finish(&mut self) -> Result<(), String> {
        let Some(Task { stop, mut tasks, .. }) = self.work.take() else { return Ok(()) };
        // A task that has died can't be told.
        let _ = stop.send(());
        if timeout(LAST_ROUND, tasks.join_next()).await.is_err() {
            warn!(waited = ?LAST_ROUND, "files of services were not written at the end");
            return Err(format!("the disk does not answer within {LAST_ROUND:?}"));
        }
        match self.board.status().and_then(|status| status.error) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Has the files be as they should, one thing after the other.
struct Writer {
    path: PathBuf,
    board: Arc<Board>,
    meter: Meter,
    /// `None` until it was opened, and when a failure shows that it is not there any more.
    directory: Option<Directory>,
    failures: u32,
    /// What was logged last, while it fails.
    failing: Option<String>,
}

/// What came of a round.
#[derive(Default)]
struct Round {
    writes: u64,
    removals: u64,
    /// Those that were looked at, and those of them for which it failed.
    tried: BTreeSet<String>,
    failed: BTreeSet<String>,
    /// The first reason.
    error: Option<FileError>,
}

impl Writer {
    fn new(path: PathBuf, board: Arc<Board>, meter: Meter) -> Self {
        Self { path, board, meter, directory: None, failures: 0, failing: None }
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let backoff = Backoff::new(RETRY.0, RETRY.1)
            .expect("the shortest is more than nothing, and less than the longest");
        let mut failed = BTreeSet::new();
        let mut retry_at: Option<Instant> = None;
        let mut earliest = Instant::now();
        loop {
            let board = Arc::clone(&self.board);
            let due = async {
                board.due().await;
                sleep_until(earliest).await;
            };
            let last = tokio::select! {
                biased;
                _ = &mut stopped => true,
                () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => false,
                () = due => false,
            };
            let begun = Instant::now();
            if last || retry_at.is_some_and(|at| at <= begun) {
                self.board.again(std::mem::take(&mut failed));
                retry_at = None;
            }
            let round = self.round().await;
            let rest = (begun.elapsed() * REST).min(LONGEST_REST);
            earliest = Instant::now() + rest;
            failed.retain(|service| !round.tried.contains(service));
            failed.extend(round.failed.iter().cloned());
            if round.error.is_some() {
                self.failures = self.failures.saturating_add(1);
                retry_at.get_or_insert_with(|| Instant::now() + backoff.delay(self.failures));
            } else if failed.is_empty() {
                (self.failures, retry_at) = (0, None);
            }
            self.tell(&round, failed.len(), retry_at.is_some());
            if last {
                return;
            }
        }
    }

    /// Does what there is to do, and tells it when the disk takes long.
    async fn round(&mut self) -> Round {
        let (board, path) = (Arc::clone(&self.board), self.path.clone());
        let round = self.attempt();
        tokio::pin!(round);
        if let Ok(round) = timeout(PATIENCE, &mut round).await {
            return round;
        }
        warn!(path = %path.display(), waited = ?PATIENCE, "files of services are not written: the disk does not answer; waiting for it");
        board.tell(|status| status.error = Some(format!("the disk of {} does not answer", path.display())));
        round.await
    }

    async fn attempt(&mut self) -> Round {
        #[cfg(test)]
        self.board.disk().await;
        let Work { services, marked } = self.board.take();
        let tried = marked.iter().map(|(service, _)| service.clone()).collect();
        let mut round = Round { tried, ..Round::default() };
        let result = self.bring(&services, &marked, &mut round).await;
        if let Err(error) = result {
            // Nothing of it was done, or not all that follows from it.
            round.failed.extend(marked.into_iter().map(|(service, _)| service));
            round.error = Some(error);
        }
        if round.error.is_some()
            && let Some(directory) = &self.directory
            && !directory.is_there().await
        {
            self.directory = None;
        }
        round
    }

    async fn bring(
        &mut self,
        services: &BTreeSet<String>,
        marked: &[(String, Wanted)],
        round: &mut Round,
    ) -> Result<(), FileError> {
        let directory = match &mut self.directory {
            Some(directory) => directory,
            none => none.insert(Directory::open(self.path.clone()).await?),
        };
        let gone = directory.services().difference(services).cloned().collect();
        let (removed, result) = directory.remove(gone).await;
        round.removals = removed as u64;
        if let Err(error) = result {
            round.error = Some(error);
        }
        let mut puts = Vec::with_capacity(marked.len());
        for (service, wanted) in marked {
            match wanted {
                Wanted::These(snapshot) => puts.push((service, snapshot)),
                Wanted::OrElse(snapshot) => {
                    if !directory.has(service).await? {
                        puts.push((service, snapshot));
                    }
                }
            }
        }
        directory.claim(puts.iter().map(|(service, _)| (*service).clone())).await?;
        for (service, snapshot) in puts {
            match directory.put(service, snapshot.clone()).await {
                Ok(written) => round.writes += u64::from(written),
                Err(error) => {
                    round.failed.insert(service.clone());
                    round.error.get_or_insert(error);
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, round: &Round, failing: usize, fails: bool) {
        let error = round.error.as_ref().map(|error| chain(error));
        if let Some(error) = &error {
            self.meter.tell(Event::UpdateFailed { output: "file_output" });
            // Once for each reason: it is tried again and again.
            if self.failing.as_ref() != Some(error) {
                warn!(error, failing, "files of services were not written; trying again");
            }
            self.failing = Some(error.clone());
        } else if !fails && self.failing.take().is_some() {
            info!(path = %self.path.display(), "the files of services are written again");
        }
        let files = self.directory.as_ref().map(|directory| directory.services().len());
        let told = self.failing.clone();
        self.board.tell(|status| {
            status.writes += round.writes;
            status.removals += round.removals;
            status.files = files.unwrap_or(status.files);
            (status.error, status.failing) = (told, failing);
        });
    }
}
