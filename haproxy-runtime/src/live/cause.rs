//! Why commands would not do.

use std::{error::Error, fmt};

use haproxy_render::plan::Reason;

use crate::socket::{Identity, Level, Reply, Revision, SocketError};

/// Why HAProxy was, or has to be, reloaded. `Display` says it in words, fit for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// No command brings about what is wanted.
    Needed(Reason),
    /// HAProxy can't be talked to: why.
    Unreachable(String),
    /// Several sockets, and not one process behind them.
    Several(usize),
    /// The socket is there to look, not to change.
    Level(Level),
    /// The process that answers is ending, and no other has come in its place.
    Ending(Identity),
    /// The file is not one of this program's, can't be read, or says something else than what is wanted beyond servers and
    /// backends: so what HAProxy runs is not known.
    File,
    /// The process does not run what the file says.
    Revision {
        /// What it runs; `None` if it does not say.
        runs: Option<Revision>,
    },
    /// HAProxy refused a command, or did not answer it as it should.
    Refused {
        /// The command.
        command: String,
        /// The first lines of the answer, escaped.
        reply: String,
    },
    /// A change was cut off half-way.
    Interrupted,
    /// What was repaired is wrong again.
    Relapse,
    /// HAProxy was replaced again and again meanwhile.
    Restless,
    /// A reload failed before, or was forgotten by a process that died.
    Pending,
}

impl Cause {
    pub(super) fn unreachable(error: &SocketError) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Self::Unreachable(text)
    }

    pub(super) fn refused(command: &str, reply: &Reply) -> Self {
        Self::Refused { command: command.chars().take(200).collect(), reply: reply.shown().to_string() }
    }

    /// Whether the process that runs has been found to be in need of a reload, whatever the file holds. Otherwise only what
    /// the file does not hold yet is a reason for one.
    pub(super) fn is_about_the_process(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Several(_) | Self::Level(_) | Self::Ending(_) | Self::File => false,
            Self::Needed(_)
            | Self::Revision { .. }
            | Self::Refused { .. }
            | Self::Interrupted
            | Self::Relapse
            | Self::Restless
            | Self::Pending => true,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needed(reason) => reason.fmt(f),
            Self::Unreachable(why) => f.write_str(why),
            Self::Several(count) => {
                write!(f, "{count} HAProxy processes answer, and only one can be followed")
            }
            Self::Level(level) => {
                write!(
                    f,
                    "the socket has level {level}: write `level admin` on HAProxy's `stats socket` line"
                )
            }
            Self::Ending(process) => write!(f, "{process} is ending"),
            Self::File => f.write_str("what HAProxy runs can't be told from its file"),
            Self::Revision { runs: Some(revision) } => {
                write!(f, "HAProxy runs revision {revision}, which is not that of its file")
            }
            Self::Revision { runs: None } => f.write_str("HAProxy does not say that it runs its file"),
            Self::Refused { command, reply } if reply.is_empty() => {
                write!(f, "HAProxy answered nothing to {command:?}")
            }
            Self::Refused { command, reply } => write!(f, "HAProxy answered {reply:?} to {command:?}"),
            Self::Interrupted => f.write_str("an earlier change was cut off half-way"),
            Self::Relapse => f.write_str("what was repaired is wrong again"),
            Self::Restless => f.write_str("HAProxy was replaced again and again meanwhile"),
            Self::Pending => f.write_str("an earlier reload is still due"),
        }
    }
}
