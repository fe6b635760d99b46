//! What can go wrong between us and a master.

use std::{fmt, io, time::Duration};

use super::super::{address::SocketAddress, error::SocketFault, reply::shown};

/// Lines of a message in an error.
const LINES: usize = 8;

/// The master did not do, or did not say, what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MasterError {
    /// It can't be talked to.
    #[error("asking HAProxy's master at {address} to {command:?}")]
    Unreachable {
        /// Who was asked.
        address: SocketAddress,
        /// What.
        command: &'static str,
        /// Why not.
        #[source]
        fault: MasterFault,
    },
    /// What answers is the socket of a worker, a `stats socket`: it can't reload.
    #[error(
        "{address} is the socket of a worker (a `stats socket` line), which can't reload: give that of the master (`haproxy -W -S`)"
    )]
    Worker {
        /// Who was asked.
        address: SocketAddress,
    },
    /// The level of the master's socket does not permit it.
    #[error(
        "HAProxy's master at {address} does not permit {command:?}: give its `-S` the level `operator` or `admin`"
    )]
    NotPermitted {
        /// Who was asked.
        address: SocketAddress,
        /// What.
        command: &'static str,
    },
    /// What answers does not talk like a master.
    #[error(
        "{address} answered {command:?} with {reply:?}: is it the socket of HAProxy's master (`haproxy -W -S`)?"
    )]
    NotMaster {
        /// Who was asked.
        address: SocketAddress,
        /// What.
        command: &'static str,
        /// The start of the answer, escaped.
        reply: String,
    },
    /// HAProxy did not load its configuration. The worker that ran before goes on.
    #[error("HAProxy did not load its configuration{}", said(.message.as_deref()))]
    Refused {
        /// All that HAProxy said, as it said it; `None` up to version 2.6, which tells its own log only.
        message: Option<String>,
    },
    /// The reload did not end in time. Whether it will is not known.
    #[error(
        "HAProxy's master at {address} has not said within {deadline:?} what came of the reload: it hangs, or needs longer"
    )]
    Deadline {
        /// Who was asked.
        address: SocketAddress,
        /// How long it was waited for.
        deadline: Duration,
        /// The last failure to ask how things are, if the last question failed.
        source: Option<Box<MasterError>>,
    },
}

/// Why a master can't be talked to. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MasterFault {
    /// There is no such file.
    #[error(
        "there is no socket: HAProxy is not running, or was not started with `-W` and this path after `-S`"
    )]
    Missing,
    /// Nobody listens.
    #[error("nobody listens on the socket: HAProxy has ended, or the path is no socket")]
    Refused,
    /// The system forbids it.
    #[error(
        "this user may not use the socket: start HAProxy with `-S PATH,mode,660,group,GROUP` and a group of this user"
    )]
    Denied,
    /// The queue of connections stayed full.
    #[error("the queue of connections is full: HAProxy hangs, or somebody holds them all")]
    Full,
    /// Connecting failed in another way.
    #[error("connecting")]
    Connect(#[source] io::Error),
    /// It took the connection, and said not a word.
    #[error("not a word within {deadline:?}: HAProxy hangs, or what listens is no HAProxy")]
    Silent {
        /// How long it was waited for.
        deadline: Duration,
    },
    /// The connection ended early.
    #[error("the connection ended early: HAProxy has ended, or replaces itself")]
    Closed(#[source] io::Error),
}

impl MasterFault {
    /// Why there is no connection.
    pub(super) fn connecting(fault: SocketFault) -> Self {
        match fault {
            SocketFault::Missing => Self::Missing,
            SocketFault::Refused => Self::Refused,
            SocketFault::Denied => Self::Denied,
            SocketFault::Full => Self::Full,
            SocketFault::Connect(error) => Self::Connect(error),
            // Connecting ends in nothing else.
            other => Self::Connect(io::Error::other(other)),
        }
    }

    /// Whether a master that replaces itself may be the reason.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Refused | Self::Closed(_) | Self::Full => true,
            Self::Missing | Self::Denied | Self::Connect(_) | Self::Silent { .. } => false,
        }
    }
}

/// The lines of a message that say why, for the end of an error.
fn said(message: Option<&str>) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let Some(message) = message else { return f.write_str("; its log says why") };
        let alerts: Vec<_> =
            message.lines().filter(|line| line.starts_with("[ALERT]")).take(LINES).map(shown).collect();
        match alerts.as_slice() {
            [] => write!(f, ": {}", shown(message)),
            alerts => write!(f, ": {}", alerts.join(" | ")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_told_apart_and_comes_with_advice() {
        use io::ErrorKind as Kind;
        for (kind, advice, passing) in [
            (Kind::NotFound, "after `-S`", false),
            (Kind::PermissionDenied, "`-S PATH,mode,660,group,GROUP`", false),
            (Kind::ConnectionRefused, "HAProxy has ended", true),
            (Kind::WouldBlock, "somebody holds them all", true),
            (Kind::HostUnreachable, "connecting", false),
        ] {
            let fault = MasterFault::connecting(SocketFault::connecting(kind.into()));
            assert!(fault.to_string().contains(advice), "{fault}");
            assert_eq!(fault.is_passing(), passing, "{fault}");
        }
    }

    #[test]
    fn a_refusal_shows_the_alerts_and_no_control_characters() {
        let refused = |text: &str| MasterError::Refused { message: Some(text.to_owned()) }.to_string();
        let text = "[NOTICE] (1) : haproxy version\n[ALERT] (1) : unknown \x1b keyword\n[ALERT] (1) : fatal";
        assert_eq!(
            refused(text),
            "HAProxy did not load its configuration: [ALERT] (1) : unknown \\u{1b} keyword | [ALERT] (1) : fatal"
        );
        assert_eq!(refused("no\nalert"), "HAProxy did not load its configuration: no | alert");
        assert!(refused(&"[ALERT] x\n".repeat(1_000)).len() < 200);
        let silent = MasterError::Refused { message: None };
        assert_eq!(silent.to_string(), "HAProxy did not load its configuration; its log says why");
    }
}
