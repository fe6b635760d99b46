//! Who wants to know what.

use std::{collections::BTreeMap, time::Duration};

use tokio::{sync::watch, time::Instant};
use tracing::warn;

use crate::{failure::Failure, pace::Pace, prefix::Prefix, rota::Rota, session::Identity, slot::Slot};

/// How long a lost connection is not told while other endpoints are tried: most have taken over by then, and nobody need hear
/// of it.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// Which member. Never used twice in one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberId(pub(crate) u64);

/// What members tell the driver. Each member has at most three of these under way, so they need no bound.
#[derive(Debug)]
pub(crate) enum Command {
    /// Somebody wants to know what is below a prefix.
    Join {
        /// Who.
        id: MemberId,
        /// Below which prefix.
        prefix: Prefix,
        /// Where to write it.
        slot: watch::Sender<Slot>,
    },
    /// Somebody does not want to know any more.
    Leave(MemberId),
    /// Somebody was told of a failure. If their prefix failed alone, it is to be tried again.
    Retry(MemberId),
}

/// What a command means while there is a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Todo {
    /// List the prefix, then watch it.
    List(MemberId),
    /// Cancel this watch.
    Cancel(i64),
}

/// One member, as the driver knows it.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) prefix: Prefix,
    pub(crate) slot: watch::Sender<Slot>,
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
    /// It failed alone, and waits for [`Command::Retry`].
    Failed,
}

impl Phase {
    fn watch(self) -> Option<i64> {
        match self {
            Self::Creating { watch, .. } | Self::Watching { watch } => Some(watch),
            Self::Idle | Self::Listing | Self::Failed => None,
        }
    }
}

/// All members, and what is known of the cluster across connections.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    pub(crate) members: BTreeMap<MemberId, Tracked>,
    pub(crate) pace: Pace,
    /// Why nothing is heard of the cluster, while nothing is.
    down: Option<Failure>,
    /// A connection was lost, and when that is to be told.
    lost: Option<(Instant, Failure)>,
    /// Whether etcd has said anything about any prefix on the present connection.
    heard: bool,
    known: Option<Identity>,
    /// Who is checked next, from the first connection on.
    rota: Option<Rota>,
}

