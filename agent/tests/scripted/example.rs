//! The programs of `examples/` do what they say.

use std::cell::RefCell;

use crate::{embed::program, method, reconfigured};

#[tokio::test]
async fn an_agent_inside_another_program_serves_what_the_program_knows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.cfg");
    let told = RefCell::new(Vec::new());
    program(path.to_str().unwrap(), |servers| told.borrow_mut().push(servers)).await.unwrap();
    assert_eq!(told.into_inner(), [1, 2, 3]);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("\tserver 10.0.0.3:8080 10.0.0.3:8080 id 3\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_method_from_outside_is_used_like_any_other() {
    let text = "services:
  rack: {discovery: {method: range, first: 10.0.0.254, count: 2, port: 80}, haproxy: {port: 1}}
  web:
    discovery:
      method: multi
      watchers:
        registry: {method: file, path: /nowhere/endpoints.json}
        rack: {method: range, first: 10.0.1.1, port: 80}
      resolver: {method: fallback}
    haproxy: {port: 2}
haproxy: {config_file_path: /tmp/haproxy.cfg, do_reloads: false, global: [], defaults: []}
";
    let served = method::program(text).await.unwrap();
    assert_eq!(served, ["rack 10.0.0.254:80", "rack 10.0.0.255:80", "web 10.0.1.1:80"]);
    let wrong = text.replacen("first: 10.0.0.254", "frist: 10.0.0.254", 1).replacen(
        "10.0.1.1,",
        "255.255.255.255, count: 2,",
        1,
    );
    assert_eq!(
        method::program(&wrong).await.unwrap_err().to_string(),
        "2 problems\n  \
         2:37: services.rack.discovery.frist: unknown key; did you mean `first`?\n  \
         8:15: services.web.discovery.watchers.rack: the range goes beyond the last address"
    );
}

#[tokio::test]
async fn a_running_agent_is_given_another_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.cfg");
    let text = |port: u16| {
        let web = format!(
            "{{discovery: {{method: base}}, default_servers: [{{host: 10.0.0.1, port: 80}}], haproxy: {{port: {port}}}}}"
        );
        let haproxy = format!(
            "{{config_file_path: {path:?}, reload_command: 'true', restart_interval: 0, global: [], defaults: []}}"
        );
        format!("services: {{web: {web}}}\nhaproxy: {haproxy}\n")
    };
    let told = RefCell::new(Vec::new());
    Box::pin(reconfigured::program(&text(3212), &text(3213), |different| told.borrow_mut().push(different)))
        .await
        .unwrap();
    assert_eq!(told.borrow().len(), 1);
    assert!(told.borrow()[0].contains("web"), "{told:?}");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("bind localhost:3213\n"), "{text}");
}
