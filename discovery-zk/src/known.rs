//! What is known of one service.

use std::{collections::BTreeMap, sync::Arc};

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
        let mut fresh = Self::default();
        fresh.apply(changes);
        let different = fresh.entries != self.entries;
        self.entries = fresh.entries;
        different
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
