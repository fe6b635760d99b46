use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use discovery_core::{Backoff, Retry, Snapshot, WatchError, Watcher as _};
use etcd_client::proto::{PbRangeRequest, PbWatchResponse};
use tokio::time::timeout;
use tonic::Status;

use crate::{
    Cluster, ClusterConfig, Member, Prefix, Timeouts,
    known::MAX_KEYS,
    pace::Pace,
    scripted::{Answer, DEADLINE, Played, Scripted, page, pair},
    watch::NO_ID,
};

/// A cluster whose driver runs; a request is answered within `request`, or not at all.
fn connect(etcd: &Scripted, request: Duration, pace: Pace) -> Cluster {
    connect_backing_off(etcd, request, pace, Duration::from_millis(1))
}

/// The same, with this pause after a round of failures.
fn connect_backing_off(etcd: &Scripted, request: Duration, pace: Pace, pause: Duration) -> Cluster {
    let timeouts = Timeouts { request, ..Timeouts::default() };
    let config = ClusterConfig::new([etcd.address.to_string().parse().unwrap()]).unwrap();
    let backoff = Backoff::new(pause, pause).unwrap();
    let (cluster, driver) = Cluster::paced(config.with_timeouts(timeouts).unwrap(), backoff, pace);
    tokio::spawn(driver);
    cluster
}

fn member(cluster: &Cluster, prefix: &str) -> Member {
    cluster.member(Prefix::new(prefix).unwrap())
}

async fn next(member: &mut Member) -> Result<Vec<u16>, WatchError> {
    let answer = timeout(DEADLINE, member.next()).await.expect("an answer");
    answer.map(|snapshot| ports(&snapshot))
}

fn ports(snapshot: &Snapshot) -> Vec<u16> {
    snapshot.endpoints().iter().map(|endpoint| endpoint.port().get()).collect()
}

/// Waits until a member has said this, and nothing bad before.
async fn until(member: &mut Member, wanted: &[u16]) {
    while next(member).await.unwrap() != wanted {}
}

/// The same, where a connection is lost that had only just begun.
async fn until_again(member: &mut Member, wanted: &[u16]) {
    loop {
        match next(member).await {
            Ok(ports) if ports == wanted => return,
            Ok(_) => {}
            Err(error) => assert!(matches!(error.when(), Retry::After(_)), "{}", error.chain()),
        }
    }
}

/// Prefixes of one key each, all at revision 5; where the connection is asked which cluster it leads to, that is answered too.
fn one_key(request: &PbRangeRequest) -> Answer {
    let prefix = String::from_utf8(request.key.clone()).unwrap();
    page(5, [pair(&format!("{prefix}a"), "10.0.0.1:1", 5)], false)
}

fn begins(request: &PbRangeRequest, with: &str) -> bool {
    !request.count_only && request.key.starts_with(with.as_bytes())
}

#[tokio::test]
async fn a_check_finds_what_the_watch_has_missed() {
    let missed = Arc::new(AtomicBool::new(false));
    let both = Arc::clone(&missed);
    let mut etcd = Scripted::start(move |request| {
        if !both.load(Ordering::SeqCst) {
            return one_key(request);
        }
        page(6, [pair("/web/a", "10.0.0.1:1", 5), pair("/web/b", "10.0.0.1:2", 6)], false)
    })
    .await;
    let (cycle, settle) = (Duration::from_millis(50), Duration::from_millis(1));
    let cluster = connect(&etcd, DEADLINE, Pace { cycle, settle, ..Pace::default() });
    let mut web = member(&cluster, "/web");
    etcd.stream().await.obey();
    until(&mut web, &[1]).await;
    missed.store(true, Ordering::SeqCst);
    until(&mut web, &[1, 2]).await;
}

#[tokio::test]
async fn a_check_that_fails_leaves_the_watch_alone() {
    let listed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&listed);
    let mut etcd = Scripted::start(move |request| {
        if request.count_only || counted.fetch_add(1, Ordering::SeqCst) == 0 {
            return one_key(request);
        }
        Some(Err(Status::unknown("out of sorts")))
    })
    .await;
    let (cycle, settle) = (Duration::from_millis(20), Duration::from_millis(1));
    let cluster = connect(&etcd, DEADLINE, Pace { cycle, settle, ..Pace::default() });
    let mut web = member(&cluster, "/web");
    let mut stream = etcd.stream().await;
    let watch = stream.watch().await;
    stream.created(watch.id);
    until(&mut web, &[1]).await;
    let checks = async {
        while listed.load(Ordering::SeqCst) < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, checks).await.unwrap();
    stream.put(watch.id, pair("/web/b", "10.0.0.1:2", 6));
    until(&mut web, &[1, 2]).await;
    assert!(etcd.no_other_stream());
}

