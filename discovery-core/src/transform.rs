//! What can be done with snapshots: pure functions, from values to a value.
//!
//! A service is usually folded in this order: [`union`] or [`fallback`] of its sources, [`available`], [`with_defaults`],
//! [`with_port`], [`with_backups`], [`labelled`], [`last_good`], and at last [`leader`].

use std::num::NonZeroU16;

use thiserror::Error;

use crate::{endpoint::Endpoint, snapshot::Snapshot};

/// All endpoints of all sources. Where two know the same key, the earlier source's endpoint stays; of their settings those of
/// the first source that has any.
pub fn union<'a>(sources: impl IntoIterator<Item = &'a Snapshot>) -> Snapshot {
    let sources: Vec<_> = sources.into_iter().collect();
    if let [only] = sources[..] {
        return only.clone();
    }
    let mut seen = std::collections::HashSet::new();
    let mut all = Vec::with_capacity(sources.iter().map(|source| source.len()).sum());
    for endpoint in sources.iter().flat_map(|source| *source) {
        if seen.insert(endpoint.key()) {
            all.push(endpoint.clone());
        }
    }
    Snapshot::new(all).beside_as_in(sources)
}

/// The first source that has anybody, with its settings; of the rest only what they rejected. Nobody anywhere is what the first
/// source says: nobody, and its settings.
pub fn fallback<'a>(sources: impl IntoIterator<Item = &'a Snapshot>) -> Snapshot {
    let sources: Vec<_> = sources.into_iter().collect();
    let chosen = sources.iter().find(|source| !source.is_empty()).or(sources.first());
    let chosen = chosen.map(|source| (*source).clone()).unwrap_or_default();
    let settings = chosen.settings().cloned();
    chosen.beside_as_in(sources).with_settings(settings)
}

/// Only the endpoints that want traffic.
pub fn available(snapshot: &Snapshot) -> Snapshot {
    snapshot.filtered(Endpoint::available)
}

/// When the defaults of a service are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defaults {
    /// Only while nobody is discovered.
    WhenEmpty,
    /// Always, behind what is discovered (Synapse's `keep_default_servers`).
    Always,
}

/// What is discovered, and the defaults when it is their turn.
pub fn with_defaults(discovered: &Snapshot, defaults: &Snapshot, when: Defaults) -> Snapshot {
    match when {
        _ if defaults.is_empty() => discovered.clone(),
        Defaults::Always => union([discovered, defaults]),
        Defaults::WhenEmpty if discovered.is_empty() => defaults.clone().beside_as_in([discovered]),
        Defaults::WhenEmpty => discovered.clone(),
    }
}

/// All endpoints on this port instead of their own (Synapse's `backend_port_override`).
pub fn with_port(snapshot: &Snapshot, port: NonZeroU16) -> Snapshot {
    if snapshot.into_iter().all(|endpoint| endpoint.port() == port) {
        return snapshot.clone();
    }
    let moved: Snapshot = snapshot.into_iter().map(|endpoint| endpoint.clone().with_port(port)).collect();
    moved.beside_as_in([snapshot])
}

/// Every endpoint a second time, on this port, as a backup (Clay.io's `server_backup_port`).
///
/// An endpoint that already is where its twin would be stays what it is.
pub fn with_backups(snapshot: &Snapshot, port: NonZeroU16) -> Snapshot {
    let twins: Snapshot =
        snapshot.into_iter().map(|endpoint| endpoint.clone().with_port(port).with_backup(true)).collect();
    union([snapshot, &twins])
}

/// A condition on one label of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelFilter {
    /// The label's name.
    pub label: String,
    /// What to compare it with.
    pub value: String,
    /// How.
    pub condition: Condition,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The endpoint has the label, with this value.
    Equals,
    /// The endpoint has the label with another value, or does not have it.
    NotEquals,
}

impl LabelFilter {
    /// Whether an endpoint meets the condition.
    pub fn holds(&self, endpoint: &Endpoint) -> bool {
        let equal = endpoint.label(&self.label) == Some(self.value.as_str());
        match self.condition {
            Condition::Equals => equal,
            Condition::NotEquals => !equal,
        }
    }
}

/// Only the endpoints that meet all conditions.
pub fn labelled(snapshot: &Snapshot, filters: &[LabelFilter]) -> Snapshot {
    snapshot.filtered(|endpoint| filters.iter().all(|filter| filter.holds(endpoint)))
}

/// Why there is no leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoLeader {
    /// Nobody is there.
    #[error("nobody is there to be elected")]
    Nobody,
    /// Some have no id, so another machine could elect another leader.
    #[error("{without} of {of} endpoints have no id to be elected by")]
    WithoutId {
        /// How many have none.
        without: usize,
        /// How many there are.
        of: usize,
    },
}

