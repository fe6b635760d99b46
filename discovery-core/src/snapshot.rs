//! All endpoints of one service at one moment.

use std::{
    cmp::{Ordering, Reverse},
    fmt,
    sync::Arc,
};

use crate::{
    endpoint::{Endpoint, Key},
    settings::Settings,
    text::{SHOWN, printable},
};

/// Everything that a source knows about one service.
///
/// Sorted by key, one endpoint a key, so two sources that know the same things say the same thing, whatever the order they
/// learned them in. Where a key was seen twice, the available one stays, then the one with the highest id (the newest
/// registration). Some registries also say how the service is to be served: [`Settings`]. Cloning costs three reference counts.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    endpoints: Arc<[Endpoint]>,
    rejected: Rejected,
    settings: Option<Settings>,
}

/// The entries of a source that could not be understood, and so are not served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejected {
    total: usize,
    first: Arc<[Rejection]>,
}

/// One entry that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejection {
    entry: String,
    reason: String,
}

/// How many rejections a snapshot names; the rest is counted.
const NAMED: usize = 100;

impl Rejection {
    /// Says that `entry` was refused for `reason`. Both may hold what a stranger wrote: control characters are escaped, and
    /// what is too long is cut.
    pub fn new(entry: &str, reason: &(impl fmt::Display + ?Sized)) -> Self {
        Self { entry: printable(entry, SHOWN), reason: printable(&reason.to_string(), SHOWN) }
    }

    /// Where it stands: a key, a node, a place in a file. Printable, about 200 characters at most.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// What is wrong with it. Printable, about 200 characters at most.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl Rejected {
    /// How many entries were refused.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The first 100 of them, sorted.
    pub fn named(&self) -> &[Rejection] {
        &self.first
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        if other.total == 0 {
            return self.clone();
        }
        if self.total == 0 {
            return other.clone();
        }
        let both: Self = self.first.iter().chain(other.first.iter()).cloned().collect();
        Self { total: self.total + other.total, first: both.first }
    }

    /// The same, each entry with the name of the source before it.
    pub(crate) fn of(&self, source: &str) -> Self {
        let named = |rejection: &Rejection| Rejection {
            entry: printable(&format!("{source}: {}", rejection.entry), SHOWN),
            reason: rejection.reason.clone(),
        };
        let mut first: Vec<_> = self.first.iter().map(named).collect();
        first.sort_unstable();
        Self { total: self.total, first: first.into() }
    }
}

impl FromIterator<Rejection> for Rejected {
    /// Counts all, keeps the first 100 by entry, and holds not many more than that at a time.
    fn from_iter<I: IntoIterator<Item = Rejection>>(rejections: I) -> Self {
        let (mut total, mut first) = (0, Vec::new());
        for rejection in rejections {
            total += 1;
            first.push(rejection);
            if first.len() > 10 * NAMED {
                first.sort_unstable();
                first.truncate(NAMED);
            }
        }
        first.sort_unstable();
        first.truncate(NAMED);
        Self { total, first: first.into() }
    }
}

