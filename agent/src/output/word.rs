//! Word of a failure beside HAProxy's file, for whoever looks while it lasts.

use haproxy_runtime::{ConfigFile, Failure};
use tokio::task::JoinSet;
use tracing::debug;

use super::chain;
use crate::Config;

/// Keeps the note of the last failure what it should be, without waiting for the disk.
#[derive(Debug)]
pub(super) struct Word {
    file: Option<ConfigFile>,
    /// One at a time, so that no older one comes last.
    writing: JoinSet<()>,
    next: Option<Outcome>,
    /// Whether there may be a note: an earlier run may have left one.
    exists: bool,
}

/// What the note is to say.
#[derive(Debug)]
enum Outcome {
    UpToDate,
    Failed(String),
}

impl Word {
    pub(super) fn new(file: Option<ConfigFile>) -> Self {
        Self { file, writing: JoinSet::new(), next: None, exists: true }
    }

    /// Notes an error, or that there is none any more.
    pub(super) fn put(&mut self, error: Option<&str>) {
        if error.is_some() || self.exists {
            self.exists = error.is_some();
            self.next = Some(error.map_or(Outcome::UpToDate, |error| Outcome::Failed(error.to_owned())));
            self.begin();
        }
    }

    fn begin(&mut self) {
        while self.writing.try_join_next().is_some() {}
        if !self.writing.is_empty() {
            return;
        }
        let (Some(file), Some(outcome)) = (&self.file, self.next.take()) else { return };
        let error = match outcome {
            Outcome::UpToDate => None,
            Outcome::Failed(error) => Some(error),
        };
        let file = file.clone();
        self.writing.spawn(async move {
            if let Err(error) = file.note_failure(error).await {
                debug!(error = chain(&error), "noting why HAProxy was not brought up to date");
            }
        });
    }

    /// Waits for the note to be what it should be. Cancel safe.
    pub(super) async fn finish(&mut self) {
        loop {
            self.begin();
            if self.writing.join_next().await.is_none() {
                return;
            }
        }
    }
}

impl Config {
    /// Why HAProxy was not brought up to date when this was last tried, by any process with this configuration, and when; `None` if
    /// it was, or if nobody can tell.
    ///
    /// It is kept in a note beside HAProxy's file while an agent runs, and after it has ended.
    pub async fn last_failure(&self) -> Option<Failure> {
        let failure = self.haproxy.output.file.as_ref()?.failure().await;
        failure.map_err(|error| debug!(error = chain(&error), "looking for word of a failure")).ok()?
    }
}
