//! The status of an agent says within its bound that etcd is gone, or that HAProxy hangs, and that they are back.

mod serving_support;

use std::{net::SocketAddr, time::Duration};

use e2e::{AgentTask, HttpBackend, get, wait_until};
use serde_json::json;
use serving_support::{DEADLINE, Web, all_answered, key, register, until, until_applied};
use tokio::time::Instant;

/// How long etcd may be gone before that counts.
const MAX_STALENESS: Duration = Duration::from_secs(2);
/// When a server that is killed, or froze, is noticed at the latest: the keep-alive's interval and timeout as they are by default, and
/// the second within which it is told.
const NOTICED: Duration = Duration::from_secs(6 + 4 + 1);
/// When an HAProxy that hangs is noticed at the latest that is to change: what its socket, a reload and its verification may take.
const CHANGED: Duration = Duration::from_secs(30);
/// What a busy machine adds to it.
const GRACE: Duration = Duration::from_secs(4);

const STALE: &str = "synapse_service_stale{service=\"web\",method=\"etcd\"}";

async fn listening(agent: &AgentTask) -> SocketAddr {
    let address = || agent.status().window().and_then(|window| window.listening);
    until("the status to be served", || address().ok_or_else(|| "nowhere".to_owned())).await
}

/// Waits until `/readyz` has that code, and returns what it says.
async fn until_code(address: SocketAddr, code: u16) -> String {
    wait_until(DEADLINE, &format!("/readyz to say {code}"), async || match get(address, "/readyz").await {
        Ok(reply) if reply.status == code => Ok(reply.body),
        other => Err(format!("{other:?}")),
    })
    .await
}

async fn metric(address: SocketAddr, series: &str) -> Option<String> {
    let metrics = get(address, "/metrics").await.ok()?.body;
    metrics.lines().find_map(|line| Some(line.strip_prefix(series)?.trim().to_owned()))
}

async fn told_within_the_bound(freeze: bool) {
    let mut web = Web::prepare().await;
    let max_staleness = MAX_STALENESS.as_secs();
    web.site.set("", "status", json!({ "listen": "127.0.0.1:0", "max_staleness": max_staleness }));
    let (agent, traffic) = web.serve().await;
    let address = listening(&agent).await;
    until_code(address, 200).await;
    assert_eq!(metric(address, STALE).await.as_deref(), Some("0.0"));

    let gone = Instant::now();
    if freeze {
        web.etcd.freeze().await;
    } else {
        web.etcd.kill().await;
    }
    let said = until_code(address, 503).await;
    let took = gone.elapsed();
    assert!(said.starts_with("service web: its source fails, for "), "{said}");
    assert!(took >= MAX_STALENESS && took <= NOTICED + MAX_STALENESS + GRACE, "{took:?}");
    assert_eq!(metric(address, STALE).await.as_deref(), Some("1.0"));
    assert_eq!(get(address, "/healthz").await.map(|reply| reply.status).ok(), Some(200));

    if freeze {
        web.etcd.thaw();
    } else {
        web.etcd.restart().await;
    }
    until_code(address, 200).await;
    assert_eq!(metric(address, STALE).await.as_deref(), Some("0.0"));
    all_answered(traffic).await;
    agent.stop().await;
}

#[tokio::test]
async fn an_etcd_that_is_killed_is_named_within_the_bound_and_forgotten_when_it_is_back() {
    told_within_the_bound(false).await;
}

#[tokio::test]
async fn an_etcd_that_freezes_is_named_within_the_bound_and_forgotten_when_it_answers() {
    told_within_the_bound(true).await;
}

#[tokio::test]
async fn an_haproxy_that_hangs_is_named_with_the_change_that_it_does_not_take_and_forgotten_when_it_answers()
{
    let mut web = Web::prepare().await;
    let socket = web.site.haproxy().dir().join("admin.sock");
    web.site.set("/haproxy", "socket_file_path", socket.display().to_string());
    web.site.set("", "status", json!({ "listen": "127.0.0.1:0" }));
    let agent = web.site.run_agent();
    web.site.until_serves("web", &["blue", "green"]).await;
    until_applied(&agent).await;
    let address = listening(&agent).await;
    until_code(address, 200).await;
    assert_eq!(metric(address, "synapse_haproxy_up").await.as_deref(), Some("1.0"));

    let third = HttpBackend::start("third").await;
    web.site.haproxy().freeze().await;
    let hangs = Instant::now();
    register(&web.etcd, &third).await;
    let said = until_code(address, 503).await;
    let took = hangs.elapsed();
    assert!(said.starts_with("haproxy: ") && said.lines().count() == 1, "{said}");
    assert!(took <= CHANGED + GRACE, "{took:?}");
    assert_eq!(metric(address, "synapse_haproxy_up").await.as_deref(), Some("0.0"));
    assert_eq!(get(address, "/healthz").await.map(|reply| reply.status).ok(), Some(200));

    // The next change finds that it answers, if the look of each minute has not.
    web.site.haproxy().thaw();
    web.site.until_serves("web", &["blue", "green", "third"]).await;
    web.etcd.delete(&key("blue")).await;
    until_code(address, 200).await;
    assert_eq!(metric(address, "synapse_haproxy_up").await.as_deref(), Some("1.0"));
    web.site.until_serves("web", &["green", "third"]).await;
    agent.stop().await;
}