#[tokio::test]
async fn a_stream_that_does_not_answer_its_beat_is_given_up() {
    let mut etcd = Scripted::start(one_key).await;
    let pace = Pace { beat: Duration::from_millis(50), ..Pace::default() };
    let cluster = connect(&etcd, Duration::from_millis(300), pace);
    let mut web = member(&cluster, "/web");
    let mut stream = etcd.stream().await;
    let watch = stream.watch().await;
    stream.created(watch.id);
    // It stays open, and silent.
    let mut next = etcd.stream().await;
    let resumed = next.watch().await;
    assert_eq!((resumed.key.as_str(), resumed.start), ("/web/", 6));
    next.created(resumed.id);
    next.put(resumed.id, pair("/web/b", "10.0.0.1:2", 6));
    until_again(&mut web, &[1, 2]).await;
    drop(stream);
}

#[tokio::test]
async fn a_beat_that_is_answered_confirms_what_is_watched() {
    let mut etcd = Scripted::start(one_key).await;
    let pace = Pace { beat: Duration::from_millis(50), ..Pace::default() };
    let cluster = connect(&etcd, DEADLINE, pace);
    let mut web = member(&cluster, "/web");
    etcd.stream().await.obey();
    for _ in 0..3 {
        assert_eq!(next(&mut web).await.unwrap(), [1]);
    }
    assert!(etcd.no_other_stream());
}

#[tokio::test]
async fn a_refusal_without_an_id_is_that_of_the_watch_asked_for_first() {
    let mut etcd = Scripted::start(one_key).await;
    let cluster = connect(&etcd, DEADLINE, Pace::default());
    let mut members = [member(&cluster, "/one"), member(&cluster, "/two")];
    let mut stream = etcd.stream().await;
    let (first, second) = (stream.watch().await, stream.watch().await);
    stream.say(PbWatchResponse {
        watch_id: NO_ID,
        created: true,
        canceled: true,
        cancel_reason: "etcdserver: permission denied".into(),
        ..PbWatchResponse::default()
    });
    stream.created(second.id);
    stream.put(second.id, pair(&format!("{}b", second.key), "10.0.0.1:2", 6));
    for web in &mut members {
        let told = async {
            loop {
                match next(web).await {
                    Ok(ports) if ports == [1] => {}
                    other => break other,
                }
            }
        };
        let told = told.await;
        if web.prefix().as_str() == first.key {
            let error = told.unwrap_err();
            assert_eq!(error.when(), Retry::Backoff);
            assert!(error.chain().contains("permission denied"), "{}", error.chain());
        } else {
            assert_eq!(told.unwrap(), [1, 2]);
        }
    }
    assert!(etcd.no_other_stream());
}

#[tokio::test]
async fn a_server_that_leaves_out_a_watch_is_left() {
    let mut etcd = Scripted::start(one_key).await;
    let pace = Pace { beat: Duration::from_millis(50), ..Pace::default() };
    // Not for want of an answer.
    let cluster = connect(&etcd, DEADLINE * 10, pace);
    let mut web = member(&cluster, "/web");
    let mut stream = etcd.stream().await;
    // Answers each probe, and this one not.
    stream.watch().await;
    let probe = stream.asked().await.unwrap();
    assert!(probe.probe);
    stream.created(probe.id);
    etcd.stream().await.obey();
    until_again(&mut web, &[1]).await;
    drop(stream);
}

#[tokio::test]
async fn a_server_that_answers_what_was_not_asked_is_left() {
    let mut etcd = Scripted::start(one_key).await;
    let cluster = connect(&etcd, DEADLINE * 10, Pace::default());
    let mut web = member(&cluster, "/web");
    let stream = etcd.stream().await;
    stream.created(4711);
    etcd.stream().await.obey();
    until_again(&mut web, &[1]).await;
    drop(stream);
}

/// Two members, of which that of `/small` is watched and that of `/big` cannot be listed.
async fn big_and_small(etcd: &mut Scripted, request: Duration) -> (Member, Member, Played, i64) {
    let cluster = connect(etcd, request, Pace::default());
    let (big, mut small) = (member(&cluster, "/big"), member(&cluster, "/small"));
    let mut stream = etcd.stream().await;
    let watch = stream.watch().await;
    assert_eq!(watch.key, "/small/");
    stream.created(watch.id);
    until(&mut small, &[1]).await;
    (big, small, stream, watch.id)
}

