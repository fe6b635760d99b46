//! One prefix as a source.

use std::fmt;

use async_trait::async_trait;
use discovery_core::{
    Snapshot, WatchError, Watcher,
    shared::{Slot, View},
};
use tokio::sync::{mpsc, watch};

use crate::{
    known::Known,
    prefix::Prefix,
    roster::{Command, MemberId},
};

/// The endpoints below one prefix, as a [`Watcher`].
///
/// Made by [`Cluster::member`](crate::Cluster::member); answers for as long as the cluster's driver runs. Dropping it ends the
/// watch.
///
/// An equal answer about every thirty seconds says that etcd was heard of and nothing has changed.
///
/// # Errors
///
/// [`Retry::After`](discovery_core::Retry::After) zero when no member of the cluster could be reached: once after each round of
/// attempts, which the driver paces. [`Retry::Backoff`](discovery_core::Retry::Backoff) when this prefix alone cannot be read, for
/// want of permission, say, or because it is too large or the network too slow: it is tried again when `next` is called again.
/// [`Retry::Never`](discovery_core::Retry::Never) when the driver was dropped.
pub struct Member {
    id: MemberId,
    prefix: Prefix,
    view: View<Known>,
    driver: mpsc::UnboundedSender<Command>,
    /// The last answer was an error. Whether the driver will try again by itself depends on what happened before and since; it
    /// knows, so it is asked each time.
    ask_again: bool,
}

impl Member {
    pub(crate) fn new(
        id: MemberId,
        prefix: Prefix,
        endpoints: &str,
        slot: watch::Receiver<Slot<Known>>,
        driver: mpsc::UnboundedSender<Command>,
    ) -> Self {
        let doing = format!("watching {prefix} in etcd ({endpoints})");
        let read = prefix.clone();
        let view = View::new(doing, slot, move |known: &Known| known.snapshot(&read));
        Self { id, prefix, view, driver, ask_again: false }
    }

    /// What it watches.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }
}

#[async_trait]
impl Watcher for Member {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        if std::mem::take(&mut self.ask_again) {
            // Without a driver there is nobody to ask, as the view finds.
            let _ = self.driver.send(Command::Retry(self.id));
        }
        let answer = self.view.next().await;
        self.ask_again = answer.is_err();
        answer
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
    use std::time::Duration;

    use discovery_core::Retry;

    use super::*;
    use crate::{
        entry,
        failure::{Failure, Kind},
        known::Change,
    };

    struct Driver {
        slot: watch::Sender<Slot<Known>>,
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
                slot.update(|known| known.apply([Change { suffix: suffix.into(), entry: Some(entry) }]));
            });
        }

        fn fail(&self, kind: Kind) {
            let failure = Failure::new(kind, "connecting to etcd:2379", "connection refused");
            self.slot.send_modify(|slot| slot.fail(failure.told()));
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
            slot.update(|_| false);
        });
        assert_eq!(ports(poll(&mut member)), [0u16; 0]);
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
            assert_eq!(error.when(), Retry::After(Duration::ZERO));
            assert!(poll(&mut member).is_none());
            assert!(matches!(driver.commands.try_recv(), Ok(Command::Retry(MemberId(1)))));
        }
        driver.slot.send_modify(Slot::confirm);
        driver.put(1);
        assert_eq!(ports(poll(&mut member)), [1]);
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
