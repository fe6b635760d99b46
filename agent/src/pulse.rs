//! A sign of life of the loop that applies.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::config;

/// How often a loop that waits says that it turns.
const EVERY: Duration = Duration::from_secs(2);
/// How long it is believed: far more than a busy machine keeps a program waiting.
const BELIEVED: Duration = Duration::from_secs(10);
/// What an apply may take beside checks and reloads: the answers of a HAProxy with very many servers, and of a slow disk.
const ALLOWANCE: Duration = Duration::from_mins(2);

/// Until when the loop need not be heard of, for those outside it to see that it hangs.
///
/// It is not a clock of its own: it is wound by the loop alone, in each turn, and while it waits by a future that the loop polls.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// `None`: nothing runs yet.
    until: Mutex<Option<Instant>>,
}

impl Pulse {
    /// The loop goes to work that may take so long.
    pub(crate) fn busy(&self, patience: Duration) {
        let now = Instant::now();
        // A setting of years is no reason to fail.
        let until = now.checked_add(patience).unwrap_or(now + ALLOWANCE);
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// For a loop that waits: to be polled beside whatever it waits for. Cancel safe.
    pub(crate) async fn waiting(&self) -> Infallible {
        loop {
            self.busy(BELIEVED);
            sleep(EVERY).await;
        }
    }

    /// Whether the loop was heard of as lately as it has to be.
    pub(crate) fn is_there(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() <= until)
    }
}

/// How long an apply may take: a file that is checked and loaded, put back, and loaded again.
pub(crate) fn patience(output: &config::Output) -> Duration {
    let check = output.check.as_ref().map_or(Duration::ZERO, |check| check.deadline);
    let reload = output.reload.as_ref().map_or(Duration::ZERO, haproxy_runtime::Reload::deadline);
    check.saturating_add(reload).saturating_mul(2).saturating_add(ALLOWANCE)
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn who_has_not_begun_is_not_there() {
        assert!(!Pulse::default().is_there());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_there_for_as_long_as_it_is_polled() {
        let pulse = Pulse::default();
        let _ = timeout(Duration::from_hours(1), pulse.waiting()).await;
        assert!(pulse.is_there());
        advance(BELIEVED + SECOND).await;
        assert!(!pulse.is_there());
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_believed_for_as_long_as_it_may_take_and_no_longer() {
        let pulse = Pulse::default();
        pulse.busy(100 * SECOND);
        advance(99 * SECOND).await;
        assert!(pulse.is_there());
        advance(2 * SECOND).await;
        assert!(!pulse.is_there());
    }

    #[tokio::test(start_paused = true)]
    async fn no_setting_is_too_long() {
        let pulse = Pulse::default();
        pulse.busy(Duration::MAX);
        assert!(pulse.is_there());
    }
}
