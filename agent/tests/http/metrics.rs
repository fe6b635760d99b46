//! What Prometheus reads.

use std::process::Stdio;

use agent::discovery::WatchError;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{
    site::endpoints,
    visit::{Place, Said, failure},
};

#[tokio::test]
async fn services_that_are_removed_leave_no_series() {
    let place = Place::new([("web", Said::Answer(endpoints([1]))), ("gone", Said::Answer(endpoints([2])))]);
    let (mut running, visitor) = place.start().await;
    visitor.until_ready().await;
    assert!(visitor.get("/metrics").await.body.contains("service=\"gone\""));
    let without = place.without("gone");
    running.reconfigure(without.config()).await;
    let metrics = visitor.get("/metrics").await.body;
    assert!(!metrics.contains("gone") && metrics.contains("service=\"web\""), "{metrics}");
    assert_eq!(visitor.metric("synapse_services").await, Some(1.0));
    assert_eq!(visitor.metric("synapse_configurations_taken_total").await, Some(1.0));
    running.stop().await;
}

#[tokio::test]
async fn whoever_asks_for_openmetrics_gets_it() {
    let place = Place::new([("web", Said::Answer(endpoints([1])))]);
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    let open = visitor.ask(&format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n")).await;
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    assert!(open.body.ends_with("\n# EOF\n"), "{}", open.body);
    assert!(open.body.contains("# TYPE synapse_writes counter\nsynapse_writes_total 1\n"), "{}", open.body);
    let plain = visitor.get("/metrics").await;
    assert!(plain.head.contains("content-type: text/plain; version=0.0.4"), "{}", plain.head);
    assert!(
        plain.body.contains("# TYPE synapse_writes_total counter\nsynapse_writes_total 1"),
        "{}",
        plain.body
    );
    assert!(!plain.body.contains("EOF"));
    running.stop().await;
}

#[tokio::test]
async fn live_a_strict_parser_accepts_a_scrape_in_good_times_and_bad() {
    let directory = tempfile::tempdir().unwrap();
    let evil = WatchError::new("a\"b\\c\n{}".repeat(1000));
    let place = Place::new([
        ("web", Said::Answer(endpoints([1]))),
        ("bad", Said::Failure(evil)),
        ("x:y.z-1", failure("asking")),
    ])
    .set(&["haproxy", "state_file_path"], json!(directory.path().join("state.json")));
    let (running, visitor) = place.start().await;
    visitor.until("/readyz", |reply| !reply.body.contains("nothing was applied")).await;
    let scrape = visitor.get("/metrics").await.body;
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut promtool = promtool.expect("promtool is there: Debian's package prometheus has it");
    promtool.stdin.take().unwrap().write_all(scrape.as_bytes()).await.unwrap();
    let checked = promtool.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.trim().is_empty(), "{said}\n{scrape}");
    running.stop().await;
}

#[tokio::test]
async fn what_has_not_happened_again_keeps_its_time_from_scrape_to_scrape() {
    let place = Place::new([("web", Said::Answer(endpoints([1])))]);
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    let times = async || {
        let scrape = visitor.get("/metrics").await.body;
        let times =
            scrape.lines().filter(|line| line.contains("_timestamp_seconds ") && !line.starts_with('#'));
        times.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = times().await;
    assert_eq!(first.len(), 4, "{first:?}");
    for _ in 0..50 {
        assert_eq!(times().await, first);
    }
    running.stop().await;
}
