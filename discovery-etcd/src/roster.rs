//! Who wants to know what.

use std::collections::BTreeMap;

use tokio::{sync::watch, time::Instant};
use tracing::warn;

use crate::{failure::Failure, prefix::Prefix, rota::Rota, session::Identity, slot::Slot};

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
    /// Somebody whose prefix failed alone wants it tried again.
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
    /// Why the cluster cannot be reached, while it cannot.
    down: Option<Failure>,
    known: Option<Identity>,
    /// Who is checked next, from the first connection on.
    rota: Option<Rota>,
}

impl Roster {
    pub(crate) fn obey(&mut self, command: Command) -> Option<Todo> {
        match command {
            Command::Join { id, prefix, slot } => {
                if self.down.is_some() {
                    slot.send_replace(Slot::failing(self.down.clone()));
                }
                self.members.insert(id, Tracked { prefix, slot, revision: None, phase: Phase::Idle });
                Some(Todo::List(id))
            }
            Command::Leave(id) => self.members.remove(&id)?.phase.watch().map(Todo::Cancel),
            Command::Retry(id) => {
                let failed = self.members.get(&id)?.phase == Phase::Failed;
                failed.then_some(Todo::List(id))
            }
        }
    }

    /// Tells everybody that the cluster cannot be reached. Returns whether it could be until now.
    pub(crate) fn fail(&mut self, failure: &Failure) -> bool {
        for member in self.members.values() {
            member.slot.send_modify(|slot| slot.fail(failure.clone()));
        }
        self.down.replace(failure.clone()).is_none()
    }

    /// Begins a connection: nobody is watched yet, and whose revisions mean nothing any more are forgotten.
    pub(crate) fn begin(&mut self, identity: Option<Identity>) {
        self.down = None;
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
        self.rota.get_or_insert_with(|| Rota::new(Instant::now())).due()
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
        assert!(roster.fail(&failure()));
        assert!(!roster.fail(&failure()));
        assert!(join(&mut roster, 1).borrow().failure().is_some());
        roster.begin(None);
        assert!(join(&mut roster, 2).borrow().failure().is_none());
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
