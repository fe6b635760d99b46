//! What is kept on disk of services that come and go.

use agent::discovery::testing::Step;
use serde_json::{Value, json};

use super::{SECOND, two};
use crate::site::{Site, line, says, until};

fn kept(site: &Site, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(site.path().with_file_name(file)).unwrap_or_default();
    let state: Value = serde_json::from_str(&text).unwrap_or_default();
    state["services"].as_object().map(|services| services.keys().cloned().collect()).unwrap_or_default()
}

fn with_state(site: Site, file: &str) -> Site {
    let path = site.path().with_file_name(file);
    site.set(&["haproxy", "state_file_path"], json!(path))
}

#[tokio::test(start_paused = true)]
async fn who_comes_is_kept_and_who_goes_forgotten() {
    let site = with_state(two(), "state.json");
    let mut running = site.start();
    running.applied().await;
    until("both to be kept", || kept(&site, "state.json") == ["db", "web"]).await;
    let site = site.without("db").service("api", || vec![says([4])]);
    running.reconfigure(site.config()).await;
    until("the others to be kept", || kept(&site, "state.json") == ["api", "web"]).await;
    running.stop().await;
    assert_eq!(kept(&site, "state.json"), ["api", "web"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_comes_back_is_served_as_it_was_known_until_its_source_answers() {
    let site = with_state(two(), "state.json");
    site.once().await.unwrap();
    let site = site.without("db");
    let mut running = site.start();
    running.applied().await;
    assert!(!site.file().contains("backend db"));
    let site = site.service("db", || vec![Step::Wait(60 * SECOND), says([8])]);
    running.reconfigure(site.config()).await;
    assert_eq!(site.servers("db"), [line(7, 1)]);
    let db = running.status.services().into_iter().find(|service| service.service == "db").unwrap();
    assert!(db.restored.is_some() && db.age.is_some(), "{db:?}");
    until("its own word to be served", || site.served("db") == [8]).await;
    running.stop().await;
    assert_eq!(kept(&site, "state.json"), ["db", "web"]);
}

#[tokio::test(start_paused = true)]
async fn the_state_can_be_kept_elsewhere_or_no_more() {
    let site = two();
    let mut running = site.start();
    running.applied().await;
    assert!(running.status.state_file().is_none());
    let site = with_state(site, "one.json");
    let done = running.reconfigure(site.config()).await;
    assert_eq!(done.other, ["haproxy.state_file"]);
    until("the state to be kept", || kept(&site, "one.json") == ["db", "web"]).await;
    let site = with_state(site, "two.json").without("db");
    running.reconfigure(site.config()).await;
    until("it to be kept elsewhere", || kept(&site, "two.json") == ["web"]).await;
    assert_eq!(kept(&site, "one.json"), ["web"], "what it was when it was left");
    let site = site.set(&["haproxy", "state_file_path"], json!(null));
    running.reconfigure(site.config()).await;
    assert!(running.status.state_file().is_none());
    assert_eq!(site.served("web"), [1, 2]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_found_elsewhere_does_not_count_against_what_is_known() {
    let site = with_state(two(), "state.json");
    site.once().await.unwrap();
    let site = site.set(&["haproxy", "state_file_path"], json!(null)).service("web", || vec![says([3])]);
    let mut running = site.start();
    running.applied().await;
    let site = with_state(site, "state.json");
    running.reconfigure(site.config()).await;
    assert_eq!(site.served("web"), [3]);
    running.stop().await;
}
