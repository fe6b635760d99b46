//! Asking somebody who knows (`haproxy -c`) before a candidate goes live.

use std::{path::Path, time::Duration};

use crate::{
    command::{Command, Output},
    error::CommandError,
};

/// A command that decides whether a candidate may go live: status 0 is yes, anything else no.
///
/// The command finds the candidate's path in the environment as `SYNAPSE_CANDIDATE`, so the shell form can be
/// `haproxy -c -f "$SYNAPSE_CANDIDATE"`; naming the path in the command works as well.
///
/// `haproxy -c` ends with 2 for a file that is valid but listens on nothing: that counts as no.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What to run.
    pub command: Command,
    /// How long it may run before it is killed and counts as no.
    pub deadline: Duration,
}

impl Check {
    /// A check by `command`, killed after `deadline`.
    pub fn new(command: Command, deadline: Duration) -> Self {
        Self { command, deadline }
    }

    /// Has `candidate` checked. What the command prints is logged: at `debug` when it agrees, at `warn` when not.
    ///
    /// # Cancel safety
    /// Dropping the future kills the command.
    pub async fn run(&self, candidate: &Path) -> Result<Output, CommandError> {
        let result =
            self.command.run_with(self.deadline, &[("SYNAPSE_CANDIDATE", candidate.as_os_str())]).await;
        Output::log("check", &result);
        result
    }
}
