//! Moments, as people and other machines count them.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

/// By how much the machine's clock may be off before it counts as set: more than a busy machine lets pass between two looks.
const SLACK: Duration = Duration::from_secs(5);

/// Tells the time of a moment the same way each time it is asked, until the machine's clock is set: so what has not happened again
/// keeps its time from one scrape to the next.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    /// A moment, and its time.
    anchor: Mutex<(Instant, SystemTime)>,
}

/// What a clock said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// When it was read.
    pub(super) now: Instant,
    /// The time of that.
    pub(super) at: SystemTime,
    /// When the clock was made.
    pub(super) started: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { started: now, anchor: Mutex::new((now, SystemTime::now())) }
    }

    pub(super) fn read(&self) -> Reading {
        self.read_at(Instant::now(), SystemTime::now())
    }

    fn read_at(&self, now: Instant, told: SystemTime) -> Reading {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = anchor.1.checked_add(now.saturating_duration_since(anchor.0)).unwrap_or(told);
        let off = told.duration_since(expected).unwrap_or_else(|error| error.duration());
        let at = if off > SLACK { told } else { expected };
        if off > SLACK {
            *anchor = (now, told);
        }
        Reading { now, at, started: self.started }
    }
}

impl Reading {
    /// How long ago that was, in seconds.
    pub(super) fn since(self, moment: Instant) -> f64 {
        seconds(self.now.saturating_duration_since(moment))
    }

    /// When that was, in seconds since 1970.
    pub(super) fn unix(self, moment: Instant) -> f64 {
        let ago = self.now.saturating_duration_since(moment);
        unix(self.at.checked_sub(ago).unwrap_or(UNIX_EPOCH))
    }
}

/// To the millisecond: finer, they would only be longer.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

pub(super) fn unix(at: SystemTime) -> f64 {
    seconds(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_moment_keeps_its_time_until_the_clock_is_set() {
        let clock = Clock::new();
        let (began, told) = (clock.started, SystemTime::now());
        let moment = began + 1234 * MS;
        let first = clock.read_at(began + 5000 * MS, told + 5000 * MS).unix(moment);
        // Somebody was late, or the clock was nudged.
        let second = clock.read_at(began + 9003 * MS, told + 9700 * MS).unix(moment);
        assert!((first - second).abs() < f64::EPSILON, "{first} {second}");
        let set = clock.read_at(began + 9100 * MS, told + 1_000_000 * MS).unix(moment);
        assert!((set - first - 990.9).abs() < 0.1, "{set} {first}");
        let again = clock.read_at(began + 9200 * MS, told + 1_000_099 * MS).unix(moment);
        assert!((again - set).abs() < f64::EPSILON, "{again} {set}");
    }

    #[test]
    fn what_is_to_come_was_no_time_ago() {
        let clock = Clock::new();
        let reading = clock.read();
        assert!(reading.since(reading.now + 5000 * MS).abs() < f64::EPSILON);
    }
}
