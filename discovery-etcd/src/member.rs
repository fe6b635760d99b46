//! One prefix as a source.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use discovery_core::{Retry, Snapshot, WatchError, Watcher};
use tokio::sync::{mpsc, watch};

use crate::{
    failure::Kind,
    prefix::Prefix,
    roster::{Command, MemberId},
    slot::Slot,
};

/// How soon whoever runs a member should ask again after the connection was lost: at once, or as soon as their own minimum
/// allows. It is the driver that backs off then: the next answer of [`Member::next`] waits for its next success or failure
/// anyway, so a pause would only delay the good news.
const AGAIN: Duration = Duration::ZERO;

/// The endpoints below one prefix, as a [`Watcher`].
///
/// Made by [`Cluster::member`](crate::Cluster::member); answers for as long as the cluster's driver runs. Dropping it ends the
/// watch.
///
/// An equal answer about every thirty seconds says that etcd was heard of and nothing has changed.
///
/// # Errors
///
/// [`Retry::After`] zero when no member of the cluster could be reached: once after each round of attempts, which the driver
/// paces. [`Retry::Backoff`] when this prefix alone cannot be read, for want of permission, say, or because it is too large or
/// the network too slow: it is tried again when `next` is called again. [`Retry::Never`] when the driver was dropped.
pub struct Member {
    id: MemberId,
    prefix: Prefix,
    /// "watching PREFIX in etcd (ENDPOINTS)"
    doing: Arc<str>,
    slot: watch::Receiver<Slot>,
    driver: mpsc::UnboundedSender<Command>,
    seen: Seen,
    /// The last answer, for when it is to be repeated.
    last: Snapshot,
}

/// What of the slot was told already.
#[derive(Debug, Default)]
struct Seen {
    version: u64,
    confirmed: u64,
    failures: u64,
    /// The last answer was an error. Whether the driver will try again by itself depends on what happened before and since; it
    /// knows, so it is asked each time.
    ask_again: bool,
}

/// What there is to tell.
enum News {
    Changed { snapshot: Snapshot, version: u64, confirmed: u64 },
    StillSo { confirmed: u64 },
    Failed { error: WatchError, failures: u64 },
}

impl Member {
    pub(crate) fn new(
        id: MemberId,
        prefix: Prefix,
        endpoints: &str,
        slot: watch::Receiver<Slot>,
        driver: mpsc::UnboundedSender<Command>,
    ) -> Self {
        let doing = format!("watching {prefix} in etcd ({endpoints})").into();
        Self { id, prefix, doing, slot, driver, seen: Seen::default(), last: Snapshot::default() }
    }

    /// What it watches.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// A newer snapshot first: it is right whatever has failed since.
    fn news(&mut self) -> Option<News> {
        let slot = self.slot.borrow_and_update();
        if slot.version() != self.seen.version {
            let snapshot = slot.snapshot(&self.prefix);
            return Some(News::Changed { snapshot, version: slot.version(), confirmed: slot.confirmed() });
        }
        match slot.failure() {
            Some((failures, failure)) => (failures != self.seen.failures).then(|| {
                let of_prefix = failure.kind() == Kind::Prefix;
                let retry = if of_prefix { Retry::Backoff } else { Retry::After(AGAIN) };
                let error = WatchError::new(self.doing.to_string()).because(failure.clone()).retry(retry);
                News::Failed { error, failures }
            }),
            None => (slot.confirmed() != self.seen.confirmed && slot.version() > 0)
                .then(|| News::StillSo { confirmed: slot.confirmed() }),
        }
    }
}

