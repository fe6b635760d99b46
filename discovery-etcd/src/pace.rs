//! How often what is done.

use std::time::Duration;

/// How often a connection and what is known are looked after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How long it takes to check every prefix once.
    pub(crate) cycle: Duration,
    /// How long a check waits for events that were under way when it listed.
    pub(crate) settle: Duration,
    /// How often the watch stream is asked whether it lives.
    pub(crate) beat: Duration,
    /// How long a connection must live to be a good one.
    pub(crate) stable: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            cycle: Duration::from_mins(10),
            settle: Duration::from_secs(2),
            beat: Duration::from_secs(30),
            stable: Duration::from_secs(2),
        }
    }
}
