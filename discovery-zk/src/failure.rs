//! Why something failed.

use std::borrow::Cow;

use discovery_core::WatchError;

use crate::session::Fault;

/// How much of what a server or a client crate says is repeated, in characters.
const SHOWN: usize = 300;

/// Something failed. Cheap to clone: a lost session is told to every member.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    error: WatchError,
}

impl Failure {
    pub(crate) fn new(doing: impl Into<Cow<'static, str>>, cause: &str) -> Self {
        let cause = discovery_core::printable(cause, SHOWN);
        Self { error: WatchError::new(doing).because(cause) }
    }

    /// From what a session answers.
    pub(crate) fn from_fault(doing: impl Into<Cow<'static, str>>, fault: &Fault) -> Self {
        Self::new(doing, reason(fault))
    }

    /// What was being done, and why it failed.
    pub(crate) fn error(&self) -> &WatchError {
        &self.error
    }
}

/// What a fault is, in words.
pub(crate) fn reason(fault: &Fault) -> &str {
    match fault {
        Fault::NoNode => "there is no such node",
        Fault::Refused(cause) | Fault::Lost(cause) => cause,
    }
}
