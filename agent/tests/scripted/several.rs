//! A service with several sources.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use agent::{
    Agent, Config, Registry, Source,
    discovery::{
        Snapshot,
        testing::{ScriptedWatcher, Step},
    },
};
use serde_json::{Value, json};

use crate::site::{Running, Site, endpoint, fails, says, until};

const MINUTE: Duration = Duration::from_mins(1);

type Script = fn() -> Vec<Step>;

/// A service `web` with these keys, which also has HAProxy serve it. Its sources play the scripts that they name.
fn web(keys: Value, scripts: &[(&'static str, Script)]) -> (Site, Config) {
    let site = Site::new()
        .set(&["services", "web"], keys)
        .set(&["services", "web", "haproxy"], json!({ "port": null }));
    let config = site.config_with(&playing(scripts));
    (site, config)
}

/// The method `play`.
fn playing(scripts: &[(&'static str, Script)]) -> Registry {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Play {
        script: String,
    }

    let scripts: HashMap<_, _> = scripts.iter().copied().collect();
    Registry::builtin().with("play", move |section| {
        let Play { script } = section.parse()?;
        let steps = scripts[script.as_str()];
        Ok(Source::new(move |_| ScriptedWatcher::new(steps())))
    })
}

/// The section of a source that plays this script.
fn play(script: &str) -> Value {
    json!({ "method": "play", "script": script })
}

fn failing_after_a_minute() -> Vec<Step> {
    let mut steps = vec![says([1, 2]), Step::Wait(MINUTE)];
    steps.extend((0..8).map(|_| fails()));
    steps.push(says([1, 2]));
    steps
}

fn failing_for_ever() -> Vec<Step> {
    let mut steps = vec![says([1, 2]), Step::Wait(MINUTE)];
    steps.extend((0..1000).map(|_| fails()));
    steps
}

/// The children of `web`: name, state, and whether it is in use.
fn children(running: &Running) -> Vec<(String, &'static str, bool)> {
    let web = running.status.services().remove(0);
    let shown = web.children.iter();
    shown.map(|child| (child.name.to_string(), child.observed.health.state(), child.in_use)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_fallback_is_served_while_the_primary_fails_and_no_longer() {
    let resolver = json!({ "method": "sequential", "sequential_order": ["primary", "spare"] });
    let watchers = json!({ "spare": play("spare"), "primary": play("primary") });
    let keys = json!({ "discovery": { "method": "multi", "watchers": watchers, "resolver": resolver } });
    let (site, config) = web(keys, &[("primary", failing_after_a_minute), ("spare", || vec![says([9])])]);
    let running = Running::start(config);
    until("the primary to be served", || site.served("web") == [1, 2]).await;
    until("the fallback to be served", || site.served("web") == [9]).await;
    let state = |name: &str, state, in_use| (name.to_owned(), state, in_use);
    assert_eq!(children(&running), [state("primary", "failing", false), state("spare", "ok", true)]);
    assert_eq!(running.status.services()[0].state(), "ok");
    until("the primary to be served again", || site.served("web") == [1, 2]).await;
    assert_eq!(children(&running), [state("primary", "ok", true), state("spare", "ok", false)]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_discovery_multi_adds_is_the_fallback_of_the_services_own_discovery() {
    let several = json!({ "watchers": { "spare": play("spare") }, "resolver": { "method": "fallback" } });
    let keys = json!({ "discovery": play("own"), "discovery_multi": several });
    let (site, config) = web(keys, &[("own", failing_after_a_minute), ("spare", || vec![says([9])])]);
    let running = Running::start(config);
    until("the primary to be served", || site.served("web") == [1, 2]).await;
    until("the fallback to be served", || site.served("web") == [9]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_is_named_and_blanks_nothing() {
    let watchers = json!({ "one": play("one"), "two": play("two") });
    let keys = json!({ "discovery": { "method": "multi", "watchers": watchers, "resolver": { "method": "union" } } });
    let steady = || vec![says([3]), Step::Wait(2 * MINUTE), says([3, 4])];
    let (site, config) = web(keys, &[("one", failing_for_ever), ("two", steady)]);
    let running = Running::start(config);
    until("both to be served", || site.served("web") == [1, 2, 3]).await;
    until("the news of one to be served beside the other", || site.served("web") == [1, 2, 3, 4]).await;
    let web = running.status.services().remove(0);
    assert_eq!(web.state(), "ok");
    assert_eq!(web.children[0].observed.health.error().unwrap().to_string(), "asking the registry");
    assert_eq!(children(&running), [("one".to_owned(), "failing", true), ("two".to_owned(), "ok", true)]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn rules_hold_once_for_the_whole_and_a_childs_labels_for_that_child() {
    fn both() -> Vec<Step> {
        let of = |number, zone: &str| {
            let labels = BTreeMap::from([("zone".to_owned(), zone.to_owned())]);
            endpoint(number).with_labels(labels).expect("it is one label")
        };
        vec![Step::Yield(Snapshot::new([of(1, "a"), of(2, "b")]))]
    }
    let filter =
        |value: &str, condition: &str| json!([{ "label": "zone", "value": value, "condition": condition }]);
    let wants = |value: &str| {
        let mut section = play("both");
        section["label_filters"] = filter(value, "equals");
        section
    };
    let watchers = json!({ "far": wants("none"), "near": wants("a") });
    let discovery = json!({ "method": "multi", "watchers": watchers, "resolver": { "method": "fallback" } });
    let (site, config) = web(json!({ "discovery": discovery }), &[("both", both)]);
    let running = Running::start(config);
    // The far one has nobody that is wanted, so it is passed over.
    until("the near one to be served", || site.served("web") == [1]).await;
    running.stop().await;

    let watchers = json!({ "far": wants("b"), "near": wants("a") });
    let discovery = json!({
        "method": "multi",
        "watchers": watchers,
        "resolver": { "method": "union" },
        "label_filters": filter("a", "not-equals"),
    });
    let keep = json!([{ "host": "10.0.0.9", "port": 80, "labels": { "zone": "c" } }]);
    let keys = json!({ "discovery": discovery, "default_servers": keep, "keep_default_servers": true });
    let (site, config) = web(keys, &[("both", both)]);
    let running = Running::start(config);
    until("what a part and the whole want to be served", || site.served("web") == [2, 9]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_toggles_what_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weights.yaml");
    std::fs::write(&file, "primary: 1\n").unwrap();
    let resolver = json!({ "method": "toggle", "file": file, "polling_interval_seconds": 2 });
    let watchers = json!({ "primary": play("blue"), "green": play("green") });
    let keys = json!({ "discovery": { "method": "multi", "watchers": watchers, "resolver": resolver } });
    let (site, config) = web(keys, &[("blue", || vec![says([1])]), ("green", || vec![says([2])])]);
    let running = Running::start(config);
    until("blue to be served", || site.served("web") == [1]).await;
    std::fs::write(&file, "green: 1\n").unwrap();
    until("green to be served", || site.served("web") == [2]).await;
    std::fs::write(&file, "red: 1\n").unwrap();
    let refused = || running.status.services()[0].rejected.named().to_vec();
    until("the mistake to be told", || !refused().is_empty()).await;
    assert_eq!(refused()[0].reason(), "reading the weights: there is no \"red\" to choose");
    assert_eq!(site.served("web"), [2]);
    running.stop().await;
}

/// Answers only after five minutes.
fn silent_at_first() -> Vec<Step> {
    vec![Step::Wait(5 * MINUTE), says([3])]
}

#[tokio::test(start_paused = true)]
async fn what_only_a_source_knows_that_is_down_at_a_start_is_served_as_last_known_until_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let configured = |file: &str, scripts: &[(&'static str, Script)]| {
        let watchers = json!({ "a": play("a"), "b": play("b") });
        let union = json!({ "method": "multi", "watchers": watchers, "resolver": { "method": "union" } });
        let (site, _) = web(json!({ "discovery": union }), scripts);
        let site = site
            .set(&["haproxy", "config_file_path"], json!(dir.path().join(file)))
            .set(&["haproxy", "state_file_path"], json!(dir.path().join("state.json")));
        site.config_with(&playing(scripts))
    };
    let served = |file: &str| {
        let text = std::fs::read_to_string(dir.path().join(file)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("server 10.0.0."));
        lines.map(|line| line[..1].to_owned()).collect::<Vec<_>>().join(" ")
    };
    let both: &[(&'static str, Script)] = &[("a", || vec![says([1, 2])]), ("b", || vec![says([3, 4])])];
    Agent::new(configured("first.cfg", both)).once().await.unwrap();
    assert_eq!(served("first.cfg"), "1 2 3 4");

    // HAProxy's file is new: what is known is in the state file alone.
    let half: &[(&'static str, Script)] = &[
        ("a", || vec![says([1, 2]), Step::Wait(MINUTE), says([1]), Step::Wait(MINUTE), says([1, 5])]),
        ("b", silent_at_first),
    ];
    let mut running = Running::start(configured("second.cfg", half));
    running.applied().await;
    assert_eq!(served("second.cfg"), "1 2 3 4");
    until("who has left to be gone, and nobody else", || served("second.cfg") == "1 3 4").await;
    until("who comes to be there", || served("second.cfg") == "1 3 4 5").await;
    running.stop().await;

    // Who has nothing to add has spoken, too.
    for last in
        [|| vec![Step::Wait(5 * MINUTE), says([])] as Vec<Step>, || vec![Step::Wait(5 * MINUTE), says([1])]]
    {
        let scripts: &[(&'static str, Script)] = &[("a", || vec![says([1, 2])]), ("b", last)];
        let before = std::fs::read(dir.path().join("state.json")).unwrap();
        let running = Running::start(configured("nothing.cfg", scripts));
        until("all that is known to be served", || served("nothing.cfg") == "1 2 3 4 5").await;
        until("only who is named to be left", || served("nothing.cfg") == "1 2").await;
        running.stop().await;
        std::fs::write(dir.path().join("state.json"), before).unwrap();
        std::fs::remove_file(dir.path().join("nothing.cfg")).unwrap();
    }

    // And once more, since the other has still not answered.
    let running = Running::start(configured("third.cfg", half));
    until("all that is known to be served", || served("third.cfg") == "1 2 3 4 5").await;
    until("the last word of both to be served", || served("third.cfg") == "1 3 5").await;
    running.stop().await;
}
