//! One after the other.

use discovery_core::{Health, Watcher as _, testing::Step};
use tokio::time::{Instant, sleep, timeout};

use crate::{SECOND, endpoints, fails, many, play, ports, run, says, sequential, until};

#[tokio::test(start_paused = true)]
async fn a_sequence_falls_back_when_the_first_fails_and_returns_when_it_answers() {
    let mut primary = vec![says([1]), Step::Wait(60 * SECOND)];
    primary.extend((0..5).map(|_| fails()));
    primary.push(says([1]));
    let start = Instant::now();
    let multi = sequential([("primary", play(primary)), ("fallback", play([says([2])]))]);
    let view = multi.view();
    let mut observed = run(multi);
    until(&mut observed, [1]).await;
    until(&mut observed, [2]).await;
    let fallen = start.elapsed();
    assert!((60 * SECOND..=61 * SECOND).contains(&fallen), "{fallen:?}");
    assert!(matches!(observed.borrow().health, Health::Healthy));
    let in_use: Vec<_> = view.children().iter().map(|child| child.in_use).collect();
    assert_eq!(in_use, [false, true]);
    until(&mut observed, [1]).await;
}

#[tokio::test(start_paused = true)]
async fn one_lost_answer_changes_nothing() {
    let primary = [says([1]), Step::Wait(SECOND), fails(), Step::Wait(SECOND), says([1])];
    let mut observed = run(sequential([("primary", play(primary)), ("fallback", play([says([2])]))]));
    until(&mut observed, [1]).await;
    assert!(timeout(60 * SECOND, observed.changed()).await.is_err(), "{:?}", ports(&observed));
}

#[tokio::test(start_paused = true)]
async fn a_first_child_that_is_silent_after_one_failure_is_left_in_two_seconds() {
    let primary = [says([1]), Step::Wait(60 * SECOND), fails(), Step::Hang];
    let start = Instant::now();
    let mut observed = run(sequential([("primary", play(primary)), ("fallback", play([says([2])]))]));
    until(&mut observed, [1]).await;
    until(&mut observed, [2]).await;
    assert_eq!(start.elapsed(), 62 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_first_child_with_nobody_is_left_at_once_and_taken_back_with_somebody() {
    let primary = [says([1]), Step::Wait(SECOND), says([]), Step::Wait(SECOND), says([3])];
    let mut observed = run(sequential([("primary", play(primary)), ("fallback", play([says([2])]))]));
    for numbers in [1, 2, 3] {
        until(&mut observed, [numbers]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_of_a_sequence_fail_what_was_in_use_stays() {
    let mut primary = vec![says([1]), Step::Wait(10 * SECOND)];
    primary.extend(many(fails));
    let mut fallback = vec![says([2]), Step::Wait(20 * SECOND)];
    fallback.extend(many(fails));
    let mut observed = run(sequential([("primary", play(primary)), ("fallback", play(fallback))]));
    until(&mut observed, [2]).await;
    observed.wait_for(|now| now.health.error().is_some()).await.unwrap();
    sleep(60 * SECOND).await;
    assert_eq!(ports(&observed), Some(endpoints([2])));
}

#[tokio::test(start_paused = true)]
async fn a_silent_first_child_delays_the_start_by_five_seconds_at_most() {
    let start = Instant::now();
    let mut multi = sequential([("primary", play([Step::Hang])), ("fallback", play([says([2])]))]);
    assert_eq!(multi.next().await.unwrap(), endpoints([2]));
    assert_eq!(start.elapsed(), 5 * SECOND);
}
