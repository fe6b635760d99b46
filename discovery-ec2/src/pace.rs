//! How often to ask.

use std::time::Duration;

use discovery_core::Backoff;

/// The interval is lengthened to at most this many times what was asked for,
const MOST: f64 = 8.0;
/// and beyond this not at all.
const LONGEST: Duration = Duration::from_mins(10);

/// Lengthens the interval while EC2 wants fewer calls: to double with each answer that says so; shorter by a quarter with each
/// good one.
#[derive(Debug)]
pub(crate) struct Pace {
    stretch: f64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { stretch: 1.0 }
    }

    pub(crate) fn throttled(&mut self) {
        self.stretch = (self.stretch * 2.0).min(MOST);
    }

    /// Returns whether the interval is what was asked for again, and was not before.
    pub(crate) fn answered(&mut self) -> bool {
        let before = self.stretch;
        self.stretch = (before * 0.75).max(1.0);
        before > 1.0 && self.stretch <= 1.0
    }

    /// The interval now.
    pub(crate) fn interval(&self, asked: Duration) -> Duration {
        asked.mul_f64(self.stretch).min(LONGEST.max(asked))
    }

    /// When to ask again after an answer: up to a tenth later than asked for, so that machines that started together do not ask
    /// together for ever. `random` is from 0 to 1.
    pub(crate) fn next(&self, asked: Duration, random: f64) -> Duration {
        self.interval(asked).mul_f64(1.0 + random / 10.0)
    }

    /// When to ask again after this many failures in a row, with full jitter: between nothing and all of `backoff`'s longest
    /// wait; for a throttled call, between nothing and the lengthened interval, if that is longer, so that on average there is
    /// no more than one an interval.
    pub(crate) fn retry(
        &self,
        throttled: bool,
        asked: Duration,
        backoff: Backoff,
        failures: u32,
        random: f64,
    ) -> Duration {
        let longest = backoff.delay_at(failures, 1.0);
        let longest = if throttled { longest.max(self.interval(asked)) } else { longest };
        longest.mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Duration = Duration::from_secs(15);

    #[test]
    fn throttling_lengthens_the_interval_and_answers_shorten_it_again() {
        let mut pace = Pace::new();
        let mut seen = Vec::new();
        for _ in 0..4 {
            pace.throttled();
            seen.push(pace.interval(ASKED).as_secs());
        }
        assert_eq!(seen, [30, 60, 120, 120]);
        let mut answers = 1;
        while !pace.answered() {
            answers += 1;
            assert!(pace.interval(ASKED) > ASKED);
        }
        assert_eq!((answers, pace.interval(ASKED)), (8, ASKED));
        assert!(!pace.answered());
    }

    #[test]
    fn the_interval_has_a_bound_and_is_never_shorter_than_asked_for() {
        let mut pace = Pace::new();
        pace.throttled();
        assert_eq!(pace.interval(Duration::from_mins(8)), LONGEST);
        assert_eq!(pace.interval(Duration::from_hours(2)), Duration::from_hours(2));
    }

    #[test]
    fn jitter_adds_up_to_a_tenth() {
        let pace = Pace::new();
        assert_eq!(pace.next(ASKED, 0.0), ASKED);
        assert_eq!(pace.next(ASKED, 1.0), ASKED + ASKED / 10);
    }

    #[test]
    fn failures_are_retried_with_full_jitter_below_a_growing_bound() {
        let pace = Pace::new();
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(20)).unwrap();
        let longest = |failures| pace.retry(false, ASKED, backoff, failures, 1.0).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6].map(longest), [1, 2, 4, 8, 16, 20]);
        assert_eq!(pace.retry(false, ASKED, backoff, 9, 0.0), Duration::ZERO);
        assert_eq!(pace.retry(true, ASKED, backoff, 1, 1.0), ASKED);
        assert_eq!(pace.retry(true, ASKED, backoff, 9, 0.5), Duration::from_secs(10));
    }
}
