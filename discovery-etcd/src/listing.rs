//! Everything below a prefix, at one revision.

use std::time::Duration;

use etcd_client::{GetOptions, KvClient};

use crate::{
    entry,
    failure::{Failure, Kind},
    prefix::Prefix,
    session::answer,
    slot::Entries,
    watch,
};

/// How many keys one answer holds at first.
const PAGE: i64 = 1000;
/// How many keys a prefix can have: more are no service, and would not fit our memory.
const MAX_KEYS: usize = 100_000;
/// How often a listing begins anew because its revision was compacted under it.
const RESTARTS: u32 = 3;

/// What a prefix holds.
#[derive(Debug)]
pub(crate) struct Listing {
    /// At this revision.
    pub(crate) revision: i64,
    pub(crate) entries: Entries,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// The cluster: what was written before is read.
    Linearizable,
    /// The connected server, from what it has, at no expense of the others.
    Local,
}

/// Lists a prefix, page by page at one revision, each page within `within`. Fails for this prefix alone, or for the connection.
pub(crate) async fn list(
    mut kv: KvClient,
    prefix: &Prefix,
    consistency: Consistency,
    within: Duration,
) -> Result<Listing, Failure> {
    let doing = "listing the keys";
    let mut page = PAGE;
    let mut restarts = 0;
    let mut listing = Listing { revision: 0, entries: Entries::new() };
    let mut from = prefix.as_str().as_bytes().to_vec();
    loop {
        let mut options = GetOptions::new().with_range(prefix.end()).with_limit(page);
        if listing.revision > 0 {
            options = options.with_revision(listing.revision);
        }
        if consistency == Consistency::Local {
            options = options.with_serializable();
        }
        let mut response = match answer(within, doing, kv.get(from.clone(), Some(options))).await {
            Ok(response) => response,
            // Fewer at a time: single values have a bound, at the server.
            Err(failure) if failure.kind() == Kind::TooLong && page > 1 => {
                page = (page / 10).max(1);
                continue;
            }
            Err(failure) if failure.kind() == Kind::Compacted && restarts < RESTARTS => {
                restarts += 1;
                listing = Listing { revision: 0, entries: Entries::new() };
                from = prefix.as_str().as_bytes().to_vec();
                continue;
            }
            Err(failure) if matches!(failure.kind(), Kind::TooLong | Kind::Compacted) => {
                return Err(failure.of_prefix());
            }
            Err(failure) => return Err(failure),
        };
        if listing.revision == 0 {
            listing.revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        }
        let more = response.more();
        let mut last = None;
        for pair in response.take_kvs() {
            let (key, value) = pair.into_key_value();
            if let Some(suffix) = watch::below(prefix, &key) {
                listing.entries.insert(suffix.into(), entry::parse(suffix, &value));
            }
            last = Some(key);
        }
        if listing.entries.len() > MAX_KEYS {
            return Err(Failure::new(Kind::Prefix, doing, format!("there are more than {MAX_KEYS}")));
        }
        match last {
            Some(mut key) if more => {
                // The key that follows it.
                key.push(0);
                from = key;
            }
            _ => return Ok(listing),
        }
    }
}
