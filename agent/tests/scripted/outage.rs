//! A service whose source is in trouble is in trouble alone.

use std::time::Duration;

use agent::{
    Registry, Source,
    discovery::{
        Health, Retry, Snapshot, WatchError, Watcher,
        testing::{ScriptedWatcher, Step},
    },
};
use async_trait::async_trait;
use serde_json::json;

use crate::site::{Running, Site, endpoints, fails, says, until};

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_ends_or_is_silent_stops_no_other() {
    let site = Site::new()
        .service("failing", || (0..1000).map(|_| fails()).collect())
        .service("ended", || vec![Step::Fail(WatchError::new("the registry is closed").retry(Retry::Never))])
        .service("silent", || vec![Step::Hang])
        .service("web", || vec![says([1]), Step::Wait(MINUTE), says([1, 2])]);
    let running = site.start();
    until("the first answer to be served", || site.served("web") == [1]).await;
    until("the second answer to be served", || site.served("web") == [1, 2]).await;
    let states: Vec<_> =
        running.status.services().iter().map(|service| (service.service.clone(), service.state())).collect();
    let state = |name: &str| states.iter().find(|(service, _)| service == name).map(|(_, state)| *state);
    assert_eq!(state("failing"), Some("failing"));
    assert_eq!(state("ended"), Some("ended"));
    assert_eq!(state("silent"), Some("waiting"));
    assert_eq!(state("web"), Some("ok"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_stops_no_other() {
    struct Broken;

    #[async_trait]
    impl Watcher for Broken {
        async fn next(&mut self) -> Result<Snapshot, WatchError> {
            panic!("a bug in somebody's watcher");
        }
    }

    let site = Site::new()
        .service("broken", Vec::new)
        .service("web", Vec::new)
        .set(&["services", "broken", "discovery", "method"], json!("broken"));
    let registry = Registry::empty().with("broken", |_| Ok(Source::new(|_| Broken))).with("scripted", |_| {
        Ok(Source::new(|_| ScriptedWatcher::new([says([1]), Step::Wait(MINUTE), says([2])])))
    });
    let running = Running::start(site.config_with(&registry));
    until("the second answer to be served", || site.served("web") == [2]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_served_stays_through_an_outage_and_the_status_says_why() {
    let site = Site::new().service("web", || {
        let mut steps = vec![says([1, 2])];
        steps.extend((0..10).map(|_| fails()));
        steps.push(says([2, 3]));
        steps
    });
    let running = site.start();
    let failures = || match &running.status.services()[0].health {
        Health::Degraded { failures, error, .. } => {
            assert_eq!(error.to_string(), "asking the registry");
            assert_eq!(running.status.services()[0].snapshot, Some(endpoints([1, 2])));
            *failures
        }
        Health::Starting | Health::Healthy | Health::Ended { .. } => 0,
    };
    until("the tenth failure", || failures() == 10).await;
    assert_eq!(site.served("web"), [1, 2]);
    until("the next answer to be served", || site.served("web") == [2, 3]).await;
    running.stop().await;
}
