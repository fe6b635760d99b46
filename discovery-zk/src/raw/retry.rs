//! The pauses between attempts to connect, as they are written.

use std::time::Duration;

use discovery_core::{Backoff, Seconds};
use serde::Deserialize;

use crate::config::InvalidConfig;

/// What Synapse begins and ends its pauses at unless told otherwise.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(1));

/// `retry_policy`: its pauses, if it has any.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "WrittenPolicy")]
#[cfg_attr(feature = "schema", schemars(into = "WrittenPolicy"))]
pub(super) struct RetryPolicy(pub(super) Option<Backoff>);

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct WrittenPolicy {
    /// Has no effect: nothing gives up here. More than 0.
    #[serde(default)]
    max_attempts: Option<i64>,
    /// Has no effect: nothing gives up here. Seconds, more than 0.
    #[serde(default)]
    max_delay: Option<Seconds>,
    /// The first pause, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 0.5)))]
    base_interval: Option<Seconds>,
    /// The longest pause, in seconds, at most 3600.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 60)))]
    max_interval: Option<Seconds>,
}

impl TryFrom<WrittenPolicy> for RetryPolicy {
    type Error = InvalidConfig;

    fn try_from(policy: WrittenPolicy) -> Result<Self, InvalidConfig> {
        if policy.max_attempts.is_some_and(|attempts| attempts <= 0) {
            return Err(InvalidConfig::Attempts);
        }
        if policy.max_delay.is_some_and(|delay| delay.get().is_zero()) {
            return Err(InvalidConfig::Delay);
        }
        if policy.base_interval.is_none() && policy.max_interval.is_none() {
            return Ok(Self(None));
        }
        let base = policy.base_interval.map_or(PAUSES.0, Seconds::get);
        let max = policy.max_interval.map_or(PAUSES.1, Seconds::get);
        if max > Duration::from_hours(1) {
            return Err(InvalidConfig::Pauses);
        }
        Backoff::new(base, max).map(|backoff| Self(Some(backoff))).map_err(|_| InvalidConfig::Pauses)
    }
}
