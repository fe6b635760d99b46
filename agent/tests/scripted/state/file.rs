//! The state file itself.

use std::os::unix::fs::PermissionsExt as _;

use agent::{Config, Registry};
use serde_json::json;

use super::{
    SECOND, ago, beside, forget_haproxys_file, remembered, silent, site, state, state_path, write_state,
};
use crate::site::{Site, line, says, until};

#[tokio::test(start_paused = true)]
async fn synapses_file_is_taken_over_and_a_way_back_is_kept() {
    let synapses = json!({
        "web": {
            "i-1_10.0.0.1:80": { "name": "i-1", "host": "10.0.0.1", "port": 80, "haproxy_server_id": 12, "timestamp": ago(30).round() },
            "10.0.0.2:80": { "host": "10.0.0.2", "port": 80, "haproxy_server_id": 7, "timestamp": ago(30).round() },
            "10.0.0.3:80": { "host": "10.0.0.3", "port": 80, "haproxy_server_id": 8, "timestamp": ago(300).round() },
            "watcher_config_for_generator": { "haproxy": { "backend": ["retries 9"] } },
        },
    });
    let site = silent(site());
    std::fs::write(state_path(&site), synapses.to_string()).unwrap();
    site.once().await.unwrap_err();
    assert_eq!(site.servers("web"), [line(2, 7), "i-1_10.0.0.1:80 10.0.0.1:80 id 12".to_owned()]);
    assert!(!site.file().contains("retries"), "whose word that was, nobody knows");
    assert_eq!(beside(&site, ".synapse").unwrap(), synapses.to_string());
    assert_eq!(
        (state(&site)["version"].clone(), remembered(&site, "web")),
        (json!(1), vec!["10.0.0.1".into(), "10.0.0.2".into()])
    );

    // The copy is the one that Synapse wrote: it is not made twice.
    std::fs::write(state_path(&site), "{}").unwrap();
    site.once().await.unwrap_err();
    assert_eq!(beside(&site, ".synapse").unwrap(), synapses.to_string());
}

