//! What to do about a failure.

use std::{fmt, io};

use agent::AgentError;
use anyhow::Error;

/// Sources that have not answered in time: a failure of commands that need all answers.
#[derive(Debug)]
pub(crate) struct Silent {
    /// Each service, with the last error of its source.
    pub(crate) services: String,
    /// What was done without them.
    pub(crate) so: &'static str,
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { services, so } = self;
        write!(f, "no answer for {services}{so}")
    }
}

impl std::error::Error for Silent {}

/// What somebody may do who is told of this error. Pure.
pub(crate) fn advice(error: &Error) -> Option<&'static str> {
    let io = |kind| {
        error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == kind))
    };
    if io(io::ErrorKind::PermissionDenied) {
        return Some(
            "run it as a user who may; the installation guide (docs/install.md) says which rights it needs",
        );
    }
    if io(io::ErrorKind::StorageFull) {
        return Some("make room on that disk; HAProxy goes on serving what it has");
    }
    if error.is::<Silent>() {
        return Some(
            "see that these registries can be reached from here, or give them longer (`agent.startup_wait`)",
        );
    }
    #[cfg(feature = "status")]
    if let Some(error) = error.downcast_ref() {
        return asking(error);
    }
    match error.downcast_ref::<AgentError>()? {
        AgentError::Unanswered { .. } => {
            Some("what the others said is applied; `synapse-rs services` shows what each registry says now")
        }
        AgentError::Apply(_) | AgentError::Live(_) => {
            Some("HAProxy goes on with what it has; `synapse-rs plan` shows what it lacks")
        }
        AgentError::Behind(_) => Some("HAProxy is up to date; run it again when the disk can be written to"),
        _ => None,
    }
}

/// What to do where the status of a running one can't be had.
#[cfg(feature = "status")]
fn asking(error: &agent::http::AskError) -> Option<&'static str> {
    use agent::http::AskError;
    match error {
        AskError::Connect { .. } => Some("see that it runs there, and that its configuration has `status`"),
        AskError::Ask(_) | AskError::Refused(_) | AskError::Understand(_) => {
            Some("somebody else seems to answer there: name the address that `status.listen` has")
        }
        AskError::Silent => Some("whoever is there hangs, or is too busy: its log says more"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_may_not_is_told_where_rights_are_written_down() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = Error::new(denied).context("writing haproxy.cfg");
        assert!(advice(&error).unwrap().contains("docs/install.md"));
    }

    #[test]
    fn who_waits_in_vain_is_told_of_the_other_command() {
        let error = AgentError::Unanswered { services: vec!["web".to_owned()], waited: Duration::ZERO };
        assert!(advice(&Error::new(error)).unwrap().contains("synapse-rs services"));
        let silent = Silent { services: "web".to_owned(), so: "" };
        assert_eq!(silent.to_string(), "no answer for web");
        assert!(advice(&Error::new(silent)).unwrap().contains("startup_wait"));
    }

    #[test]
    fn nothing_is_made_up_where_nothing_is_known() {
        assert_eq!(advice(&anyhow::anyhow!("stopped by a signal")), None);
    }
}
