//! HAProxy is reloaded through the socket of its master, by no command.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod serving_support;

use e2e::{AgentTask, Certificates, HttpBackend};
use serde_json::Value;
use serving_support::{Web, all_answered, key, register, registration, until};

/// An agent that knows the master's socket instead of a command.
async fn web() -> Web {
    let mut web = Web::prepare().await;
    let master = web.site.haproxy().master_socket().display().to_string();
    web.site.set("/haproxy", "master_socket_path", master);
    web.site.set("/haproxy", "reload_command", Value::Null);
    web
}

/// Waits until the last apply failed with this, in part, and returns all of it.
async fn until_error(agent: &AgentTask, error: &str) -> String {
    until(error, || match agent.status().output().error {
        Some(found) if found.contains(error) => Ok(found),
        other => Err(format!("{other:?}")),
    })
    .await
}

/// That many reloads, no more, and no error.
fn reloads(agent: &AgentTask, count: u64) -> Result<u64, String> {
    let output = agent.status().output();
    let done = output.counters.reloads == count && output.error.is_none();
    if done { Ok(count) } else { Err(format!("{output:?}")) }
}

async fn until_no_error(agent: &AgentTask) {
    until("no error any more", || agent.status().output().error.map_or(Ok(()), Err)).await;
}

#[tokio::test]
async fn each_change_without_a_socket_is_a_reload_through_the_master() {
    let mut web = web().await;
    web.site.set("/haproxy", "do_socket", false);
    let (agent, traffic) = web.serve().await;
    // HAProxy serves a moment before the agent knows.
    let before = until("the first reload", || reloads(&agent, 1)).await;
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    until("one more reload", || reloads(&agent, before + 1)).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn what_haproxy_refuses_to_reload_is_put_back_and_made_good_when_the_cause_is_gone() {
    let mut web = web().await;
    let dir = web.site.haproxy().dir();
    let (admin, authorities) = (dir.join("admin.sock"), dir.join("authorities.pem"));
    web.site.set("/haproxy", "socket_file_path", admin.display().to_string());
    // A mistake of the operator's that shows as soon as there is a server: HAProxy takes none that names a missing file.
    web.site.add_service("late", &web.etcd.endpoints());
    let options = format!("ssl ca-file {}", authorities.display());
    web.site.set("/services/late/haproxy", "server_options", options);
    let (agent, traffic) = web.serve().await;
    let before = until("the first reload", || reloads(&agent, 1)).await;

    web.etcd.put("/services/late/blue", &registration(&web.blue)).await;
    let error = until_error(&agent, "HAProxy did not load its configuration").await;
    let says_why = error.contains("authorities.pem") && error.contains("[ALERT]");
    assert!(says_why || error.contains("its log says why"), "{error}");
    assert_eq!(web.site.server_lines("late"), Vec::<String>::new(), "the last good file");
    // Others need not wait for it.
    web.etcd.delete(&key("green")).await;
    until("the file without green", || {
        let servers = serving_support::servers(&web.site);
        if servers == ["blue"] { Ok(()) } else { Err(format!("{servers:?}")) }
    })
    .await;

    let certificates = Certificates::generate();
    std::fs::copy(certificates.ca(), &authorities).unwrap();
    until_no_error(&agent).await;
    until("one more reload", || reloads(&agent, before + 1)).await;
    assert_eq!(web.site.server_lines("late").len(), 1);
    web.site.until_serves("web", &["blue"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_master_that_is_gone_is_named_and_reloads_when_it_is_back() {
    let mut web = web().await;
    web.site.set("/haproxy", "do_socket", false);
    let (agent, traffic) = web.serve().await;
    drop(traffic);
    web.site.haproxy_mut().stop().await;
    std::fs::remove_file(web.site.haproxy().master_socket()).unwrap();
    web.etcd.delete(&key("blue")).await;
    let error = until_error(&agent, "there is no socket").await;
    let path = web.site.haproxy().master_socket().display().to_string();
    assert!(error.contains(&format!("asking HAProxy's master at {path}")), "{error}");
    web.site.haproxy_mut().restart().await.unwrap();
    until_no_error(&agent).await;
    web.site.until_serves("web", &["green"]).await;
}
