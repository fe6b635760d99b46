//! From a text to an HAProxy that runs it.

mod handover;
mod part;
mod preview;

use std::{fmt, time::Duration};

use tokio::time::{Instant, sleep};

pub use self::handover::Past;
pub(crate) use self::part::put;
use crate::{
    check::Check,
    error::{ApplyError, CommandError, Step, WriteError},
    file::{ConfigFile, How, Prepared, Staged, Text, Written},
    reload::{Attempt, Pace, Reload},
};

/// What [`Applier::apply`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Applied {
    /// Nothing: the file holds the text and no reload is due.
    Unchanged,
    /// Nothing yet: the pace does not permit it before `until`. Apply then, or at the next change, whichever is first.
    Deferred {
        /// When the same text may be applied.
        until: Instant,
    },
    /// Everything that was due; `Display` says it in one line.
    Changed(Change),
}

/// What it took to apply a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Change {
    /// The write; `None` when only a reload was due, or writing is off.
    pub written: Option<Written>,
    /// How long the check ran; `None` when there is none, or nothing was written.
    pub checked: Option<Duration>,
    /// The reload; `None` when reloading is off.
    pub reloaded: Option<Reloaded>,
}

/// A reload that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// How long the command ran, or the master took.
    pub took: Duration,
    /// How many attempts it needed: from 1.
    pub attempt: u32,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut done = Vec::new();
        if let Some(took) = self.checked {
            done.push(format!("checked in {took:.1?}"));
        }
        if let Some(Written { bytes, how }) = &self.written {
            let how = match how {
                How::Rename => "",
                How::InPlace => " in place",
            };
            done.push(format!("wrote {bytes} bytes{how}"));
        }
        match &self.reloaded {
            Some(Reloaded { took, attempt: 1 }) => done.push(format!("reloaded in {took:.1?}")),
            Some(Reloaded { took, attempt }) => {
                done.push(format!("reloaded in {took:.1?} at attempt {attempt}"));
            }
            None => {}
        }
        f.write_str(&done.join(", "))
    }
}

/// Totals since the applier was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Texts that went live.
    pub writes: u64,
    /// Attempts at reading or writing the file that failed.
    pub write_failures: u64,
    /// Candidates that the check refused, or that could not be checked.
    pub check_failures: u64,
    /// Reloads that succeeded.
    pub reloads: u64,
    /// Reloads that failed.
    pub reload_failures: u64,
}

/// Applies texts: writes the file, has it checked, has HAProxy reloaded; at most as often as its [`Pace`] permits.
///
/// Each part is optional. Without a check, what is written goes live unchecked. Without a reload, the pace holds for
/// the writes, as somebody else reloads on them. Without a file there is nothing to check either, and each new text is
/// a reload, the first included.
///
/// Nothing is written before the reload is allowed too, so the file is what HAProxy runs, and changes that come faster
/// than the pace are merged into one.
///
/// # After a restart of this process
/// A file that already holds the text is not reloaded: HAProxy runs it. If an earlier process died between the write
/// and the reload, or its reload kept failing, a note beside the file says so (see [`Staged::commit_before_reload`]),
/// and the reload is made good. Where no such note can be made, that is lost.
#[derive(Debug)]
pub struct Applier {
    file: Option<ConfigFile>,
    check: Option<Check>,
    reload: Option<Reload>,
    pace: Pace,
    prepared: bool,
    /// A reload is due. Set before the write, so that a future dropped in between forgets nothing.
    pending: bool,
    reload_attempts: u32,
    last: Option<Attempt>,
    /// The text that failed last. Another one does not pay for its failures.
    failed: Option<Text>,
    /// Without a file: the text that HAProxy was last told of.
    told: Option<Text>,
    counters: Counters,
}

impl Applier {
    /// An applier that does nothing yet: give it a file, a reload, or both.
    pub fn new(pace: Pace) -> Self {
        Self {
            file: None,
            check: None,
            reload: None,
            pace,
            prepared: false,
            pending: false,
            reload_attempts: 0,
            last: None,
            failed: None,
            told: None,
            counters: Counters::default(),
        }
    }

