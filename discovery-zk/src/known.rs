//! What is known of one service.

use std::{collections::BTreeMap, mem, sync::Arc};

use discovery_core::{Rejection, Settings, Snapshot};

use crate::{decode::Entry, node::Node};

/// What a service's nodes say, parsed once; their data is not kept.
#[derive(Debug, Default)]
pub(crate) struct Known {
    entries: BTreeMap<Arc<str>, Entry>,
    settings: Found,
}

/// What stands where a service's generator configuration may stand: nothing, something, or something that is none.
pub(crate) type Found = Option<Result<Settings, Box<str>>>;

/// One child that came, was written, or (`None`) went.
pub(crate) type Change = (Arc<str>, Option<Entry>);

impl Known {
    /// Takes over what came later than all that is known, the last word on each child. Returns whether anything is different.
    pub(crate) fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> bool {
        let mut different = false;
        for (name, entry) in changes {
            different |= match entry {
                None => self.entries.remove(&name).is_some(),
                Some(entry) => {
                    self.entries.get(&name) != Some(&entry) && {
                        self.entries.insert(name, entry);
                        true
                    }
                }
            };
        }
        different
    }

    /// Takes over everything anew.
    pub(crate) fn replace(&mut self, changes: impl IntoIterator<Item = Change>) -> bool {
        let last: BTreeMap<_, _> = changes.into_iter().collect();
        let mut before = mem::take(&mut self.entries);
        let mut different = false;
        // Built at once, in order, the tree has hardly any room to spare; entry by entry, it would be a third larger.
        self.entries = last
            .into_iter()
            .filter_map(|(name, entry)| {
                let entry = entry?;
                // What was known has texts in common with the snapshots that were told; what is equal to it has texts of its own.
                let known = before.remove(&name).filter(|known| *known == entry);
                different |= known.is_none();
                Some((name, known.unwrap_or(entry)))
            })
            .collect();
        different || !before.is_empty()
    }

    /// Whether there is a child of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Takes over what stands where the generator configuration may stand.
    pub(crate) fn settle(&mut self, settings: &Found) -> bool {
        let different = self.settings != *settings;
        if different {
            self.settings.clone_from(settings);
        }
        different
    }

    /// The endpoints, the entries that are none, and the generator configuration.
    pub(crate) fn snapshot(&self, node: &Node) -> Snapshot {
        let endpoints = self.entries.values().filter_map(|entry| entry.as_ref().ok().cloned());
        let entries = self.entries.iter().filter_map(|(name, entry)| {
            Some(Rejection::new(node.path().join(name).as_str(), entry.as_ref().err()?))
        });
        let (settings, refused) = match &self.settings {
            None => (None, None),
            Some(Ok(settings)) => (Some(settings.clone()), None),
            Some(Err(reason)) => {
                let path = node.settings().unwrap_or(node.path());
                (None, Some(Rejection::new(path.as_str(), &format!("generator configuration: {reason}"))))
            }
        };
        Snapshot::new(endpoints).with_rejected(entries.chain(refused)).with_settings(settings)
    }
}

#[cfg(test)]
mod tests {
    use discovery_core::Endpoint;

    use super::*;

    fn change(name: &str, port: Option<u16>) -> Change {
        let entry = port.map(|port| {
            let endpoint = Endpoint::new("10.0.0.1".parse().unwrap(), port).unwrap();
            Ok(endpoint.with_name("a name").unwrap())
        });
        (name.into(), entry)
    }

    fn ports(known: &Known) -> Vec<u16> {
        known.entries.values().map(|entry| entry.as_ref().unwrap().port().get()).collect()
    }

    #[test]
    fn what_is_taken_over_anew_is_different_if_anything_came_went_or_was_written() {
        let mut known = Known::default();
        assert!(known.replace([change("b", Some(2)), change("a", Some(1))]));
        assert_eq!(ports(&known), [1, 2]);
        assert!(!known.replace([change("a", Some(1)), change("b", Some(2))]));
        assert!(known.replace([change("a", Some(1)), change("b", Some(3))]));
        assert_eq!(ports(&known), [1, 3]);
        assert!(known.replace([change("b", Some(3))]));
        assert!(known.replace([change("b", Some(3)), change("c", Some(4))]));
        assert_eq!(ports(&known), [3, 4]);
    }

    #[test]
    fn the_last_word_on_a_child_counts() {
        let mut known = Known::default();
        known.replace([change("a", Some(1)), change("b", Some(2)), change("a", None), change("b", Some(3))]);
        assert_eq!(ports(&known), [3]);
    }

    #[test]
    fn what_is_read_again_and_still_so_takes_no_more_memory() {
        let text = |known: &Known| known.entries["a"].as_ref().unwrap().name().unwrap().as_ptr();
        let mut known = Known::default();
        known.replace([change("a", Some(1))]);
        let before = text(&known);
        known.replace([change("a", Some(1))]);
        assert_eq!(text(&known), before);
    }
}
