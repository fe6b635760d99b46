//! Why something failed, and whom it concerns.

use std::borrow::Cow;

use discovery_core::WatchError;

use crate::session::Fault;

/// How much of what a server or a client crate says is repeated, in characters.
const SHOWN: usize = 300;

/// Something failed. Cheap to clone: a lost session is told to every member.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    error: WatchError,
    scope: Scope,
}

/// Whom a failure concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One node: the session is as good as before.
    Node,
    /// The session: it cannot be used any further.
    Session,
}

impl Failure {
    pub(crate) fn new(scope: Scope, doing: impl Into<Cow<'static, str>>, cause: &str) -> Self {
        let cause = discovery_core::printable(cause, SHOWN);
        Self { error: WatchError::new(doing).because(cause), scope }
    }

    /// One of a single node's.
    pub(crate) fn of_node(doing: impl Into<Cow<'static, str>>, cause: &str) -> Self {
        Self::new(Scope::Node, doing, cause)
    }

    /// From what a session answers. A node that is gone concerns nobody but who asked for it.
    pub(crate) fn from_fault(doing: impl Into<Cow<'static, str>>, fault: &Fault) -> Self {
        let scope = match fault {
            Fault::NoNode | Fault::Refused(_) => Scope::Node,
            Fault::Lost(_) => Scope::Session,
        };
        Self::new(scope, doing, reason(fault))
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope
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