#[tokio::test]
async fn a_listing_that_is_not_answered_is_the_affair_of_its_prefix() {
    let (awake, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (answers, counted) = (Arc::clone(&awake), Arc::clone(&asked));
    let mut etcd = Scripted::start(move |request| {
        if begins(request, "/big") {
            counted.fetch_add(1, Ordering::SeqCst);
            if !answers.load(Ordering::SeqCst) {
                return None;
            }
        }
        one_key(request)
    })
    .await;
    let (mut big, mut small, mut stream, watch) = big_and_small(&mut etcd, Duration::from_millis(200)).await;
    for round in 1..=2 {
        let error = next(&mut big).await.unwrap_err();
        assert_eq!(error.when(), Retry::Backoff);
        assert!(error.chain().contains("listing the keys: no answer within 200ms"), "{}", error.chain());
        // Pages of 1,000, 100, 10, and 1.
        assert_eq!(asked.load(Ordering::SeqCst), 4 * round, "it is listed again when it is asked for again");
    }
    stream.put(watch, pair("/small/b", "10.0.0.1:2", 6));
    until(&mut small, &[1, 2]).await;
    awake.store(true, Ordering::SeqCst);
    assert_eq!(next(&mut big).await.unwrap(), [1]);
    assert_eq!(stream.watch().await.key, "/big/");
    assert!(etcd.no_other_stream());
}

#[tokio::test]
async fn a_listing_that_fails_inexplicably_is_the_affair_of_its_prefix() {
    let mut etcd = Scripted::start(move |request| {
        if begins(request, "/big") { Some(Err(Status::unknown("out of sorts"))) } else { one_key(request) }
    })
    .await;
    let (mut big, mut small, stream, watch) = big_and_small(&mut etcd, DEADLINE).await;
    let error = next(&mut big).await.unwrap_err();
    assert_eq!(error.when(), Retry::Backoff);
    assert!(error.chain().contains("out of sorts"), "{}", error.chain());
    stream.put(watch, pair("/small/b", "10.0.0.1:2", 6));
    until(&mut small, &[1, 2]).await;
    assert!(etcd.no_other_stream());
}

#[tokio::test]
async fn connections_on_which_no_prefix_is_heard_are_told_as_an_outage() {
    let mut etcd = Scripted::start(|request| if request.count_only { one_key(request) } else { None }).await;
    // However short it lives, a connection on which something was heard would count as a good one, and another would follow at once.
    let pace = Pace { stable: Duration::ZERO, ..Pace::default() };
    let cluster = connect_backing_off(&etcd, DEADLINE, pace, Duration::from_hours(1));
    let mut web = member(&cluster, "/web");
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let closing = tokio::spawn(async move {
        loop {
            let mut stream = etcd.stream().await;
            if let Some(first) = stream.asked().await {
                stream.created(first.id);
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let error = next(&mut web).await.unwrap_err();
    assert!(matches!(error.when(), Retry::After(_)));
    assert!(error.chain().contains("reading the watch stream"), "{}", error.chain());
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    closing.abort();
}

#[tokio::test]
async fn a_prefix_that_grows_beyond_its_bound_is_refused() {
    let mut etcd = Scripted::start(|request| {
        let key = String::from_utf8(request.key.clone()).unwrap();
        let from: usize =
            key.trim_start_matches("/web/").trim_end_matches('\0').parse().map_or(0, |last: usize| last + 1);
        let to = (from + usize::try_from(request.limit).unwrap()).min(MAX_KEYS);
        page(5, (from..to).map(|key| pair(&format!("/web/{key:06}"), "10.0.0.1:1", 5)), to < MAX_KEYS)
    })
    .await;
    let cluster = connect(&etcd, DEADLINE, Pace::default());
    let mut web = member(&cluster, "/web");
    let mut stream = etcd.stream().await;
    let watch = stream.watch().await;
    stream.created(watch.id);
    // All at one address: one endpoint.
    assert!(next(&mut web).await.is_ok());
    stream.put(watch.id, pair("/web/x", "10.0.0.1:2", 6));
    let error = loop {
        if let Err(error) = next(&mut web).await {
            break error;
        }
    };
    assert_eq!(error.when(), Retry::Backoff);
    assert!(error.chain().ends_with("watching: there are more than 100000 keys"), "{}", error.chain());
}