impl Roster {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, ..Self::default() }
    }

    pub(crate) fn obey(&mut self, command: Command) -> Option<Todo> {
        match command {
            Command::Join { id, prefix, slot } => {
                if self.down.is_some() {
                    slot.send_replace(Slot::failing(self.down.clone()));
                }
                self.members.insert(id, Tracked { prefix, slot, revision: None, phase: Phase::Idle });
                Some(Todo::List(id))
            }
            Command::Leave(id) => {
                let left = self.members.remove(&id)?;
                if self.members.is_empty() {
                    // Nobody tries to reach it any more: whoever comes next is not to be told how that went.
                    (self.down, self.lost) = (None, None);
                }
                left.phase.watch().map(Todo::Cancel)
            }
            Command::Retry(id) => {
                let failed = self.members.get(&id)?.phase == Phase::Failed;
                failed.then_some(Todo::List(id))
            }
        }
    }

    /// Tells everybody that nothing is heard of the cluster.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        self.lost = None;
        for member in self.members.values() {
            member.slot.send_modify(|slot| slot.fail(failure.clone()));
        }
        if self.down.replace(failure.clone()).is_none() {
            warn!(
                source = "etcd",
                error = failure.chain(),
                "cut off from etcd; what was read last stays in use"
            );
        }
    }

    /// The connection is lost, which is told soon, unless etcd is heard before.
    pub(crate) fn lose(&mut self, failure: &Failure) {
        // Connections that are lost before anything is heard on them put off nothing.
        let due = self.lost.take().map_or_else(|| Instant::now() + GRACE, |(due, _)| due);
        self.lost = Some((due, failure.clone()));
    }

    /// When [`fail_overdue`](Self::fail_overdue) has something to tell.
    pub(crate) fn overdue(&self) -> Option<Instant> {
        self.lost.as_ref().map(|(due, _)| *due)
    }

    /// Tells everybody of the connection that was lost.
    pub(crate) fn fail_overdue(&mut self) {
        if let Some((_, failure)) = self.lost.take() {
            self.fail(&failure);
        }
    }

    /// etcd has said something about a prefix: the connection is more than open.
    pub(crate) fn hear(&mut self) {
        (self.down, self.lost, self.heard) = (None, None, true);
    }

    /// Whether [`hear`](Self::hear) was called on this connection.
    pub(crate) fn heard(&self) -> bool {
        self.heard
    }

    /// Something that can be read, if anything is known to be: etcd logs each refusal.
    pub(crate) fn readable(&self) -> Option<&Prefix> {
        let read = self.members.values().find(|member| member.revision.is_some());
        read.or_else(|| self.members.values().next()).map(|member| &member.prefix)
    }

    /// Begins a connection: nobody is watched yet, and whose revisions mean nothing any more are forgotten.
    pub(crate) fn begin(&mut self, identity: Option<Identity>) {
        self.heard = false;
        for member in self.members.values_mut() {
            member.phase = Phase::Idle;
        }
        let newest = self.members.values().filter_map(|member| member.revision).max();
        if let (Some(now), Some(known)) = (&identity, &self.known)
            && let Some(reason) = now.contradicts(known, newest)
        {
            warn!(source = "etcd", reason, "etcd's data is not what it was; listing every prefix again");
            self.forget();
        }
        self.known = identity.or(self.known.take());
    }

    /// When somebody is to be checked next.
    pub(crate) fn next_check(&mut self) -> Instant {
        let cycle = self.pace.cycle;
        self.rota.get_or_insert_with(|| Rota::new(Instant::now(), cycle)).due()
    }

    /// Who is to be checked now, if a check is free.
    pub(crate) fn turn(&mut self, free: bool) -> Option<MemberId> {
        self.rota.as_mut()?.turn(&self.members, free, Instant::now())
    }

    /// Makes every prefix be listed again.
    pub(crate) fn forget(&mut self) {
        for member in self.members.values_mut() {
            member.revision = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;

    fn join(roster: &mut Roster, id: u64) -> watch::Receiver<Slot> {
        let (slot, seen) = watch::channel(Slot::default());
        let command = Command::Join { id: MemberId(id), prefix: Prefix::new("/web").unwrap(), slot };
        assert_eq!(roster.obey(command), Some(Todo::List(MemberId(id))));
        seen
    }

    fn failure() -> Failure {
        Failure::new(Kind::Connection, "connecting", "refused")
    }

    fn identity(cluster: u64, term: u64, revision: i64) -> Identity {
        Identity { cluster, term, revision }
    }

    #[test]
    fn who_joins_while_the_cluster_is_down_is_told_at_once() {
        let mut roster = Roster::default();
        let first = join(&mut roster, 1);
        roster.fail(&failure());
        assert!(join(&mut roster, 2).borrow().failure().is_some());
        roster.begin(None);
        assert!(join(&mut roster, 3).borrow().failure().is_some(), "a connection alone says nothing");
        roster.hear();
        assert!(join(&mut roster, 4).borrow().failure().is_none());
        assert_eq!(first.borrow().failure().map(|(failures, _)| failures), Some(1));
    }

    #[test]
    fn who_joins_when_all_had_left_is_not_told_of_the_past() {
        let mut roster = Roster::default();
        let _seen = join(&mut roster, 1);
        roster.fail(&failure());
        roster.lose(&failure());
        roster.obey(Command::Leave(MemberId(1)));
        assert!(join(&mut roster, 2).borrow().failure().is_none());
        assert!(roster.overdue().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_on_which_nothing_is_heard_do_not_put_off_that_one_was_lost() {
        let mut roster = Roster::default();
        let seen = join(&mut roster, 1);
        roster.lose(&failure());
        let due = roster.overdue();
        for _ in 0..3 {
            tokio::time::advance(GRACE / 4).await;
            roster.begin(None);
            assert!(!roster.heard());
            roster.lose(&failure());
            assert_eq!(roster.overdue(), due);
        }
        roster.fail_overdue();
        assert!(seen.borrow().failure().is_some());
        assert!(roster.overdue().is_none());
    }

    #[test]
    fn a_lost_connection_is_not_told_once_etcd_is_heard_on_the_next() {
        let mut roster = Roster::default();
        let seen = join(&mut roster, 1);
        roster.lose(&failure());
        roster.begin(None);
        roster.hear();
        assert!(roster.heard() && roster.overdue().is_none());
        roster.fail_overdue();
        assert!(seen.borrow().failure().is_none());
    }

    #[test]
    fn what_was_read_before_is_asked_for_rather_than_what_may_be_denied() {
        let mut roster = Roster::default();
        assert!(roster.readable().is_none());
        for (id, prefix) in [(1, "/denied"), (2, "/web")] {
            let (slot, _) = watch::channel(Slot::default());
            roster.obey(Command::Join { id: MemberId(id), prefix: Prefix::new(prefix).unwrap(), slot });
        }
        assert_eq!(roster.readable().unwrap().as_str(), "/denied/");
        roster.members.get_mut(&MemberId(2)).unwrap().revision = Some(7);
        assert_eq!(roster.readable().unwrap().as_str(), "/web/");
    }

    #[test]
    fn leaving_cancels_a_watch_and_only_a_watch() {
        let mut roster = Roster::default();
        let _seen = [join(&mut roster, 1), join(&mut roster, 2)];
        roster.members.get_mut(&MemberId(2)).unwrap().phase = Phase::Watching { watch: 7 };
        assert_eq!(roster.obey(Command::Leave(MemberId(1))), None);
        assert_eq!(roster.obey(Command::Leave(MemberId(2))), Some(Todo::Cancel(7)));
        assert_eq!(roster.obey(Command::Leave(MemberId(2))), None);
        assert!(roster.members.is_empty());
    }

    #[test]
    fn only_what_failed_alone_is_tried_again() {
        let mut roster = Roster::default();
        let _seen = join(&mut roster, 1);
        assert_eq!(roster.obey(Command::Retry(MemberId(1))), None);
        roster.members.get_mut(&MemberId(1)).unwrap().phase = Phase::Failed;
        assert_eq!(roster.obey(Command::Retry(MemberId(1))), Some(Todo::List(MemberId(1))));
    }

    #[test]
    fn revisions_are_forgotten_when_the_data_is_another() {
        for (now, kept) in [
            (Some(identity(1, 5, 100)), true),
            (Some(identity(1, 6, 200)), true),
            (None, true),
            (Some(identity(2, 5, 100)), false),
            (Some(identity(1, 4, 200)), false),
            (Some(identity(1, 5, 99)), false),
        ] {
            let mut roster = Roster::default();
            let _seen = join(&mut roster, 1);
            roster.begin(Some(identity(1, 5, 50)));
            roster.members.get_mut(&MemberId(1)).unwrap().revision = Some(100);
            roster.begin(now);
            assert_eq!(roster.members[&MemberId(1)].revision.is_some(), kept, "{now:?}");
        }
    }
}