    /// Writes to `file` (Synapse's `do_writes`).
    pub fn with_file(mut self, file: ConfigFile) -> Self {
        self.file = Some(file);
        self
    }

    /// Has candidates checked (Synapse's `do_checks`).
    pub fn with_check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// Reloads HAProxy (Synapse's `do_reloads`).
    pub fn with_reload(mut self, reload: Reload) -> Self {
        self.reload = Some(reload);
        self
    }

    /// Makes the staging directory and looks for a reload that is due: see [`ConfigFile::prepare`].
    ///
    /// Call it when the program starts. [`Applier::apply`] does it otherwise, and then has to wait for
    /// [`ConfigFile::HOLD`] if the directory is new. `None` without a file.
    pub async fn prepare(&mut self) -> Result<Option<Prepared>, WriteError> {
        let Some(file) = &self.file else { return Ok(None) };
        let prepared = file.prepare().await?;
        self.pending |= prepared.reload_pending && self.reload.is_some();
        self.prepared = true;
        Ok(Some(prepared))
    }

    /// Makes HAProxy run `text`.
    ///
    /// Apply the same text again after [`Applied::Deferred`] or an error; it does only what is still missing, and
    /// nothing before [`Applier::ready_at`].
    ///
    /// # Errors
    /// The file can't be written, the check refuses the text, or the reload fails. Except for the last one the live
    /// file is untouched. A reload that failed stays pending.
    ///
    /// A reload that was pending before is tried even when the new text can't go live: HAProxy then runs what the file
    /// holds. How that went shows in [`Applier::reload_pending`] and the counters, while the error is that of the text.
    ///
    /// # Cancel safety
    /// Dropping the future kills a check or a reload that runs; a write that has begun is finished. No reload is
    /// forgotten. The attempt does not count for the pace.
    pub async fn apply(&mut self, text: impl Into<Text>) -> Result<Applied, ApplyError> {
        let text = text.into();
        if self.failed.as_ref() == Some(&text)
            && let Some(until) = self.ready_at(Instant::now())
        {
            return Ok(Applied::Deferred { until });
        }
        let result = self.change(&text).await;
        match &result {
            Ok(Applied::Deferred { .. }) => {}
            Ok(Applied::Unchanged) => {
                self.failed = None;
                self.last = self.last.map(|last| Attempt { failures: 0, ..last });
            }
            Ok(Applied::Changed(_)) => {
                self.failed = None;
                self.last = Some(Attempt { ended: Instant::now(), failures: 0, draw: fastrand::f64() });
            }
            Err(error) => {
                let before = self.failures_of(&text);
                self.count(error);
                self.failed = Some(text);
                let failures = before.saturating_add(1);
                self.last = Some(Attempt { ended: Instant::now(), failures, draw: fastrand::f64() });
            }
        }
        result
    }

    /// When the text applied last may be applied again; `None`: at once.
    ///
    /// After failures that is later than for another text: see [`Pace`].
    pub fn ready_at(&self, now: Instant) -> Option<Instant> {
        let wait = self.pace.wait(self.last, now);
        (!wait.is_zero()).then(|| now + wait)
    }

    /// When a text other than the one applied last may be applied; `None`: at once.
    ///
    /// As [`Applier::ready_at`], but another text does not wait for the failures of that one.
    pub fn ready_at_for_another(&self, now: Instant) -> Option<Instant> {
        let last = self.last.map(|last| Attempt { failures: 0, ..last });
        let wait = self.pace.wait(last, now);
        (!wait.is_zero()).then(|| now + wait)
    }