#[tokio::test(start_paused = true)]
async fn one_that_returns_has_the_id_that_synapse_gave_it() {
    let synapses = json!({ "web": {
        "10.0.0.1:80": { "host": "10.0.0.1", "port": 80, "haproxy_server_id": 12, "timestamp": ago(30).round() },
        "10.0.0.2:80": { "host": "10.0.0.2", "port": 80, "haproxy_server_id": 7, "timestamp": ago(300).round() },
    } });
    let site = site().service("web", || vec![says([1, 2, 3])]);
    std::fs::write(state_path(&site), synapses.to_string()).unwrap();
    site.once().await.unwrap();
    assert_eq!(site.servers("web"), [line(1, 12), line(2, 7), line(3, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_understood_is_moved_aside_and_costs_nothing_else() {
    let later = json!({ "format": "synapse-rs state", "version": 2, "services": [] }).to_string();
    let mut site = site().service("web", || vec![says([1, 2])]);
    for text in ["{\"web\": {\"10.0.0.1:80\": {\"ho", "\0\0\0", "", &later] {
        site = site.service("web", || vec![says([1, 2])]);
        site.once().await.unwrap();
        std::fs::write(state_path(&site), text).unwrap();
        site = silent(site);
        let mut running = site.start();
        running.applied().await;
        assert_eq!(site.servers("web"), [line(1, 1), line(2, 2)], "HAProxy's own file is there");
        assert_eq!(beside(&site, "").as_deref(), Some(text), "it is where it was until another is written");
        running.stop().await;
        assert_eq!(beside(&site, ".refused").as_deref(), Some(text));
        assert_eq!(state(&site)["version"], json!(1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_file_is_left_alone_and_told_of() {
    let site = site().service("web", || vec![says([1])]);
    std::fs::create_dir(state_path(&site)).unwrap();
    let running = site.start();
    until("the failure to be told", || running.status.state_file().is_some_and(|file| file.error.is_some()))
        .await;
    assert_eq!(site.servers("web"), [line(1, 1)]);
    running.stop().await;
    assert!(state_path(&site).is_dir() && beside(&site, ".refused").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_place_that_cannot_be_written_is_told_of_and_tried_again() {
    let site = site().service("web", || vec![says([1])]);
    let directory = state_path(&site).parent().unwrap().to_owned();
    std::fs::remove_dir(&directory).unwrap();
    let running = site.start();
    let file = || running.status.state_file().unwrap_or_default();
    until("the failure to be told", || file().error.is_some()).await;
    assert_eq!((site.servers("web"), file().writes), (vec![line(1, 1)], 0));
    std::fs::create_dir(&directory).unwrap();
    until("it to be written", || file().writes == 1).await;
    assert_eq!((file().error, remembered(&site, "web")), (None, vec!["10.0.0.1".to_owned()]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_write_that_was_cut_off_left_behind_does_no_harm() {
    let site = site().service("web", || vec![says([1, 2])]);
    site.once().await.unwrap();
    let whole = beside(&site, "").unwrap();
    let staged = state_path(&site).with_file_name(".synapse").join("state.json");
    std::fs::write(&staged, &whole[..whole.len() / 2]).unwrap();
    forget_haproxys_file(&site);
    let site = silent(site);
    site.once().await.unwrap_err();
    assert_eq!(site.servers("web"), [line(1, 1), line(2, 2)]);
    assert_eq!(remembered(&site, "web").len(), 2);
    assert!(!staged.exists());
}

#[tokio::test(start_paused = true)]
async fn it_is_nobody_elses_to_read() {
    let site = site().service("web", || vec![says([1])]);
    write_state(&site, &json!({}));
    std::fs::set_permissions(state_path(&site), std::fs::Permissions::from_mode(0o644)).unwrap();
    site.once().await.unwrap();
    assert_eq!(std::fs::metadata(state_path(&site)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(start_paused = true)]
async fn registry_data_that_was_forged_into_it_writes_no_configuration() {
    let site = silent(site());
    let evil = "10.0.0.9\n\tserver evil 10.6.6.6:80";
    write_state(
        &site,
        &json!({ "web": {
            "confirmed": ago(1),
            "endpoints": [
                { "host": "10.0.0.1", "port": 80 },
                { "host": evil, "port": 80 },
                { "host": "10.0.0.2", "port": 80, "haproxy_server_options": "check ca-file /etc/shadow" },
            ],
            "generators": { "haproxy": { "backend": ["bind :99", "retries 3"] } },
            "ids": { "10.0.0.1:80": 4, (evil): 5 },
        } }),
    );
    site.once().await.unwrap_err();
    assert_eq!(site.servers("web"), [line(1, 4)]);
    let file = site.file();
    assert!(!file.contains("evil") && !file.contains("shadow") && !file.contains(":99"), "{file}");
}

#[tokio::test(start_paused = true)]
async fn haproxys_file_by_another_name_is_not_written_over() {
    let site = site().service("web", || vec![says([1])]);
    site.once().await.unwrap();
    std::fs::remove_file(state_path(&site)).unwrap();
    std::os::unix::fs::symlink(site.path(), state_path(&site)).unwrap();
    let file = site.file();
    let running = site.start();
    tokio::time::sleep(120 * SECOND).await;
    assert!(running.status.state_file().is_none());
    running.stop().await;
    assert_eq!((site.file(), beside(&site, ".refused")), (file, None));
}

#[test]
fn what_can_not_be_kept_is_a_mistake_of_the_configuration() {
    let problems = |key: &str, value: serde_json::Value| {
        let mut text = json!({
            "services": {},
            "haproxy": {
                "config_file_path": "/etc/haproxy/haproxy.cfg",
                "candidate_config_file_path": "/run/candidate.cfg",
                "state_file_path": "/var/lib/synapse/state.json",
                "do_reloads": false,
                "global": [],
                "defaults": [],
            },
        });
        text["haproxy"][key] = value;
        let parsed = Config::parse(&text.to_string(), None, &Registry::builtin());
        let problems = parsed.err().map(|report| report.problems().to_vec()).unwrap_or_default();
        problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect::<Vec<_>>()
    };
    assert_eq!(problems("state_file_ttl", json!(0)), [""; 0]);
    assert_eq!(
        problems("state_file_path", json!("/etc//haproxy/./haproxy.cfg")),
        ["haproxy.state_file_path: it is the file of `config_file_path`"]
    );
    assert_eq!(
        problems("state_file_path", json!("/run/candidate.cfg")),
        ["haproxy.state_file_path: it is the file of `candidate_config_file_path`"]
    );
    assert_eq!(
        problems("state_file_ttl", json!(-1)),
        ["haproxy.state_file_ttl: expected seconds, 0 to a year"]
    );
    assert_eq!(problems("state_file_path", json!("/")).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_path_no_state_is_kept() {
    let site = Site::new().service("web", || vec![says([1])]);
    let mut running = site.start();
    running.applied().await;
    assert!(running.status.state_file().is_none());
    running.stop().await;
    let names: Vec<_> = std::fs::read_dir(site.path().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "the configuration and the place where it is staged: {names:?}");
}
