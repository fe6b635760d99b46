//! What becomes of the source of a service, and of what it said.

use std::sync::Arc;

use agent::discovery::{
    Endpoint, Retry, Settings, WatchError,
    testing::{Calls, Step},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{SECOND, told, two, with_source};
use crate::site::{Running, Site, endpoint, endpoints, fails, line, says, until};

#[tokio::test(start_paused = true)]
async fn another_source_takes_the_place_of_one_when_it_has_answered() {
    let site = two();
    let mut running = site.start();
    running.applied().await;
    let site = with_source(site, "web", || vec![Step::Wait(4 * SECOND), says([2, 3])]);
    let begun = Instant::now();
    let done = running.reconfigure(site.config()).await;
    assert_eq!(told(&done), r#"+[] -[] ~["web"] s["web"] []"#);
    assert!((4 * SECOND..5 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let servers = site.servers("web");
    assert_eq!((servers[0].clone(), site.served("web")), (line(2, 2), vec![2, 3]));
    assert_eq!(running.status.output().counters.writes, 2, "one write for the section and the servers");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn until_another_source_has_answered_those_are_served_that_were() {
    let site = two();
    let mut running = site.start();
    running.applied().await;
    let late = || vec![fails(), Step::Wait(60 * SECOND), says([]), Step::Wait(60 * SECOND), says([2, 8])];
    let site = with_source(site, "web", late);
    running.reconfigure(site.config()).await;
    assert_eq!(site.servers("web"), [line(1, 1), line(2, 2)], "no answer");
    let web = || running.status.services()[1].clone();
    assert_eq!((web().state(), web().snapshot, web().servers), ("failing", None, 2));
    until("it to answer", || web().snapshot == Some(endpoints([]))).await;
    sleep(SECOND).await;
    assert_eq!(site.servers("web"), [line(1, 1), line(2, 2)], "an empty answer is not believed");
    until("its own word to be served", || site.served("web") == [2, 8]).await;
    assert_eq!(site.servers("web")[0], line(2, 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn rules_are_applied_to_what_is_known_without_asking_anew() {
    let labelled = |number, az: &str| -> Endpoint {
        endpoint(number).with_labels([("az".to_owned(), az.to_owned())].into()).unwrap()
    };
    let all = move || vec![Step::Yield([labelled(1, "a"), labelled(2, "b")].into_iter().collect())];
    let (site, calls) = (Site::new().service("web", all), Arc::default());
    let mut running = Running::start(site.config_counting(&calls));
    running.applied().await;
    let filters = |az: &str| json!([{ "label": "az", "value": az, "condition": "equals" }]);
    let path = ["services", "web", "discovery", "label_filters"];
    let site = site.set(&path, filters("b"));
    let done = running.reconfigure(site.config_counting(&calls)).await;
    assert_eq!(told(&done), r#"+[] -[] ~["web"] s[] []"#);
    assert_eq!(site.servers("web"), [line(2, 2)]);
    // A rule that leaves nobody is a mistake more often than not.
    let site = site.set(&path, filters("c"));
    running.reconfigure(site.config_counting(&calls)).await;
    assert_eq!(site.servers("web"), [line(2, 2)]);
    let site = site.set(&path, filters("a"));
    running.reconfigure(site.config_counting(&calls)).await;
    assert_eq!(site.served("web"), [1]);
    let site = site.set(&path, filters("c")).set(&["services", "web", "use_previous_backends"], json!(false));
    running.reconfigure(site.config_counting(&calls)).await;
    assert_eq!(site.servers("web"), [""; 0]);
    assert_eq!(calls.lock().unwrap().len(), 1, "one watcher all the while");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_port_is_part_of_a_source_and_takes_effect() {
    let (site, calls) = (two(), Arc::default());
    let mut running = Running::start(site.config_counting(&calls));
    running.applied().await;
    let site = site.set(&["services", "web", "backend_port_override"], json!(8080));
    let done = running.reconfigure(site.config_counting(&calls)).await;
    assert_eq!(done.sources, ["web"]);
    assert!(site.servers("web").iter().all(|line| line.contains(":8080 ")), "{:?}", site.servers("web"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn other_pauses_between_attempts_are_those_of_all_sources_and_blank_nobody() {
    let (site, calls) = (two(), Arc::default());
    let mut running = Running::start(site.config_counting(&calls));
    running.applied().await;
    let file = site.file();
    let site = site.set(&["agent", "backoff_max"], json!(3)).service("web", || vec![Step::Hang]);
    let done = running.reconfigure(site.config_counting(&calls)).await;
    assert_eq!((done.sources.len(), done.unchanged), (2, 2));
    assert_eq!((site.file(), calls.lock().unwrap().len()), (file, 4));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_ended_is_begun_again() {
    let ended = || vec![says([1]), Step::Fail(WatchError::new("closed").retry(Retry::Never))];
    let site = Site::new().service("web", ended);
    let mut running = site.start();
    running.applied().await;
    let status = running.status.clone();
    until("it to end", || status.services()[0].state() == "ended").await;
    let site = site.service("web", || vec![says([1, 2])]);
    let done = running.reconfigure(site.config()).await;
    assert_eq!((told(&done).as_str(), done.unchanged), (r#"+[] -[] ~[] s["web"] []"#, 1));
    assert_eq!(site.served("web"), [1, 2]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_can_be_switched_off_and_on() {
    let (site, calls) = (two(), Arc::default());
    let mut running = Running::start(site.config_counting(&calls));
    running.applied().await;
    let file = site.file();
    let path = ["services", "web", "haproxy", "disabled"];
    let site = site.set(&path, json!(true));
    running.reconfigure(site.config_counting(&calls)).await;
    assert!(!site.file().contains("web") && site.served("db") == [7]);
    let site = site.set(&path, json!(false));
    running.reconfigure(site.config_counting(&calls)).await;
    assert_eq!((site.file(), calls.lock().unwrap().len()), (file, 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_registry_says_is_laid_over_the_section_that_is_in_use() {
    let said = || {
        let settings = Settings::parse(br#"{"haproxy": {"backend": ["retries 7"]}}"#).unwrap();
        vec![Step::Yield(endpoints([1]).with_settings(settings))]
    };
    let site = Site::new().service("web", said);
    let mut running = site.start();
    running.applied().await;
    let site =
        site.set(&["services", "web", "haproxy", "backend"], json!(["balance leastconn", "retries 2"]));
    running.reconfigure(site.config()).await;
    let file = site.file();
    assert!(file.contains("balance leastconn") && file.contains("retries 7") && !file.contains("retries 2"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_another_is_waited_for_takes_its_place() {
    let (site, calls) = (two(), Arc::default());
    let mut running = Running::start(site.config_counting(&calls));
    running.applied().await;
    let first = site
        .service("slow", || vec![Step::Wait(5 * SECOND), says([9])])
        .service("stuck", || vec![Step::Hang])
        .set(&["agent", "startup_wait"], json!(3600));
    let (handle, config) = (running.handle.clone(), first.config_counting(&calls));
    let superseded = tokio::spawn(async move { handle.reconfigure(config).await });
    sleep(SECOND).await;
    let second = first.without("stuck");
    let begun = Instant::now();
    let done = running.reconfigure(second.config_counting(&calls)).await;
    assert_eq!(superseded.await.unwrap(), Err(agent::ReconfigureError::Superseded));
    assert_eq!((done.added, second.served("slow")), (vec!["slow".to_owned()], vec![9]));
    assert!(begun.elapsed() < 5 * SECOND, "what had begun goes on: {:?}", begun.elapsed());
    let asked = calls.lock().unwrap().iter().map(Calls::count).collect::<Vec<_>>();
    assert_eq!(asked.len(), 4, "db, web, slow and stuck: {asked:?}");
    running.stop().await;
}
