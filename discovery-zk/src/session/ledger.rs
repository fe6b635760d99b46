//! Which watches of a session are armed, for a client that tells of events by path alone.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{Mark, What};

/// Which watches of a session are armed.
///
/// There can be a hundred thousand: names are shared with whoever armed them, and a node's path is kept once for all its children.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    parents: Mutex<HashMap<Box<str>, Names>>,
    arming: AtomicU32,
}

type Names = HashMap<Arc<str>, Armed>;

/// On what of a node a watch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// That it is made, written or deleted.
    Data,
    /// That it is deleted, or one of its children made or deleted.
    Children,
}

/// What happened to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It was made or written.
    Data,
    /// One of its children was made or deleted.
    Children,
    /// It was deleted.
    Deleted,
}

impl Change {
    fn fires(self, kind: Kind) -> bool {
        match self {
            Self::Data => kind == Kind::Data,
            Self::Children => kind == Kind::Children,
            Self::Deleted => true,
        }
    }
}

/// A watch that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) struct Arming {
    request: u32,
    answered: bool,
}

/// What is armed on one node.
#[derive(Debug)]
enum Armed {
    /// One watch for this member on the data of a child, as nearly all are.
    Child(u64, Arming),
    Any(Vec<Entry>),
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    mark: Mark,
    arming: Arming,
}

impl Ledger {
    /// A watch is about to be asked for. One with the same mark is replaced.
    pub(super) fn arm(&self, path: &str, kind: Kind, mark: Mark) -> Arming {
        let arming = Arming { request: self.arming.fetch_add(1, Ordering::Relaxed), answered: false };
        self.with(path, |entries| {
            entries.retain(|entry| entry.kind != kind || entry.mark != mark);
            entries.push(Entry { kind, mark, arming });
        });
        arming
    }

    /// The server has armed it.
    pub(super) fn armed(&self, path: &str, arming: Arming) {
        self.with(path, |entries| {
            for entry in entries.iter_mut().filter(|entry| entry.arming == arming) {
                entry.arming.answered = true;
            }
        });
    }

    /// The server has not armed it.
    pub(super) fn disarm(&self, path: &str, arming: Arming) {
        self.with(path, |entries| entries.retain(|entry| entry.arming != arming));
    }

    /// Strikes out what a member has armed on a node and on its children. What fires of it later fires nothing.
    pub(super) fn forget(&self, member: u64, path: &str) {
        let others = |entry: &Entry| entry.mark.member != member;
        self.with(path, |entries| entries.retain(others));
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parents = self.lock();
        let Some(names) = parents.get_mut(path) else { return };
        names.retain(|_, armed| match armed {
            Armed::Child(owner, _) => *owner != member,
            Armed::Any(entries) => {
                entries.retain(others);
                !entries.is_empty()
            }
        });
        if names.is_empty() {
            parents.remove(path);
        }
    }

    /// Takes what a change fires, and for each whether the node that was watched is gone.
    ///
    /// A watch whose answer was not seen yet is fired as well: it cannot be told whether the change came before that answer or after it. It is
    /// not called gone, for in the first case the node may be there again.
    pub(super) fn fire(&self, path: &str, change: Change) -> Vec<(Mark, bool)> {
        let mut fired = Vec::new();
        self.with(path, |entries| {
            fired = entries.extract_if(.., |entry| change.fires(entry.kind)).collect();
        });
        let gone = |entry: &Entry| change == Change::Deleted && entry.arming.answered;
        fired.into_iter().map(|entry| (gone(&entry), entry.mark)).map(|(gone, mark)| (mark, gone)).collect()
    }

