//! What a message on the watch stream means: decided here, done elsewhere.

use etcd_client::{ResponseHeader, WatchResponse};

use crate::{entry, failure, failure::Kind, known::Change, prefix::Prefix};

/// The id that a server uses for messages that belong to no watch; newer servers also refuse watches under it.
pub(crate) const NO_ID: i64 = -1;

/// What a message says, but for its events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) id: i64,
    pub(crate) created: bool,
    pub(crate) canceled: bool,
    pub(crate) compact_revision: i64,
    /// The store's revision; 0 or less when the message does not say.
    pub(crate) revision: i64,
    pub(crate) reason: String,
}

impl Facts {
    pub(crate) fn of(message: &WatchResponse) -> Self {
        Self {
            id: message.watch_id(),
            created: message.created(),
            canceled: message.canceled(),
            compact_revision: message.compact_revision(),
            revision: message.header().map_or(0, ResponseHeader::revision),
            reason: message.cancel_reason().to_owned(),
        }
    }
}

/// What is to be done about a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is in place.
    Watching,
    /// It goes on; the message's events are to be applied.
    Events,
    /// It cannot go on from where it was to: the prefix must be listed again.
    Relist(&'static str),
    /// It was refused or ended, for a reason that concerns this prefix, or the user's token.
    Refused(Kind, String),
}

/// What a message means for the watch that it belongs to, which was asked to begin at revision `start`.
pub(crate) fn judge(facts: &Facts, start: i64) -> Verdict {
    // Denied watches are both created and cancelled, so this comes first.
    if facts.canceled {
        // A compaction has no reason, or, with some servers, nothing but a reason.
        if facts.compact_revision > 0 || failure::says_compacted(&facts.reason) {
            return Verdict::Relist("the revision is compacted");
        }
        let reason = if facts.reason.is_empty() { "no reason given" } else { &facts.reason };
        let reason = reason.trim_start_matches("etcdserver: ").to_owned();
        return Verdict::Refused(failure::of_reason(&facts.reason), reason);
    }
    if facts.created {
        // A watch that begins in the future would wait there without a word.
        if facts.revision > 0 && facts.revision < start - 1 {
            return Verdict::Relist("the server's revision is older than ours");
        }
        return Verdict::Watching;
    }
    Verdict::Events
}

/// One event, as the client has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    /// 0 in a deletion, by the API's definition. (The event's type says so too, but asking for it panics on unknown ones.)
    pub(crate) version: i64,
    pub(crate) mod_revision: i64,
}

/// The changes below `prefix` that are newer than the revision `seen`, and the revision that is seen after them.
///
/// That is the last event's own. The one in a message's header would be too high: a watch that catches up gets its past in
/// several messages, each with the store's present revision in its header.
pub(crate) fn changes<'a>(
    events: impl IntoIterator<Item = Event<'a>>,
    prefix: &Prefix,
    seen: i64,
) -> (Vec<Change>, i64) {
    let mut newest = seen;
    let mut changes = Vec::new();
    for event in events {
        // Older: a listing has overtaken the watch.
        if event.mod_revision <= seen {
            continue;
        }
        newest = newest.max(event.mod_revision);
        if let Some(suffix) = below(prefix, event.key) {
            let entry = (event.version > 0).then(|| entry::parse(suffix, event.value));
            changes.push(Change { suffix: suffix.into(), entry });
        }
    }
    (changes, newest)
}

/// What follows the prefix in a key; `None` for the prefix itself, which is a directory's marker.
pub(crate) fn below<'a>(prefix: &Prefix, key: &'a [u8]) -> Option<&'a [u8]> {
    key.strip_prefix(prefix.as_str().as_bytes()).filter(|suffix| !suffix.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { id: 1, revision: 10, ..Facts::default() }
    }

    #[test]
    fn a_watch_is_in_place_when_it_was_created_and_not_cancelled() {
        assert_eq!(judge(&Facts { created: true, ..facts() }, 11), Verdict::Watching);
        assert_eq!(judge(&facts(), 11), Verdict::Events);
    }

    #[test]
    fn a_denied_watch_is_refused_though_it_says_created() {
        let denied = Facts {
            created: true,
            canceled: true,
            reason: "etcdserver: permission denied".into(),
            ..facts()
        };
        assert_eq!(judge(&denied, 11), Verdict::Refused(Kind::Prefix, "permission denied".into()));
        let stale = Facts { reason: "etcdserver: invalid auth token".into(), ..denied };
        assert_eq!(judge(&stale, 11), Verdict::Refused(Kind::Token, "invalid auth token".into()));
    }

    #[test]
    fn a_compacted_watch_is_listed_again() {
        let cancelled = Facts { canceled: true, compact_revision: 7, revision: 0, ..facts() };
        assert!(matches!(judge(&cancelled, 5), Verdict::Relist(_)));
        let by_reason = Facts {
            created: true,
            canceled: true,
            reason: "etcdserver: mvcc: required revision has been compacted".into(),
            ..facts()
        };
        assert!(matches!(judge(&by_reason, 5), Verdict::Relist(_)));
    }

    #[test]
    fn a_watch_in_the_future_is_listed_again() {
        let created = Facts { created: true, ..facts() };
        assert!(matches!(judge(&created, 12), Verdict::Relist(_)));
        assert_eq!(judge(&created, 11), Verdict::Watching, "the next revision is not the future");
        let silent = Facts { revision: 0, ..created };
        assert_eq!(judge(&silent, 12), Verdict::Watching, "a header without a revision proves nothing");
    }

    fn event(key: &'static str, version: i64, mod_revision: i64) -> Event<'static> {
        Event { key: key.as_bytes(), value: b"10.0.0.1:80", version, mod_revision }
    }

    fn read(events: &[Event<'static>], seen: i64) -> (Vec<(String, bool)>, i64) {
        let (changes, newest) = changes(events.iter().copied(), &Prefix::new("/web").unwrap(), seen);
        let shown =
            |change: Change| (String::from_utf8_lossy(&change.suffix).into_owned(), change.entry.is_some());
        (changes.into_iter().map(shown).collect(), newest)
    }

    #[test]
    fn events_are_changes_up_to_the_last_ones_revision() {
        let events = [event("/web/a", 1, 5), event("/web/b/c", 3, 5), event("/web/a", 0, 6)];
        let put = |suffix: &str, put| (suffix.to_owned(), put);
        assert_eq!(read(&events, 4), (vec![put("a", true), put("b/c", true), put("a", false)], 6));
    }

    #[test]
    fn events_that_a_listing_has_overtaken_change_nothing() {
        let events = [event("/web/a", 1, 5), event("/web/b", 1, 6)];
        assert_eq!(read(&events, 5), (vec![("b".to_owned(), true)], 6));
        assert_eq!(read(&events, 9), (vec![], 9));
    }

    #[test]
    fn the_directory_itself_is_no_endpoint() {
        assert_eq!(read(&[event("/web/", 1, 5), event("/other", 1, 6)], 4), (vec![], 6));
    }
}
