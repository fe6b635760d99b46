//! Runs a watcher for as long as it is wanted.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use crate::{
    backoff::Backoff,
    error::{Retry, WatchError},
    snapshot::Snapshot,
    watcher::Watcher,
};

/// What is known of a service: the last good answer, and how its source is doing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Observed {
    /// The last good answer; `None` until there was one. A failure never takes it away.
    pub snapshot: Option<Snapshot>,
    /// When the source last said so, or said that it still is so.
    pub confirmed: Option<Instant>,
    /// How the source is doing.
    pub health: Health,
    /// How often it has failed since it was first asked.
    pub failures: u64,
}

impl Observed {
    fn failed(&mut self, health: Health) {
        self.failures = self.failures.saturating_add(1);
        self.health = health;
    }
}

/// How a source is doing. These are all the cases there are: whoever shows them is to match each.
#[derive(Debug, Clone, Default)]
pub enum Health {
    /// It was asked and has not answered yet.
    #[default]
    Starting,
    /// Its last answer was good.
    Healthy,
    /// It fails and is asked again. What is known of it may be out of date.
    Degraded {
        /// Failures in a row.
        failures: u32,
        /// When the first of them was.
        since: Instant,
        /// The last of them.
        error: Arc<WatchError>,
    },
    /// It ended for good ([`Retry::Never`]) and is not asked again.
    Ended {
        /// What it said last.
        error: Arc<WatchError>,
    },
}

impl Health {
    /// One word for a table: `waiting`, `ok`, `failing` or `ended`.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Starting => "waiting",
            Self::Healthy => "ok",
            Self::Degraded { .. } => "failing",
            Self::Ended { .. } => "ended",
        }
    }

    /// The last error, unless the last answer was good.
    pub fn error(&self) -> Option<&WatchError> {
        match self {
            Self::Starting | Self::Healthy => None,
            Self::Degraded { error, .. } | Self::Ended { error } => Some(error),
        }
    }
}

/// Runs `watcher` and publishes what it says, until `stop` is ready, every receiver of `publish` is gone, or the watcher ends
/// for good.
///
/// Nothing is spawned: the caller decides where this runs. `service` names the service in the log. Receivers are woken when
/// something is different: another snapshot, or another health; an equal answer of a healthy source renews
/// [`Observed::confirmed`] without waking anybody.
///
/// Failures are logged when they begin, each time their number has quadrupled, and when they are over. Entries that the source has
/// and nobody understands are logged when they appear.
///
/// # Cancel safety
///
/// Dropping the future stops the watcher; what was published stays.
pub async fn supervise<W: Watcher>(
    service: &str,
    watcher: W,
    backoff: Backoff,
    publish: watch::Sender<Observed>,
    stop: impl Future<Output = ()>,
) {
    tokio::select! {
        // `stop` first, and work lets go after each answer: a watcher that always has news cannot outrun it.
        biased;
        () = stop => {}
        () = publish.closed() => {}
        () = work((service, None), watcher, backoff, &publish, name_refused) => {}
    }
}

/// As [`supervise`], for one source of several that are told as one: whoever tells them names the entries that are refused.
pub(crate) async fn supervise_part<W: Watcher>(
    service: &str,
    source: &str,
    watcher: W,
    backoff: Backoff,
    publish: watch::Sender<Observed>,
) {
    work((service, Some(source)), watcher, backoff, &publish, |_, _, _| {}).await;
}

/// Asks until the watcher ends for good. `refused` is shown each other answer, after the one before it.
async fn work<W: Watcher>(
    (service, source): (&str, Option<&str>),
    mut watcher: W,
    backoff: Backoff,
    publish: &watch::Sender<Observed>,
    refused: fn(&str, Option<&Snapshot>, &Snapshot),
) {
    let mut failing: Option<(u32, Instant)> = None;
    loop {
        match watcher.next().await {
            Ok(snapshot) => {
                if let Some((failures, since)) = failing.take() {
                    info!(service, source, failures, after = ?since.elapsed(), "source answers again");
                }
                answered(publish, snapshot, |old, new| refused(service, old, new));
                breathe().await;
            }
            Err(error) => {
                let (failures, since) = failing.map_or_else(
                    || (1, Instant::now()),
                    |(failures, since)| (failures.saturating_add(1), since),
                );
                failing = Some((failures, since));
                let when = error.when();
                let error = Arc::new(error);
                let pause = match when {
                    Retry::Backoff => backoff.delay(failures),
                    Retry::After(asked) => backoff.clamp(asked),
                    Retry::Never => {
                        warn!(service, source, error = %error.chain(), "source has ended; its last answer stays in use");
                        publish.send_modify(|now| now.failed(Health::Ended { error }));
                        return;
                    }
                };
                if failures.is_power_of_two() && failures.trailing_zeros() % 2 == 0 {
                    warn!(service, source, error = %error.chain(), failures, ?pause, "source fails; its last answer stays in use");
                }
                publish.send_modify(|now| now.failed(Health::Degraded { failures, since, error }));
                sleep(pause).await;
            }
        }
    }
}