    /// Whether the file holds a text that HAProxy was not yet told of.
    pub fn reload_pending(&self) -> bool {
        self.pending
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    async fn change(&mut self, text: &Text) -> Result<Applied, ApplyError> {
        if !self.prepared {
            self.prepare().await?;
        }
        let write_due = match &self.file {
            Some(file) => !file.holds(text.clone()).await?,
            None => false,
        };
        let news = self.file.is_none() && self.reload.is_some() && self.told.as_ref() != Some(text);
        if !write_due && !news && !self.pending {
            return Ok(Applied::Unchanged);
        }

        let now = Instant::now();
        let last = self.last.map(|last| Attempt { failures: self.failures_of(text), ..last });
        let wait = self.pace.wait(last, now);
        if !wait.is_zero() {
            return Ok(Applied::Deferred { until: now + wait });
        }

        let mut change = Change::default();
        if write_due && let Err(error) = self.write(text, &mut change).await {
            // HAProxy shall not go without what the file holds for as long as its successor is refused.
            if let Err(error) = self.reload_if_due().await {
                self.count(&error);
            }
            return Err(error);
        }
        if news {
            self.pending = true;
            self.told = Some(text.clone());
        }
        change.reloaded = self.reload_if_due().await?;
        Ok(Applied::Changed(change))
    }

    async fn write(&mut self, text: &Text, change: &mut Change) -> Result<(), ApplyError> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        let staged = file.within(file.stage(text.clone())).await?;
        let (staged, checked) = checked(self.check.as_ref(), staged, &file).await?;
        change.checked = checked;
        hold(&file).await;
        change.written = Some(self.commit(&file, staged).await?);
        self.counters.writes += 1;
        Ok(())
    }

    async fn commit(&mut self, file: &ConfigFile, staged: Staged) -> Result<Written, WriteError> {
        if self.reload.is_none() {
            return file.within(staged.commit()).await;
        }
        let before = self.pending;
        self.pending = true;
        let result = file.within(staged.commit_before_reload()).await;
        // What was given up on may be done later.
        if result.as_ref().is_err_and(|error| error.step() != Step::Wait) {
            self.pending = before;
        }
        result
    }

    async fn reload_if_due(&mut self) -> Result<Option<Reloaded>, ApplyError> {
        let Some(reload) = self.reload.as_ref().filter(|_| self.pending) else { return Ok(None) };
        let attempt = self.reload_attempts.saturating_add(1);
        let took = match reload.run().await {
            Ok(took) => took,
            Err(source) => {
                self.reload_attempts = attempt;
                return Err(ApplyError::Reload { attempt, source });
            }
        };
        self.pending = false;
        self.reload_attempts = 0;
        self.counters.reloads += 1;
        if let Some(file) = &self.file
            && let Err(error) = file.clear_reload_pending().await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the next start reloads once too often");
        }
        Ok(Some(Reloaded { took, attempt }))
    }

    /// How often in a row `text` itself has failed.
    fn failures_of(&self, text: &Text) -> u32 {
        match self.last {
            Some(last) if self.failed.as_ref() == Some(text) => last.failures,
            _ => 0,
        }
    }

    fn count(&mut self, error: &ApplyError) {
        let counter = match error {
            ApplyError::Write(_) => &mut self.counters.write_failures,
            ApplyError::NoCandidate { .. } | ApplyError::Check { .. } => &mut self.counters.check_failures,
            ApplyError::Reload { .. } => &mut self.counters.reload_failures,
        };
        *counter += 1;
    }
}

/// Hands the candidate back if it may go live, with the time that finding out took.
async fn checked(
    check: Option<&Check>,
    staged: Staged,
    file: &ConfigFile,
) -> Result<(Staged, Option<Duration>), ApplyError> {
    let Some(check) = check else { return Ok((staged, None)) };
    let Some(candidate) = staged.candidate() else {
        return Err(ApplyError::NoCandidate { path: file.path().to_owned() });
    };
    match check.run(candidate).await {
        Ok(output) => Ok((staged, Some(output.took()))),
        Err(source) => Err(refused(staged, source)),
    }
}

/// The refused candidate stays for the operator to look at.
fn refused(staged: Staged, source: CommandError) -> ApplyError {
    let candidate = staged.keep().unwrap_or_default();
    ApplyError::Check { candidate, source }
}

/// Lets somebody who watches the directory notice the new staging directory and watch again, before the write.
async fn hold(file: &ConfigFile) {
    let left = file.hold(Instant::now());
    if !left.is_zero() {
        tracing::info!(
            pause = ?left,
            "the staging directory is new: waiting, so that whoever watches its parent can't miss the write"
        );
        sleep(left).await;
    }
}
