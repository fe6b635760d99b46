//! What an agent finds out about the machine that it is to run on, through its public API.

#[path = "../../../haproxy-runtime/tests/socket/fake.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with other tests, each of which needs some of it")]
mod fake;
#[path = "../../../haproxy-runtime/tests/socket/haproxy.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with other tests, each of which needs some of it")]
mod haproxy;
mod live;
mod site;

use std::{collections::BTreeSet, net::TcpListener, time::Duration};

use agent::{
    Severity::{Error, Ok as Fine, Warning},
    Topic,
    discovery::WatchError,
};
use serde_json::json;
use tokio::time::Instant;

use self::{
    fake::{Does, Fake, Says},
    site::{Site, found},
};

/// An HAProxy that only answers who it is.
fn quiet(revision: Option<&str>, level: &'static str) -> Fake {
    let says = Says::new(7);
    let mut about = says.lock().expect("nobody has it yet");
    (about.revision, about.level) = (revision.map(str::to_owned), level);
    drop(about);
    Fake::process(&says, |_| Does::Says("Unknown command.\n".to_owned()))
}

#[tokio::test]
async fn a_healthy_site_has_nothing_but_good_findings() {
    let haproxy = quiet(Some("r1"), "admin");
    let site = Site::new().reloaded_by("true").with_socket(&haproxy.path()).holding("r1");
    let findings = site.examine().await;
    assert!(findings.iter().all(|finding| finding.severity == Fine), "{findings:#?}");
    assert!(findings.iter().all(|finding| finding.remedy.is_none()), "{findings:#?}");
    let registry = found(&findings, Topic::Registry, "the registry at here:1, as user \"reader\"");
    assert!(
        registry.text.starts_with("first answer after ") && registry.text.ends_with("1 service, 1 endpoint")
    );
    let socket = haproxy.path().display().to_string();
    assert!(
        found(&findings, Topic::Haproxy, &socket)
            .text
            .starts_with("HAProxy 2.6.12, level admin, servers come and go")
    );
    assert!(findings.iter().any(|finding| finding.text == "it runs what its file has (revision r1)"));
    assert!(
        findings
            .iter()
            .any(|finding| finding.topic == Topic::File && finding.text == "can be replaced in one step")
    );
    assert!(findings.is_sorted_by_key(|finding| finding.topic));
}

#[tokio::test]
async fn nothing_is_written_and_haproxy_is_only_asked() {
    let haproxy = quiet(None, "admin");
    let site = Site::new().reloaded_by("touch reloaded").with_socket(&haproxy.path());
    let before = site.listing();
    site.examine().await;
    assert_eq!(site.listing(), before);
    let asked: BTreeSet<_> = haproxy.heard().into_iter().collect();
    let allowed = [
        "prompt",
        "set severity-output none",
        "show info",
        "get var proc.synapse_rev",
        "show cli level",
        "quit",
        "closed",
    ];
    assert!(asked.iter().all(|line| allowed.contains(&line.as_str())), "{asked:?}");
}

#[tokio::test]
async fn a_missing_socket_is_named_with_its_remedy() {
    let site = Site::new().reloaded_by("true");
    let path = site.path("admin.sock");
    let findings = site.with_socket(&path).examine().await;
    let finding = found(&findings, Topic::Haproxy, &path.display().to_string());
    assert_eq!((finding.severity, finding.text.as_str()), (Error, "there is no socket"));
    assert!(finding.remedy.as_deref().unwrap().starts_with("start HAProxy with the file"));
}

#[tokio::test]
async fn a_socket_of_a_lower_level_is_named_with_its_remedy() {
    for level in ["user", "operator"] {
        let haproxy = quiet(None, level);
        let findings = Site::new().reloaded_by("true").with_socket(&haproxy.path()).examine().await;
        let finding = found(&findings, Topic::Haproxy, &haproxy.path().display().to_string());
        assert_eq!(finding.severity, Error);
        assert!(finding.text.contains(&format!("level {level}")), "{}", finding.text);
        assert!(finding.remedy.as_deref().unwrap().starts_with("write `level admin`"));
    }
}

#[tokio::test]
async fn a_process_that_runs_another_file_is_warned_of() {
    let haproxy = quiet(Some("r1"), "admin");
    let findings = Site::new().reloaded_by("true").with_socket(&haproxy.path()).holding("r2").examine().await;
    let finding = findings.iter().find(|finding| finding.text == "it runs revision r1, its file has r2");
    assert_eq!(finding.unwrap().severity, Warning);
}

#[tokio::test]
async fn a_missing_reload_command_is_named_with_its_remedy() {
    let findings = Site::new().reloaded_by("no-such-command-anywhere --now").examine().await;
    let finding = found(&findings, Topic::Command, "reload_command no-such-command-anywhere");
    assert_eq!(finding.severity, Error);
    assert!(finding.remedy.as_deref().unwrap().starts_with("install it"));
}

