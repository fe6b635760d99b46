//! Everything below a prefix, at one revision.

use std::time::Duration;

use etcd_client::{GetOptions, KvClient};
use tokio::time::Instant;

use crate::{
    entry,
    failure::{Failure, Kind},
    known::{Entries, MAX_KEYS},
    prefix::Prefix,
    session::answer,
    watch,
};

/// How many keys one answer holds, unless that is too much.
const PAGE: i64 = 1000;
/// How much keys and values of a prefix can be when it is listed, in bytes.
const MAX_BYTES: usize = 64 << 20;
/// How long a listing can take in all, in time-outs of single requests: five minutes by default.
const PATIENCE: u32 = 60;
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

/// Lists a prefix, page by page at one revision, each page within `within`: what takes longer than that, or is too long for one
/// message, is asked for in smaller pages.
///
/// [`Kind::Token`] apart, a failure says nothing sure about the connection.
pub(crate) async fn list(
    mut kv: KvClient,
    prefix: &Prefix,
    consistency: Consistency,
    within: Duration,
) -> Result<Listing, Failure> {
    let doing = "listing the keys";
    let began = Instant::now();
    let (mut page, mut most) = (PAGE, PAGE);
    let mut restarts = 0;
    let mut bytes = 0;
    let mut listing = Listing { revision: 0, entries: Entries::new() };
    let mut from = prefix.as_str().as_bytes().to_vec();
    loop {
        let asked = Instant::now();
        if asked - began > within.saturating_mul(PATIENCE) {
            let cause = format!("not at its end after {:?}", asked - began);
            return Err(Failure::new(Kind::Slow, doing, cause));
        }
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
                most = page;
                continue;
            }
            Err(failure) if failure.kind() == Kind::Slow && page > 1 => {
                page = (page / 10).max(1);
                continue;
            }
            Err(failure) if failure.kind() == Kind::Compacted && restarts < RESTARTS => {
                restarts += 1;
                bytes = 0;
                listing = Listing { revision: 0, entries: Entries::new() };
                from = prefix.as_str().as_bytes().to_vec();
                continue;
            }
            Err(failure) => return Err(failure),
        };
        // Twice as many stay well within the time-out; so what was slow for a while only is not so for ever.
        if asked.elapsed() < within / 4 {
            page = (page * 2).min(most);
        }
        if listing.revision == 0 {
            listing.revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        }
        let more = response.more();
        let mut last = None;
        for pair in response.take_kvs() {
            let (key, value) = pair.into_key_value();
            bytes += key.len() + value.len();
            if let Some(suffix) = watch::below(prefix, &key) {
                listing.entries.insert(suffix.into(), entry::parse(suffix, &value));
            }
            last = Some(key);
        }
        if listing.entries.len() > MAX_KEYS {
            return Err(too_many(doing));
        }
        if bytes > MAX_BYTES {
            let cause = format!("they and their values are more than {} MiB", MAX_BYTES >> 20);
            return Err(Failure::new(Kind::Prefix, doing, cause));
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

/// There are more than [`MAX_KEYS`].
pub(crate) fn too_many(doing: &'static str) -> Failure {
    Failure::new(Kind::Prefix, doing, format!("there are more than {MAX_KEYS} keys"))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use discovery_core::{Backoff, Retry, Snapshot, WatchError, Watcher as _};
    use etcd_client::proto::PbRangeRequest;
    use tokio::{sync::mpsc, time::timeout};
    use tonic::Status;

    use super::*;
    use crate::{
        Cluster, ClusterConfig,
        scripted::{Answer, DEADLINE, Scripted, page, pair},
    };

    /// What a member of `/web` says first when requests for its keys are answered so, and the requests' limits.
    async fn listed(
        answer: impl Fn(&PbRangeRequest) -> Answer + Send + Sync + 'static,
    ) -> (Result<Snapshot, WatchError>, Vec<i64>) {
        let (asked, mut limits) = mpsc::unbounded_channel();
        let etcd = Scripted::start(move |request| {
            if request.count_only {
                return page(1, [], false);
            }
            let _ = asked.send(request.limit);
            answer(request)
        })
        .await;
        let config = ClusterConfig::new([etcd.address.to_string().parse().unwrap()]).unwrap();
        let (cluster, driver) = Cluster::new(config, Backoff::default());
        tokio::spawn(driver);
        let mut web = cluster.member(Prefix::new("/web").unwrap());
        let said = timeout(DEADLINE, web.next()).await.expect("an answer");
        let mut asked = Vec::new();
        while let Ok(limit) = limits.try_recv() {
            asked.push(limit);
        }
        (said, asked)
    }

    #[allow(clippy::unnecessary_wraps, reason = "an answer may also be none")]
    fn compacted() -> Answer {
        Some(Err(Status::out_of_range("etcdserver: mvcc: required revision has been compacted")))
    }

    #[tokio::test]
    async fn a_listing_whose_revision_is_compacted_under_it_begins_anew() {
        let listings = Arc::new(AtomicI64::new(0));
        let (said, asked) = listed(move |request| {
            if request.revision > 0 {
                return compacted();
            }
            match listings.fetch_add(1, Ordering::SeqCst) {
                0 => page(5, [pair("/web/a", "10.0.0.1:1", 5)], true),
                _ => page(9, [pair("/web/b", "10.0.0.1:2", 6), pair("/web/c", "10.0.0.1:3", 7)], false),
            }
        })
        .await;
        assert_eq!(format!("{:?}", said.unwrap()), "[10.0.0.1:2, 10.0.0.1:3]", "and nothing of before");
        assert_eq!(asked.len(), 3);
    }

    #[tokio::test]
    async fn a_listing_whose_revision_is_always_compacted_ends() {
        let (said, asked) = listed(|request| {
            if request.revision > 0 { compacted() } else { page(5, [pair("/web/a", "10.0.0.1:1", 5)], true) }
        })
        .await;
        let error = said.unwrap_err();
        assert_eq!(error.when(), Retry::Backoff);
        assert!(error.chain().contains("has been compacted"), "{}", error.chain());
        assert_eq!(asked.len(), 2 * (1 + usize::try_from(RESTARTS).unwrap()));
    }

    #[tokio::test]
    async fn what_is_too_long_for_a_message_is_asked_for_in_parts() {
        let (said, asked) = listed(|request| {
            // A megabyte each.
            let pairs = (0..request.limit.min(20))
                .map(|key| pair(&format!("/web/{key:02}"), &"x".repeat(1 << 20), 5));
            let more = request.revision == 0;
            page(5, pairs.take(if more { 20 } else { 2 }), more)
        })
        .await;
        // Ten megabytes are too many as well; of one, there may be two next, but never ten again.
        assert_eq!(asked, [1000, 100, 10, 1, 1]);
        assert_eq!(said.unwrap().rejected().total(), 1);
    }

    #[tokio::test]
    async fn a_prefix_with_more_bytes_than_the_bound_is_refused() {
        let (said, asked) = listed(|request| {
            let from = String::from_utf8(request.key.clone()).unwrap();
            page(5, [pair(&format!("{}x", from.trim_end_matches('\0')), &"x".repeat(7 << 20), 5)], true)
        })
        .await;
        let error = said.unwrap_err();
        assert_eq!(error.when(), Retry::Backoff);
        assert!(error.chain().ends_with("they and their values are more than 64 MiB"), "{}", error.chain());
        assert_eq!(asked.len(), 10);
    }
}
