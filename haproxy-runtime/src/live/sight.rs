//! How HAProxy was found, for whoever looks.

use tokio::time::Instant;

use super::Cause;
use crate::socket::{Level, Process};

/// How HAProxy was last found at its sockets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sight {
    /// When it was looked for.
    pub at: Instant,
    /// Who answered.
    pub process: Option<Process>,
    /// Why it can't be changed by commands, whoever answered; `None`: it can.
    pub trouble: Option<Cause>,
}

impl Sight {
    pub(super) fn of(found: Result<&Process, &Cause>) -> Self {
        let process = found.ok().cloned();
        let level = process.as_ref().map(|process| process.level).filter(|level| *level != Level::Admin);
        let trouble = found.err().cloned().or(level.map(Cause::Level));
        Self { at: Instant::now(), process, trouble }
    }
}
