//! Making sure that a reload has done what it was for.

use std::{error::Error, fmt, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::{
    client::Socket,
    error::SocketError,
    process::{Identity, Process, Revision},
};

/// Pauses between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A reload that did what it was for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The process that runs the new revision.
    pub process: Process,
    /// How long it took until it said so.
    pub took: Duration,
}

/// What answered last.
#[derive(Debug)]
#[non_exhaustive]
pub enum Seen {
    /// Nobody yet, not even an error.
    Nobody,
    /// The process that was there before: the reload did not happen, or HAProxy refused the configuration.
    Old(Process),
    /// A process with another revision, or with none: HAProxy loads another file, or somebody else has written to it.
    Other(Process),
    /// A process of that revision that is ending, or one that was reached through its socket by chance.
    Ending(Process),
    /// An error: HAProxy has ended, or its new configuration has the socket somewhere else.
    Error(SocketError),
}

/// The new revision did not answer in time.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unverified {
    /// The revision.
    pub revision: Revision,
    /// How long it was waited for.
    pub deadline: Duration,
    /// What was there instead.
    pub seen: Seen,
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revision, deadline, seen } = self;
        write!(f, "HAProxy does not run revision {revision} after {deadline:?}: ")?;
        match seen {
            Seen::Nobody => f.write_str("it did not answer"),
            Seen::Old(process) => {
                write!(f, "{} still answers, so it was not reloaded or refused the file", process.identity)
            }
            Seen::Other(Process { identity, revision: Some(other), .. }) => {
                write!(f, "{identity} runs revision {other}, so it loads another file or somebody changed it")
            }
            Seen::Other(Process { identity, revision: None, .. }) => {
                write!(f, "{identity} has no revision, so it loads another file")
            }
            Seen::Ending(process) => write!(f, "{} is ending", process.identity),
            Seen::Error(_) => f.write_str("it can't be asked"),
        }
    }
}

impl Error for Unverified {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.seen {
            Seen::Error(error) => Some(error),
            _ => None,
        }
    }
}

/// Waits, after a reload, until a process that runs `revision` answers at `socket`, at most for `deadline`.
///
/// `before` is the process that was there before the reload, if it is known: it does not count, whatever it runs, as it
/// may have been told the same revision already.
///
/// # Errors
/// The deadline passed; the error has what was there instead.
///
/// # Cancel safety
/// Dropping the future changes nothing.
pub async fn verify(
    socket: &Socket,
    revision: &Revision,
    before: Option<Identity>,
    deadline: Duration,
) -> Result<Verified, Unverified> {
    let started = Instant::now();
    let end = started + deadline;
    let (mut pause, mut seen) = (FIRST_PAUSE, Seen::Nobody);
    loop {
        if let Ok(answer) = timeout_at(end, socket.process()).await {
            seen = match answer {
                Ok(process) if before == Some(process.identity) => Seen::Old(process),
                Ok(process) if process.revision.as_ref() != Some(revision) => Seen::Other(process),
                Ok(process) if process.stopping => Seen::Ending(process),
                Ok(process) => return Ok(Verified { process, took: started.elapsed() }),
                Err(error) => Seen::Error(error),
            };
        }
        if Instant::now() + pause >= end {
            return Err(Unverified { revision: revision.clone(), deadline, seen });
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
