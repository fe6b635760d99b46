//! What the driver knows of one prefix, where the prefix's member can see it.

use std::collections::{BTreeMap, btree_map};

use discovery_core::{Rejection, Snapshot};

use crate::{entry::Entry, failure::Failure, prefix::Prefix};

/// How many keys a prefix can have: more are no service, and would not fit our memory.
pub(crate) const MAX_KEYS: usize = 100_000;

/// Everything below one prefix, by what follows the prefix in the key. Values are parsed once and not kept.
pub(crate) type Entries = BTreeMap<Box<[u8]>, Entry>;

/// What is known of one prefix. The driver writes it, the member reads it; each number only grows, so a reader that compares
/// them with what it has seen misses no news however rarely it looks.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    entries: Entries,
    /// How often `entries` became different; 0 until they were read for the first time.
    version: u64,
    /// How often etcd has said that they are right.
    confirmed: u64,
    /// How often something failed.
    failures: u64,
    /// The last failure, unless etcd has said something since.
    failure: Option<Failure>,
}

/// One key that was written or deleted.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) suffix: Box<[u8]>,
    /// `None` when it was deleted.
    pub(crate) entry: Option<Entry>,
}

impl Slot {
    /// A slot of a prefix that cannot be read right now.
    pub(crate) fn failing(failure: Option<Failure>) -> Self {
        Self { failures: failure.is_some().into(), failure, ..Self::default() }
    }

    /// Takes over what a prefix was listed to hold. Returns in how many keys that is different from what was known.
    pub(crate) fn install(&mut self, entries: Entries) -> usize {
        let differences = differences(&self.entries, &entries);
        self.entries = entries;
        if differences > 0 || self.version == 0 {
            self.version += 1;
        }
        self.confirm();
        differences
    }

    /// Takes over changes. Returns whether there is news.
    pub(crate) fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> bool {
        let mut news = self.failure.take().is_some();
        self.confirmed += u64::from(news);
        let mut different = false;
        for Change { suffix, entry } in changes {
            different |= match (self.entries.entry(suffix), entry) {
                (btree_map::Entry::Occupied(known), None) => {
                    drop(known.remove());
                    true
                }
                (btree_map::Entry::Vacant(_), None) => false,
                (btree_map::Entry::Occupied(mut known), Some(entry)) => known.insert(entry) != *known.get(),
                (btree_map::Entry::Vacant(place), Some(entry)) => {
                    place.insert(entry);
                    true
                }
            };
        }
        self.version += u64::from(different);
        news |= different;
        news
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> usize {
        self.entries.len()
    }

    /// What is known is right.
    pub(crate) fn confirm(&mut self) {
        self.failure = None;
        self.confirmed += 1;
    }

    /// What is known may not be right any more.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failures += 1;
        self.failure = Some(failure);
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// How often something failed, and the failure itself, while it lasts.
    pub(crate) fn failure(&self) -> Option<(u64, &Failure)> {
        self.failure.as_ref().map(|failure| (self.failures, failure))
    }

    /// The endpoints and the entries that are none.
    pub(crate) fn snapshot(&self, prefix: &Prefix) -> Snapshot {
        let endpoints = self.entries.values().filter_map(|entry| entry.as_ref().ok().cloned());
        let rejected = self.entries.iter().filter_map(|(suffix, entry)| {
            let reason = entry.as_ref().err()?;
            Some(Rejection::new(&format!("{prefix}{}", String::from_utf8_lossy(suffix)), reason))
        });
        Snapshot::new(endpoints).with_rejected(rejected)
    }
}

fn differences(old: &Entries, new: &Entries) -> usize {
    let changed = new.iter().filter(|(suffix, entry)| old.get(*suffix) != Some(*entry)).count();
    changed + old.keys().filter(|suffix| !new.contains_key(*suffix)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entry, failure::Kind};

    fn put(suffix: &str, value: &str) -> Change {
        let suffix = suffix.as_bytes();
        Change { suffix: suffix.into(), entry: Some(entry::parse(suffix, value.as_bytes())) }
    }

    fn delete(suffix: &str) -> Change {
        Change { suffix: suffix.as_bytes().into(), entry: None }
    }

    fn shown(slot: &Slot) -> String {
        format!("{:?}", slot.snapshot(&Prefix::new("/web").unwrap()))
    }

    #[test]
    fn a_bad_value_takes_nothing_else_with_it() {
        let mut slot = Slot::default();
        slot.install(Entries::new());
        assert!(slot.apply([put("a", "10.0.0.1:80"), put("b", "nonsense"), put("c", "10.0.0.2:80")]));
        let snapshot = slot.snapshot(&Prefix::new("/web").unwrap());
        assert_eq!(snapshot.len(), 2);
        assert_eq!(snapshot.rejected().named()[0].entry(), "/web/b");
        assert!(slot.apply([put("b", "10.0.0.3:80")]));
        assert_eq!(shown(&slot), "[10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80]");
    }

    #[test]
    fn the_same_again_is_no_news() {
        let mut slot = Slot::default();
        slot.install(Entries::new());
        assert!(slot.apply([put("a", "10.0.0.1:80")]));
        assert!(!slot.apply([put("a", "10.0.0.1:80"), delete("b")]));
        assert_eq!(slot.version(), 2);
        assert!(slot.apply([delete("a")]));
    }

    #[test]
    fn a_key_that_is_no_utf_8_is_shown_as_far_as_it_can_be() {
        let mut slot = Slot::default();
        slot.apply([Change { suffix: (*b"\xffx").into(), entry: Some(entry::parse(b"\xffx", b"")) }]);
        let snapshot = slot.snapshot(&Prefix::new("/web").unwrap());
        assert_eq!(snapshot.rejected().named()[0].entry(), "/web/\u{fffd}x");
    }

    #[test]
    fn listing_again_counts_what_was_missed() {
        let mut slot = Slot::default();
        let entries = |changes: Vec<Change>| -> Entries {
            changes.into_iter().map(|change| (change.suffix, change.entry.unwrap())).collect()
        };
        slot.install(entries(vec![
            put("a", "10.0.0.1:80"),
            put("b", "10.0.0.2:80"),
            put("c", "10.0.0.3:80"),
        ]));
        let version = slot.version();
        let same = entries(vec![put("a", "10.0.0.1:80"), put("b", "10.0.0.2:80"), put("c", "10.0.0.3:80")]);
        assert_eq!((slot.install(same), slot.version()), (0, version));
        let other = entries(vec![put("a", "10.0.0.1:81"), put("c", "10.0.0.3:80"), put("d", "10.0.0.4:80")]);
        assert_eq!((slot.install(other), slot.version()), (3, version + 1));
    }

    #[test]
    fn news_ends_a_failure() {
        let mut slot = Slot::default();
        slot.fail(Failure::new(Kind::Connection, "connecting", "refused"));
        assert_eq!(slot.failure().unwrap().0, 1);
        assert!(slot.apply([]));
        assert!(slot.failure().is_none());
    }
}
