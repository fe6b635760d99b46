//! Who wants to know what is in use.

use agent::{Agent, ReconfigureError, discovery::testing::Step};
use tokio::time::{Instant, sleep};

use super::{SECOND, two};
use crate::site::{says, until};

#[tokio::test(start_paused = true)]
async fn the_status_shows_which_configuration_is_in_use_and_why_a_newer_one_is_not() {
    let site = two();
    let mut running = site.start();
    running.applied().await;
    let first = running.status.configuration();
    assert_eq!((first.taken, first.waiting, first.failure), (0, None, None));

    sleep(SECOND).await;
    running.handle.refuse("synapse.yaml:3:1: services: no");
    let failure = running.status.configuration().failure.unwrap();
    assert_eq!((failure.error.as_str(), failure.at), ("synapse.yaml:3:1: services: no", Instant::now()));
    assert_eq!(running.status.configuration().since, first.since);

    let site = site.service("slow", || vec![Step::Wait(3 * SECOND), says([9])]);
    let (handle, config, status) = (running.handle.clone(), site.config(), running.status.clone());
    let taken = tokio::spawn(async move { handle.reconfigure(config).await });
    until("it to wait", || status.configuration().waiting.is_some()).await;
    assert_eq!(status.configuration().failure, None);
    assert_eq!(status.services().len(), 2, "what is in use is shown");
    taken.await.unwrap().unwrap();
    let now = status.configuration();
    assert!((now.taken, now.waiting) == (1, None) && now.since > first.since);
    assert_eq!(status.services().len(), 3);

    running.handle.refuse("again");
    running.handle.accept();
    assert_eq!(running.status.configuration().failure, None);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_run_takes_over_nothing() {
    let site = two();
    let agent = Agent::new(site.config());
    let handle = agent.handle();
    drop(agent);
    assert_eq!(handle.reconfigure(site.config()).await, Err(ReconfigureError::Stopped));

    let running = site.start();
    let handle = running.handle.clone();
    running.stop().await;
    assert_eq!(handle.reconfigure(site.config()).await, Err(ReconfigureError::Stopped));

    // Stopped while it waits.
    let mut running = site.start();
    running.applied().await;
    let site = site.service("stuck", || vec![Step::Hang]);
    let (handle, config) = (running.handle.clone(), site.config());
    let waiting = tokio::spawn(async move { handle.reconfigure(config).await });
    let status = running.status.clone();
    until("it to wait", || status.configuration().waiting.is_some()).await;
    running.stop().await;
    assert_eq!(waiting.await.unwrap(), Err(ReconfigureError::Stopped));
    assert!(!site.file().contains("stuck"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_was_found_while_another_configuration_was_in_line_stays_shown() {
    let site = two();
    let agent = Agent::new(site.config());
    let (handle, status) = (agent.handle(), agent.status());
    handle.refuse("old");
    let (given, config) = (handle.clone(), site.config());
    let taken = tokio::spawn(async move { given.reconfigure(config).await });
    until("it to be in line", || status.configuration().failure.is_none()).await;
    handle.refuse("newer");
    let running = tokio::spawn(agent.run(std::future::pending()));
    taken.await.unwrap().unwrap();
    assert_eq!(status.configuration().failure.unwrap().error, "newer");
    running.abort();
}
