//! Why HAProxy does not run what it should.

use std::fmt;

use super::{Cause, Deed};
use crate::{error::ApplyError, socket::Unverified};

/// HAProxy does not run what was asked for. Apply again, when [`Live::ready_at`](super::Live::ready_at) says.
#[derive(Debug)]
pub struct LiveError {
    pub(super) fault: LiveFault,
    pub(super) causes: Vec<Cause>,
    pub(super) restored: Restored,
    pub(super) done: Option<Box<Deed>>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveFault {
    /// The file could not be written, the check refused it, or the reload failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The reload seemed to succeed, but HAProxy does not run what it was for.
    #[error(transparent)]
    Unverified(#[from] Unverified),
}

/// What became of the file after a reload that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restored {
    /// It was not touched, or holds what HAProxy could not be reloaded with: because it could not be put back, or is what a HAProxy that
    /// is not there yet is to start with.
    No,
    /// It holds again what HAProxy still runs.
    Running,
    /// It holds again what was there before, and HAProxy was reloaded with that, as nobody answered any more.
    Reloaded,
    /// It holds again what was there before. What HAProxy runs is not known.
    File,
}

impl LiveError {
    /// What went wrong; also the [`source`](std::error::Error::source).
    pub fn fault(&self) -> &LiveFault {
        &self.fault
    }

    /// Why commands would not do.
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// What became of the file.
    pub fn restored(&self) -> Restored {
        self.restored
    }

    /// What could be done by commands all the same.
    pub fn done(&self) -> Option<&Deed> {
        self.done.as_deref()
    }
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("changing what HAProxy runs")?;
        if let [first, rest @ ..] = self.causes.as_slice() {
            write!(f, ", by a reload, because {first}")?;
            for cause in rest.iter().take(2) {
                write!(f, "; {cause}")?;
            }
        }
        f.write_str(match self.restored {
            Restored::No => "",
            Restored::Running => " (HAProxy goes on with the last good file, which is back in place)",
            Restored::Reloaded => " (the last good file is back in place, and HAProxy was reloaded with it)",
            Restored::File => " (the last good file is back in place)",
        })
    }
}

impl std::error::Error for LiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.fault)
    }
}