/// Only the endpoint with the smallest id; where several share it, the first by key that is no backup: the
/// [twin](with_backups) of an endpoint has its id, and does not lead in its place.
///
/// Either exactly one endpoint, or the reason why there is none: never several.
pub fn leader(snapshot: &Snapshot) -> Result<Snapshot, NoLeader> {
    let without = snapshot.into_iter().filter(|endpoint| endpoint.id().is_none()).count();
    if without > 0 {
        return Err(NoLeader::WithoutId { without, of: snapshot.len() });
    }
    let elected = snapshot
        .into_iter()
        .min_by_key(|endpoint| (endpoint.id(), endpoint.backup()))
        .ok_or(NoLeader::Nobody)?;
    Ok(Snapshot::new([elected.clone()]).beside_as_in([snapshot]))
}

/// What to believe when a source says that nobody is there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenEmpty {
    /// Keep serving those who were there last (Synapse's `use_previous_backends`): a registry in trouble often answers
    /// "nobody", and an endpoint that really is gone is noticed by HAProxy's health checks.
    Keep,
    /// Believe it: serve nobody.
    Accept,
}

/// The new snapshot, or who was served before it when the new one is empty and not to be believed: with the new one's settings,
/// since those are no less current for that.
///
/// Entries that nobody understands are not "nobody": a snapshot that has only such leaves everybody where they were, whatever
/// `when` says.
pub fn last_good(previous: Option<&Snapshot>, new: Snapshot, when: WhenEmpty) -> Snapshot {
    match (previous, when) {
        (Some(previous), when)
            if new.is_empty() && (when == WhenEmpty::Keep || new.rejected().total() > 0) =>
        {
            previous.clone().beside_as_in([&new])
        }
        _ => new,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::snapshot::Rejection;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint::new("10.0.0.1".parse().unwrap(), port).unwrap()
    }

    fn ports<const N: usize>(ports: [u16; N]) -> Snapshot {
        ports.into_iter().map(endpoint).collect()
    }

    fn port(port: u16) -> NonZeroU16 {
        NonZeroU16::new(port).unwrap()
    }

    #[test]
    fn a_union_prefers_the_earlier_source() {
        let heavy = Snapshot::new([endpoint(1).with_weight(Some(9))]);
        assert_eq!(union([&heavy, &ports([1, 2])]).endpoints()[0].weight(), Some(9));
        assert_eq!(union([&ports([1, 2]), &heavy]), ports([1, 2]));
    }

    #[test]
    fn a_union_keeps_what_each_source_rejected() {
        let bad = |entry| ports([1]).with_rejected([Rejection::new(entry, "bad")]);
        assert_eq!(union([&bad("a"), &bad("b")]).rejected().total(), 2);
    }

    #[test]
    fn a_fallback_takes_the_first_source_that_has_anybody() {
        assert_eq!(fallback([&ports([]), &ports([2]), &ports([3])]), ports([2]));
        assert_eq!(fallback([&ports([]), &ports([])]), ports([]));
    }

    #[test]
    fn who_wants_no_traffic_gets_none() {
        let mixed = Snapshot::new([endpoint(1), endpoint(2).with_available(false)]);
        assert_eq!(available(&mixed), ports([1]));
    }

    #[test]
    fn defaults_serve_when_nobody_else_does_or_always() {
        let defaults = ports([9]);
        assert_eq!(with_defaults(&ports([]), &defaults, Defaults::WhenEmpty), ports([9]));
        assert_eq!(with_defaults(&ports([1]), &defaults, Defaults::WhenEmpty), ports([1]));
        assert_eq!(with_defaults(&ports([1]), &defaults, Defaults::Always), ports([1, 9]));
    }

    #[test]
    fn a_port_override_makes_one_of_endpoints_that_become_the_same() {
        assert_eq!(with_port(&ports([1, 2]), port(80)), ports([80]));
    }

    #[test]
    fn every_endpoint_gets_a_backup_twin() {
        let both = with_backups(&ports([1, 2]), port(90));
        let shown: Vec<_> = both.into_iter().map(|e| (e.port().get(), e.backup())).collect();
        assert_eq!(shown, [(1, false), (2, false), (90, true)]);
    }

    #[test]
    fn labels_select_as_synapse_does() {
        let labelled_as = |value: &str| {
            endpoint(1).with_labels(BTreeMap::from([("az".to_owned(), value.to_owned())])).unwrap()
        };
        let filter = |condition| LabelFilter { label: "az".into(), value: "a".into(), condition };
        for (endpoint, equals, not_equals) in
            [(labelled_as("a"), true, false), (labelled_as("b"), false, true), (endpoint(1), false, true)]
        {
            assert_eq!(filter(Condition::Equals).holds(&endpoint), equals);
            assert_eq!(filter(Condition::NotEquals).holds(&endpoint), not_equals);
        }
        let all = Snapshot::new([labelled_as("a")]);
        assert_eq!(labelled(&all, &[filter(Condition::Equals), filter(Condition::NotEquals)]), ports([]));
    }

    #[test]
    fn the_smallest_id_leads_alone() {
        let with_ids: Snapshot =
            [(1, 7), (2, 3), (3, 5)].map(|(p, id)| endpoint(p).with_id(Some(id))).into_iter().collect();
        assert_eq!(leader(&with_ids).unwrap().endpoints(), [endpoint(2).with_id(Some(3))]);
    }

    #[test]
    fn without_ids_nobody_leads_always() {
        let mixed = Snapshot::new([endpoint(1).with_id(Some(1)), endpoint(2)]);
        for _ in 0..3 {
            assert_eq!(leader(&mixed), Err(NoLeader::WithoutId { without: 1, of: 2 }));
        }
        assert_eq!(leader(&ports([])), Err(NoLeader::Nobody));
    }

    #[test]
    fn an_empty_answer_keeps_the_last_good_if_so_wished() {
        let before = ports([1]);
        assert_eq!(last_good(Some(&before), ports([]), WhenEmpty::Keep), before);
        assert_eq!(last_good(Some(&before), ports([]), WhenEmpty::Accept), ports([]));
        assert_eq!(last_good(Some(&before), ports([2]), WhenEmpty::Keep), ports([2]));
        assert_eq!(last_good(None, ports([]), WhenEmpty::Keep), ports([]));
        let unreadable = ports([]).with_rejected([Rejection::new("a", "bad")]);
        assert_eq!(last_good(Some(&before), unreadable, WhenEmpty::Accept).endpoints(), before.endpoints());
    }

    #[cfg(feature = "serde")]
    mod settings {
        use super::*;
        use crate::Settings;

        fn says(retries: u8) -> Option<Settings> {
            let json = format!(r#"{{"haproxy": {{"listen": ["retries {retries}"]}}}}"#);
            Settings::parse(json.as_bytes()).unwrap()
        }

        fn set<const N: usize>(endpoints: [u16; N], retries: u8) -> Snapshot {
            ports(endpoints).with_settings(says(retries))
        }

        #[test]
        fn of_a_union_are_those_of_the_first_source_that_has_any() {
            assert_eq!(union([&ports([1]), &set([2], 2), &set([3], 3)]), set([1, 2, 3], 2));
            assert_eq!(union([&set([], 1)]), set([], 1));
        }

        #[test]
        fn of_a_fallback_are_those_of_the_chosen_source_even_if_it_has_none() {
            assert_eq!(fallback([&set([], 1), &set([2], 2), &set([3], 3)]), set([2], 2));
            assert_eq!(fallback([&set([], 1), &ports([2])]), ports([2]));
            assert_eq!(fallback([&set([], 1), &set([], 2)]), set([], 1));
        }

        #[test]
        fn stay_when_some_are_not_available() {
            let mixed = Snapshot::new([endpoint(1), endpoint(2).with_available(false)]);
            assert_eq!(available(&mixed.with_settings(says(1))), set([1], 1));
        }

        #[test]
        fn stay_when_defaults_step_in_or_stand_beside() {
            let defaults = ports([9]);
            assert_eq!(with_defaults(&set([], 1), &defaults, Defaults::WhenEmpty), set([9], 1));
            assert_eq!(with_defaults(&set([2], 1), &defaults, Defaults::WhenEmpty), set([2], 1));
            assert_eq!(with_defaults(&set([2], 1), &defaults, Defaults::Always), set([2, 9], 1));
            assert_eq!(with_defaults(&set([], 1), &ports([]), Defaults::Always), set([], 1));
        }

        #[test]
        fn stay_when_the_port_is_overridden() {
            assert_eq!(with_port(&set([1], 1), port(80)), set([80], 1));
            assert_eq!(with_port(&set([80], 1), port(80)), set([80], 1));
        }

        #[test]
        fn stay_when_there_are_backups() {
            let both = with_backups(&set([1], 1), port(90));
            assert_eq!((both.len(), both.settings()), (2, says(1).as_ref()));
        }

        #[test]
        fn stay_when_labels_choose_even_nobody() {
            let filter = LabelFilter { label: "az".into(), value: "a".into(), condition: Condition::Equals };
            assert_eq!(labelled(&set([1], 1), &[filter]), set([], 1));
        }

        #[test]
        fn stay_when_a_leader_is_elected() {
            let one = Snapshot::new([endpoint(1).with_id(Some(1)), endpoint(2).with_id(Some(2))]);
            let led = leader(&one.with_settings(says(1))).unwrap();
            assert_eq!((led.len(), led.settings()), (1, says(1).as_ref()));
        }

        #[test]
        fn are_the_new_ones_where_the_endpoints_are_the_last_good_ones() {
            let kept = |new: Snapshot| last_good(Some(&set([1], 1)), new, WhenEmpty::Keep);
            assert_eq!(kept(set([], 2)), set([1], 2));
            assert_eq!(kept(ports([])), ports([1]));
            assert_eq!(kept(set([2], 3)), set([2], 3));
        }
    }
}
