//! `services`.

use e2e::Dir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::program::{COUNTED, run, write_site};

/// Two services of [`write_site`] with endpoints of all kinds.
fn write_varied_site(dir: &Dir) {
    write_site(dir, &format!("{COUNTED}agent: {{startup_wait: 0.5}}\n"));
    dir.write(
        "endpoints.yaml",
        "web:\n- {host: 10.0.0.2, port: 8080, name: b, weight: 10}\n- {host: 10.0.0.1, port: 8080}\n\
         - {host: 10.0.0.3, port: 8080, available: false, backup: true}\n- {host: 10.0.0.4}\nidle: []\n",
    );
}

#[tokio::test]
async fn a_table_shows_who_serves_what() {
    let dir = Dir::new("services");
    write_varied_site(&dir);
    let outcome = run(&dir, ["services", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(
        outcome.stdout,
        " SERVICE  METHOD  STATE  ENDPOINT         WEIGHT  NOTE
 web      file    ok     10.0.0.1:8080
                         b_10.0.0.2:8080  10
                         10.0.0.3:8080            backup, unavailable
                         web[3]                   refused: missing field `port`
 idle     file    ok     -
"
    );
}

#[tokio::test]
async fn a_failure_to_bring_haproxy_up_to_date_is_shown_until_it_is_over() {
    let dir = Dir::new("services");
    write_varied_site(&dir);
    std::fs::create_dir(dir.join("out")).unwrap();
    let config = std::fs::read_to_string(dir.join("synapse.yaml")).unwrap();
    let broken = config.replacen("echo reload >> reloads", "'echo no such luck >&2; exit 3'", 1);
    assert_ne!(broken, config);
    let shown = async || {
        let outcome = run(&dir, ["services", "-c", "synapse.yaml"]).await;
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome.stdout.lines().last().unwrap().to_owned()
    };

    dir.write("synapse.yaml", broken);
    assert_eq!(run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await.code, Some(1));
    let last = shown().await;
    assert!(last.starts_with("HAProxy was not brought up to date, ") && last.contains(" s ago: "), "{last}");
    assert!(last.contains("no such luck"), "{last}");
    let json = run(&dir, ["services", "--json", "-c", "synapse.yaml"]).await;
    assert_eq!(json.code, Some(0));
    assert!(json.stderr.contains("HAProxy was not brought up to date"), "{}", json.stderr);

    dir.write("synapse.yaml", config.clone());
    let outcome = run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(shown().await, " idle     file    ok     -");
}

#[tokio::test]
async fn a_service_with_several_sources_shows_each() {
    let dir = Dir::new("services");
    write_varied_site(&dir);
    let one = "discovery: {method: file, path: endpoints.yaml}\n    haproxy: {port: 3213";
    let several = "discovery: {method: multi, resolver: {method: fallback}, watchers: {primary: {method: file, path: \
                   endpoints.yaml, service: idle}, spare: {method: file, path: endpoints.yaml, service: web}}}\n    \
                   haproxy: {port: 3213";
    let config = std::fs::read_to_string(dir.join("synapse.yaml")).unwrap();
    assert!(config.contains(one), "{config}");
    dir.write("synapse.yaml", config.replacen(one, several, 1));
    let outcome = run(&dir, ["services", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(
        outcome.stdout,
        " SERVICE  METHOD  STATE  ENDPOINT         WEIGHT  NOTE
 web      multi   ok     10.0.0.1:8080
                         b_10.0.0.2:8080  10
                         10.0.0.3:8080            backup, unavailable
                         (primary)                ok, 0 endpoints
                         (spare)                  ok, in use, 3 endpoints
                         spare: web[3]            refused: missing field `port`
 idle     file    ok     -
"
    );
}

#[tokio::test]
async fn json_has_the_form_of_a_file_of_endpoints() {
    let dir = Dir::new("services");
    write_varied_site(&dir);
    let outcome = run(&dir, ["services", "--json", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "idle": [],
            "web": [
                {"host": "10.0.0.1", "port": 8080},
                {"host": "10.0.0.2", "port": 8080, "name": "b", "weight": 10},
                {"host": "10.0.0.3", "port": 8080, "available": false, "backup": true},
            ],
        })
    );
}

#[tokio::test]
async fn a_silent_source_is_shown_and_is_a_failure() {
    let dir = Dir::new("services");
    write_varied_site(&dir);
    let config = std::fs::read_to_string(dir.join("synapse.yaml")).unwrap();
    dir.write("synapse.yaml", config.replacen("path: endpoints.yaml", "path: nowhere.yaml", 1));
    let outcome = run(&dir, ["services", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.stdout,
        " SERVICE  METHOD  STATE    ENDPOINT  WEIGHT  NOTE\n web      file    failing  -\n idle     file    ok       -\n"
    );
    assert_eq!(
        outcome.failure(),
        Some("synapse-rs: no answer for web: reading nowhere.yaml: No such file or directory (os error 2)")
    );
}

#[tokio::test]
async fn a_silent_source_is_shown_with_what_was_known_and_is_a_failure_all_the_same() {
    let dir = Dir::new("services");
    write_varied_site(&dir);
    let config = std::fs::read_to_string(dir.join("synapse.yaml")).unwrap();
    let config = config.replacen("path: endpoints.yaml", "path: nowhere.yaml", 1);
    let config = config.replacen("\nhaproxy:\n", "\nhaproxy:\n  state_file_path: state.json\n", 1);
    dir.write("synapse.yaml", config);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let state = serde_json::json!({
        "format": "synapse-rs state", "version": 1, "written": now,
        "services": { "web": {
            "confirmed": now - 7300,
            "endpoints": [{ "host": "10.0.0.1", "port": 80 }, { "host": "10.0.0.2", "port": 80, "backup": true }],
            "ids": {},
        } },
    });
    dir.write("state.json", state.to_string());
    let outcome = run(&dir, ["services", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert_eq!(
        outcome.stdout,
        " SERVICE  METHOD  STATE    ENDPOINT     WEIGHT  NOTE
 web      file    failing  10.0.0.1:80          known 2 h ago
                           10.0.0.2:80          backup, known 2 h ago
 idle     file    ok       -
"
    );

    let outcome = run(&dir, ["services", "--json", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let as_of = json["web"]["as_of"].as_u64().unwrap();
    assert!((now - 7301..=now - 7299).contains(&as_of), "{json}");
    assert_eq!(
        (json["web"]["endpoints"].as_array().unwrap().len(), &json["idle"]),
        (2, &serde_json::json!([]))
    );
    assert_eq!(std::fs::read_to_string(dir.join("state.json")).unwrap(), state.to_string());
}

#[tokio::test]
async fn before_the_first_start_the_state_file_that_is_nowhere_is_not_worth_a_word() {
    let dir = Dir::new("services");
    write_site(&dir, &format!("{COUNTED}  state_file_path: not/yet/state.json\n"));
    let outcome = run(&dir, ["services", "-c", "synapse.yaml"]).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn what_a_registry_says_of_its_failure_commands_no_terminal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let body = r#"{"message":"no\u001b[2J\u009b31m\nway"}"#;
            let head = "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let reply = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    let dir = Dir::new("services");
    dir.write(
        "synapse.yaml",
        format!(
            "services:\n  web: {{discovery: {{method: docker, servers: [{{name: x, host: 127.0.0.1, port: {}}}], \
             image_name: web, container_port: 80}}}}\n\
             haproxy: {{do_writes: false, do_reloads: false, global: [], defaults: []}}\nagent: {{startup_wait: 2}}\n",
            server.port()
        ),
    );
    for command in [&["services"][..], &["plan"], &["render"], &["doctor"], &["run", "--once"]] {
        let outcome = run(&dir, command.iter().chain(&["-c", "synapse.yaml"])).await;
        assert_eq!(outcome.code, Some(1), "{command:?}: {outcome:?}");
        let said = outcome.stdout + &outcome.stderr;
        assert!(said.contains(r"no\u{1b}[2J"), "{command:?}: {said}");
        assert!(!said.contains(['\u{1b}', '\u{9b}']), "{command:?}: {said:?}");
    }
}
