//! What is served while neither etcd nor HAProxy's file says anything.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod serving_support;

use e2e::HttpBackend;
use serde_json::Value;
use serving_support::{Web, key, register, until, until_state};

/// The names that the state file has of `web`, sorted.
fn remembered(path: &std::path::Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let state: Value = serde_json::from_str(&text).unwrap();
    let endpoints = state["services"]["web"]["endpoints"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<_> = endpoints.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    Ok(names)
}

#[tokio::test]
async fn a_start_with_nothing_but_the_state_file_serves_what_was_known() {
    let mut web = Web::prepare().await;
    let path = web.site.haproxy().dir().join("state").join("state.json");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    web.site.set("/haproxy", "state_file_path", path.display().to_string());
    web.site.set("/agent", "startup_wait", 0.5);
    let (agent, traffic) = web.serve().await;
    drop(traffic);
    // So that the ids are not those that a fresh start would give.
    web.etcd.delete(&key("blue")).await;
    let red = HttpBackend::start("red").await;
    web.site.until_serves("web", &["green"]).await;
    register(&web.etcd, &red).await;
    web.site.until_serves("web", &["green", "red"]).await;
    let lines = web.site.server_lines("web");
    until("the change to be on disk", || match remembered(&path)? {
        names if names == ["green", "red"] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    agent.kill().await;
    web.etcd.kill().await;
    web.site.haproxy_mut().stop().await;
    std::fs::remove_file(web.site.haproxy().config()).unwrap();
    let agent = web.site.run_agent();
    until("HAProxy's file to be there again", || {
        let there = web.site.haproxy().config().exists();
        if there { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!(web.site.server_lines("web"), lines);
    web.site.haproxy_mut().restart().await.unwrap();
    web.site.until_serves("web", &["green", "red"]).await;
    until_state(&agent, "failing").await;
    let service = agent.service("web");
    assert_eq!(
        (service.snapshot, service.restored.map(|known| known.len()), service.servers),
        (None, Some(2), 2)
    );
    assert!(service.age.is_some());

    web.etcd.restart().await;
    register(&web.etcd, &web.blue).await;
    web.etcd.delete(&key("green")).await;
    web.site.until_serves("web", &["blue", "red"]).await;
    let line = |lines: Vec<String>| lines.into_iter().find(|line| line.starts_with("server red_"));
    assert_eq!(line(web.site.server_lines("web")), line(lines), "the same id throughout");
    assert!(agent.service("web").restored.is_none());
    agent.stop().await;
    assert_eq!(remembered(&path).unwrap(), ["blue", "red"]);
}
