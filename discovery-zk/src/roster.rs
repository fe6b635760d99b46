//! Who wants to know what.

use std::collections::{BTreeMap, BTreeSet};

use discovery_core::{
    Retry, WatchError,
    shared::{Outage, Slot},
};
use tokio::{sync::watch, time::Instant};
use tracing::warn;

use crate::{
    deed::Witness, failure::Failure, known::Known, node::Node, question::Question, tracked::Tracked,
};

/// Which member. Never used twice in one ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberId(pub(crate) u64);

/// What members tell the driver. Each member has at most three of these under way, so they need no bound.
#[derive(Debug)]
pub(crate) enum Command {
    /// Somebody wants to know what is registered below a node.
    Join {
        /// Who.
        id: MemberId,
        /// Below which node.
        node: Node,
        /// Where to write it.
        slot: watch::Sender<Slot<Known>>,
    },
    /// Somebody does not want to know any more.
    Leave(MemberId),
    /// Somebody was told of a failure. If their node failed alone, it is to be tried again.
    Retry(MemberId),
}

/// All members, and what is known of the ensemble across sessions.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    members: BTreeMap<MemberId, Tracked>,
    pub(crate) outage: Outage,
    /// When who has something to ask. A member stands there once at most.
    due: BTreeSet<(Instant, MemberId)>,
    entered: BTreeMap<MemberId, Instant>,
    /// There is a session to ask in.
    open: bool,
    /// Who is told of what is done.
    pub(crate) witness: Witness,
}

impl Roster {
    pub(crate) fn obey(&mut self, command: Command) {
        match command {
            Command::Join { id, node, slot } => {
                if let Some(error) = self.outage.down() {
                    let error = error.clone();
                    slot.send_modify(|slot| slot.fail(error));
                }
                let mut tracked = Tracked::new(node, slot).witnessed(self.witness.clone());
                if self.open {
                    tracked.begin(Instant::now());
                }
                self.members.insert(id, tracked);
                self.enter(id);
            }
            Command::Leave(id) => {
                self.members.remove(&id);
                self.enter(id);
                if self.members.is_empty() {
                    self.outage.forget();
                }
            }
            Command::Retry(id) => self.with(id, |member| member.retry(Instant::now())),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn get(&self, id: MemberId) -> Option<&Tracked> {
        self.members.get(&id)
    }

    /// Does something with a member that may change when it wants to ask.
    pub(crate) fn with<T: Default>(&mut self, id: MemberId, work: impl FnOnce(&mut Tracked) -> T) -> T {
        let done = self.members.get_mut(&id).map(work);
        self.enter(id);
        done.unwrap_or_default()
    }

    /// Notes when a member wants to ask.
    fn enter(&mut self, id: MemberId) {
        let due = if self.open { self.members.get(&id).and_then(Tracked::due) } else { None };
        let before = self.entered.get(&id).copied();
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, id));
            self.entered.remove(&id);
        }
        if let Some(due) = due {
            self.due.insert((due, id));
            self.entered.insert(id, due);
        }
    }

    /// When somebody wants to ask something next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// What is to be asked now, and by whom.
    pub(crate) fn questions(&mut self, now: Instant) -> Vec<(MemberId, Question)> {
        let mut questions = Vec::new();
        while let Some(&(due, id)) = self.due.first()
            && due <= now
        {
            self.collect(id, now, &mut questions);
            // Whoever has nothing to ask though it is due asks when something has changed.
            if self.due.first() == Some(&(due, id)) {
                self.due.remove(&(due, id));
                self.entered.remove(&id);
            }
        }
        questions
    }

    /// What one member has to ask now.
    pub(crate) fn collect(&mut self, id: MemberId, now: Instant, questions: &mut Vec<(MemberId, Question)>) {
        let asked = self.with(id, |member| member.questions(now));
        questions.extend(asked.into_iter().map(|question| (id, question)));
    }

    /// Begins a session.
    pub(crate) fn begin(&mut self) {
        self.open = true;
        self.outage.begin();
        self.each(|member| member.begin(Instant::now()));
    }

    /// Ends it.
    pub(crate) fn end(&mut self) {
        self.open = false;
        self.each(Tracked::end);
    }

    fn each(&mut self, work: impl Fn(&mut Tracked)) {
        let ids: Vec<_> = self.members.keys().copied().collect();
        for id in ids {
            self.with(id, &work);
        }
    }

    /// The server lives: who was told of all there is to know is told that it is still so.
    pub(crate) fn confirm(&mut self) {
        for member in self.members.values().filter(|member| member.is_current()) {
            member.slot().send_modify(Slot::confirm);
        }
    }

    /// Tells everybody that no server can be reached.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        self.cut_off(failure.error().clone());
    }

    /// A session was lost.
    pub(crate) fn lose(&mut self, failure: &Failure) {
        self.outage.lose(failure.error().clone());
    }

    /// Tells everybody of the session that was lost, if it is time to.
    pub(crate) fn fail_overdue(&mut self) {
        if let Some(error) = self.outage.take_lost() {
            self.cut_off(error);
        }
    }

    fn cut_off(&mut self, error: WatchError) {
        // The driver paces the attempts: the next answer waits for its next success or failure anyway.
        let error = error.retry(Retry::After(std::time::Duration::ZERO));
        for member in self.members.values() {
            member.slot().send_modify(|slot| slot.fail(error.clone()));
        }
        let chain = error.chain();
        if self.outage.fail(error) {
            warn!(
                source = "zookeeper",
                error = chain,
                "cut off from ZooKeeper; what was read last stays in use"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode::Decode, path::Path};

    #[tokio::test(start_paused = true)]
    async fn nothing_is_known_of_members_that_have_left() {
        let mut roster = Roster::default();
        roster.begin();
        for id in (0..10_000).map(MemberId) {
            let (slot, _seen) = watch::channel(Slot::default());
            let node = Node::new(Path::new("/web").unwrap(), Decode::Nerve);
            roster.obey(Command::Join { id, node, slot });
            if id.0 % 2 == 0 {
                assert_eq!(roster.questions(Instant::now()).len(), 1);
            }
            roster.obey(Command::Leave(id));
            roster.with(id, |member| member.retry(Instant::now()));
        }
        assert!(roster.is_empty() && roster.due.is_empty() && roster.entered.is_empty());
    }
}
