//! A union of which not every source has answered since the start.

use std::collections::HashSet;

use discovery_core::{Endpoint, Snapshot, multi::View, transform};

/// What a source said last that was good.
#[derive(Debug)]
pub(crate) struct Said {
    snapshot: Snapshot,
    /// What it is made of, where that is several.
    children: Option<View>,
}

impl Said {
    /// An answer, and what can be seen of the children of who gave it.
    pub(crate) fn new(snapshot: Snapshot, children: Option<View>) -> Self {
        Self { snapshot, children }
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whether everybody whose word counts is in it.
    fn is_whole(&self) -> bool {
        let Some(union) = self.children.as_ref().filter(|children| children.resolver() == "union") else {
            return true;
        };
        let keys: HashSet<_> = self.snapshot.iter().map(Endpoint::key).collect();
        // Who has just answered may not be part of what the whole said last.
        let contains = |said: &Snapshot| said.iter().all(|endpoint| keys.contains(&endpoint.key()));
        union.children().iter().all(|child| child.observed.snapshot.as_ref().is_some_and(contains))
    }
}

/// What was known of a service, while there are sources of it that have not answered since: those of whom nobody else has spoken may be
/// theirs.
#[derive(Debug)]
pub(super) struct Unclaimed(Snapshot);

impl Unclaimed {
    /// Of what is known, that which is not in the first answer; `None` if that says everything.
    pub(super) fn of(known: &Snapshot, said: &Said) -> Option<Self> {
        (!known.is_empty() && !said.is_whole()).then(|| Self(known.clone()))
    }

    /// What is said, with what it lacks; `None` if everybody has spoken.
    pub(super) fn complete(&mut self, said: &Said) -> Option<Snapshot> {
        if said.is_whole() {
            return None;
        }
        // Who was named by those that answer goes when they say so.
        let claimed: HashSet<_> = said.snapshot.iter().map(Endpoint::key).collect();
        let left = self.0.iter().filter(|endpoint| !claimed.contains(&endpoint.key()));
        self.0 = self.0.with_endpoints(left.cloned().collect::<Vec<_>>());
        Some(transform::union([&said.snapshot, &self.0]))
    }
}
