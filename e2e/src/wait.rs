//! Waiting for a state, never for an amount of time.

use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks: short against anything a scenario measures, long enough not to slow down what it waits for.
const EVERY: Duration = Duration::from_millis(5);

/// Calls `probe` every few milliseconds until it returns `Ok`, and returns that value.
///
/// `Err` says what was observed instead.
///
/// # Panics
/// `deadline` after the call, with `what` was waited for, what was observed last, and where the caller stands. A
/// probe that hangs is cut off at the deadline.
#[track_caller]
pub fn wait_until<T, P>(deadline: Duration, what: &str, mut probe: P) -> impl Future<Output = T>
where
    P: AsyncFnMut() -> Result<T, String>,
{
    let mut wait = Wait::new(deadline, what);
    async move {
        loop {
            if let Some(value) = wait.look(probe()).await {
                return value;
            }
        }
    }
}

/// A wait in progress, for loops of this crate: the future of an async closure is not known to be `Send`.
pub(crate) struct Wait<'a> {
    end: Instant,
    deadline: Duration,
    what: &'a str,
    caller: &'static Location<'static>,
    observed: String,
}

impl<'a> Wait<'a> {
    #[track_caller]
    pub(crate) fn new(deadline: Duration, what: &'a str) -> Self {
        let (end, caller) = (Instant::now() + deadline, Location::caller());
        Self { end, deadline, what, caller, observed: "nothing yet".to_owned() }
    }

    /// Looks once. If what it waits for is not there: pauses shortly and returns `None`, or panics at the deadline.
    pub(crate) async fn look<T>(&mut self, probe: impl Future<Output = Result<T, String>>) -> Option<T> {
        match timeout_at(self.end, probe).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(state)) => self.observed = state,
            Err(_) => self.observed.push_str(" (and a look that did not return)"),
        }
        let Self { end, deadline, what, caller, observed } = self;
        assert!(Instant::now() < *end, "{caller}: waited {deadline:?} for {what}; last observed: {observed}");
        sleep(EVERY).await;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_value_of_the_first_success_is_returned() {
        let mut looks = 0;
        let seen = wait_until(Duration::from_secs(1), "the third look", async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(format!("look {looks}")) }
        })
        .await;
        assert_eq!(seen, 3);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "waited 1s for a miracle; last observed: nothing special")]
    async fn a_deadline_tells_what_was_observed_last() {
        wait_until(Duration::from_secs(1), "a miracle", async || Err::<(), _>("nothing special".to_owned()))
            .await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "wait.rs")]
    async fn a_probe_that_hangs_is_cut_off() {
        wait_until(Duration::from_secs(1), "a probe", std::future::pending::<Result<(), String>>).await;
    }
}
