//! Whether the host is ready, and what stands between.

use std::time::Duration;

use agent::discovery::{Retry, WatchError};
use serde_json::json;

use crate::{
    site::endpoints,
    visit::{DEADLINE, Place, Said, failure},
};

#[tokio::test]
async fn a_host_is_ready_when_all_have_answered_and_haproxy_has_it() {
    let place = Place::new([("web", Said::Answer(endpoints([1, 2]))), ("silent", Said::Nothing)])
        .set(&["agent", "startup_wait"], json!(60));
    let (running, visitor) = place.start().await;
    let waiting = visitor.until("/readyz", |reply| !reply.body.contains("service web")).await;
    assert_eq!(
        (waiting.code, waiting.body.as_str()),
        (503, "haproxy: nothing was applied yet\nservice silent: its source has not answered yet\n")
    );
    assert_eq!(visitor.get("/healthz").await.code, 200);
    place.say("silent", Said::Answer(endpoints([])));
    visitor.until_ready().await;
    assert_eq!(visitor.get("/readyz").await.body, "ready\n");
    assert_eq!(visitor.metric("synapse_ready").await, Some(1.0));
    running.stop().await;
}

#[tokio::test]
async fn a_registry_that_is_lost_is_named_with_the_service_and_forgotten_when_it_is_back() {
    let place = Place::new([("web", Said::Answer(endpoints([1]))), ("db", Said::Answer(endpoints([2])))]);
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    place.say("web", failure("asking the registry"));
    let lost = visitor.until("/readyz", |reply| reply.code == 503).await;
    assert_eq!(lost.body, "service web: its source fails, for 0 s: asking the registry\n");
    let stale = |service: &str| format!("synapse_service_stale{{service=\"{service}\",method=\"scripted\"}}");
    assert_eq!(visitor.metric(&stale("web")).await, Some(1.0));
    assert_eq!(visitor.metric(&stale("db")).await, Some(0.0));
    assert_eq!(visitor.metric("synapse_ready").await, Some(0.0));
    assert_eq!(visitor.metric("synapse_service_up{service=\"web\",method=\"scripted\"}").await, Some(0.0));
    let failures = "synapse_service_failures_total{service=\"web\",method=\"scripted\"}";
    assert!(visitor.metric(failures).await > Some(1.0));
    // What it said last is served on.
    assert_eq!(place.site.served("web"), [1]);
    place.say("web", Said::Answer(endpoints([1, 3])));
    visitor.until_ready().await;
    assert_eq!(visitor.metric(&stale("web")).await, Some(0.0));
    running.stop().await;
}

#[tokio::test]
async fn a_failure_is_forgiven_for_as_long_as_the_service_says() {
    let place =
        Place::new([("web", Said::Answer(endpoints([1]))), ("patient", Said::Answer(endpoints([2])))])
            .set(&["services", "patient", "max_staleness"], json!(600));
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    place.say("patient", failure("asking the registry"));
    place.say("web", failure("asking the registry"));
    visitor.until("/readyz", |reply| reply.body.contains("service web")).await;
    let report = visitor.json().await;
    assert_eq!(
        (&report["services"][0]["name"], &report["services"][0]["stale"]),
        (&json!("patient"), &json!(false))
    );
    assert_eq!(report["services"][0]["state"], "failing");
    assert_eq!(report["obstacles"].as_array().map(Vec::len), Some(1));
    running.stop().await;
}

#[tokio::test]
async fn a_source_that_has_ended_is_never_fresh_again() {
    let place = Place::new([("web", Said::Answer(endpoints([1])))])
        .set(&["services", "web", "max_staleness"], json!(600));
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    place.say("web", Said::Failure(WatchError::new("the registry is closed").retry(Retry::Never)));
    let ended = visitor.until("/readyz", |reply| reply.code == 503).await;
    assert_eq!(ended.body, "service web: its source has ended: the registry is closed\n");
    running.stop().await;
}

#[tokio::test]
async fn a_configuration_that_haproxy_refuses_stands_between_until_it_takes_one() {
    let verdict = tempfile::tempdir().unwrap();
    let refused = verdict.path().join("refused");
    std::fs::write(&refused, "").unwrap();
    let check =
        format!("test ! -e {} || {{ echo 'parsing: <unknown keyword>' >&2; exit 1; }}", refused.display());
    let place = Place::new([("web", Said::Answer(endpoints([1])))])
        .set(&["haproxy", "do_checks"], json!(true))
        .set(&["haproxy", "candidate_config_file_path"], json!(verdict.path().join("candidate.cfg")))
        .set(&["haproxy", "check_command"], json!(check));
    let (running, visitor) = place.start().await;
    let body = visitor.until("/readyz", |reply| reply.body.contains("unknown keyword")).await.body;
    assert!(
        body.starts_with("haproxy: it was not brought up to date: ") && body.lines().count() == 1,
        "{body}"
    );
    assert_eq!(visitor.metric("synapse_apply_failed").await, Some(1.0));
    assert!(visitor.metric("synapse_check_failures_total").await >= Some(1.0));
    let page = visitor.get("/").await.body;
    assert!(page.contains("not up to date") && page.contains("&#60;unknown keyword&#62;"), "{page}");
    std::fs::remove_file(&refused).unwrap();
    visitor.until_ready().await;
    assert_eq!(visitor.metric("synapse_apply_failed").await, Some(0.0));
    running.stop().await;
}

#[tokio::test]
async fn whoever_asks_after_the_end_finds_nobody() {
    let place = Place::new([("web", Said::Answer(endpoints([1])))]);
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    running.stop().await;
    let gone = async {
        while tokio::net::TcpStream::connect(visitor.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("nobody listens any more");
}
