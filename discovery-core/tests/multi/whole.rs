//! What is told of the whole.

use std::time::Duration;

use async_trait::async_trait;
use discovery_core::{
    Backoff, Health, Observed, Rejection, Retry, Snapshot, WatchError, Watcher, multi::Multi, testing::Step,
};
use tokio::time::{sleep, timeout};

use crate::{
    SECOND, boxed, endpoint, endpoints, ends, fails, many, play, run, says, sequential, union, until,
};

#[tokio::test(start_paused = true)]
async fn what_children_reject_is_kept_with_their_names_also_of_those_not_in_use() {
    let bad = |step: [u8; 1], entry: &str| {
        play([Step::Yield(endpoints(step).with_rejected([Rejection::new(entry, "bad")]))])
    };
    let mut multi = sequential([("blue", bad([1], "x")), ("green", bad([2], "y"))]);
    let mut merged = multi.next().await.unwrap();
    while merged.rejected().total() < 2 {
        merged = multi.next().await.unwrap();
    }
    let entries: Vec<_> = merged.rejected().named().iter().map(Rejection::entry).collect();
    assert_eq!(entries, ["blue: x", "green: y"]);
    assert_eq!(merged.endpoints(), endpoints([1]).endpoints());
}

#[tokio::test(start_paused = true)]
async fn the_whole_fails_when_all_children_do_and_says_why_each_does() {
    let mut one = vec![says([1])];
    one.extend(many(fails));
    let mut observed = run(union([("one", play(one)), ("two", play(many(fails)))]));
    let failing = |now: &Observed| matches!(now.health, Health::Degraded { .. });
    let state = observed.wait_for(failing).await.unwrap().clone();
    let error = state.health.error().unwrap();
    assert_eq!(error.chain(), "asking several sources: one: asking; two: asking");
    assert_eq!(state.snapshot, Some(endpoints([1])));
}

#[tokio::test(start_paused = true)]
async fn the_whole_ends_only_when_all_children_have() {
    let mut one = union([("one", play([says([1]), ends()])), ("two", play([says([2])]))]);
    assert_eq!(one.next().await.unwrap(), endpoints([1, 2]));
    assert!(timeout(60 * SECOND, one.next()).await.is_err());
    let mut all = union([("one", play([says([1]), ends()])), ("two", play([says([2]), ends()]))]);
    assert_eq!(all.next().await.unwrap(), endpoints([1, 2]));
    assert_eq!(all.next().await.unwrap_err().when(), Retry::Never);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_panics_stops_no_other() {
    struct Broken;

    #[async_trait]
    impl Watcher for Broken {
        async fn next(&mut self) -> Result<Snapshot, WatchError> {
            panic!("a bug in somebody's watcher");
        }
    }

    let steady = play([says([1]), Step::Wait(SECOND), says([2])]);
    let multi = union([("broken", boxed(Broken)), ("steady", steady)]);
    let view = multi.view();
    let mut observed = run(multi);
    until(&mut observed, [2]).await;
    let broken = &view.children()[0].observed;
    assert_eq!(broken.health.error().unwrap().to_string(), "its watcher has panicked");
}

/// Says the same every second.
struct Repeats(Snapshot, bool);

#[async_trait]
impl Watcher for Repeats {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        if self.1 {
            sleep(SECOND).await;
        }
        self.1 = true;
        Ok(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn the_whole_is_confirmed_when_all_in_use_are() {
    let repeats = |number| boxed(Repeats(endpoints([number]), false));
    let mut observed = run(union([("one", repeats(1)), ("two", repeats(2))]));
    until(&mut observed, [1, 2]).await;
    let first = observed.borrow_and_update().confirmed.unwrap();
    sleep(Duration::from_millis(5500)).await;
    let confirmed = observed.borrow().confirmed.unwrap() - first;
    assert!((4 * SECOND..=5 * SECOND).contains(&confirmed), "{confirmed:?}");
    assert!(!observed.has_changed().unwrap(), "nobody is woken by that");

    let mut observed = run(union([("one", repeats(1)), ("quiet", play([says([2])]))]));
    until(&mut observed, [1, 2]).await;
    let first = observed.borrow().confirmed;
    sleep(10 * SECOND).await;
    assert_eq!(observed.borrow().confirmed, first, "one of the two has said nothing since");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_always_has_news_starves_none() {
    struct Chatty(u8);

    #[async_trait]
    impl Watcher for Chatty {
        async fn next(&mut self) -> Result<Snapshot, WatchError> {
            self.0 = self.0 % 100 + 1;
            Ok(endpoints([self.0]))
        }
    }

    let mut multi = union([("chatty", boxed(Chatty(0))), ("late", play([says([200]), says([201])]))]);
    for _ in 0..100 {
        if multi.next().await.unwrap().iter().any(|one| *one == endpoint(201)) {
            return;
        }
    }
    panic!("the other child was never heard");
}

#[test]
fn a_whole_without_children_ends() {
    let mut nothing = Multi::union::<&str>("web", [], Backoff::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let error = runtime.block_on(nothing.next()).unwrap_err();
    assert_eq!(error.when(), Retry::Never);
}
