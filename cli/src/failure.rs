//! How the program fails.

use std::{fmt, process::ExitCode};

use crate::{advice::advice, log, screen::lines};

/// Why the program ends otherwise than well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the configuration is wrong: exit code 2.
    Usage(String),
    /// Something did not work: exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// Says why, on standard error, and what to do about it, if that is known.
    #[expect(clippy::print_stderr, reason = "the last words of the program, logged or not")]
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("{}", log::last_words(&self.to_string()));
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(report) => f.write_str(report),
            Self::Failed(error) => {
                write!(f, "synapse-rs: {}", lines(&format!("{error:#}")))?;
                advice(error).map_or(Ok(()), |advice| write!(f, "\n  next: {advice}"))
            }
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}