/// Lets the caller look at other things once.
async fn breathe() {
    let mut breathed = false;
    poll_fn(|context| {
        if std::mem::replace(&mut breathed, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Publishes a good answer; `differs` is shown one that is another than the last.
fn answered(
    publish: &watch::Sender<Observed>,
    snapshot: Snapshot,
    differs: impl FnOnce(Option<&Snapshot>, &Snapshot),
) {
    publish.send_if_modified(|now| {
        now.confirmed = Some(Instant::now());
        let healthy = matches!(now.health, Health::Healthy);
        now.health = Health::Healthy;
        if now.snapshot.as_ref() == Some(&snapshot) {
            return !healthy;
        }
        differs(now.snapshot.as_ref(), &snapshot);
        now.snapshot = Some(snapshot);
        true
    });
}

/// Logs the entries that are refused for the first time.
fn name_refused(service: &str, old: Option<&Snapshot>, new: &Snapshot) {
    let known = old.map_or(&[][..], |old| old.rejected().named());
    for rejection in new.rejected().named() {
        // Sorted, so a service with thousands of bad entries costs no more than it must.
        if known.binary_search_by(|old| old.entry().cmp(rejection.entry())).is_err() {
            warn!(
                service,
                entry = rejection.entry(),
                error = rejection.reason(),
                "skipping an entry of the source"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, time::Duration};

    use async_trait::async_trait;

    use super::*;
    use crate::endpoint::Endpoint;

    struct Script(VecDeque<Result<Snapshot, WatchError>>);

    #[async_trait]
    impl Watcher for Script {
        async fn next(&mut self) -> Result<Snapshot, WatchError> {
            match self.0.pop_front() {
                Some(step) => step,
                None => std::future::pending().await,
            }
        }
    }

    fn some() -> Snapshot {
        Snapshot::new([Endpoint::new("10.0.0.1".parse().unwrap(), 80).unwrap()])
    }

    fn down() -> Result<Snapshot, WatchError> {
        Err(WatchError::new("asking the registry"))
    }

    fn run<const N: usize>(steps: [Result<Snapshot, WatchError>; N]) -> watch::Receiver<Observed> {
        let (publish, observed) = watch::channel(Observed::default());
        let script = Script(steps.into());
        tokio::spawn(supervise("web", script, Backoff::default(), publish, std::future::pending()));
        observed
    }

    #[tokio::test(start_paused = true)]
    async fn last_good_survives_an_outage() {
        let mut seen = run([Ok(some()), down(), down()]);
        let state = seen.wait_for(|now| matches!(now.health, Health::Degraded { failures: 2, .. })).await;
        assert_eq!(state.unwrap().snapshot, Some(some()));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_while_a_source_fails_and_start_over_when_it_answers() {
        let start = Instant::now();
        let mut seen = run([down(), down(), down(), Ok(some()), down(), Ok(Snapshot::default())]);
        seen.wait_for(|now| now.snapshot.is_some()).await.unwrap();
        let first = start.elapsed();
        assert!((Duration::from_millis(1750)..=Duration::from_millis(3500)).contains(&first), "{first:?}");
        seen.wait_for(|now| now.snapshot == Some(Snapshot::default())).await.unwrap();
        assert!(start.elapsed() <= first + Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn an_equal_answer_renews_the_age_and_wakes_nobody() {
        struct Repeats(Option<()>);
        #[async_trait]
        impl Watcher for Repeats {
            async fn next(&mut self) -> Result<Snapshot, WatchError> {
                if self.0.is_some() {
                    sleep(Duration::from_secs(1)).await;
                }
                self.0 = Some(());
                Ok(some())
            }
        }
        let (publish, mut seen) = watch::channel(Observed::default());
        tokio::spawn(supervise("web", Repeats(None), Backoff::default(), publish, std::future::pending()));
        seen.wait_for(|now| now.snapshot.is_some()).await.unwrap();
        let before = seen.borrow_and_update().confirmed.unwrap();
        sleep(Duration::from_millis(5500)).await;
        assert!(!seen.has_changed().unwrap());
        assert_eq!(seen.borrow().confirmed.unwrap() - before, Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_ends_is_not_asked_again_and_keeps_its_last_answer() {
        let end = WatchError::new("the registry is closed").retry(Retry::Never);
        let mut seen = run([Ok(some()), Err(end), Ok(Snapshot::default())]);
        let state = seen.wait_for(|now| matches!(now.health, Health::Ended { .. })).await.unwrap().clone();
        assert_eq!(state.snapshot, Some(some()));
        assert!(seen.changed().await.is_err(), "supervise has returned");
    }

    #[tokio::test(start_paused = true)]
    async fn it_stops_when_told_to_in_the_middle_of_a_pause() {
        let (publish, mut seen) = watch::channel(Observed::default());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let task =
            tokio::spawn(supervise("web", Script([down()].into()), Backoff::default(), publish, stopped));
        seen.wait_for(|now| now.health.error().is_some()).await.unwrap();
        let asked = Instant::now();
        stop.send(()).unwrap();
        task.await.unwrap();
        assert_eq!(asked.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn it_stops_although_the_watcher_always_has_news() {
        struct Chatty;
        #[async_trait]
        impl Watcher for Chatty {
            async fn next(&mut self) -> Result<Snapshot, WatchError> {
                Ok(some())
            }
        }
        let (publish, mut seen) = watch::channel(Observed::default());
        let heard = async {
            let _ = seen.wait_for(|now| now.snapshot.is_some()).await;
        };
        // On one thread: without letting go, nothing else would ever run here.
        supervise("web", Chatty, Backoff::default(), publish, heard).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_stops_when_nobody_listens_any_more() {
        let (publish, seen) = watch::channel(Observed::default());
        let task = tokio::spawn(supervise(
            "web",
            Script([].into()),
            Backoff::default(),
            publish,
            std::future::pending(),
        ));
        drop(seen);
        task.await.unwrap();
    }
}
