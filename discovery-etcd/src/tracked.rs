//! One member, as the driver knows it.

use discovery_core::{WatchError, shared::Slot};
use tokio::sync::watch;

use crate::{
    failure::Failure,
    known::{Change, Known},
    listing::Listing,
    prefix::Prefix,
};

/// One member: what it watches, how far that has come, and where what is known of it is written.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) prefix: Prefix,
    slot: watch::Sender<Slot<Known>>,
    /// Up to which revision the slot is right; `None` until the prefix was listed, or when it must be listed again.
    pub(crate) revision: Option<i64>,
    pub(crate) phase: Phase,
}

/// How far a member has come on the present connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing was done yet, or there is no connection.
    Idle,
    /// Its prefix is being listed, or waits to be.
    Listing,
    /// Its watch was asked for. `resumed`: without a listing before it.
    Creating { watch: i64, start: i64, resumed: bool },
    /// It is watched.
    Watching { watch: i64 },
    /// It failed alone, and waits for its [`Command::Retry`](crate::roster::Command::Retry).
    Failed,
}

impl Phase {
    /// The watch that was asked for.
    pub(crate) fn watch(self) -> Option<i64> {
        match self {
            Self::Creating { watch, .. } | Self::Watching { watch } => Some(watch),
            Self::Idle | Self::Listing | Self::Failed => None,
        }
    }
}

impl Tracked {
    pub(crate) fn new(prefix: Prefix, slot: watch::Sender<Slot<Known>>) -> Self {
        Self { prefix, slot, revision: None, phase: Phase::Idle }
    }

    /// Takes over what was listed. That is a sign of life, whatever it says. Returns in how many keys it is different from what was
    /// known.
    pub(crate) fn install(&mut self, listing: Listing) -> usize {
        self.revision = Some(listing.revision);
        let mut differences = 0;
        self.slot.send_modify(|slot| {
            slot.update(|known| {
                differences = known.install(listing.entries);
                differences > 0
            });
            slot.confirm();
        });
        differences
    }

    /// Takes over what was written up to a revision. Returns how many keys there are now.
    pub(crate) fn apply(&mut self, changes: Vec<Change>, newest: i64) -> usize {
        self.revision = Some(newest);
        let mut keys = 0;
        self.slot.send_if_modified(|slot| {
            slot.update(|known| {
                let different = known.apply(changes);
                keys = known.keys();
                different
            })
        });
        keys
    }

    /// What is known is right.
    pub(crate) fn confirm(&self) {
        self.slot.send_modify(Slot::confirm);
    }

    /// What is known may not be right any more.
    pub(crate) fn fail(&self, error: WatchError) {
        self.slot.send_modify(|slot| slot.fail(error));
    }

    /// It failed alone. Returns the watch that is of no use any more.
    pub(crate) fn refuse(&mut self, failure: &Failure) -> Option<i64> {
        self.revision = None;
        self.fail(failure.told());
        std::mem::replace(&mut self.phase, Phase::Failed).watch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entry, failure::Kind, known::Entries};

    fn tracked() -> (Tracked, watch::Receiver<Slot<Known>>) {
        let (slot, seen) = watch::channel(Slot::default());
        (Tracked::new(Prefix::new("/web").unwrap(), slot), seen)
    }

    fn listing(revision: i64, value: &str) -> Listing {
        let entries = Entries::from([((*b"a").into(), entry::parse(b"a", value.as_bytes()))]);
        Listing { revision, entries }
    }

    #[test]
    fn a_listing_is_a_sign_of_life_even_if_it_says_the_same() {
        let (mut tracked, mut seen) = tracked();
        assert_eq!(tracked.install(listing(5, "10.0.0.1:1")), 1);
        let confirmed = seen.borrow_and_update().confirmed();
        assert_eq!(tracked.install(listing(7, "10.0.0.1:1")), 0);
        assert_eq!(tracked.revision, Some(7));
        assert!(seen.has_changed().unwrap());
        assert!(seen.borrow().confirmed() > confirmed);
        assert_eq!(seen.borrow().version(), 1);
    }

    #[test]
    fn events_that_change_nothing_wake_nobody_unless_something_had_failed() {
        let (mut tracked, mut seen) = tracked();
        tracked.install(listing(5, "10.0.0.1:1"));
        let same = || vec![Change { suffix: (*b"a").into(), entry: Some(entry::parse(b"a", b"10.0.0.1:1")) }];
        seen.mark_unchanged();
        assert_eq!(tracked.apply(same(), 6), 1);
        assert_eq!(tracked.revision, Some(6));
        assert!(!seen.has_changed().unwrap());
        tracked.fail(Failure::new(Kind::Connection, "connecting", "refused").told());
        seen.mark_unchanged();
        tracked.apply(same(), 7);
        assert!(seen.has_changed().unwrap() && seen.borrow().failure().is_none());
    }

    #[test]
    fn what_is_refused_is_listed_again_and_watched_no_more() {
        let (mut tracked, seen) = tracked();
        tracked.install(listing(5, "10.0.0.1:1"));
        tracked.phase = Phase::Watching { watch: 7 };
        let denied = Failure::new(Kind::Prefix, "watching", "permission denied");
        assert_eq!(tracked.refuse(&denied), Some(7));
        assert_eq!((tracked.revision, tracked.phase), (None, Phase::Failed));
        assert!(seen.borrow().failure().is_some());
        assert_eq!(tracked.refuse(&denied), None);
    }
}
