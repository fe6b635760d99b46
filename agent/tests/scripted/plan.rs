//! What would be written, what is worth knowing, and what must not be shown.

use agent::{
    Action, Agent, Config, Kind, Planned, PlannedFile, Registry,
    discovery::{Catalog, testing::Step},
};
use serde_json::json;

use crate::site::{Site, endpoints, fails, says};

fn catalog() -> Catalog {
    Catalog::new([("web".to_owned(), endpoints([1, 2])), ("idle".to_owned(), endpoints([]))])
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_what_is_written_and_writes_nothing() {
    let site = Site::new().service("web", || vec![says([1, 2])]).service("idle", || vec![says([])]);
    let plan = site.config().render(&catalog());
    assert_eq!(site.file(), "");
    site.once().await.unwrap();
    assert_eq!(site.file(), plan);
}

#[tokio::test(start_paused = true)]
async fn a_plan_depends_on_nothing_but_its_input() {
    let site = Site::new().service("web", Vec::new).service("idle", Vec::new);
    let config = site.config();
    let plan = config.render(&catalog());
    std::fs::write(site.path(), config.render(&Catalog::new([("web".to_owned(), endpoints([2]))]))).unwrap();
    assert_eq!(config.render(&catalog()), plan);
    assert_eq!(config.clone().render(&catalog()), plan);
}

#[tokio::test(start_paused = true)]
async fn what_is_discovered_is_returned_and_nothing_is_written() {
    let site = Site::new().service("web", || vec![says([1, 2])]).service("silent", || vec![Step::Hang]);
    let agent = Agent::new(site.config());
    let status = agent.status();
    let found = agent.discover().await;
    assert_eq!(found, Catalog::new([("web".to_owned(), endpoints([1, 2]))]));
    assert_eq!(status.services().iter().filter(|service| service.snapshot.is_none()).count(), 1);
    assert_eq!(std::fs::read_dir(site.path().parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn keys_without_effect_are_warned_of() {
    let text = json!({
        "services": {
            "web": {
                "discovery": { "method": "base" },
                "haproxy": { "backend_order": "random", "listen": ["mode http", "frobnicate now"] },
            },
        },
        "haproxy": {
            "do_writes": false,
            "do_reloads": false,
            "do_socket": true,
            "socket_file_path": "/run/haproxy.sock",
            "state_file_ttl": 60,
            "server_order_seed": 7,
            "global": [],
            "defaults": [],
        },
        "statsd": { "host": "localhost", "sample_rate": { "synapse.strat": 1 } },
    });
    let config = Config::parse(&text.to_string(), None, &Registry::builtin()).unwrap();
    let mut warnings: Vec<_> = config
        .warnings()
        .problems()
        .iter()
        .map(|warning| format!("{}: {}", warning.path, warning.message))
        .collect();
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "haproxy.do_socket: has no effect while `do_writes` is false: what HAProxy is told has to be in its file, too",
            "haproxy.state_file_ttl: has no effect without `state_file_path`",
            "services.web.discovery: the method `base` discovers nothing, and there are no `default_servers`: nobody will be served",
            "services.web.haproxy.backend_order: \"random\" means `shuffle`, as in Synapse: known are `asc`, `desc`, `no_shuffle` and `shuffle`",
            "services.web.haproxy.listen: `frobnicate` is no keyword of HAProxy 2.6 to 3.4 known here: written to frontend and backend as it is",
            "services.web.haproxy: there is no `port`: the service has a backend and no frontend",
            "statsd.sample_rate.\"synapse.strat\": has no effect: no such metric is sent; did you mean `synapse.start`?",
        ]
    );
}

#[tokio::test]
async fn debug_output_shows_no_line_and_no_secret() {
    let text = json!({
        "services": {
            "web": {
                "discovery": { "method": "etcd", "host": "etcd", "prefix": "/web", "user": "u", "password": "hunter2" },
                "haproxy": { "port": 80, "listen": ["stats auth admin:hunter2"], "server_options": "check sni str(hunter2)" },
            },
        },
        "haproxy": {
            "config_file_path": "/etc/haproxy/haproxy.cfg",
            "reload_command": "curl -u admin:hunter2 http://haproxy/reload",
            "global": ["stats socket /run/hunter2"],
            "defaults": [],
        },
    });
    let config = Config::parse(&text.to_string(), None, &Registry::builtin()).unwrap();
    assert!(format!("{config:?}").contains("web"));
    let agent = Agent::new(config.clone());
    for shown in [format!("{config:?} {config:#?}"), format!("{agent:?}"), format!("{:?}", agent.status())] {
        assert!(!shown.contains("hunter2") && !shown.contains("stats "), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_planned_is_told_of_and_not_begun() {
    let site = Site::new().service("web", || vec![says([1, 2])]);
    let planned = Agent::new(site.config()).plan().await.unwrap();
    assert_eq!(
        (planned.action, planned.before.as_deref(), planned.changes.len()),
        (Action::WriteForOthers, None, 2)
    );
    assert_eq!(std::fs::read_dir(site.path().parent().unwrap()).unwrap().count(), 0, "nothing is made");
    site.once().await.unwrap();
    assert_eq!(site.file(), planned.after);
    let again = Agent::new(site.config()).plan().await.unwrap();
    assert!(again.is_nothing() && again.diff().is_empty() && again.summary() == "nothing to do", "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn who_has_not_answered_is_named_and_keeps_what_the_file_has() {
    let site = Site::new().service("web", || vec![says([1, 2])]).service("db", || vec![says([3])]);
    site.once().await.unwrap();
    let site = site.service("web", || vec![fails(), Step::Hang]).service("db", || vec![says([3, 4])]);
    let planned = Agent::new(site.config()).plan().await.unwrap();
    let silent: Vec<_> =
        planned.unanswered.iter().map(|one| (one.service.as_str(), one.error.as_deref())).collect();
    assert_eq!(silent, [("web", Some("asking the registry"))]);
    let changes: Vec<_> = planned.changes.iter().map(|change| change.text.as_str()).collect();
    assert_eq!(changes, ["+ db/10.0.0.4:80 10.0.0.4:80"]);
    assert_eq!(
        planned.diff().lines().filter(|line| line.starts_with("+\t") || line.starts_with("-\t")).count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn files_of_services_are_planned_as_they_are_written_and_none_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let before = Site::new()
        .set(&["file_output"], json!({ "output_directory": out }))
        .service("gone", || vec![says([1])])
        .service("off", || vec![says([1])])
        .service("other", || vec![says([1])])
        .service("same", || vec![says([1])])
        .service("silent", || vec![says([1])]);
    let planned = async |site: &Site| Agent::new(site.config()).plan().await.unwrap();
    let files = |planned: &Planned| {
        let name = |file: &PlannedFile| file.path.strip_prefix(&out).unwrap().display().to_string();
        planned.files.iter().map(|file| (name(file), file.kind)).collect::<Vec<_>>()
    };
    let first = planned(&before).await;
    assert!(!out.exists() && first.files.len() == 5, "{:?}", first.files);
    assert!(first.summary().ends_with("; 5 files of services written"), "{}", first.summary());
    before.once().await.unwrap();
    let again = planned(&before).await;
    assert!(again.is_nothing() && again.summary() == "nothing to do", "{:?}", again.files);

    let site = before
        .without("gone")
        .set(&["services", "off", "file_output"], json!({ "disabled": true }))
        .service("other", || vec![says([1, 2])])
        .service("silent", || vec![Step::Hang])
        .service("new", || vec![says([3])])
        .service("unknown", || vec![Step::Hang]);
    std::fs::write(out.join("theirs.json"), "[]").unwrap();
    let plan = planned(&site).await;
    let expected = [
        ("gone.json".to_owned(), Kind::Removed),
        ("new.json".to_owned(), Kind::Added),
        ("off.json".to_owned(), Kind::Removed),
        ("other.json".to_owned(), Kind::Altered),
    ];
    assert_eq!(files(&plan), expected);
    assert!(plan.summary().ends_with("; 2 files of services written, 2 removed"), "{}", plan.summary());
    assert!(plan.to_json().contains(r#""kind": "removed""#), "{}", plan.to_json());
    let status = {
        let agent = Agent::new(site.config());
        let status = agent.status();
        agent.once().await.unwrap_err();
        status.file_output().unwrap()
    };
    assert_eq!((status.writes, status.removals), (2, 2), "what was planned was done");
    std::fs::remove_file(out.join("other.json")).unwrap();
    let only = planned(&site).await;
    assert_eq!((only.action, files(&only)), (Action::Nothing, vec![("other.json".to_owned(), Kind::Added)]));
    assert_eq!((only.is_nothing(), only.summary().as_str()), (false, "1 file of services written"));
}
