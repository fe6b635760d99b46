//! How long to wait after failures.

use std::time::Duration;

use thiserror::Error;

/// How long to wait before asking again: doubled with each failure in a row, within bounds, with jitter, so that a thousand
/// machines that lost one registry do not come back to it in one instant.
///
/// The default is from half a second to 30 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

/// Bounds that make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidBackoff {
    /// No wait at all would ask a failing source as fast as the machine can.
    #[error("the shortest back-off must be longer than 0 s")]
    Zero,
    /// The longest is shorter than the shortest.
    #[error("the longest back-off ({max:?}) is shorter than the shortest ({min:?})")]
    Reversed {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
}

impl Backoff {
    /// Waits from `min` to `max`.
    pub fn new(min: Duration, max: Duration) -> Result<Self, InvalidBackoff> {
        if min.is_zero() {
            Err(InvalidBackoff::Zero)
        } else if max < min {
            Err(InvalidBackoff::Reversed { min, max })
        } else {
            Ok(Self { min, max })
        }
    }

    /// The wait after this many failures in a row (1 or more): between half and all of `min` doubled `failures - 1` times,
    /// at most `max`. `random` is from 0 to 1.
    pub fn delay_at(&self, failures: u32, random: f64) -> Duration {
        let doubled = self.min.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)));
        let longest = doubled.min(self.max);
        let half = longest / 2;
        half + half.mul_f64(random.clamp(0.0, 1.0))
    }

    /// [`delay_at`](Self::delay_at) with a random number.
    pub fn delay(&self, failures: u32) -> Duration {
        self.delay_at(failures, fastrand::f64())
    }

    /// A pace that a source asked for, held within the bounds: one that asks for an hour must not blind us.
    pub fn clamp(&self, asked: Duration) -> Duration {
        asked.clamp(self.min, self.max)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(500), max: Duration::from_secs(30) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_bound() {
        let backoff = Backoff::new(SECOND, 10 * SECOND).unwrap();
        let longest: Vec<_> = [1, 2, 3, 4, 5, u32::MAX]
            .iter()
            .map(|&failures| backoff.delay_at(failures, 1.0).as_secs())
            .collect();
        assert_eq!(longest, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn jitter_takes_up_to_half_away() {
        let backoff = Backoff::new(SECOND, 10 * SECOND).unwrap();
        assert_eq!(backoff.delay_at(1, 0.0), SECOND / 2);
        for _ in 0..100 {
            assert!((SECOND / 2..=SECOND).contains(&backoff.delay(1)));
        }
    }

    #[test]
    fn bounds_that_make_no_sense_are_refused() {
        assert_eq!(Backoff::new(Duration::ZERO, SECOND), Err(InvalidBackoff::Zero));
        assert_eq!(
            Backoff::new(2 * SECOND, SECOND),
            Err(InvalidBackoff::Reversed { min: 2 * SECOND, max: SECOND })
        );
    }

    #[test]
    fn a_pace_that_was_asked_for_is_held_within_the_bounds() {
        let backoff = Backoff::new(SECOND, 10 * SECOND).unwrap();
        assert_eq!(backoff.clamp(Duration::ZERO), SECOND);
        assert_eq!(backoff.clamp(3600 * SECOND), 10 * SECOND);
        assert_eq!(backoff.clamp(5 * SECOND), 5 * SECOND);
    }
}
