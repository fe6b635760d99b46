//! What is served before a source has answered.

use agent::{
    Agent,
    discovery::{Catalog, Endpoint, Settings, Snapshot, testing::Step},
};
use serde_json::json;

use super::{SECOND, ago, beside, forget_haproxys_file, silent, site, state, state_path, web, write_state};
use crate::site::{endpoint, endpoints, fails, line, says, until};

#[tokio::test(start_paused = true)]
async fn a_service_without_an_answer_is_served_as_last_known_and_its_age_is_shown() {
    let site = site().service("web", || vec![says([1, 2])]);
    site.once().await.unwrap();
    forget_haproxys_file(&site);
    let mut file = state(&site);
    assert!(file["services"]["web"]["confirmed"].as_f64().unwrap() > ago(600));
    file["services"]["web"]["confirmed"] = json!(ago(3600));
    std::fs::write(state_path(&site), file.to_string()).unwrap();

    let site = silent(site);
    let mut running = site.start();
    running.applied().await;
    assert_eq!(site.servers("web"), [line(1, 1), line(2, 2)]);
    let service = web(&running);
    assert_eq!((service.state(), service.servers), ("waiting", 2));
    assert_eq!((service.snapshot, service.restored), (None, Some(endpoints([1, 2]))));
    let age = service.age.unwrap();
    assert!((3600 * SECOND..7200 * SECOND).contains(&age), "{age:?}");
    running.stop().await;
    // What nobody has confirmed is no younger for having been written again.
    let confirmed = state(&site)["services"]["web"]["confirmed"].as_f64().unwrap();
    assert!(confirmed < ago(3500), "{confirmed}");
}

