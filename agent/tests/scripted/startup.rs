//! Before the first write.

use std::{sync::Arc, time::Duration};

use agent::{
    Agent,
    discovery::{
        Retry, WatchError,
        testing::{Calls, Step},
    },
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::site::{Site, line, says, until};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_all_have_answered_or_the_wait_is_over() {
    let site = Site::new()
        .service("silent", || vec![Step::Hang])
        .service("web", || vec![says([1])])
        .set(&["agent", "startup_wait"], json!(7));
    let running = site.start();
    sleep(6 * SECOND).await;
    assert_eq!(site.file(), "");
    sleep(3 * SECOND).await;
    assert_eq!(site.servers("web"), [line(1, 1)]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_in_the_first_write() {
    let site = Site::new()
        .service("slow", || vec![Step::Wait(5 * SECOND), says([9])])
        .service("web", || vec![says([1])]);
    let mut running = site.start();
    let start = Instant::now();
    running.applied().await;
    assert!((5 * SECOND..7 * SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!((site.servers("slow"), site.servers("web")), (vec![line(9, 1)], vec![line(1, 1)]));
    assert_eq!(running.status.output().counters.writes, 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_source_that_has_ended() {
    let site = Site::new()
        .service("ended", || vec![Step::Fail(WatchError::new("closed").retry(Retry::Never))])
        .service("web", || vec![says([1])]);
    let mut running = site.start();
    let start = Instant::now();
    running.applied().await;
    assert!(start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopped_before_the_first_answers_it_has_written_nothing() {
    let site = Site::new().service("silent", || vec![Step::Hang]);
    let running = site.start();
    sleep(SECOND).await;
    running.stop().await;
    assert_eq!(site.file(), "");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_before_an_agent_runs_or_after_it_was_dropped() {
    let failing = || (0..100_000).map(|_| Step::Fail(WatchError::new("asking"))).collect();
    let site = Site::new().service("web", failing).set(&["agent", "backoff_max"], json!(1));
    let calls = Arc::default();
    let agent = Agent::new(site.config_counting(&calls));
    let count = || calls.lock().unwrap().iter().map(Calls::count).sum::<usize>();
    sleep(60 * SECOND).await;
    assert_eq!(count(), 0);

    let running = tokio::spawn(agent.run(std::future::pending()));
    until("it asks", || count() > 10).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    // What it spawned is aborted with it, each task at its next turn.
    sleep(SECOND).await;
    let asked = count();
    sleep(600 * SECOND).await;
    assert_eq!(count(), asked);
}
