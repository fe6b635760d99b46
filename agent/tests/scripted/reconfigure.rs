//! Another configuration while the agent runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod connection;
mod follower;
mod haproxy;
mod source;
mod state;
mod status;

use std::{sync::Arc, time::Duration};

use agent::{
    Reconfigured,
    discovery::testing::{Calls, Step},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::site::{Site, line, says, until};

const SECOND: Duration = Duration::from_secs(1);

/// Two services that have answered.
fn two() -> Site {
    Site::new().service("db", || vec![says([7])]).service("web", || vec![says([1, 2])])
}

/// The same with another source for a service, which is told apart by its section.
fn with_source(site: Site, service: &str, steps: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> Site {
    site.service(service, steps).set(&["services", service, "discovery", "round"], json!(2))
}

/// Everything that was told of a reconfiguration, but for the numbers.
fn told(done: &Reconfigured) -> String {
    format!("+{:?} -{:?} ~{:?} s{:?} {:?}", done.added, done.removed, done.changed, done.sources, done.other)
}

#[tokio::test(start_paused = true)]
async fn the_same_again_changes_nothing_and_asks_nobody_anew() {
    let (site, calls) = (two(), Arc::default());
    let mut running = crate::site::Running::start(site.config_counting(&calls));
    running.applied().await;
    let before = calls.lock().unwrap().iter().map(Calls::count).collect::<Vec<_>>();
    let done = running.reconfigure(site.config_counting(&calls)).await;
    assert!(done.is_nothing() && done.unchanged == 2, "{done:?}");
    assert_eq!(calls.lock().unwrap().iter().map(Calls::count).collect::<Vec<_>>(), before);
    assert_eq!(running.status.output().counters.writes, 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_service_comes_with_its_first_answer_and_holds_up_nobody() {
    let steps = || vec![says([1]), Step::Wait(3 * SECOND), says([1, 2])];
    let site = Site::new().service("web", steps).service("old", || vec![says([5])]);
    let mut running = site.start();
    running.applied().await;
    let site = site.service("new", || vec![Step::Wait(5 * SECOND), says([9])]).without("old");
    let site = site.set(&["services", "web", "haproxy", "listen"], json!(["mode http"]));
    let (handle, config, begun) = (running.handle.clone(), site.config(), Instant::now());
    let taken = tokio::spawn(async move { handle.reconfigure(config).await });
    until("the other's news to be served", || site.served("web") == [1, 2]).await;
    let file = site.file();
    assert!(begun.elapsed() < 5 * SECOND && !taken.is_finished());
    assert!(file.contains("backend old") && !file.contains("backend new") && !file.contains("mode http"));
    assert_eq!(running.status.output().counters.writes, 2);

    let done = taken.await.unwrap().unwrap();
    assert_eq!(told(&done), r#"+["new"] -["old"] ~["web"] s[] []"#);
    until("all of it to be served", || site.served("new") == [9]).await;
    let file = site.file();
    assert!(begun.elapsed() < 6 * SECOND, "{:?}", begun.elapsed());
    assert!(!file.contains("backend old") && file.contains("mode http"), "{file}");
    assert_eq!(running.status.output().counters.writes, 3, "one write for all of it");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_startup_wait_for_a_new_source() {
    let site = two();
    let mut running = site.start();
    running.applied().await;
    let site = site.service("new", || vec![Step::Hang]).set(&["agent", "startup_wait"], json!(7));
    let begun = Instant::now();
    let done = running.reconfigure(site.config()).await;
    assert!((7 * SECOND..8 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(told(&done), r#"+["new"] -[] ~[] s[] ["agent"]"#);
    assert!(site.file().contains("backend new") && site.servers("new").is_empty());
    assert_eq!(running.status.services()[1].state(), "waiting");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_gone_is_not_asked_for_any_more() {
    let failing = || (0..100_000).map(|_| crate::site::fails()).collect();
    let site = two().service("gone", failing).set(&["agent", "backoff_max"], json!(1));
    let calls = Arc::default();
    let mut running = crate::site::Running::start(site.config_counting(&calls));
    running.applied().await;
    let site = site.without("gone").without("db");
    let done = running.reconfigure(site.config_counting(&calls)).await;
    assert_eq!(told(&done), r#"+[] -["db", "gone"] ~[] s[] []"#);
    assert_eq!((site.served("web"), site.file().matches("\nbackend ").count()), (vec![1, 2], 1));
    let services: Vec<_> = running.status.services().into_iter().map(|service| service.service).collect();
    assert_eq!(services, ["web"]);
    sleep(SECOND).await;
    let count = || calls.lock().unwrap().iter().map(Calls::count).sum::<usize>();
    let asked = count();
    sleep(600 * SECOND).await;
    assert_eq!((count(), running.status.output().counters.writes), (asked, 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn services_stand_in_the_order_of_the_configuration() {
    let site = two();
    let registry = |site: &Site, order: [&str; 3]| {
        let mut services: Vec<_> = order
            .iter()
            .map(|name| format!("{name:?}: {{discovery: {{method: base}}, default_servers: [{{host: 10.0.0.1, port: 80}}], haproxy: {{port: null}}}}"))
            .collect();
        services.retain(|service| !service.starts_with("\"-\""));
        let text = format!(
            "services: {{{}}}\nhaproxy: {{config_file_path: {:?}, do_reloads: false, restart_interval: 0, global: [], defaults: []}}",
            services.join(", "),
            site.path()
        );
        agent::Config::parse(&text, None, &agent::Registry::builtin()).unwrap()
    };
    let backends = |site: &Site| {
        let file = site.file();
        let titles = file.lines().filter_map(|line| line.strip_prefix("backend ").map(str::to_owned));
        titles.collect::<Vec<_>>()
    };
    let mut running = crate::site::Running::start(registry(&site, ["c", "a", "-"]));
    running.applied().await;
    assert_eq!(backends(&site), ["c", "a"]);
    let done = running.reconfigure(registry(&site, ["a", "b", "c"])).await;
    assert_eq!((backends(&site), done.unchanged), (vec!["a".into(), "b".into(), "c".into()], 2));
    let services: Vec<_> = running.status.services().into_iter().map(|service| service.service).collect();
    assert_eq!(services, ["a", "b", "c"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_comes_before_the_first_answers_is_taken_over_at_once() {
    let site = two().service("silent", || vec![Step::Hang]).set(&["agent", "startup_wait"], json!(3600));
    let mut running = site.start();
    sleep(SECOND).await;
    assert_eq!(site.file(), "");
    let begun = Instant::now();
    let done = running.reconfigure(site.without("silent").config()).await;
    assert_eq!((told(&done).as_str(), begun.elapsed() < SECOND), (r#"+[] -["silent"] ~[] s[] []"#, true));
    assert_eq!(running.status.output().counters.writes, 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn servers_keep_their_ids_whatever_else_changes() {
    let steps = || vec![says([1, 2, 3]), Step::Wait(SECOND), says([2, 3])];
    let site = Site::new().service("web", steps);
    let mut running = site.start();
    running.applied().await;
    until("one to be gone", || site.servers("web") == [line(2, 2), line(3, 3)]).await;
    let site = site.set(&["services", "web", "haproxy", "listen"], json!(["mode http"]));
    let site = site.set(&["haproxy", "global"], json!(["maxconn 7"]));
    let done = running.reconfigure(site.config()).await;
    assert_eq!(told(&done), r#"+[] -[] ~["web"] s[] ["haproxy.global"]"#);
    assert_eq!(site.servers("web"), [line(2, 2), line(3, 3)]);
    assert!(site.file().contains("maxconn 7") && site.file().contains("mode http"));
    running.stop().await;
}
