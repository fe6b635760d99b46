//! What a driver knows, as a watcher tells it.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

use crate::{
    error::{Retry, WatchError},
    shared::slot::Slot,
    snapshot::Snapshot,
};

/// A service's look at its [`Slot`]: the body of a [`Watcher`](crate::Watcher) whose source is a shared connection.
///
/// The first answer comes when the source has spoken for the first time. After that, each call waits for news: another value,
/// a confirmation (an equal snapshot) or a failure. Of several it tells the newest value first: it is right whatever has failed
/// since.
pub struct View<T> {
    /// "watching /web in etcd (etcd-1:2379)"
    doing: Arc<str>,
    slot: watch::Receiver<Slot<T>>,
    read: Box<dyn Fn(&T) -> Snapshot + Send>,
    version: u64,
    confirmed: u64,
    failures: u64,
    /// The last answer, for when it is to be repeated.
    last: Snapshot,
}

/// What there is to tell.
enum News {
    Changed { snapshot: Snapshot, version: u64, confirmed: u64 },
    StillSo { confirmed: u64 },
    Failed { error: WatchError, failures: u64 },
}

impl<T> View<T> {
    /// A view that says that it is `doing` what failed ("watching /web in etcd"), and makes snapshots by `read`.
    pub fn new(
        doing: impl Into<Arc<str>>,
        slot: watch::Receiver<Slot<T>>,
        read: impl Fn(&T) -> Snapshot + Send + 'static,
    ) -> Self {
        let read = Box::new(read);
        Self {
            doing: doing.into(),
            slot,
            read,
            version: 0,
            confirmed: 0,
            failures: 0,
            last: Snapshot::default(),
        }
    }

    fn news(&mut self) -> Option<News> {
        let slot = self.slot.borrow_and_update();
        let (version, confirmed) = (slot.version(), slot.confirmed());
        if version != self.version {
            return Some(News::Changed { snapshot: (self.read)(slot.value()), version, confirmed });
        }
        match slot.failure() {
            Some((failures, error)) => (failures != self.failures).then(|| {
                let error =
                    WatchError::new(self.doing.to_string()).because(error.clone()).retry(error.when());
                News::Failed { error, failures }
            }),
            None => (confirmed != self.confirmed && version > 0).then_some(News::StillSo { confirmed }),
        }
    }

    /// What [`Watcher::next`](crate::Watcher::next) answers.
    ///
    /// # Errors
    ///
    /// What the driver has written down, to be retried as the driver says; [`Retry::Never`] when the driver is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no news.
    pub async fn next(&mut self) -> Result<Snapshot, WatchError> {
        let news = loop {
            if let Some(news) = self.news() {
                break news;
            }
            if self.slot.changed().await.is_err() {
                let error = WatchError::new(self.doing.to_string());
                return Err(error.because("the connection's driver has ended").retry(Retry::Never));
            }
        };
        match news {
            News::Changed { snapshot, version, confirmed } => {
                (self.version, self.confirmed) = (version, confirmed);
                self.last = snapshot.clone();
                Ok(snapshot)
            }
            News::StillSo { confirmed } => {
                self.confirmed = confirmed;
                Ok(self.last.clone())
            }
            News::Failed { error, failures } => {
                self.failures = failures;
                Err(error)
            }
        }
    }
}

impl<T> fmt::Debug for View<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("doing", &self.doing).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll, time::Duration};

    use super::*;
    use crate::endpoint::Endpoint;

    fn view() -> (watch::Sender<Slot<Vec<u16>>>, View<Vec<u16>>) {
        let (driver, seen) = watch::channel(Slot::default());
        let read = |ports: &Vec<u16>| {
            ports.iter().map(|&port| Endpoint::new("10.0.0.1".parse().unwrap(), port).unwrap()).collect()
        };
        (driver, View::new("watching /web", seen, read))
    }

    fn put(driver: &watch::Sender<Slot<Vec<u16>>>, port: u16) {
        driver.send_modify(|slot| {
            slot.update(|ports| {
                ports.push(port);
                true
            });
        });
    }

    /// Polls `next` once and drops it.
    fn poll(view: &mut View<Vec<u16>>) -> Option<Result<Snapshot, WatchError>> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match pin!(view.next()).poll(&mut context) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    #[test]
    fn nothing_is_told_before_the_source_has_spoken() {
        let (driver, mut view) = view();
        assert!(poll(&mut view).is_none());
        driver.send_modify(Slot::confirm);
        assert!(poll(&mut view).is_none(), "nothing was ever known");
        driver.send_modify(|slot| {
            slot.update(|_| false);
        });
        assert!(poll(&mut view).unwrap().unwrap().is_empty());
        assert!(poll(&mut view).is_none());
    }

    #[test]
    fn a_reader_that_looks_rarely_sees_the_newest() {
        let (driver, mut view) = view();
        put(&driver, 80);
        put(&driver, 81);
        assert_eq!(poll(&mut view).unwrap().unwrap().len(), 2);
        assert!(poll(&mut view).is_none());
    }

    #[test]
    fn a_failure_is_told_once_and_a_newer_value_before_it() {
        let (driver, mut view) = view();
        put(&driver, 80);
        driver.send_modify(|slot| slot.fail(WatchError::new("connecting").because("refused")));
        assert!(poll(&mut view).unwrap().is_ok());
        let error = poll(&mut view).unwrap().unwrap_err();
        assert_eq!(error.chain(), "watching /web: connecting: refused");
        assert!(poll(&mut view).is_none());
        driver
            .send_modify(|slot| slot.fail(WatchError::new("connecting").retry(Retry::After(Duration::ZERO))));
        let error = poll(&mut view).unwrap().unwrap_err();
        assert_eq!(error.when(), Retry::After(Duration::ZERO));
        driver.send_modify(Slot::confirm);
        assert_eq!(poll(&mut view).unwrap().unwrap().len(), 1);
    }

    #[test]
    fn a_failure_that_is_over_is_not_told() {
        let (driver, mut view) = view();
        put(&driver, 80);
        assert!(poll(&mut view).is_some());
        driver.send_modify(|slot| slot.fail(WatchError::new("connecting")));
        driver.send_modify(Slot::confirm);
        assert_eq!(poll(&mut view).unwrap().unwrap().len(), 1);
        assert!(poll(&mut view).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_dropped_while_it_waits_loses_nothing() {
        let (driver, mut view) = view();
        for _ in 0..3 {
            let waits = tokio::time::timeout(Duration::from_secs(1), view.next()).await;
            assert!(waits.is_err());
        }
        put(&driver, 80);
        assert_eq!(view.next().await.unwrap().len(), 1);
    }

    #[test]
    fn what_is_confirmed_is_told_again_once() {
        let (driver, mut view) = view();
        put(&driver, 80);
        assert!(poll(&mut view).is_some());
        driver.send_modify(Slot::confirm);
        assert_eq!(poll(&mut view).unwrap().unwrap().len(), 1);
        assert!(poll(&mut view).is_none());
    }

    #[test]
    fn a_view_ends_with_the_driver_after_its_last_word() {
        let (driver, mut view) = view();
        put(&driver, 80);
        drop(driver);
        assert!(poll(&mut view).unwrap().is_ok());
        assert_eq!(poll(&mut view).unwrap().unwrap_err().when(), Retry::Never);
    }
}
