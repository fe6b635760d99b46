//! Whether a child counts.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    endpoint::Endpoint,
    snapshot::Snapshot,
    supervisor::{Health, Observed},
};

/// How long a child that failed once may take to recover, before it has failed.
pub(super) const LAPSE: Duration = Duration::from_secs(2);

/// How long the first answer of a child is waited for. Half of what an agent waits for the first answer of the whole.
pub(super) const FIRST: Duration = Duration::from_secs(5);

/// How a child stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    /// It has not answered, and it is too early to do without it.
    Awaited { until: Instant },
    /// What it says counts: until then, if it has just failed.
    Well { snapshot: &'a Snapshot, until: Option<Instant> },
    /// It has failed; this is what it said last.
    Failed { last: Option<&'a Snapshot> },
}

impl<'a> Standing<'a> {
    /// How a child stands, in a whole that was first asked at `started`.
    pub(super) fn of(observed: &'a Observed, started: Instant, now: Instant) -> Self {
        let last = observed.snapshot.as_ref();
        let recovers_until = match &observed.health {
            Health::Healthy => None,
            Health::Starting => Some(started + FIRST),
            Health::Degraded { failures: 0 | 1, since, .. } => Some(*since + LAPSE),
            Health::Degraded { .. } | Health::Ended { .. } => return Self::Failed { last },
        };
        match (last, recovers_until) {
            (_, Some(until)) if until <= now => Self::Failed { last },
            (Some(snapshot), until) => Self::Well { snapshot, until },
            (None, Some(until)) if now < started + FIRST => {
                Self::Awaited { until: until.min(started + FIRST) }
            }
            (None, _) => Self::Failed { last },
        }
    }

    /// What it said last.
    pub(super) fn last(&self) -> Option<&'a Snapshot> {
        match self {
            Self::Awaited { .. } => None,
            Self::Well { snapshot, .. } => Some(snapshot),
            Self::Failed { last } => *last,
        }
    }

    /// When it stands otherwise although nothing is heard of it.
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Self::Awaited { until } => Some(*until),
            Self::Well { until, .. } => *until,
            Self::Failed { .. } => None,
        }
    }

    pub(super) fn is_well(&self) -> bool {
        matches!(self, Self::Well { .. })
    }

    /// Whether it is well and has somebody who wants traffic.
    pub(super) fn has_somebody(&self) -> bool {
        matches!(self, Self::Well { snapshot, .. } if snapshot.iter().any(Endpoint::available))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::WatchError;

    fn observed(answered: bool, health: Health) -> Observed {
        let snapshot = answered.then(Snapshot::default);
        Observed { snapshot, confirmed: None, health, failures: 0 }
    }

    fn degraded(failures: u32, since: Instant) -> Health {
        Health::Degraded { failures, since, error: Arc::new(WatchError::new("asking")) }
    }

    #[test]
    fn one_failure_is_forgiven_for_a_while_and_a_second_is_not() {
        let start = Instant::now();
        let once = observed(true, degraded(1, start));
        let well = Standing::of(&once, start, start + LAPSE / 2);
        assert!(well.is_well());
        assert_eq!(well.until(), Some(start + LAPSE));
        let late = Standing::of(&once, start, start + LAPSE);
        assert!(!late.is_well() && late.last().is_some());
        assert!(!Standing::of(&observed(true, degraded(2, start)), start, start).is_well());
    }

    #[test]
    fn a_first_answer_is_awaited_but_not_for_ever_and_not_after_two_failures() {
        let start = Instant::now();
        let silent = observed(false, Health::Starting);
        assert_eq!(Standing::of(&silent, start, start), Standing::Awaited { until: start + FIRST });
        assert_eq!(Standing::of(&silent, start, start + FIRST), Standing::Failed { last: None });
        let failing = observed(false, degraded(1, start + FIRST - LAPSE / 2));
        let at = start + FIRST - LAPSE / 4;
        assert_eq!(Standing::of(&failing, start, at), Standing::Awaited { until: start + FIRST });
        let late = observed(false, degraded(1, start + FIRST));
        assert_eq!(Standing::of(&late, start, start + FIRST), Standing::Failed { last: None });
        let twice = observed(false, degraded(2, start));
        assert_eq!(Standing::of(&twice, start, start), Standing::Failed { last: None });
    }

    #[test]
    fn one_that_has_ended_is_not_well_and_keeps_its_last_answer() {
        let start = Instant::now();
        let ended = observed(true, Health::Ended { error: Arc::new(WatchError::new("closed")) });
        let standing = Standing::of(&ended, start, start);
        assert!(!standing.is_well() && standing.last().is_some());
    }
}
