//! Who wants to know what.

use std::collections::BTreeMap;

use discovery_core::{
    WatchError,
    shared::{Outage, Slot},
};
use tokio::{sync::watch, time::Instant};
use tracing::warn;

use crate::{
    failure::Failure,
    known::Known,
    pace::Pace,
    prefix::Prefix,
    rota::Rota,
    session::Identity,
    tracked::{Phase, Tracked},
};

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
        slot: watch::Sender<Slot<Known>>,
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

/// All members, and what is known of the cluster across connections.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    pub(crate) members: BTreeMap<MemberId, Tracked>,
    pub(crate) pace: Pace,
    /// Whether etcd says anything about any prefix.
    pub(crate) outage: Outage,
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
                let tracked = Tracked::new(prefix, slot);
                if let Some(error) = self.outage.down() {
                    tracked.fail(error.clone());
                }
                self.members.insert(id, tracked);
                Some(Todo::List(id))
            }
            Command::Leave(id) => {
                let left = self.members.remove(&id)?;
                if self.members.is_empty() {
                    self.outage.forget();
                }
                left.phase.watch().map(Todo::Cancel)
            }
            Command::Retry(id) => {
                let failed = self.members.get(&id)?.phase == Phase::Failed;
                failed.then_some(Todo::List(id))
            }
        }
    }

    /// Tells everybody that no endpoint can be reached.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        self.cut_off(failure.told());
    }

    /// A connection was lost.
    pub(crate) fn lose(&mut self, failure: &Failure) {
        self.outage.lose(failure.told());
    }

    /// Tells everybody of the connection that was lost, now that it is time to.
    pub(crate) fn fail_overdue(&mut self) {
        if let Some(error) = self.outage.take_lost() {
            self.cut_off(error);
        }
    }

    fn cut_off(&mut self, error: WatchError) {
        for member in self.members.values() {
            member.fail(error.clone());
        }
        let chain = error.chain();
        if self.outage.fail(error) {
            warn!(source = "etcd", error = chain, "cut off from etcd; what was read last stays in use");
        }
    }

    /// Something that can be read, if anything is known to be: etcd logs each refusal.
    pub(crate) fn readable(&self) -> Option<&Prefix> {
        let read = self.members.values().find(|member| member.revision.is_some());
        read.or_else(|| self.members.values().next()).map(|member| &member.prefix)
    }

    /// Begins a connection: nobody is watched yet, and whose revisions mean nothing any more are forgotten.
    pub(crate) fn begin(&mut self, identity: Option<Identity>) {
        self.outage.begin();
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
    use std::time::Duration;

    use super::*;
    use crate::failure::Kind;

    fn join(roster: &mut Roster, id: u64) -> watch::Receiver<Slot<Known>> {
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
        roster.outage.hear();
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
        assert!(roster.outage.due().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_on_which_nothing_is_heard_do_not_put_off_that_one_was_lost() {
        let mut roster = Roster::default();
        let seen = join(&mut roster, 1);
        roster.lose(&failure());
        let due = roster.outage.due();
        for _ in 0..3 {
            tokio::time::advance(Duration::from_millis(250)).await;
            roster.begin(None);
            assert!(!roster.outage.heard());
            roster.lose(&failure());
            assert_eq!(roster.outage.due(), due);
        }
        roster.fail_overdue();
        assert!(seen.borrow().failure().is_some());
        assert!(roster.outage.due().is_none());
    }

    #[test]
    fn a_lost_connection_is_not_told_once_etcd_is_heard_on_the_next() {
        let mut roster = Roster::default();
        let seen = join(&mut roster, 1);
        roster.lose(&failure());
        roster.begin(None);
        roster.outage.hear();
        assert!(roster.outage.heard() && roster.outage.due().is_none());
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