#[async_trait]
impl Watcher for Member {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        if std::mem::take(&mut self.seen.ask_again) {
            // Without a driver there is nobody to ask, as is found below.
            let _ = self.driver.send(Command::Retry(self.id));
        }
        // Nothing but what the driver is told above changes before the last `await`.
        let news = loop {
            if let Some(news) = self.news() {
                break news;
            }
            if self.slot.changed().await.is_err() {
                return Err(WatchError::new(self.doing.to_string())
                    .because("the cluster's driver has ended")
                    .retry(Retry::Never));
            }
        };
        match news {
            News::Changed { snapshot, version, confirmed } => {
                self.seen.version = version;
                self.seen.confirmed = confirmed;
                self.last = snapshot.clone();
                Ok(snapshot)
            }
            News::StillSo { confirmed } => {
                self.seen.confirmed = confirmed;
                Ok(self.last.clone())
            }
            News::Failed { error, failures } => {
                self.seen.failures = failures;
                self.seen.ask_again = true;
                Err(error)
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A driver that has ended watches nothing any more.
        let _ = self.driver.send(Command::Leave(self.id));
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use super::*;
    use crate::{
        entry,
        failure::Failure,
        slot::{Change, Entries},
    };

    struct Driver {
        slot: watch::Sender<Slot>,
        commands: mpsc::UnboundedReceiver<Command>,
    }

    fn member() -> (Member, Driver) {
        let (slot, seen) = watch::channel(Slot::default());
        let (sender, commands) = mpsc::unbounded_channel();
        let prefix = Prefix::new("/web").unwrap();
        (Member::new(MemberId(1), prefix, "etcd:2379", seen, sender), Driver { slot, commands })
    }

    impl Driver {
        fn put(&self, port: u16) {
            let suffix = port.to_string().into_bytes();
            let entry = entry::parse(&suffix, format!("10.0.0.1:{port}").as_bytes());
            self.slot.send_modify(|slot| {
                slot.apply([Change { suffix: suffix.into(), entry: Some(entry) }]);
            });
        }

        fn fail(&self, kind: Kind) {
            let failure = Failure::new(kind, "connecting to etcd:2379", "connection refused");
            self.slot.send_modify(|slot| slot.fail(failure));
        }
    }

    /// Polls `next` once and drops it.
    fn poll(member: &mut Member) -> Option<Result<Snapshot, WatchError>> {
        let mut next = std::pin::pin!(member.next());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match next.as_mut().poll(&mut context) {
            std::task::Poll::Ready(answer) => Some(answer),
            std::task::Poll::Pending => None,
        }
    }

    fn ports(answer: Option<Result<Snapshot, WatchError>>) -> Vec<u16> {
        let snapshot = answer.expect("an answer").expect("a snapshot");
        snapshot.endpoints().iter().map(|endpoint| endpoint.port().get()).collect()
    }

    #[test]
    fn nothing_is_said_before_the_prefix_was_read() {
        let (mut member, driver) = member();
        assert!(poll(&mut member).is_none());
        driver.slot.send_modify(|slot| {
            slot.install(Entries::new());
        });
        assert_eq!(ports(poll(&mut member)), [0u16; 0]);
        assert!(poll(&mut member).is_none());
    }

    #[test]
    fn a_burst_is_one_answer() {
        let (mut member, driver) = member();
        for port in 1..=4 {
            driver.put(port);
        }
        assert_eq!(ports(poll(&mut member)), [1, 2, 3, 4]);
        assert!(poll(&mut member).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_dropped_while_it_waits_loses_nothing() {
        let (mut member, driver) = member();
        for _ in 0..3 {
            let waits = tokio::time::timeout(Duration::from_secs(1), member.next()).await;
            assert!(waits.is_err());
        }
        driver.put(1);
        assert_eq!(ports(Some(member.next().await)), [1]);
    }

    #[test]
    fn what_is_confirmed_is_said_again() {
        let (mut member, driver) = member();
        driver.put(1);
        poll(&mut member);
        driver.slot.send_modify(Slot::confirm);
        assert_eq!(ports(poll(&mut member)), [1]);
        assert!(poll(&mut member).is_none());
    }

    #[test]
    fn each_failure_of_the_connection_is_told_once() {
        let (mut member, mut driver) = member();
        for _ in 0..2 {
            driver.fail(Kind::Connection);
            let error = poll(&mut member).unwrap().unwrap_err();
            assert_eq!(
                error.chain(),
                "watching /web/ in etcd (etcd:2379): connecting to etcd:2379: connection refused"
            );
            assert_eq!(error.when(), Retry::After(AGAIN));
            assert!(poll(&mut member).is_none());
            assert!(matches!(driver.commands.try_recv(), Ok(Command::Retry(MemberId(1)))));
        }
        driver.slot.send_modify(Slot::confirm);
        driver.put(1);
        assert_eq!(ports(poll(&mut member)), [1]);
    }

    #[test]
    fn news_is_told_before_a_later_failure() {
        let (mut member, driver) = member();
        driver.put(1);
        driver.fail(Kind::Connection);
        assert_eq!(ports(poll(&mut member)), [1]);
        assert!(poll(&mut member).unwrap().is_err());
        assert!(poll(&mut member).is_none());
    }

    #[test]
    fn a_failure_that_is_over_is_not_told() {
        let (mut member, driver) = member();
        driver.put(1);
        poll(&mut member);
        driver.fail(Kind::Connection);
        driver.slot.send_modify(Slot::confirm);
        assert_eq!(ports(poll(&mut member)), [1]);
        assert!(poll(&mut member).is_none());
    }

    #[test]
    fn a_prefix_that_failed_alone_is_tried_again_when_it_is_asked_for_again() {
        let (mut member, mut driver) = member();
        driver.fail(Kind::Prefix);
        let error = poll(&mut member).unwrap().unwrap_err();
        assert_eq!(error.when(), Retry::Backoff);
        assert!(driver.commands.try_recv().is_err());
        for _ in 0..2 {
            assert!(poll(&mut member).is_none());
        }
        assert!(matches!(driver.commands.try_recv(), Ok(Command::Retry(MemberId(1)))));
        assert!(driver.commands.try_recv().is_err(), "once a failure");
    }

    #[test]
    fn without_a_driver_a_member_ends_after_its_last_news() {
        let (mut member, driver) = member();
        driver.put(1);
        drop(driver);
        assert_eq!(ports(poll(&mut member)), [1]);
        assert_eq!(poll(&mut member).unwrap().unwrap_err().when(), Retry::Never);
    }

    #[test]
    fn dropping_a_member_tells_the_driver() {
        let (member, mut driver) = member();
        drop(member);
        assert!(matches!(driver.commands.try_recv(), Ok(Command::Leave(MemberId(1)))));
    }
}
