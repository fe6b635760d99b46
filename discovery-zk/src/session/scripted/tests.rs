//! The ensemble in memory behaves as a real one.

use std::future::Future;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::*;
use crate::session::{Event, Mark, What};

const LONG: Duration = Duration::from_mins(1);

fn mark(what: What) -> Mark {
    Mark { member: 1, what }
}

fn child(name: &str) -> Mark {
    mark(What::Child(name.into()))
}

async fn session(fake: &Fake, nth: u8) -> Established {
    let config = EnsembleConfig::new(["localhost:2181".parse().unwrap()]).unwrap();
    fake.connector().connect("localhost", Fake::address(nth), &config).await.unwrap()
}

async fn never(future: impl Future) -> bool {
    timeout(LONG, future).await.is_err()
}

fn fired(established: &mut Established) -> Vec<(Mark, bool)> {
    let mut seen = Vec::new();
    while let Ok(event) = established.events.try_recv() {
        match event {
            Event::Fired { mark, gone } => seen.push((mark, gone)),
            Event::Ended(reason) => panic!("{reason}"),
        }
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn a_watch_fires_once_and_a_deleted_nodes_before_its_parents() {
    let fake = Fake::of(1);
    fake.create("/a/b", "1");
    let mut established = session(&fake, 1).await;
    let session = Arc::clone(&established.session);
    assert_eq!(session.children("/a", Some(mark(What::Children))).await.unwrap(), ["b"]);
    assert_eq!(session.data("/a/b", Some(child("b"))).await.unwrap(), b"1");
    assert_eq!(fake.armed(), 2);
    fake.set("/a/b", "2");
    fake.set("/a/b", "3");
    assert_eq!(fired(&mut established), [(child("b"), false)]);
    assert_eq!(session.data("/a/b", Some(child("b"))).await.unwrap(), b"3");
    fake.delete("/a/b");
    assert_eq!(fired(&mut established), [(child("b"), true), (mark(What::Children), false)]);
    assert_eq!(fake.armed(), 0);
    assert_eq!(fake.counts().reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn only_exists_arms_a_watch_on_what_is_not_there() {
    let fake = Fake::of(1);
    let mut established = session(&fake, 1).await;
    let session = Arc::clone(&established.session);
    let children = mark(What::Children);
    assert_eq!(session.children("/a", Some(children.clone())).await, Err(Fault::NoNode));
    assert_eq!(session.data("/a", Some(children.clone())).await, Err(Fault::NoNode));
    assert_eq!(fake.armed(), 0);
    assert_eq!(session.exists("/a", Some(children.clone())).await, Ok(false));
    fake.create("/a", "");
    assert_eq!(fired(&mut established), [(children, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_hung_server_answers_in_order_when_it_goes_on() {
    let fake = Fake::of(1);
    fake.create("/a", "1");
    let mut established = session(&fake, 1).await;
    let session = Arc::clone(&established.session);
    session.data("/a", Some(mark(What::Settings))).await.unwrap();
    fake.server(Fake::address(1), Mode::Hung);
    fake.set("/a", "2");
    assert!(fired(&mut established).is_empty());
    assert!(never(session.data("/a", None)).await);
    let requests = join_all([session.data("/a", None), session.data("/b", None)]);
    let go_on = async {
        sleep(LONG).await;
        fake.server(Fake::address(1), Mode::Up);
    };
    let (answers, ()) = tokio::join!(requests, go_on);
    assert_eq!(answers, [Ok(b"2".to_vec()), Err(Fault::NoNode)]);
    assert_eq!(fired(&mut established).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_server_learns_of_each_change_later() {
    let fake = Fake::of(2);
    fake.server(Fake::address(2), Mode::Stale);
    fake.create("/a", "1");
    let mut established = session(&fake, 2).await;
    let session = Arc::clone(&established.session);
    assert_eq!(session.exists("/a", Some(mark(What::Settings))).await, Ok(false));
    fake.set("/a", "2");
    assert!(fired(&mut established).is_empty());
    fake.server(Fake::address(2), Mode::Up);
    assert_eq!(fired(&mut established), [(mark(What::Settings), false)]);
    assert_eq!(session.data("/a", None).await.unwrap(), b"2");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_is_told_and_answered() {
    let fake = Fake::of(1);
    let mut established = session(&fake, 1).await;
    fake.latency(LONG);
    let (answer, ()) = tokio::join!(established.session.exists("/", None), async { fake.cut() });
    assert!(matches!(answer, Err(Fault::Lost(_))));
    assert!(matches!(established.events.recv().await, Some(Event::Ended(_))));
    assert_eq!((fake.sessions(), fake.under_way()), (0, 0));
    assert!(matches!(established.session.exists("/", None).await, Err(Fault::Lost(_))));
}

#[tokio::test(start_paused = true)]
async fn answers_are_there_a_latency_after_the_request_and_overlap() {
    let fake = Fake::of(1);
    let established = session(&fake, 1).await;
    fake.latency(Duration::from_millis(100));
    let begun = Instant::now();
    join_all((0..50).map(|_| established.session.exists("/", None))).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(100));
    assert_eq!(fake.counts().most_under_way, 50);
}
