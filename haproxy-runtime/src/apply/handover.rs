//! Going on otherwise, or in another's place.

use super::{Applier, Attempt, Counters};
use crate::live::LiveCounters;

/// What was done so far, for whoever takes over the work: the pace goes on, and so do the totals.
///
/// Failures are left behind: they were those of another way of doing it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Past {
    last: Option<Attempt>,
    counters: Counters,
    pub(crate) live: LiveCounters,
}

impl Applier {
    /// Goes on with the check, the reload and the pace of `other`, which was made for the same file and has done nothing yet. What was
    /// written, told and tried so far stays known; what has failed is tried again without a further pause for its failures.
    pub fn adopt(&mut self, other: Self) {
        if (&self.check, &self.reload) != (&other.check, &other.reload) {
            self.last = self.last.map(|last| Attempt { failures: 0, ..last });
            self.failed = None;
            self.reload_attempts = 0;
        }
        (self.check, self.reload, self.pace) = (other.check, other.reload, other.pace);
        // Nobody is left to do it.
        self.pending &= self.reload.is_some();
    }

    /// What [`with_past`](Self::with_past) wants to know.
    pub fn past(&self) -> Past {
        Past { last: self.last, counters: self.counters, live: LiveCounters::default() }
    }

    /// Takes the place of another, which writes elsewhere, say: HAProxy is left in peace for as long as that one would have left it.
    pub fn with_past(mut self, past: &Past) -> Self {
        self.last = past.last.map(|last| Attempt { failures: 0, ..last });
        self.counters = past.counters;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::{Applied, Command, Pace, Reload};

    const GAP: Duration = Duration::from_mins(1);

    fn applier(reload: &str, gap: Duration) -> Applier {
        let command = Command::shell(reload).unwrap();
        Applier::new(Pace::new(gap, 0.0).unwrap()).with_reload(Reload::new(command, Duration::from_secs(30)))
    }

    #[tokio::test]
    async fn a_successor_leaves_haproxy_in_peace_as_long_as_its_predecessor_would_have() {
        let mut first = applier("true", GAP);
        assert!(matches!(first.apply("a\n").await, Ok(Applied::Changed(_))));
        let mut second = applier("true", GAP).with_past(&first.past());
        assert_eq!(second.counters().reloads, 1);
        assert!(matches!(second.apply("b\n").await, Ok(Applied::Deferred { .. })));
    }

    #[tokio::test]
    async fn another_command_does_not_pay_for_the_failures_of_the_one_before() {
        let mut applier = applier("false", GAP);
        applier.apply("a\n").await.unwrap_err();
        assert!(applier.ready_at(Instant::now()).is_some());
        applier.adopt(self::applier("true", Duration::ZERO));
        assert!(matches!(applier.apply("a\n").await, Ok(Applied::Changed(_))));
    }

    #[tokio::test]
    async fn what_haproxy_was_told_is_not_told_again_by_another_pace() {
        let mut applier = applier("true", Duration::ZERO);
        applier.apply("a\n").await.unwrap();
        applier.adopt(self::applier("true", GAP));
        assert!(matches!(applier.apply("a\n").await, Ok(Applied::Unchanged)));
        assert!(matches!(applier.apply("b\n").await, Ok(Applied::Deferred { .. })));
    }
}
