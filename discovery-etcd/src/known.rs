//! What is known of one prefix.

use std::collections::{BTreeMap, btree_map};

use discovery_core::{Rejection, Snapshot};

use crate::{entry::Entry, prefix::Prefix};

/// How many keys a prefix can have: more are no service, and would not fit our memory.
pub(crate) const MAX_KEYS: usize = 100_000;

/// Everything below one prefix, by what follows the prefix in the key. Values are parsed once and not kept.
pub(crate) type Entries = BTreeMap<Box<[u8]>, Entry>;

/// What a prefix holds.
#[derive(Debug, Default)]
pub(crate) struct Known {
    entries: Entries,
}

/// One key that was written or deleted.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) suffix: Box<[u8]>,
    /// `None` when it was deleted.
    pub(crate) entry: Option<Entry>,
}

impl Known {
    /// Takes over what a prefix was listed to hold. Returns in how many keys that is different from what was known.
    pub(crate) fn install(&mut self, entries: Entries) -> usize {
        let differences = differences(&self.entries, &entries);
        self.entries = entries;
        differences
    }

    /// Takes over changes. Returns whether anything is different.
    pub(crate) fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> bool {
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
        different
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> usize {
        self.entries.len()
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
    use crate::entry;

    fn put(suffix: &str, value: &str) -> Change {
        let suffix = suffix.as_bytes();
        Change { suffix: suffix.into(), entry: Some(entry::parse(suffix, value.as_bytes())) }
    }

    fn delete(suffix: &str) -> Change {
        Change { suffix: suffix.as_bytes().into(), entry: None }
    }

    fn snapshot(known: &Known) -> Snapshot {
        known.snapshot(&Prefix::new("/web").unwrap())
    }

    #[test]
    fn a_bad_value_takes_nothing_else_with_it() {
        let mut known = Known::default();
        assert!(known.apply([put("a", "10.0.0.1:80"), put("b", "nonsense"), put("c", "10.0.0.2:80")]));
        assert_eq!(snapshot(&known).len(), 2);
        assert_eq!(snapshot(&known).rejected().named()[0].entry(), "/web/b");
        assert!(known.apply([put("b", "10.0.0.3:80")]));
        assert_eq!(format!("{:?}", snapshot(&known)), "[10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80]");
    }

    #[test]
    fn the_same_again_is_no_difference() {
        let mut known = Known::default();
        assert!(known.apply([put("a", "10.0.0.1:80")]));
        assert!(!known.apply([put("a", "10.0.0.1:80"), delete("b")]));
        assert!(known.apply([delete("a")]));
        assert_eq!(known.keys(), 0);
    }

    #[test]
    fn a_key_that_is_no_utf_8_is_shown_as_far_as_it_can_be() {
        let mut known = Known::default();
        known.apply([Change { suffix: (*b"\xffx").into(), entry: Some(entry::parse(b"\xffx", b"")) }]);
        assert_eq!(snapshot(&known).rejected().named()[0].entry(), "/web/\u{fffd}x");
    }

    #[test]
    fn listing_again_counts_what_was_missed() {
        let mut known = Known::default();
        let entries = |changes: Vec<Change>| -> Entries {
            changes.into_iter().map(|change| (change.suffix, change.entry.unwrap())).collect()
        };
        let listed =
            || entries(vec![put("a", "10.0.0.1:80"), put("b", "10.0.0.2:80"), put("c", "10.0.0.3:80")]);
        assert_eq!(known.install(listed()), 3);
        assert_eq!(known.install(listed()), 0);
        let other = entries(vec![put("a", "10.0.0.1:81"), put("c", "10.0.0.3:80"), put("d", "10.0.0.4:80")]);
        assert_eq!(known.install(other), 3);
        assert_eq!(format!("{:?}", snapshot(&known)), "[10.0.0.1:81, 10.0.0.3:80, 10.0.0.4:80]");
    }
}
