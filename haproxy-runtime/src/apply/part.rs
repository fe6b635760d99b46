//! The parts of applying, for who knows more than the text.

use tokio::time::Instant;

use super::{Applier, Attempt, hold};
use crate::{
    error::{ApplyError, WriteError},
    file::{ConfigFile, Text, Written},
};

impl Applier {
    pub(crate) fn file(&self) -> Option<&ConfigFile> {
        self.file.as_ref()
    }

    /// Whether candidates are checked.
    pub(crate) fn checks(&self) -> bool {
        self.check.is_some()
    }

    /// When what has failed so often in a row may be reloaded; `None`: at once.
    pub(crate) fn until(&self, failures: u32, now: Instant) -> Option<Instant> {
        let last = self.last.map(|last| Attempt { failures, ..last });
        let wait = self.pace.wait(last, now);
        (!wait.is_zero()).then(|| now + wait)
    }

    /// Makes `text` what the live file holds, without asking for more: unchecked, at any pace, and HAProxy is not told.
    /// `None` if it held that already.
    pub(crate) async fn write_alone(&mut self, text: &Text) -> Result<Option<Written>, ApplyError> {
        let written = self.put(text).await;
        self.count_write(&written);
        Ok(written?)
    }

    async fn put(&mut self, text: &Text) -> Result<Option<Written>, WriteError> {
        if !self.prepared {
            self.prepare().await?;
        }
        match &self.file {
            Some(file) => file.within(put(file, text)).await,
            None => Ok(None),
        }
    }

    /// Counts a write that was done by [`put`].
    pub(crate) fn count_write(&mut self, written: &Result<Option<Written>, WriteError>) {
        match written {
            Ok(Some(_)) => self.counters.writes += 1,
            Ok(None) => {}
            Err(_) => self.counters.write_failures += 1,
        }
    }

    /// The next apply reloads, if reloading is this program's.
    pub(crate) fn require_reload(&mut self) {
        self.pending |= self.reload.is_some();
    }

    /// HAProxy runs what the file holds: nothing is pending.
    pub(crate) async fn settle(&mut self) {
        if !self.pending {
            return;
        }
        self.pending = false;
        self.reload_attempts = 0;
        if let Some(file) = &self.file
            && let Err(error) = file.clear_reload_pending().await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the next start looks for a reload that is due"
            );
        }
    }

    /// Reloads at once, whatever the pace.
    pub(crate) async fn reload_now(&mut self) -> Result<(), ApplyError> {
        self.require_reload();
        let result = self.reload_if_due().await;
        if let Err(error) = &result {
            self.count(error);
        }
        result.map(drop)
    }

    /// Counts a reload that seemed to succeed.
    pub(crate) fn count_failed_reload(&mut self) {
        self.counters.reload_failures += 1;
    }

    /// Has `text` wait as after one more failure than `failures` in a row, whatever it was that failed.
    pub(crate) fn failed(&mut self, text: &Text, failures: u32) {
        self.failed = Some(text.clone());
        let failures = failures.saturating_add(1);
        self.last = Some(Attempt { ended: Instant::now(), failures, draw: fastrand::f64() });
    }

    /// How often in a row `text` itself has failed.
    pub(crate) fn failures(&self, text: &Text) -> u32 {
        self.failures_of(text)
    }
}

/// Makes `text` what the file holds; `None` if it held that already. The directory for staging has to be
/// [prepared](ConfigFile::prepare).
pub(crate) async fn put(file: &ConfigFile, text: &Text) -> Result<Option<Written>, WriteError> {
    if file.holds(text.clone()).await? {
        return Ok(None);
    }
    let staged = file.stage(text.clone()).await?;
    hold(file).await;
    staged.commit().await.map(Some)
}
