//! What can go wrong between us and a process, and what is then known.

use std::{error::Error, fmt, io, time::Duration};

use super::{
    address::SocketAddress,
    command_line::InvalidCommandLine,
    process::{Identity, Level, Revision},
    reply::shown,
};

/// Talking to HAProxy failed. [`SocketError::fault`] says how, [`SocketError::outcome`] what it means for what runs.
#[derive(Debug)]
pub struct SocketError {
    address: SocketAddress,
    fault: SocketFault,
    outcome: Outcome,
}

impl SocketError {
    pub(super) fn new(address: SocketAddress, fault: SocketFault, outcome: Outcome) -> Self {
        Self { address, fault, outcome }
    }

    /// Whom it was tried to talk to.
    pub fn address(&self) -> &SocketAddress {
        &self.address
    }

    /// What went wrong; also the [`source`](Error::source).
    pub fn fault(&self) -> &SocketFault {
        &self.fault
    }

    /// What is known about the changes that were asked for.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}

// By hand: thiserror takes the `source` for the cause of something said here, while all is said by the fault.
impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "talking to HAProxy at {}", self.address)
    }
}

impl Error for SocketError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.fault)
    }
}

/// What is known about the changes that a failed batch was to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// None was made. Do it again, or do something else.
    Nothing,
    /// They were made in a process that is ending: find its successor, see what it runs, and plan anew.
    Lost,
    /// Some may have been made. See what runs, and plan anew; or write the file and reload.
    Unknown,
}

/// What went wrong. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketFault {
    /// One of the commands is none; nothing was sent.
    #[error("command {number} can't be sent")]
    Command {
        /// Which one, from 1.
        number: usize,
        /// Why.
        source: InvalidCommandLine,
    },
    /// There is no such file.
    #[error("there is no socket: HAProxy is not running, or its `stats socket` line names another path")]
    Missing,
    /// Nobody listens.
    #[error(
        "nobody listens on the socket: HAProxy has ended or is just being replaced, or the path is no socket"
    )]
    Refused,
    /// The system forbids it.
    #[error(
        "this user may not use the socket: set `user`, `group` or `mode` on HAProxy's `stats socket` line"
    )]
    Denied,
    /// The queue of connections stayed full.
    #[error(
        "the queue of connections is full: raise `stats maxconn` (10 by default), or find who holds the sessions"
    )]
    Full,
    /// Connecting failed in another way.
    #[error("connecting")]
    Connect(#[source] io::Error),
    /// HAProxy took the connection, and said not a word.
    #[error(
        "not a word within {deadline:?}: HAProxy hangs, or all its sessions (`stats maxconn`, 10 by default) are taken"
    )]
    Silent {
        /// How long it was waited for.
        deadline: Duration,
    },
    /// HAProxy did not answer all commands in time.
    #[error("only {answered} of {sent} commands were answered within {deadline:?}")]
    Deadline {
        /// How long it was waited for.
        deadline: Duration,
        /// How many replies were complete.
        answered: usize,
        /// How many commands were sent together.
        sent: usize,
    },
    /// The connection ended early.
    #[error(
        "the connection ended after {answered} of {sent} commands: HAProxy has ended, or refuses a command"
    )]
    Closed {
        /// How many replies were complete.
        answered: usize,
        /// How many commands were sent together.
        sent: usize,
        /// What the system said; `None` for an ordinary end.
        source: Option<io::Error>,
    },
    /// What came is not what HAProxy says.
    #[error("what answers does not talk like HAProxy: {excerpt:?}")]
    Garbage {
        /// Its beginning, escaped.
        excerpt: String,
    },
    /// It is the master's command line.
    #[error(
        "this is the socket of HAProxy's master: the one of its worker is needed, from a `stats socket` line"
    )]
    Master,
    /// More than was asked for.
    #[error("more than {limit} bytes were sent in reply")]
    TooMuch {
        /// How many bytes would have been taken.
        limit: u64,
    },
    /// The socket is there to look, not to change.
    #[error("the socket has level {level}: write `level admin` on HAProxy's `stats socket` line")]
    NotAdmin {
        /// Its level.
        level: Level,
    },
    /// Somebody else answered than the process that the changes were made for.
    #[error("{found} answers instead of {expected}: HAProxy was reloaded or started anew")]
    OtherProcess {
        /// For whom the changes were.
        expected: Identity,
        /// Who is there.
        found: Identity,
    },
    /// It is the process that the changes were made for, and does not run what they begin with.
    #[error(
        "{process} does not run what it ran: somebody else has changed it, or its number is that of another"
    )]
    OtherRevision {
        /// Which one.
        process: Identity,
        /// What it runs; `None` if it does not say.
        runs: Option<Revision>,
    },
    /// The process that answered is ending.
    #[error("{process} answers, but is ending: HAProxy is just being reloaded or stopped")]
    Stopping {
        /// Which one.
        process: Identity,
    },
}

impl SocketFault {
    /// Whether there is another process than the one that was known, or will be.
    pub(crate) fn is_about_another(&self) -> bool {
        matches!(self, Self::OtherProcess { .. } | Self::OtherRevision { .. } | Self::Stopping { .. })
    }

    pub(super) fn garbage(text: &str) -> Self {
        Self::Garbage { excerpt: shown(text) }
    }

    /// Why there is no connection.
    pub(super) fn connecting(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            // A reset is what one gets who is in the queue of a listener that just closes.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Self::Refused,
            io::ErrorKind::PermissionDenied => Self::Denied,
            // A Unix socket says so when its queue of connections is full.
            io::ErrorKind::WouldBlock => Self::Full,
            _ => Self::Connect(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_told_apart() {
        use io::ErrorKind as Kind;
        let told = |kind: Kind| SocketFault::connecting(kind.into());
        assert!(matches!(told(Kind::NotFound), SocketFault::Missing));
        assert!(matches!(told(Kind::ConnectionRefused), SocketFault::Refused));
        assert!(matches!(told(Kind::ConnectionReset), SocketFault::Refused));
        assert!(matches!(told(Kind::PermissionDenied), SocketFault::Denied));
        assert!(matches!(told(Kind::WouldBlock), SocketFault::Full));
        let other = told(Kind::HostUnreachable);
        assert!(matches!(&other, SocketFault::Connect(_)) && other.source().is_some(), "{other:?}");
    }
}
