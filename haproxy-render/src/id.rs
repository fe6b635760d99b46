//! Ids that stay.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::Name;
use crate::number::ServerId;

/// Gives each server of one backend an id, and the same one again for as long as it lives.
///
/// HAProxy's consistent hashing, its sticky tables and its state files go by the id. Without one in the file HAProxy
/// counts servers from the top, and a server that goes takes its successors' places with it.
///
/// ```
/// use haproxy_render::{Ids, Name, ServerId};
///
/// let name = |text| Name::parse(text).unwrap();
/// let first = Ids::new().assign([(name("a"), None), (name("b"), None)]);
/// assert_eq!(first.ids[&name("b")].get(), 2);
///
/// // `a` leaves, `c` arrives: `b` keeps its id, whatever the order.
/// let second = Ids::new().previous(first.ids).assign([(name("c"), None), (name("b"), None)]);
/// assert_eq!(second.ids[&name("b")].get(), 2);
/// assert_eq!(second.ids[&name("c")].get(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Ids {
    max: ServerId,
    previous: BTreeMap<Name, ServerId>,
    reserved: BTreeSet<ServerId>,
}

/// The ids of one backend's servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Assigned {
    /// By name; all different.
    pub ids: BTreeMap<Name, ServerId>,
    /// Servers for which no id was left, in order of their names.
    pub left_out: Vec<Name>,
    /// Servers that wanted an id which another has, in order of their names. They have another id, or are left out.
    pub refused: Vec<Name>,
}

impl Ids {
    /// Nothing known from before, nothing reserved, ids up to [`ServerId::DEFAULT_MAX`].
    pub fn new() -> Self {
        Self { max: ServerId::DEFAULT_MAX, previous: BTreeMap::new(), reserved: BTreeSet::new() }
    }

    /// Bounds the ids that are chosen. Ids that a server had before or asks for may be greater.
    pub fn max(mut self, max: ServerId) -> Self {
        self.max = max;
        self
    }

    /// The ids that servers had before; those of servers that are gone are free again.
    pub fn previous(mut self, previous: BTreeMap<Name, ServerId>) -> Self {
        self.previous = previous;
        self
    }

    /// Ids that no server may get now, as those of servers that HAProxy has not let go of yet.
    pub fn reserved(mut self, reserved: impl IntoIterator<Item = ServerId>) -> Self {
        self.reserved = reserved.into_iter().collect();
        self
    }

    /// Gives ids to servers, each with the id that it asks for, if it does. Of two with one name the first counts.
    ///
    /// 1. A server that had an id keeps it, unless it asks for another.
    /// 2. A server that asks for an id gets it if it is free then; otherwise it is in [`Assigned::refused`] and keeps
    ///    the one it had, or counts as new.
    /// 3. New servers get the smallest free ids.
    ///
    /// Within each step servers are taken in order of their names, so the order of `servers` does not matter.
    pub fn assign(&self, servers: impl IntoIterator<Item = (Name, Option<ServerId>)>) -> Assigned {
        let mut wanted = BTreeMap::new();
        for (name, id) in servers {
            wanted.entry(name).or_insert(id);
        }
        let mut taken = self.reserved.clone();
        let mut assigned = Assigned::default();

        let mut asking = Vec::new();
        let mut fresh = Vec::new();
        for (name, want) in wanted {
            let had = self.previous.get(&name).copied();
            match (had, want) {
                // A damaged memory may have one id twice: the second server counts as new.
                (Some(had), want) if want.is_none_or(|want| want == had) => {
                    if taken.insert(had) {
                        assigned.ids.insert(name, had);
                    } else {
                        fresh.push(name);
                    }
                }
                (had, Some(want)) => asking.push((name, had, want)),
                (_, None) => fresh.push(name),
            }
        }
        // What a server had stays its own until it is known whether it gets what it asks for.
        let held: BTreeMap<ServerId, Name> =
            asking.iter().filter_map(|(name, had, _)| had.map(|had| (had, name.clone()))).collect();
        for (name, had, want) in asking {
            let free = !taken.contains(&want) && held.get(&want).is_none_or(|holder| *holder == name);
            if free {
                taken.insert(want);
                assigned.ids.insert(name, want);
                continue;
            }
            assigned.refused.push(name.clone());
            match had {
                Some(had) if taken.insert(had) => {
                    assigned.ids.insert(name, had);
                }
                _ => fresh.push(name),
            }
        }
        fresh.sort_unstable();
        let mut free =
            (1..=self.max.get()).filter_map(|id| ServerId::new(id).ok()).filter(|id| !taken.contains(id));
        for name in fresh {
            match free.next() {
                Some(id) => {
                    assigned.ids.insert(name, id);
                }
                None => assigned.left_out.push(name),
            }
        }
        assigned
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn id(id: u32) -> ServerId {
        ServerId::new(id).unwrap()
    }

    fn map(ids: &[(&str, u32)]) -> BTreeMap<Name, ServerId> {
        ids.iter().map(|&(text, number)| (name(text), id(number))).collect()
    }

    fn servers(names: &[(&str, u32)]) -> Vec<(Name, Option<ServerId>)> {
        names.iter().map(|&(text, want)| (name(text), ServerId::new(want).ok())).collect()
    }

    #[test]
    fn a_lower_sorting_arrival_moves_nobody() {
        let ids = Ids::new().previous(map(&[("b", 1), ("c", 2)]));
        let assigned = ids.assign(servers(&[("a", 0), ("b", 0), ("c", 0)]));
        assert_eq!(assigned.ids, map(&[("a", 3), ("b", 1), ("c", 2)]));
    }

    #[test]
    fn an_explicit_id_is_honoured_when_it_is_free() {
        let assigned = Ids::new().assign(servers(&[("a", 0), ("b", 1), ("c", 70_000)]));
        assert_eq!(assigned.ids, map(&[("a", 2), ("b", 1), ("c", 70_000)]));
        assert!(assigned.refused.is_empty());
    }

    #[test]
    fn an_explicit_id_never_takes_that_of_a_living_server() {
        let ids = Ids::new().previous(map(&[("b", 1)]));
        let assigned = ids.assign(servers(&[("a", 1), ("b", 0)]));
        assert_eq!((assigned.ids, assigned.refused), (map(&[("a", 2), ("b", 1)]), vec![name("a")]));
    }

    #[test]
    fn two_that_ask_for_each_others_ids_keep_their_own() {
        let ids = Ids::new().previous(map(&[("a", 1), ("b", 2)]));
        let assigned = ids.assign(servers(&[("a", 2), ("b", 1)]));
        assert_eq!(
            (assigned.ids, assigned.refused),
            (map(&[("a", 1), ("b", 2)]), vec![name("a"), name("b")])
        );
    }

    #[test]
    fn a_living_server_can_move_to_a_free_id() {
        let ids = Ids::new().previous(map(&[("a", 1)]));
        assert_eq!(ids.assign(servers(&[("a", 9)])).ids, map(&[("a", 9)]));
    }

    #[test]
    fn who_finds_no_id_is_named() {
        let ids = Ids::new().max(id(2)).reserved([id(1)]);
        let assigned = ids.assign(servers(&[("c", 0), ("a", 0), ("b", 0)]));
        assert_eq!((assigned.ids, assigned.left_out), (map(&[("a", 2)]), vec![name("b"), name("c")]));
    }

    #[test]
    fn a_memory_with_one_id_twice_heals() {
        let ids = Ids::new().previous(map(&[("a", 1), ("b", 1)]));
        assert_eq!(ids.assign(servers(&[("a", 0), ("b", 0)])).ids, map(&[("a", 1), ("b", 2)]));
    }
}
