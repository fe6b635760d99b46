//! Which services have something new to look at.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use haproxy_render::Name;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// A set of services to look at, and a bell. Marking a service twice is the same as once: what counts is the state that is
/// found when it is looked at.
#[derive(Debug, Default)]
pub(crate) struct News {
    marked: Mutex<BTreeSet<Name>>,
    bell: Notify,
}

impl News {
    /// Has a service looked at.
    pub(crate) fn mark(&self, service: &Name) {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner).insert(service.clone());
        self.bell.notify_one();
    }

    /// Takes what is marked.
    pub(crate) fn take(&self) -> BTreeSet<Name> {
        std::mem::take(&mut *self.marked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_empty(&self) -> bool {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Waits until something is marked. Cancel safe.
    pub(crate) async fn wait(&self) {
        while self.is_empty() {
            self.bell.notified().await;
        }
    }

    /// Waits until nothing has been marked for `quiet`, but no longer than `longest`. Cancel safe.
    ///
    /// A stream of news faster than `quiet` must not be put off for ever: hence `longest`.
    pub(crate) async fn settle(&self, quiet: Duration, longest: Duration) {
        let limit = Instant::now() + longest;
        loop {
            let pause = quiet.min(limit.saturating_duration_since(Instant::now()));
            if pause.is_zero() || timeout(pause, self.bell.notified()).await.is_err() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::sleep;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn web() -> Name {
        Name::parse("web").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_mark_made_before_the_wait_is_seen() {
        let news = News::default();
        news.mark(&web());
        news.wait().await;
        assert_eq!(news.take().into_iter().collect::<Vec<_>>(), [web()]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_settles_when_it_is_quiet() {
        let start = Instant::now();
        let news = News::default();
        news.mark(&web());
        news.settle(5 * MS, 100 * MS).await;
        assert!((5 * MS..=10 * MS).contains(&start.elapsed()), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_stream_does_not_put_it_off_for_ever() {
        let news = Arc::new(News::default());
        let stream = Arc::clone(&news);
        tokio::spawn(async move {
            loop {
                stream.mark(&web());
                sleep(MS).await;
            }
        });
        let start = Instant::now();
        news.settle(5 * MS, 100 * MS).await;
        assert_eq!(start.elapsed(), 100 * MS);
    }
}
