//! When the state file is written.

use agent::discovery::testing::Step;
use tokio::time::{Instant, sleep};

use super::{SECOND, beside, remembered, site, state, web};
use crate::site::{fails, line, says, until};

#[tokio::test(start_paused = true)]
async fn a_change_is_on_disk_soon_and_many_changes_cost_few_writes() {
    let site = site().service("web", || {
        let changes = (0..600u16).flat_map(|n| [says([n.to_le_bytes()[0]]), Step::Wait(SECOND / 10)]);
        changes.skip(2).collect()
    });
    let mut running = site.start();
    running.applied().await;
    let begun = Instant::now();
    until("the first write", || beside(&site, "").is_some()).await;
    assert!(begun.elapsed() <= 2 * SECOND, "{:?}", begun.elapsed());
    sleep(60 * SECOND).await;
    let writes = running.status.state_file().unwrap().writes;
    assert!((4..=8).contains(&writes), "{writes} writes in a minute");
    // 599 modulo 256.
    until("the last change to be on disk", || remembered(&site, "web") == ["10.0.0.87"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn its_age_tells_that_an_agent_is_at_work() {
    let site = site().service("web", || vec![says([1])]);
    let running = site.start();
    let file = || running.status.state_file().unwrap_or_default();
    until("the first write", || file().writes == 1).await;
    let first = state(&site)["services"]["web"]["confirmed"].as_f64().unwrap();
    sleep(600 * SECOND).await;
    assert!((10..=12).contains(&file().writes), "{file:?}", file = file());
    assert!(file().written.unwrap().elapsed() <= 65 * SECOND);
    // A source that is healthy and silent says that it is still true.
    assert!(state(&site)["services"]["web"]["confirmed"].as_f64().unwrap() >= first);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_failing_source_said_grows_old() {
    let site = site().service("web", || {
        let mut steps = vec![says([1])];
        steps.extend((0..1000).map(|_| fails()));
        steps
    });
    let running = site.start();
    until("the source to fail", || web(&running).state() == "failing").await;
    sleep(120 * SECOND).await;
    let confirmed = || state(&site)["services"]["web"]["confirmed"].clone();
    let (before, written) = (confirmed(), state(&site)["written"].clone());
    sleep(120 * SECOND).await;
    assert_eq!(confirmed(), before);
    assert_ne!(state(&site)["written"], written);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_came_last_is_written_at_the_end() {
    let site = site().service("web", || vec![says([1]), Step::Wait(20 * SECOND), says([2])]);
    let running = site.start();
    until("the second answer to be served", || site.served("web") == [2]).await;
    running.stop().await;
    assert_eq!(remembered(&site, "web"), ["10.0.0.2"]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_ends_before_it_has_heard_anything_writes_nothing() {
    let site = site().service("web", || vec![says([1])]);
    site.once().await.unwrap();
    let before = beside(&site, "");
    let site = site.service("web", || vec![Step::Hang]);
    let running = site.start();
    sleep(SECOND).await;
    running.stop().await;
    assert_eq!((beside(&site, ""), site.servers("web")), (before, vec![line(1, 1)]));
}