impl Snapshot {
    /// A snapshot of these endpoints, in any order.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let mut sorted: Vec<_> = endpoints.into_iter().collect();
        sorted.sort_unstable_by(|a, b| a.cmp_key(b).then_with(|| Self::preferred(a, b)));
        sorted.dedup_by(|later, first| later.cmp_key(first) == Ordering::Equal);
        Self { endpoints: sorted.into(), rejected: Rejected::default(), settings: None }
    }

    /// Which of two registrations of one key comes first, whatever the order they were read in.
    fn preferred(a: &Endpoint, b: &Endpoint) -> Ordering {
        let rank = |endpoint: &Endpoint| (!endpoint.available(), Reverse(endpoint.id()));
        rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
    }

    /// Keeps what `keep` wants: no need to sort again.
    pub(crate) fn filtered(&self, keep: impl Fn(&Endpoint) -> bool) -> Self {
        if self.endpoints.iter().all(&keep) {
            return self.clone();
        }
        Self {
            endpoints: self.endpoints.iter().filter(|endpoint| keep(endpoint)).cloned().collect(),
            rejected: self.rejected.clone(),
            settings: self.settings.clone(),
        }
    }

    /// The same with other endpoints, in any order: what was rejected and the settings stay.
    #[must_use]
    pub fn with_endpoints(&self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self::new(endpoints).beside_as_in([self])
    }

    /// Adds the entries that could not be understood.
    #[must_use]
    pub fn with_rejected(mut self, rejections: impl IntoIterator<Item = Rejection>) -> Self {
        self.rejected = self.rejected.and(&rejections.into_iter().collect());
        self
    }

    /// Adds what the source says about how the service is to be served, or takes it away.
    #[must_use]
    pub fn with_settings(mut self, settings: Option<Settings>) -> Self {
        self.settings = settings;
        self
    }

    /// The same with other rejections.
    pub(crate) fn rejecting(mut self, rejected: Rejected) -> Self {
        self.rejected = rejected;
        self
    }

    /// Takes over all but the endpoints: everything that `others` rejected, and the settings of the first that has any.
    pub(crate) fn beside_as_in<'a>(mut self, others: impl IntoIterator<Item = &'a Self>) -> Self {
        (self.rejected, self.settings) = (Rejected::default(), None);
        for other in others {
            self.rejected = self.rejected.and(&other.rejected);
            self.settings = self.settings.or_else(|| other.settings.clone());
        }
        self
    }

    /// The endpoints, sorted by key.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The endpoints one by one, sorted by key.
    pub fn iter(&self) -> std::slice::Iter<'_, Endpoint> {
        self.endpoints.iter()
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether the source says "nobody".
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The entries that could not be understood.
    pub fn rejected(&self) -> &Rejected {
        &self.rejected
    }

    /// What the source says about how the service is to be served.
    pub fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }
}

impl FromIterator<Endpoint> for Snapshot {
    fn from_iter<I: IntoIterator<Item = Endpoint>>(endpoints: I) -> Self {
        Self::new(endpoints)
    }
}

impl<'a> IntoIterator for &'a Snapshot {
    type Item = &'a Endpoint;
    type IntoIter = std::slice::Iter<'a, Endpoint>;

    fn into_iter(self) -> Self::IntoIter {
        self.endpoints.iter()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.endpoints.iter()).finish()?;
        if self.rejected.total > 0 {
            write!(f, " rejected={}", self.rejected.total)?;
        }
        if let Some(settings) = &self.settings {
            write!(f, " settings={settings:?}")?;
        }
        Ok(())
    }
}

/// What is different between two snapshots, for whoever needs edges instead of levels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Diff {
    /// Endpoints whose key is new, sorted.
    pub added: Vec<Endpoint>,
    /// Endpoints that are the same by key and not equal, as they are now, sorted.
    pub changed: Vec<Endpoint>,
    /// Keys that are gone, sorted.
    pub removed: Vec<Key>,
}

