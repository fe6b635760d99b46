//! Signs of life of the loop that applies.

use std::{future::pending, pin::pin, time::Duration};

use agent::{Agent, discovery::testing::Step};
use serde_json::json;
use tokio::time::{advance, sleep, timeout};

use crate::site::{Site, says};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_answers_and_then_for_news_is_alive_all_along() {
    let site = Site::new()
        .service("web", || vec![says([1])])
        .service("silent", || vec![Step::Hang])
        .set(&["agent", "startup_wait"], json!(60));
    let running = site.start();
    sleep(SECOND).await;
    for second in 1..300 {
        assert!(running.status.is_alive(), "after {second} s");
        sleep(SECOND).await;
    }
    assert!(running.status.output().applied.is_some());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_news_to_settle_is_alive() {
    let restless = || (1..=200).flat_map(|n| [Step::Wait(SECOND), says([n])]).collect();
    let site = Site::new()
        .service("web", restless)
        .set(&["agent", "settle"], json!(30))
        .set(&["agent", "settle_max"], json!(600));
    let mut running = site.start();
    running.applied().await;
    for second in 1..180 {
        assert!(running.status.is_alive(), "after {second} s");
        sleep(SECOND).await;
    }
    assert_eq!(site.served("web"), [1], "the news have not settled");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_may_take_long_is_no_silence() {
    let site = Site::new()
        .service("web", || vec![says([1])])
        .set(&["haproxy", "do_reloads"], json!(true))
        .set(&["haproxy", "reload_command"], json!("exec sleep 1000"))
        .set(&["haproxy", "reload_timeout"], json!(300));
    let running = site.start();
    sleep(SECOND).await;
    for second in 1..=250 {
        assert!(running.status.is_alive(), "after {second} s");
        assert_eq!(running.status.output().error, None, "after {second} s it still reloads");
        sleep(SECOND).await;
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_does_not_turn_is_seen_and_so_is_its_return() {
    let site = Site::new().service("web", || vec![says([1])]);
    let agent = Agent::new(site.config());
    let mut status = agent.status();
    assert!(!status.is_alive(), "it has not begun");
    let mut run = pin!(agent.run(pending()));
    tokio::select! {
        () = &mut run => panic!("nobody has told it to stop"),
        _ = status.changed() => {}
    }
    assert!(timeout(20 * SECOND, &mut run).await.is_err());
    assert!(status.is_alive());
    // Nobody polls it.
    advance(20 * SECOND).await;
    assert!(!status.is_alive());
    assert!(timeout(SECOND, &mut run).await.is_err());
    assert!(status.is_alive());
}