    /// Changes what is armed on a node.
    fn with(&self, path: &str, change: impl FnOnce(&mut Vec<Entry>)) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut parents = self.lock();
        let (kept, mut entries) = match parents.get_mut(parent).and_then(|names| names.remove_entry(name)) {
            None => (None, Vec::new()),
            Some((name, armed)) => {
                let entries = armed.unpack(&name);
                (Some(name), entries)
            }
        };
        change(&mut entries);
        if let Some(last) = entries.last() {
            let name = kept.unwrap_or_else(|| match &last.mark.what {
                What::Child(child) if **child == *name => Arc::clone(child),
                _ => name.into(),
            });
            let armed = Armed::pack(&name, entries);
            match parents.get_mut(parent) {
                Some(names) => _ = names.insert(name, armed),
                None => _ = parents.insert(parent.into(), Names::from([(name, armed)])),
            }
        } else if parents.get(parent).is_some_and(HashMap::is_empty) {
            parents.remove(parent);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Names>> {
        // Nothing panics while it is held.
        self.parents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn pack(name: &Arc<str>, mut entries: Vec<Entry>) -> Self {
        match entries.as_slice() {
            [Entry { kind: Kind::Data, mark: Mark { member, what: What::Child(child) }, arming }]
                if child == name =>
            {
                Self::Child(*member, *arming)
            }
            _ => {
                entries.shrink_to_fit();
                Self::Any(entries)
            }
        }
    }

    fn unpack(self, name: &Arc<str>) -> Vec<Entry> {
        match self {
            Self::Child(member, arming) => {
                let mark = Mark { member, what: What::Child(Arc::clone(name)) };
                vec![Entry { kind: Kind::Data, mark, arming }]
            }
            Self::Any(entries) => entries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(member: u64, name: &str) -> Mark {
        Mark { member, what: What::Child(name.into()) }
    }

    fn children(member: u64) -> Mark {
        Mark { member, what: What::Children }
    }

    impl Ledger {
        fn arm_for_good(&self, path: &str, kind: Kind, mark: Mark) {
            let arming = self.arm(path, kind, mark);
            self.armed(path, arming);
        }

        fn is_empty(&self) -> bool {
            self.lock().is_empty()
        }
    }

    #[test]
    fn a_watch_fires_once_for_what_it_is_on() {
        let ledger = Ledger::default();
        ledger.arm_for_good("/a/b", Kind::Data, child(1, "b"));
        ledger.arm_for_good("/a/b", Kind::Children, children(1));
        ledger.arm_for_good("/a", Kind::Children, children(2));
        assert_eq!(ledger.fire("/a/b", Change::Data), [(child(1, "b"), false)]);
        assert_eq!(ledger.fire("/a/b", Change::Data), []);
        assert_eq!(ledger.fire("/a/b", Change::Children), [(children(1), false)]);
        assert_eq!(ledger.fire("/a", Change::Children), [(children(2), false)]);
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_deleted_node_fires_all_that_is_armed_on_it() {
        let ledger = Ledger::default();
        ledger.arm_for_good("/a/b", Kind::Data, child(1, "b"));
        ledger.arm_for_good("/a/b", Kind::Data, child(2, "b"));
        ledger.arm_for_good("/a/b", Kind::Children, children(3));
        let fired = ledger.fire("/a/b", Change::Deleted);
        assert_eq!(fired, [(child(1, "b"), true), (child(2, "b"), true), (children(3), true)]);
        assert!(ledger.is_empty());
    }

    #[test]
    fn what_the_server_did_not_arm_does_not_fire() {
        let ledger = Ledger::default();
        let arming = ledger.arm("/a", Kind::Data, children(1));
        ledger.disarm("/a", arming);
        assert_eq!(ledger.fire("/a", Change::Data), []);
        assert!(ledger.is_empty());
    }

    #[test]
    fn an_old_answer_does_not_disarm_what_was_asked_for_since() {
        let ledger = Ledger::default();
        let old = ledger.arm("/a", Kind::Data, children(1));
        ledger.arm_for_good("/a", Kind::Data, children(1));
        ledger.disarm("/a", old);
        assert_eq!(ledger.fire("/a", Change::Data), [(children(1), false)]);
    }

    #[test]
    fn nothing_is_called_gone_whose_answer_may_be_newer() {
        let ledger = Ledger::default();
        ledger.arm_for_good("/a/b", Kind::Data, child(1, "b"));
        let late = ledger.arm("/a/b", Kind::Data, child(2, "b"));
        assert_eq!(ledger.fire("/a/b", Change::Deleted), [(child(1, "b"), true), (child(2, "b"), false)]);
        ledger.armed("/a/b", late);
        assert!(ledger.is_empty());
    }

    #[test]
    fn what_members_watch_who_come_and_go_is_not_kept() {
        let ledger = Ledger::default();
        ledger.arm_for_good("/web", Kind::Children, children(0));
        ledger.arm_for_good("/web/a", Kind::Data, child(0, "a"));
        for member in 1..=10_000 {
            ledger.arm_for_good("/web", Kind::Children, children(member));
            ledger.arm_for_good("/web", Kind::Data, Mark { member, what: What::Settings });
            for name in ["a", "b"] {
                ledger.arm_for_good(&format!("/web/{name}"), Kind::Data, child(member, name));
            }
            let own = format!("/s{member}");
            ledger.arm_for_good(&own, Kind::Children, children(member));
            ledger.arm_for_good(&format!("{own}/a"), Kind::Data, child(member, "a"));
            ledger.forget(member, "/web");
            ledger.forget(member, &own);
        }
        assert_eq!(ledger.lock().len(), 2);
        assert_eq!(ledger.fire("/web/a", Change::Data), [(child(0, "a"), false)]);
        assert_eq!(ledger.fire("/web", Change::Children), [(children(0), false)]);
        assert!(ledger.is_empty());
    }

    #[test]
    fn what_is_below_the_root_is_let_go_of() {
        let ledger = Ledger::default();
        for member in 1..=2 {
            ledger.arm_for_good("/", Kind::Children, children(member));
            ledger.arm_for_good("/a", Kind::Data, child(member, "a"));
        }
        ledger.forget(1, "/");
        assert_eq!(ledger.fire("/a", Change::Deleted), [(child(2, "a"), true)]);
        ledger.forget(2, "/");
        assert!(ledger.is_empty());
    }

    #[test]
    fn the_root_can_be_watched() {
        let ledger = Ledger::default();
        ledger.arm_for_good("/", Kind::Children, children(1));
        ledger.arm_for_good("/a", Kind::Data, child(1, "a"));
        assert_eq!(ledger.fire("/", Change::Children), [(children(1), false)]);
        assert_eq!(ledger.fire("/a", Change::Data), [(child(1, "a"), false)]);
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_hundred_thousand_children_share_their_names_and_their_parents_path() {
        let ledger = Ledger::default();
        let names: Vec<Arc<str>> = (0..100_000).map(|n| format!("c{n}").into()).collect();
        for name in &names {
            let mark = Mark { member: 1, what: What::Child(Arc::clone(name)) };
            ledger.arm_for_good(&format!("/nerve/services/web/{name}"), Kind::Data, mark);
        }
        assert!(names.iter().all(|name| Arc::strong_count(name) == 2));
        assert!(size_of::<(Arc<str>, Armed)>() <= 40);
    }
}
