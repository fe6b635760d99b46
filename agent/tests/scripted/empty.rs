//! Nobody, somebody, one of them.

use std::time::Duration;

use agent::discovery::testing::Step;
use serde_json::json;

use crate::site::{Site, endpoint, says, until};

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn those_who_were_there_last_stay_when_nobody_is_left() {
    let steps = || vec![says([1, 2]), Step::Wait(MINUTE), says([])];
    let site = Site::new().service("kept", steps).service("believed", steps);
    let site = site.set(&["services", "believed", "use_previous_backends"], json!(false));
    let running = site.start();
    until("both to be served", || site.served("kept") == [1, 2] && site.served("believed") == [1, 2]).await;
    until("nobody to be believed", || site.served("believed").is_empty()).await;
    assert_eq!(site.served("kept"), [1, 2]);
    assert!(site.file().contains("\nbackend believed\n"), "the section stays");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn defaults_are_served_while_nobody_is_found() {
    let steps = || vec![says([]), Step::Wait(MINUTE), says([1]), Step::Wait(MINUTE), says([])];
    let site = Site::new()
        .service("web", steps)
        .set(&["services", "web", "default_servers"], json!([{ "host": "10.0.0.9", "port": 80 }]));
    let running = site.start();
    until("the default to be served", || site.served("web") == [9]).await;
    until("the one that was found to be served", || site.served("web") == [1]).await;
    until("the default to be served again", || site.served("web") == [9]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn defaults_that_are_kept_are_served_beside_the_others() {
    let site = Site::new()
        .service("web", || vec![says([1])])
        .set(&["services", "web", "default_servers"], json!([{ "host": "10.0.0.9", "port": 80 }]))
        .set(&["services", "web", "keep_default_servers"], json!(true));
    site.once().await.unwrap();
    assert_eq!(site.served("web"), [1, 9]);
}

#[tokio::test(start_paused = true)]
async fn the_smallest_id_leads_until_it_leaves_and_without_ids_nobody_does() {
    let candidate = |number, id| endpoint(number).with_id(Some(id));
    let steps = move || {
        vec![
            Step::Yield([candidate(1, 30), candidate(2, 20)].into_iter().collect()),
            Step::Wait(MINUTE),
            Step::Yield([candidate(1, 30), candidate(3, 40)].into_iter().collect()),
            Step::Wait(MINUTE),
            Step::Yield([candidate(1, 30), endpoint(3)].into_iter().collect()),
        ]
    };
    let site = Site::new().service("db", steps).set(&["services", "db", "leader_election"], json!(true));
    let running = site.start();
    until("the smallest id to lead", || site.served("db") == [2]).await;
    until("the next one to lead", || site.served("db") == [1]).await;
    until("nobody to lead", || site.served("db").is_empty()).await;
    assert_eq!(running.status.services()[0].state(), "ok");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn labels_choose_and_ports_are_overridden() {
    let labelled = |number, zone: &str| {
        endpoint(number).with_labels([("zone".to_owned(), zone.to_owned())].into()).expect("it is a label")
    };
    let steps = move || vec![Step::Yield([labelled(1, "a"), labelled(2, "b")].into_iter().collect())];
    let filters = json!([{ "label": "zone", "value": "b", "condition": "equals" }]);
    let site = Site::new()
        .service("web", steps)
        .set(&["services", "web", "discovery", "label_filters"], filters)
        .set(&["services", "web", "backend_port_override"], json!("8081"));
    site.once().await.unwrap();
    assert_eq!(site.servers("web"), ["10.0.0.2:8081 10.0.0.2:8081 id 1"]);
}