#[tokio::test]
async fn a_port_that_somebody_else_has_is_named_with_its_remedy() {
    let held = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = held.local_addr().unwrap().port();
    let site = Site::new()
        .reloaded_by("true")
        .set("/services/web/haproxy", json!({ "port": port, "bind_address": "127.0.0.1" }));
    let findings = site.examine().await;
    let finding = found(&findings, Topic::Port, &format!("127.0.0.1:{port}"));
    assert_eq!(finding.severity, Error);
    assert!(finding.text.contains(&format!("(process {})", std::process::id())), "{}", finding.text);
    assert_eq!(finding.remedy.as_deref(), Some("stop it, or give the service web another port"));
}

#[tokio::test]
async fn a_file_that_can_not_be_written_is_named_with_its_remedy() {
    let site = Site::new().reloaded_by("true");
    let path = site.path("missing/haproxy.cfg");
    let findings = site.set("/haproxy/config_file_path", json!(path)).examine().await;
    let finding = found(&findings, Topic::File, &path.display().to_string());
    assert_eq!(finding.severity, Error);
    assert_eq!(finding.remedy.as_deref(), Some("create the directory, or correct the path"));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_does_not_answer_is_named_with_its_error_and_what_to_do() {
    for (error, remedy) in [
        ("connection refused", "start the registry"),
        ("authentication failed, invalid user ID or password", "correct the user and the password"),
    ] {
        let began = Instant::now();
        let site = Site::new().failing(move || WatchError::new("asking the registry").because(error));
        let findings = site.examine().await;
        let finding = found(&findings, Topic::Registry, "the registry at here:1, as user \"reader\"");
        assert_eq!(finding.severity, Error);
        assert_eq!(finding.text, format!("no answer for web: asking the registry: {error}"));
        assert!(finding.remedy.as_deref().unwrap().starts_with(remedy), "{finding:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "the bound is startup_wait and ten seconds more");
    }
}

#[tokio::test]
async fn the_last_failure_of_a_run_is_told() {
    let site = Site::new().reloaded_by("false");
    let _ = site.agent().once().await;
    let findings = site.examine().await;
    let finding =
        findings.iter().find(|finding| finding.text.starts_with("HAProxy was not brought up to date"));
    assert_eq!(finding.unwrap().severity, Warning);
}

/// Says of itself and of files what HAProxy 3.3 does.
const REFUSES_NAMES: &str = r#"#!/bin/sh
[ "$1" = -v ] && echo 'HAProxy version 3.3.0-1 2025/11/26 - https://haproxy.org/' && exit
if [ "$(sed -n 's/^frontend //p' "$2")" = "$(sed -n 's/^backend //p' "$2")" ]; then
    echo "[ALERT] (7) : config : Parsing [$2:9]: backend 'web' has the same name as frontend 'web' declared at $2:6." \
        'This is no longer supported as of 3.3. Please rename one or the other.'
    exit 1
fi
"#;

#[tokio::test]
async fn a_frontend_that_haproxy_refuses_for_its_name_comes_with_the_key_that_gives_it_another() {
    let site = Site::new();
    let haproxy = site.path("haproxy");
    std::fs::write(&haproxy, REFUSES_NAMES).unwrap();
    std::fs::set_permissions(&haproxy, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let candidate = site.path("candidate.cfg");
    let check = [haproxy.to_str().unwrap(), "-c", candidate.to_str().unwrap()];
    let site = site
        .set("/haproxy/do_checks", json!(true))
        .set("/haproxy/candidate_config_file_path", json!(candidate))
        .set("/haproxy/check_command", json!(check));
    let sets = "set `frontend_name: \"%{name}-in\"` in the top-level `haproxy` section";

    let findings = site.examine().await;
    let finding = found(&findings, Topic::Haproxy, "HAProxy 3.3.0-1");
    assert_eq!(finding.severity, Error);
    assert!(finding.remedy.as_deref().unwrap().starts_with(sets), "{finding:?}");

    assert!(site.agent().once().await.is_err());
    let findings = site.examine().await;
    let failed = findings.iter().find(|one| one.text.starts_with("HAProxy was not brought up to date"));
    assert!(failed.unwrap().text.contains(sets), "{failed:?}");

    let site = site.set("/haproxy/frontend_name", json!("%{name}-in"));
    site.agent().once().await.unwrap();
    let findings = site.examine().await;
    assert!(findings.iter().all(|finding| finding.subject != "HAProxy 3.3.0-1"), "{findings:?}");
}

#[tokio::test]
async fn findings_are_objects_with_the_names_that_programs_rely_on() {
    let findings = Site::new().reloaded_by("no-such-command-anywhere").examine().await;
    let json =
        serde_json::to_value(found(&findings, Topic::Command, "reload_command no-such-command-anywhere"))
            .unwrap();
    assert_eq!((&json["severity"], &json["topic"]), (&json!("error"), &json!("command")));
    assert!(json["subject"].is_string() && json["text"].is_string() && json["remedy"].is_string());
}
