//! The containers of an image are served as they come and go.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

#[path = "../../discovery-docker/tests/docker/fake/mod.rs"]
mod fake;
mod serving_support;

use e2e::HttpBackend;
use fake::{Fake, Mood, container};
use serde_json::{Value, json};
use serving_support::{all_answered, discovering as site, reloaded, until, until_state};

/// A container whose port 80 is published where this backend is.
fn publishes(number: u16, image: &str, backend: &HttpBackend) -> Value {
    container(number, image, 80, backend.port())
}

#[tokio::test]
async fn containers_come_and_go_without_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("docker.sock");
    let mut docker = Fake::socket(&path).await;
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    docker.run([publishes(1, "app:1", &blue), publishes(9, "db:1", &green)]);
    let site = site(json!({
        "method": "docker", "servers": [{ "socket": path.display().to_string(), "name": "here" }],
        "image_name": "app", "container_port": 80,
        // So long that nothing but events can tell.
        "check_interval": 3600,
    }))
    .await;
    let agent = site.run_agent();
    site.until_serves("web", &["blue"]).await;
    let line = &site.server_lines("web")[0];
    assert!(line.starts_with(&format!("server here_127.0.0.1:{} ", blue.port())), "{line}");
    let traffic = site.traffic("web");
    let before = reloaded(&agent, &site).await;
    docker.until_heard(1).await;

    docker.run([publishes(1, "app:1", &blue), publishes(2, "app:2", &green)]);
    site.until_serves("web", &["blue", "green"]).await;
    let mut unhealthy = publishes(1, "app:1", &blue);
    unhealthy["Status"] = json!("Up 2 hours (unhealthy)");
    docker.run([unhealthy, publishes(2, "app:2", &green)]);
    site.until_serves("web", &["green"]).await;

    docker.stop().await;
    until_state(&agent, "failing").await;
    site.until_serves("web", &["green"]).await;
    docker.run([publishes(3, "app:3", &blue)]);
    docker.start().await;
    site.until_serves("web", &["blue"]).await;
    all_answered(traffic).await;
    assert_eq!(reloaded(&agent, &site).await, before, "no reload, and the same worker");
}

#[tokio::test]
async fn a_server_that_fails_stops_no_other_and_is_named() {
    let (one, other) = (Fake::tcp().await, Fake::tcp().await);
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    let red = HttpBackend::start("red").await;
    one.run([publishes(1, "app:1", &blue)]);
    other.run([publishes(1, "app:1", &green)]);
    let site = site(json!({
        "method": "docker", "image_name": "app", "container_port": 80, "check_interval": 1,
        "servers": [
            { "name": "one", "host": "127.0.0.1", "port": one.port() },
            { "name": "other", "host": "127.0.0.1", "port": other.port() },
        ],
    }))
    .await;
    let agent = site.run_agent();
    site.until_serves("web", &["blue", "green"]).await;
    one.mood(Mood::Refuses(500, r#"{"message": "no space left on device"}"#.to_owned()));
    one.run([]);
    other.run([publishes(2, "app:1", &red)]);
    site.until_serves("web", &["blue", "red"]).await;
    let mut unpublished = container(3, "app:1", 80, 1);
    unpublished["Ports"] = json!([]);
    other.run([publishes(2, "app:1", &red), unpublished]);
    until("the container without a port to be listed", || {
        let snapshot = agent.service("web").snapshot.expect("it is served");
        let named: Vec<_> = snapshot.rejected().named().iter().map(|one| one.entry().to_owned()).collect();
        if named == ["other: web-3 (000000000000)"] { Ok(()) } else { Err(format!("{named:?}")) }
    })
    .await;
    one.mood(Mood::Well);
    site.until_serves("web", &["red"]).await;
}
