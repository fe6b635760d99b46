//! All together.

use discovery_core::{Health, Settings, Snapshot, Watcher as _, testing::Step};
use tokio::time::Instant;

use crate::{SECOND, endpoint, endpoints, fails, many, play, run, says, union, until};

#[tokio::test(start_paused = true)]
async fn a_union_goes_on_with_the_last_answer_of_a_child_that_fails() {
    let mut failing = vec![says([1]), Step::Wait(SECOND)];
    failing.extend(many(fails));
    let steady = vec![says([2]), Step::Wait(60 * SECOND), says([2, 3])];
    let multi = union([("failing", play(failing)), ("steady", play(steady))]);
    let view = multi.view();
    let mut observed = run(multi);
    until(&mut observed, [1, 2]).await;
    until(&mut observed, [1, 2, 3]).await;
    assert!(matches!(observed.borrow().health, Health::Healthy));
    let [failing, steady] = &view.children()[..] else { panic!("two were given") };
    assert!(matches!(failing.observed.health, Health::Degraded { failures: 5.., .. }) && failing.in_use);
    assert!(matches!(steady.observed.health, Health::Healthy) && steady.in_use);
    assert_eq!((&*failing.name, &*steady.name), ("failing", "steady"));
}

#[tokio::test(start_paused = true)]
async fn a_union_first_waits_for_all_and_then_not_for_ever() {
    let slow = || play([Step::Wait(4 * SECOND), says([2])]);
    let mut both = union([("quick", play([says([1])])), ("slow", slow())]);
    assert_eq!(both.next().await.unwrap(), endpoints([1, 2]));

    let start = Instant::now();
    let mut silent = union([("quick", play([says([1])])), ("silent", play([Step::Hang]))]);
    assert_eq!(silent.next().await.unwrap(), endpoints([1]));
    assert_eq!(start.elapsed(), 5 * SECOND);

    let start = Instant::now();
    let mut failing = union([("quick", play([says([1])])), ("failing", play(many(fails)))]);
    assert_eq!(failing.next().await.unwrap(), endpoints([1]));
    assert!(start.elapsed() <= SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_first_child_wins_what_two_know_and_the_first_with_settings_has_its_way() {
    let settings = |text: &str| Settings::parse(text.as_bytes()).unwrap();
    let of = |weight, text: &str| {
        let snapshot = Snapshot::new([endpoint(1).with_weight(Some(weight))]).with_settings(settings(text));
        play([Step::Yield(snapshot)])
    };
    let mut multi = union([
        ("a", of(1, "{}")),
        ("b", of(2, r#"{"haproxy": {"b": 1}}"#)),
        ("c", of(3, r#"{"haproxy": {}}"#)),
    ]);
    let merged = multi.next().await.unwrap();
    assert_eq!(merged.endpoints()[0].weight(), Some(1));
    assert_eq!(merged.settings().unwrap().generator("haproxy"), Some(r#"{"b":1}"#));
}