impl Diff {
    /// Whether the two snapshots have equal endpoints.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// What has to happen to `old` to make it `new`. Takes time proportional to both.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Diff {
    let mut edges = Diff::default();
    if Arc::ptr_eq(&old.endpoints, &new.endpoints) {
        return edges;
    }
    let (mut before, mut after) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return edges,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.cmp_key(new),
        };
        let gone = if order == Ordering::Greater { None } else { before.next() };
        let come = if order == Ordering::Less { None } else { after.next() };
        match (gone, come) {
            (Some(old), Some(new)) if old != new => edges.changed.push(new.clone()),
            (Some(old), None) => edges.removed.push(old.key()),
            (None, Some(new)) => edges.added.push(new.clone()),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint::new("10.0.0.1".parse().unwrap(), port).unwrap()
    }

    #[test]
    fn order_and_doubles_make_no_difference() {
        let one = Snapshot::new([endpoint(2), endpoint(1), endpoint(2)]);
        let other = Snapshot::new([endpoint(1), endpoint(2)]);
        assert_eq!(one, other);
    }

    #[test]
    fn of_two_registrations_the_available_then_the_newest_stays() {
        let stale = endpoint(1).with_available(false).with_id(Some(9));
        let old = endpoint(1).with_id(Some(1)).with_weight(Some(1));
        let new = endpoint(1).with_id(Some(2)).with_weight(Some(2));
        for order in [[&stale, &old, &new], [&new, &old, &stale], [&old, &new, &stale]] {
            let snapshot: Snapshot = order.into_iter().cloned().collect();
            assert_eq!(snapshot.endpoints(), std::slice::from_ref(&new));
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn other_settings_are_another_snapshot_with_the_same_endpoints() {
        let settings = |text: &[u8]| Settings::parse(text).unwrap();
        let plain = Snapshot::new([endpoint(1)]);
        let one = plain.clone().with_settings(settings(br#"{"haproxy": {"server_options": "check"}}"#));
        let same = plain.clone().with_settings(settings(b"{ \"haproxy\":{\"server_options\":\"check\"} }"));
        let other =
            plain.clone().with_settings(settings(br#"{"haproxy": {"server_options": "check"}, "x": 0}"#));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_ne!(one, plain);
        assert!(diff(&one, &other).is_empty());
        assert_eq!(format!("{one:?}"), r#"[10.0.0.1:1] settings={"haproxy"}"#);
        assert_eq!(one.with_settings(None), plain);
    }

    #[test]
    fn rejections_are_named_up_to_a_bound_and_counted_beyond_it() {
        let snapshot =
            Snapshot::default().with_rejected((0..150).map(|n| Rejection::new(&n.to_string(), "bad")));
        assert_eq!(snapshot.rejected().total(), 150);
        assert_eq!(snapshot.rejected().named().len(), 100);
        assert!(snapshot.is_empty());
    }

    #[test]
    fn rejections_add_up() {
        let one = |entry| [Rejection::new(entry, "bad")];
        let both = Snapshot::default().with_rejected(one("b")).with_rejected(one("a"));
        assert_eq!(both.rejected().total(), 2);
        assert_eq!(both.rejected().named()[0].entry(), "a");
    }

    #[test]
    fn other_endpoints_leave_what_stands_beside_them() {
        let rejections = (0..150).map(|n| Rejection::new(&n.to_string(), "bad"));
        let moved = Snapshot::new([endpoint(1)]).with_rejected(rejections).with_endpoints([endpoint(2)]);
        assert_eq!(moved.endpoints(), [endpoint(2)]);
        assert_eq!(moved.rejected().total(), 150);
    }

    #[test]
    fn a_rejection_is_printable_and_short() {
        let rejection = Rejection::new("a\n\u{1b}[31m", &"x".repeat(5000));
        assert_eq!(rejection.entry(), "a\\n\\u{1b}[31m");
        assert_eq!(rejection.reason().chars().count(), SHOWN + 1);
    }

    fn snapshots() -> impl Strategy<Value = Snapshot> {
        proptest::collection::vec((1u16..12, proptest::option::of(0u32..3)), 0..12).prop_map(|list| {
            list.into_iter().map(|(port, weight)| endpoint(port).with_weight(weight)).collect()
        })
    }

    proptest! {
        #[test]
        fn applying_a_diff_to_the_old_gives_the_new(old in snapshots(), new in snapshots()) {
            let edges = diff(&old, &new);
            let untouched = old.into_iter().filter(|endpoint| {
                let key = endpoint.key();
                !edges.removed.contains(&key) && !edges.changed.iter().any(|changed| changed.key() == key)
            });
            let applied: Snapshot =
                untouched.chain(&edges.changed).chain(&edges.added).cloned().collect();
            prop_assert_eq!(edges.is_empty(), old == new);
            prop_assert_eq!(applied, new);
        }
    }
}
