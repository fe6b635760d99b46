//! How often something is written.

use std::time::Duration;

use agent::discovery::{Snapshot, testing::Step};
use serde_json::json;
use tokio::time::sleep;

use crate::site::{Site, endpoint, line, says, until};

const MS: Duration = Duration::from_millis(1);

/// One endpoint that differs in nothing that HAProxy is told.
fn weighing(weight: u32) -> Snapshot {
    [endpoint(1).with_weight(Some(weight))].into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_wake_ups_for_nothing_write_nothing() {
    let site = Site::new().service("web", || vec![says([1])]);
    site.once().await.unwrap();
    let before = site.file();
    let noise = || (1..=1000).flat_map(|n| [Step::Wait(200 * MS), Step::Yield(weighing(n))]).collect();
    let site = site.service("web", noise);
    let running = site.start();
    let seen = || running.status.services()[0].snapshot.clone();
    until("the last of them to be seen", || seen() == Some(weighing(1000))).await;
    // Longer than it takes to find that nothing has to be done.
    sleep(1000 * MS).await;
    let counters = running.status.output().counters;
    assert_eq!((counters.writes, counters.reloads, counters.write_failures), (0, 0, 0));
    assert!(running.status.output().applied.is_some());
    assert_eq!(site.file(), before);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn fifty_changes_in_a_second_are_at_most_two_writes() {
    let burst = || {
        let mut steps = vec![says([100]), Step::Wait(10_000 * MS)];
        steps.extend((1..=50).flat_map(|n| [Step::Wait(20 * MS), says([n])]));
        steps
    };
    let site = Site::new()
        .service("web", burst)
        // Synapse's own: the default.
        .set(&["haproxy", "restart_interval"], json!(2));
    let mut running = site.start();
    running.applied().await;
    assert_eq!(running.status.output().counters.writes, 1);
    let last = || site.served("web") == [50];
    until("the last change to be served", last).await;
    sleep(5000 * MS).await;
    assert!(running.status.output().counters.writes <= 3, "{:?}", running.status.output());
    assert!(last());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_news_faster_than_the_settle_time_is_applied_all_the_same() {
    let stream = || (1..=250).cycle().take(4000).flat_map(|n| [says([n]), Step::Wait(3 * MS)]).collect();
    let site = Site::new()
        .service("web", stream)
        .set(&["agent", "settle"], json!(0.01))
        .set(&["agent", "settle_max"], json!(0.1));
    let running = site.start();
    // In the middle of the stream, which takes 12 s.
    sleep(8000 * MS).await;
    let writes = running.status.output().counters.writes;
    assert!((20..=200).contains(&writes), "{writes} writes");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_somebody_edited_is_put_right_within_minutes() {
    let site = Site::new().service("web", || vec![says([1])]);
    let mut running = site.start();
    running.applied().await;
    let right = site.file();
    std::fs::write(site.path(), "# oops\n").unwrap();
    until("the edit to be undone", || site.file() == right).await;
    assert_eq!(site.servers("web"), [line(1, 1)]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_shown_and_tried_again() {
    let site = Site::new().service("web", || vec![says([1])]).set(&["haproxy", "restart_interval"], json!(1));
    // A directory in its place: nothing can be renamed over it.
    std::fs::create_dir(site.path()).unwrap();
    std::fs::write(site.path().join("in-the-way"), "").unwrap();
    let mut running = site.start();
    running.applied().await;
    let output = running.status.output();
    assert!(output.error.is_some_and(|error| error.contains("haproxy.cfg")), "{:?}", running.status.output());
    assert!(output.counters.write_failures > 0 && output.counters.writes == 0);
    std::fs::remove_dir_all(site.path()).unwrap();
    until("it to be written", || site.servers("web") == [line(1, 1)]).await;
    until("the error to be over", || running.status.output().error.is_none()).await;
    running.stop().await;
}