#[tokio::test(start_paused = true)]
async fn the_sources_word_counts_as_soon_as_it_has_spoken() {
    let site = site().service("web", || vec![says([1, 2])]);
    site.once().await.unwrap();
    forget_haproxys_file(&site);
    let site = site.service("web", || vec![fails(), Step::Wait(60 * SECOND), says([2, 3])]);
    let mut running = site.start();
    running.applied().await;
    assert_eq!(site.servers("web"), [line(1, 1), line(2, 2)]);
    until("the source's own word to be served", || site.served("web") == [2, 3]).await;
    assert_eq!(site.servers("web")[0], line(2, 2));
    let service = web(&running);
    assert_eq!((service.snapshot, service.restored), (Some(endpoints([2, 3])), None));
    assert!(service.age.unwrap() < 3000 * SECOND);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_first_answer_is_judged_as_any_later_one() {
    let site = site().service("web", || vec![says([1, 2])]);
    site.once().await.unwrap();
    forget_haproxys_file(&site);
    let site = site.service("web", || vec![says([])]);
    site.once().await.unwrap();
    assert_eq!(site.servers("web"), [line(1, 1), line(2, 2)]);
    forget_haproxys_file(&site);
    let site = site.set(&["services", "web", "use_previous_backends"], json!(false));
    site.once().await.unwrap();
    assert_eq!(site.servers("web"), [""; 0]);
    // That was an answer, and is what is known now.
    let site = silent(site).set(&["services", "web", "use_previous_backends"], json!(false));
    site.once().await.unwrap_err();
    assert_eq!(site.servers("web"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_rules_of_a_service_hold_for_what_is_restored() {
    let labelled = |number, az: &str, id| -> Endpoint {
        let labels = [("az".to_owned(), az.to_owned())].into();
        endpoint(number).with_labels(labels).unwrap().with_id(Some(id))
    };
    let all =
        move || Snapshot::new([labelled(1, "a", 9), labelled(2, "b", 1), labelled(3, "a", 5), endpoint(4)]);
    let site = site().service("web", move || vec![Step::Yield(all())]);
    site.once().await.unwrap();
    assert_eq!(site.served("web"), [1, 2, 3, 4]);
    forget_haproxys_file(&site);

    let filters = json!([{ "label": "az", "value": "a", "condition": "equals" }]);
    let site = silent(site)
        .set(&["services", "web", "discovery", "label_filters"], filters)
        .set(&["services", "web", "backend_port_override"], json!(8080));
    site.once().await.unwrap_err();
    assert_eq!(
        site.servers("web"),
        ["10.0.0.1:8080 10.0.0.1:8080 id 1", "10.0.0.3:8080 10.0.0.3:8080 id 2",]
    );
    let site = site.set(&["services", "web", "leader_election"], json!(true));
    site.once().await.unwrap_err();
    assert_eq!(site.servers("web"), ["10.0.0.3:8080 10.0.0.3:8080 id 2"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_registry_said_about_how_to_serve_is_restored_too() {
    let said = || {
        let settings = Settings::parse(br#"{"haproxy": {"backend": ["retries 7"]}}"#).unwrap();
        vec![Step::Yield(endpoints([1]).with_settings(settings))]
    };
    let site = site().service("web", said);
    site.once().await.unwrap();
    let file = site.file();
    assert!(file.contains("retries 7"), "{file}");
    forget_haproxys_file(&site);
    let site = silent(site);
    site.once().await.unwrap_err();
    assert_eq!(site.file(), file);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_neither_used_nor_kept() {
    let service = |confirmed: f64, host: &str| json!({ "confirmed": confirmed, "endpoints": [{ "host": host, "port": 80 }], "ids": {} });
    let services = json!({
        "web": service(ago(700), "10.0.0.1"),
        "db": service(ago(100), "10.0.0.2"),
        "idle": service(ago(700), "10.0.0.3"),
        // A clock that was wrong.
        "ahead": service(ago(0) + 10_000.0, "10.0.0.4"),
    });
    let site = silent(site().service("db", || vec![Step::Hang]).service("ahead", || vec![Step::Hang]))
        .set(&["haproxy", "state_file_ttl"], json!(600));
    write_state(&site, &services);
    site.once().await.unwrap_err();
    assert_eq!((site.served("web"), site.served("db"), site.served("ahead")), (vec![], vec![2], vec![]));
    let kept = state(&site)["services"].clone();
    assert_eq!(kept.as_object().unwrap().keys().collect::<Vec<_>>(), ["db"]);

    let site = site.set(&["haproxy", "state_file_ttl"], json!(86400));
    write_state(&site, &services);
    forget_haproxys_file(&site);
    site.once().await.unwrap_err();
    assert_eq!((site.served("web"), site.served("db"), site.served("ahead")), (vec![1], vec![2], vec![4]));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_comes_back_into_the_configuration_is_still_known() {
    let site = site().service("web", || vec![says([1])]).service("db", || vec![says([7])]);
    site.once().await.unwrap();
    let both =
        site.set(&["services", "db", "haproxy", "disabled"], json!(true)).service("web", || vec![says([2])]);
    both.once().await.unwrap();
    forget_haproxys_file(&both);
    let site = silent(both).service("db", || vec![Step::Hang]);
    site.once().await.unwrap_err();
    assert_eq!((site.served("web"), site.servers("db")), (vec![2], vec![line(7, 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_only_haproxys_file_has_seen_is_not_undone() {
    let site = site().service("web", || vec![says([1, 2])]);
    site.once().await.unwrap();
    let old = beside(&site, "").unwrap();
    let site = site.service("web", || vec![says([2, 3])]);
    site.once().await.unwrap();
    // As if the program had not lived to write its state, a second later: the kernel's times of files are coarser than two runs here.
    std::fs::write(state_path(&site), old).unwrap();
    let later = std::time::SystemTime::now() + SECOND;
    std::fs::File::options().append(true).open(site.path()).unwrap().set_modified(later).unwrap();
    let site = silent(site);
    let mut running = site.start();
    running.applied().await;
    assert_eq!(site.served("web"), [2, 3]);
    let service = web(&running);
    assert_eq!((service.restored, service.age), (None, None));
    running.stop().await;
    // And it does not come back with the next start, either.
    site.once().await.unwrap_err();
    assert_eq!(site.served("web"), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_older_file_of_haproxy_yields_but_its_ids_do_not() {
    let site = site().service("web", || vec![says([1, 2])]);
    site.once().await.unwrap();
    let old = site.file();
    let site = site.service("web", || vec![says([2, 3])]);
    site.once().await.unwrap();
    // As a configuration management would: yesterday's file again. Its ids are swapped, to tell whose count.
    let swapped = old.replace("id 1", "id 9").replace("id 2", "id 1").replace("id 9", "id 2");
    std::fs::write(site.path(), swapped).unwrap();
    let yesterday = std::time::SystemTime::now() - 86_400 * SECOND;
    std::fs::File::options().append(true).open(site.path()).unwrap().set_modified(yesterday).unwrap();
    let site = silent(site);
    site.once().await.unwrap_err();
    assert_eq!(site.servers("web"), [line(2, 1), line(3, 2)], "what HAProxy runs keeps its ids");
}

#[tokio::test(start_paused = true)]
async fn ids_survive_the_loss_of_haproxys_file_unless_they_are_too_great() {
    let site = site().service("web", || vec![says([1, 2, 3])]);
    site.once().await.unwrap();
    let site = site.service("web", || vec![says([2, 3])]);
    site.once().await.unwrap();
    forget_haproxys_file(&site);
    let site = site.service("web", || vec![says([1, 2, 3, 4])]);
    site.once().await.unwrap();
    assert_eq!(site.servers("web"), [line(1, 1), line(2, 2), line(3, 3), line(4, 4)]);
    forget_haproxys_file(&site);
    let site = site.service("web", || vec![says([3, 4])]).set(&["haproxy", "max_server_id"], json!(3));
    site.once().await.unwrap();
    assert_eq!(site.servers("web"), [line(3, 3), line(4, 1)]);
}

#[tokio::test(start_paused = true)]
async fn endpoints_without_an_id_are_named_and_the_others_served() {
    let site = site().service("web", || vec![says([1, 2, 3])]).set(&["haproxy", "max_server_id"], json!(2));
    let mut running = site.start();
    running.applied().await;
    assert_eq!(site.servers("web"), [line(1, 1), line(2, 2)]);
    let rejected = web(&running).rejected;
    let named: Vec<_> = rejected.named().iter().map(|one| (one.entry(), one.reason())).collect();
    assert_eq!(named, [("10.0.0.3:80", "no id is left up to 2")]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_discovered_now_is_told_from_what_was_known() {
    let site = site().service("web", || vec![says([1])]).service("db", || vec![says([7])]);
    site.once().await.unwrap();
    let site = silent(site);
    let before = beside(&site, "");
    let agent = Agent::new(site.config());
    let status = agent.status();
    let found = agent.discover().await;
    assert_eq!(found, Catalog::new([("db".to_owned(), endpoints([7]))]));
    let services = status.services();
    let restored: Vec<_> =
        services.iter().map(|service| (service.service.as_str(), service.restored.clone())).collect();
    assert_eq!(restored, [("db", None), ("web", Some(endpoints([1])))]);
    assert_eq!(beside(&site, ""), before, "nothing is written");
}

#[tokio::test(start_paused = true)]
async fn what_is_planned_is_what_a_run_serves_and_is_not_written() {
    let site = site().service("web", || vec![says([1, 2])]);
    site.once().await.unwrap();
    forget_haproxys_file(&site);
    let site = silent(site);
    let before = beside(&site, "");
    let planned = Agent::new(site.config()).plan().await.unwrap();
    assert_eq!((site.file(), beside(&site, "")), (String::new(), before));
    site.once().await.unwrap_err();
    assert_eq!(site.file(), planned.after);
    assert_eq!(site.servers("web"), [line(1, 1), line(2, 2)]);
}
