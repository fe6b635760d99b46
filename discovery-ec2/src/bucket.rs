//! How many calls may be made.

use std::{fmt, time::Duration};

use tokio::time::{Instant, sleep_until};

/// How many calls may follow each other at once.
///
/// What the account has, for all programs in it together and for each region: `DescribeInstances` takes one from a bucket of 50
/// that is filled with 10 a second (AWS, "Request throttling for the Amazon EC2 API", where it says more for filtered and paged
/// questions such as ours). One process of many takes a fifth of the bucket and a tenth of the refill, at most.
pub(crate) const BURST: u32 = 10;

/// How many calls a second may be made in the long run.
pub(crate) const PER_SECOND: u32 = 1;

const ONE: Duration = Duration::from_nanos(1_000_000_000 / PER_SECOND as u64);

/// What AWS grants all programs of an account together, a second.
const ACCOUNT_PER_SECOND: u32 = 10;

/// Calls that may be made now, and one more with each second that passes.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// When the bucket will be full, or was last.
    full: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(now: Instant) -> Self {
        Self { full: now }
    }

    /// Waits until a call may be made, and takes it.
    ///
    /// # Cancel safety
    ///
    /// A call that nobody waits for any more is not taken.
    pub(crate) async fn take(&mut self) {
        sleep_until(self.free(Instant::now())).await;
        self.full = self.full.max(Instant::now()) + ONE;
    }

    /// When there is a call to be taken.
    fn free(&self, now: Instant) -> Instant {
        (self.full.max(now) + ONE).checked_sub(ONE * BURST).map_or(now, |free| free.max(now))
    }
}

/// More calls than this process may make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Excess {
    pages: usize,
    /// The shortest and the longest interval.
    every: Duration,
    longest: Duration,
    per_second: f64,
}

impl Excess {
    /// What so many pages each so often come to, if that is too much: pages and interval of one chain after the other.
    pub(crate) fn of(chains: impl IntoIterator<Item = (usize, Duration)>) -> Option<Self> {
        let none = Self { pages: 0, every: Duration::MAX, longest: Duration::ZERO, per_second: 0.0 };
        let sum = chains.into_iter().fold(none, |sum, (pages, every)| Self {
            pages: sum.pages + pages,
            every: sum.every.min(every),
            longest: sum.longest.max(every),
            per_second: sum.per_second + rate(pages, every),
        });
        (sum.per_second > f64::from(PER_SECOND)).then_some(sum)
    }

    /// Calls a second that were asked for.
    pub(crate) fn per_second(&self) -> f64 {
        self.per_second
    }
}

#[allow(clippy::cast_precision_loss, reason = "pages are few")]
fn rate(pages: usize, every: Duration) -> f64 {
    pages as f64 / every.as_secs_f64().max(0.001)
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pages, every, longest, per_second } = self;
        let wanted = if *pages == 1 { "1 page".to_owned() } else { format!("{pages} pages") };
        let wanted = if every == longest {
            format!("{wanted} every {every:?}")
        } else {
            format!("{wanted}, some every {every:?} and some every {longest:?},")
        };
        let bearable = per_second / f64::from(PER_SECOND) * every.as_secs_f64();
        write!(
            f,
            "{wanted} would be {per_second:.1} calls a second; one process makes {PER_SECOND}, of the \
             {ACCOUNT_PER_SECOND} that AWS grants an account and region: check_interval should be {} s or more",
            bearable.ceil()
        )
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    /// Takes so many calls, and says after how many seconds each could be made.
    async fn taken(bucket: &mut Bucket, count: usize) -> Vec<u64> {
        let start = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..count {
            bucket.take().await;
            waits.push(start.elapsed().as_secs());
        }
        waits
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_followed_by_one_call_a_second() {
        let mut bucket = Bucket::new(Instant::now());
        assert_eq!(taken(&mut bucket, 13).await, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_used_is_saved_up_to_a_burst() {
        let mut bucket = Bucket::new(Instant::now());
        taken(&mut bucket, 10).await;
        advance(Duration::from_secs(2)).await;
        assert_eq!(taken(&mut bucket, 3).await, [0, 0, 1]);
        advance(Duration::from_hours(1)).await;
        assert_eq!(taken(&mut bucket, 11).await[9..], [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_waits_for_any_more_is_not_taken() {
        let mut bucket = Bucket::new(Instant::now());
        taken(&mut bucket, 10).await;
        for _ in 0..100 {
            assert!(bucket.take().now_or_never().is_none());
        }
        assert_eq!(taken(&mut bucket, 2).await, [1, 2]);
    }

    #[test]
    fn asking_too_often_is_told_with_the_arithmetic() {
        let seconds = Duration::from_secs_f64;
        assert_eq!(Excess::of([(1, seconds(15.0))]), None);
        assert_eq!(Excess::of([(2, seconds(2.0))]), None);
        let excess = Excess::of([(2, seconds(0.5))]).unwrap();
        assert_eq!(
            excess.to_string(),
            "2 pages every 500ms would be 4.0 calls a second; one process makes 1, of the 10 that AWS grants an account and \
             region: check_interval should be 2 s or more"
        );
        assert!(Excess::of([(1, seconds(1.5)), (1, seconds(1.5))]).is_some());
        let mixed = Excess::of([(1, seconds(1.0)), (6, seconds(60.0))]).unwrap().to_string();
        assert!(
            mixed.starts_with("7 pages, some every 1s and some every 60s, would be 1.1 calls a second"),
            "{mixed}"
        );
        assert!(Excess::of([(1, Duration::ZERO)]).is_some());
    }
}
