//! A watcher that plays a script.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use crate::{error::WatchError, snapshot::Snapshot, watcher::Watcher};

/// One thing that a [`ScriptedWatcher`] does.
#[derive(Debug)]
pub enum Step {
    /// Answers with this.
    Yield(Snapshot),
    /// Fails with this.
    Fail(WatchError),
    /// Waits this long, then goes on with the next step. A call that is dropped meanwhile does not start the wait over: it
    /// ends when it would have ended.
    Wait(Duration),
    /// Stays silent for ever; no later step is played.
    Hang,
}

/// A watcher that plays its steps, one answer a call, then stays silent for ever.
///
/// Dropping a call loses no step: a step is used up when its answer is returned.
///
/// ```
/// use std::time::Duration;
///
/// use discovery_core::{Snapshot, WatchError, Watcher, testing::{ScriptedWatcher, Step}};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut watcher = ScriptedWatcher::new([
///     Step::Yield(Snapshot::default()),
///     Step::Wait(Duration::from_secs(60)),
///     Step::Fail(WatchError::new("asking the registry")),
/// ]);
/// let calls = watcher.calls();
/// assert!(watcher.next().await.is_ok());
/// assert!(watcher.next().await.is_err());
/// assert_eq!(calls.count(), 2);
/// # }
/// ```
#[derive(Debug)]
pub struct ScriptedWatcher {
    steps: VecDeque<Step>,
    /// When the wait that is the first step ends.
    until: Option<Instant>,
    calls: Calls,
}

/// How often a [`ScriptedWatcher`] was asked; usable while somebody else owns the watcher.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<AtomicUsize>);

impl Calls {
    /// How many calls of `next` have begun, the ones that were dropped included.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl ScriptedWatcher {
    /// A watcher that plays `steps`.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), until: None, calls: Calls::default() }
    }

    /// Counts the calls from now on and before.
    pub fn calls(&self) -> Calls {
        self.calls.clone()
    }
}

#[async_trait]
impl Watcher for ScriptedWatcher {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        self.calls.0.fetch_add(1, Ordering::Relaxed);
        loop {
            match self.steps.pop_front() {
                Some(Step::Yield(snapshot)) => return Ok(snapshot),
                Some(Step::Fail(error)) => return Err(error),
                Some(Step::Wait(wait)) => {
                    // Back in its place until it is over: this call may be dropped.
                    self.steps.push_front(Step::Wait(wait));
                    let now = Instant::now();
                    // Too long for the clock is for ever.
                    let Some(end) = self.until.or_else(|| now.checked_add(wait)) else {
                        return pending().await;
                    };
                    self.until = Some(end);
                    sleep_until(end).await;
                    self.until = None;
                    self.steps.pop_front();
                }
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    return pending().await;
                }
                None => return pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_dropped_does_not_start_over() {
        let mut watcher = ScriptedWatcher::new([Step::Wait(10 * SECOND), Step::Yield(Snapshot::default())]);
        let start = Instant::now();
        for _ in 0..3 {
            assert!(timeout(3 * SECOND, watcher.next()).await.is_err());
        }
        assert!(watcher.next().await.is_ok());
        assert_eq!(start.elapsed(), 10 * SECOND);
        assert_eq!(watcher.calls().count(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn after_its_steps_and_in_a_hang_it_is_silent() {
        for steps in [vec![], vec![Step::Hang, Step::Yield(Snapshot::default())]] {
            let mut watcher = ScriptedWatcher::new(steps);
            for _ in 0..2 {
                assert!(timeout(3600 * SECOND, watcher.next()).await.is_err());
            }
        }
    }
}
