//! What can go wrong, by stage.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use crate::{command::Output, socket::MasterError};

/// A step of reading or writing the configuration file; part of [`WriteError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Following symbolic links to the file that is really meant.
    Resolve,
    /// Reading what the file holds now.
    Read,
    /// Making the staging directory.
    Prepare,
    /// Removing a candidate that an earlier run left behind.
    Clear,
    /// Creating or writing the candidate.
    Stage,
    /// Renaming the candidate over the live file.
    Replace,
    /// Overwriting the live file, where it can't be replaced.
    Overwrite,
    /// Removing the note that a reload is due.
    Unmark,
    /// Keeping the text that HAProxy runs, before another takes its place.
    Keep,
    /// Noting what HAProxy was told before the file holds it.
    Note,
    /// Waiting for a disk that does not answer.
    Wait,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "finding the file behind",
            Self::Read => "reading",
            Self::Prepare => "preparing the staging directory",
            Self::Clear => "removing the leftover candidate",
            Self::Stage => "writing the candidate",
            Self::Replace => "replacing",
            Self::Overwrite => "overwriting",
            Self::Unmark => "removing the note of a pending reload",
            Self::Keep => "keeping the last good text in",
            Self::Note => "noting what HAProxy was told in",
            Self::Wait => "waiting for the disk of",
        })
    }
}

/// A step on the way to the live file failed. The live file is as it was.
#[derive(Debug, thiserror::Error)]
#[error("{step} {path:?}")]
pub struct WriteError {
    step: Step,
    path: PathBuf,
    source: io::Error,
}

impl WriteError {
    /// What was being done.
    pub fn step(&self) -> Step {
        self.step
    }

    /// What it was being done to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Shaped for `map_err`.
    pub(crate) fn at(step: Step, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { step, path, source }
    }

    pub(crate) fn refused(step: Step, path: &Path, why: &'static str) -> Self {
        Self::at(step, path)(io::Error::new(io::ErrorKind::InvalidInput, why))
    }
}

/// A command that can never run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommand {
    /// No words, or only blanks.
    #[error("the command is empty")]
    Empty,
    /// The system's strings end at a NUL byte.
    #[error("the command contains a NUL byte")]
    Nul,
}

/// A command did not end well.
///
/// `Display` holds the last lines of what it printed, escaped and bounded; [`Output::text`] has up to 64 KiB.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It could not be started: no such program, no more processes.
    #[error("starting the command")]
    Start(#[source] io::Error),
    /// The system did not say how it ended.
    #[error("waiting for the command")]
    Wait(#[source] io::Error),
    /// It ended with a status other than 0, or by a signal.
    #[error("the command ended with {status}{}", .output.tail())]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        output: Output,
    },
    /// It was still running at the deadline; it and everything in its process group was killed.
    #[error("the command was killed after {deadline:?}{}", .output.tail())]
    Deadline {
        /// How long it was allowed to run.
        deadline: Duration,
        /// What it printed until then.
        output: Output,
    },
}

impl CommandError {
    /// What the command printed; `None` when it never ran.
    pub fn output(&self) -> Option<&Output> {
        match self {
            Self::Start(_) | Self::Wait(_) => None,
            Self::Failed { output, .. } | Self::Deadline { output, .. } => Some(output),
        }
    }
}

/// A reload did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The command that reloads.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// HAProxy's master, which was asked to reload.
    #[error(transparent)]
    Master(#[from] MasterError),
}

/// A pace outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPace {
    /// Longer than a day.
    #[error("the gap between reloads is {0:?}, more than a day")]
    Gap(Duration),
    /// Negative, above 10, or not a number.
    #[error("the jitter is {0}, not a fraction from 0 to 10")]
    Jitter(f64),
}

/// Why HAProxy does not run what was asked for. Apply again, when [`Applier::ready_at`](crate::Applier::ready_at) says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The file could not be read or written. It is as it was; nothing was reloaded.
    #[error("writing the configuration")]
    Write(#[from] WriteError),
    /// A check is asked for, but the directory beside the file can't be written, so there is nothing to check.
    #[error(
        "the directory of {path:?} takes no candidate to check: name a candidate file in a directory that can be written"
    )]
    NoCandidate {
        /// The live file.
        path: PathBuf,
    },
    /// The check refused the candidate. The live file is as it was; nothing was reloaded.
    #[error("checking {candidate:?}, kept for inspection")]
    Check {
        /// Where the refused text lies until the next write.
        candidate: PathBuf,
        /// What the check said.
        source: CommandError,
    },
    /// The file is in place, but HAProxy was not reloaded. The reload stays pending.
    #[error("reloading HAProxy, attempt {attempt}")]
    Reload {
        /// How many reloads in a row have failed, this one included: from 1.
        attempt: u32,
        /// What the reload command, or HAProxy's master, said.
        source: ReloadError,
    },
}
