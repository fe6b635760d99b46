//! Sources that can only be asked.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until, timeout};

use crate::{error::WatchError, snapshot::Snapshot, watcher::Watcher};

/// A source that can be asked, but does not speak by itself: a cloud's API, a file, DNS.
///
/// The rules of [`Watcher`] hold for its answers: whole or nothing, empty is an answer. [`Polled`] makes it a watcher.
#[async_trait]
pub trait Fetch: Send {
    /// Asks once, at once. Dropping the future must leave `self` fit to be asked again.
    async fn fetch(&mut self) -> Result<Snapshot, WatchError>;
}

#[async_trait]
impl<F: Fetch + ?Sized> Fetch for Box<F> {
    async fn fetch(&mut self) -> Result<Snapshot, WatchError> {
        (**self).fetch().await
    }
}

/// Asks a [`Fetch`] at intervals.
///
/// The first question is asked at once, each next one `every` (and up to a tenth more, at random) after the last answer. A
/// question that takes longer than the deadline is given up, and is an error. After an error the next call asks at once: how
/// long to wait is for whoever calls to say.
#[derive(Debug)]
pub struct Polled<F> {
    fetch: F,
    every: Duration,
    deadline: Duration,
    due: Option<Instant>,
}

impl<F: Fetch> Polled<F> {
    /// Asks `fetch` every so often, with a deadline of 30 s. Less than a millisecond is taken for one, which keeps it from
    /// spinning, and more than a year for a year, which the clock can count.
    pub fn new(fetch: F, every: Duration) -> Self {
        let every = every.clamp(Duration::from_millis(1), Duration::from_hours(365 * 24));
        Self { fetch, every, deadline: Duration::from_secs(30), due: None }
    }

    /// Changes how long one question may take.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

#[async_trait]
impl<F: Fetch> Watcher for Polled<F> {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        if let Some(due) = self.due {
            sleep_until(due).await;
        }
        let answer = timeout(self.deadline, self.fetch.fetch()).await;
        // A failure asks again at once, an answer after a pause. Nothing may be awaited after this line.
        self.due = None;
        match answer {
            Ok(Ok(snapshot)) => {
                self.due = Some(Instant::now() + self.every.mul_f64(1.0 + fastrand::f64() / 10.0));
                Ok(snapshot)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(WatchError::new(format!("waiting {:?} for an answer", self.deadline))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::endpoint::Endpoint;

    const EVERY: Duration = Duration::from_secs(10);

    /// Plays its answers in order; `None` never answers.
    struct Answers(VecDeque<Option<Result<Snapshot, WatchError>>>);

    #[async_trait]
    impl Fetch for Answers {
        async fn fetch(&mut self) -> Result<Snapshot, WatchError> {
            match self.0.pop_front() {
                Some(Some(answer)) => answer,
                _ => std::future::pending().await,
            }
        }
    }

    fn polled<const N: usize>(answers: [Option<Result<Snapshot, WatchError>>; N]) -> Polled<Answers> {
        Polled::new(Answers(answers.into()), EVERY)
    }

    fn some() -> Snapshot {
        Snapshot::new([Endpoint::new("10.0.0.1".parse().unwrap(), 80).unwrap()])
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_comes_at_once_and_the_next_after_the_interval() {
        let start = Instant::now();
        let mut source = polled([Some(Ok(some())), Some(Ok(Snapshot::default()))]);
        assert_eq!(source.next().await.unwrap(), some());
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(source.next().await.unwrap(), Snapshot::default());
        assert!((EVERY..=EVERY + EVERY / 10).contains(&start.elapsed()), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn no_interval_makes_it_spin_or_panic() {
        for every in [Duration::ZERO, Duration::MAX] {
            let mut source = Polled::new(Answers([Some(Ok(some())), Some(Ok(some()))].into()), every);
            assert!(source.next().await.is_ok());
            assert!(timeout(Duration::from_micros(500), source.next()).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_error_the_next_call_asks_at_once() {
        let mut source = polled([Some(Err(WatchError::new("asking"))), Some(Ok(some()))]);
        let start = Instant::now();
        assert!(source.next().await.is_err());
        assert_eq!(source.next().await.unwrap(), some());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_without_an_answer_is_given_up_at_the_deadline() {
        let mut source = polled([None]).with_deadline(Duration::from_secs(3));
        let start = Instant::now();
        assert_eq!(source.next().await.unwrap_err().to_string(), "waiting 3s for an answer");
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_wait_does_not_start_the_interval_again() {
        let mut source = polled([Some(Ok(some())), Some(Ok(some()))]);
        source.next().await.unwrap();
        let start = Instant::now();
        for _ in 0..3 {
            assert!(timeout(EVERY / 4, source.next()).await.is_err());
        }
        source.next().await.unwrap();
        assert!(start.elapsed() <= EVERY + EVERY / 10);
    }
}
