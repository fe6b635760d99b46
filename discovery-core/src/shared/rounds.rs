//! Which attempt comes when.

use std::time::Duration;

/// A connection that lived for this long was one; of a server that hangs up sooner, time and again, each connection counts as
/// a failed attempt.
const STABLE: Duration = Duration::from_secs(2);

/// Counts failures: each server is tried at once after another failed, and all of them together back off.
#[derive(Debug)]
pub struct Rounds {
    servers: usize,
    stable: Duration,
    failed: usize,
    in_a_row: u32,
}

/// When to try the next server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Now.
    AtOnce,
    /// Every server has failed, this many times in a row.
    BackOff(u32),
}

impl Rounds {
    /// For so many servers.
    pub fn new(servers: usize) -> Self {
        Self { servers, stable: STABLE, failed: 0, in_a_row: 0 }
    }

    /// Takes connections that lived for this long for good ones, instead of two seconds.
    #[must_use]
    pub fn with_stable(mut self, stable: Duration) -> Self {
        self.stable = stable;
        self
    }

    /// An attempt has ended: without a connection (`None`), or with one that lived for so long. A connection that lived for two
    /// seconds, or for what [`with_stable`](Self::with_stable) says, starts the count over.
    pub fn ended(&mut self, lived: Option<Duration>) -> Next {
        if lived.is_some_and(|lived| lived >= self.stable) {
            (self.failed, self.in_a_row) = (0, 0);
            return Next::AtOnce;
        }
        self.failed += 1;
        if self.failed < self.servers {
            return Next::AtOnce;
        }
        self.failed = 0;
        self.in_a_row = self.in_a_row.saturating_add(1);
        Next::BackOff(self.in_a_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_tried_before_backing_off() {
        let mut rounds = Rounds::new(3);
        for round in 1..3 {
            assert_eq!(rounds.ended(None), Next::AtOnce);
            assert_eq!(rounds.ended(None), Next::AtOnce);
            assert_eq!(rounds.ended(None), Next::BackOff(round));
        }
    }

    #[test]
    fn a_connection_that_lived_starts_over() {
        let mut rounds = Rounds::new(1);
        assert_eq!(rounds.ended(None), Next::BackOff(1));
        assert_eq!(rounds.ended(None), Next::BackOff(2));
        assert_eq!(rounds.ended(Some(STABLE)), Next::AtOnce);
        assert_eq!(rounds.ended(None), Next::BackOff(1));
    }

    #[test]
    fn how_long_a_connection_has_to_live_is_for_whoever_counts_to_say() {
        let mut rounds = Rounds::new(1).with_stable(Duration::ZERO);
        assert_eq!(rounds.ended(Some(Duration::ZERO)), Next::AtOnce);
        assert_eq!(rounds.ended(None), Next::BackOff(1));
    }

    #[test]
    fn a_server_that_hangs_up_at_once_is_no_success() {
        let mut rounds = Rounds::new(1);
        assert_eq!(rounds.ended(Some(Duration::ZERO)), Next::BackOff(1));
        assert_eq!(rounds.ended(Some(Duration::ZERO)), Next::BackOff(2));
    }
}
