//! A reload that HAProxy does not survive: what served goes on, and ends with its cause.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod serving_support;

use std::path::{Path, PathBuf};

use e2e::{AgentTask, HttpBackend};
use serving_support::{Web, all_answered, key, register, registration, servers, until, until_applied};

/// Everything, over the socket, and where an error page is to be whose absence HAProxy does not take.
async fn web() -> (Web, PathBuf) {
    let mut web = Web::prepare().await;
    let dir = web.site.haproxy().dir();
    let (socket, page) = (dir.join("admin.sock"), dir.join("503.http"));
    web.site.set("/haproxy", "socket_file_path", socket.display().to_string());
    (web, page)
}

/// An error page that HAProxy takes.
fn write_page(path: &Path) {
    std::fs::write(path, "HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").unwrap();
}

/// Waits until a reload has failed, and says how.
async fn until_put_back(agent: &AgentTask) -> String {
    until("the last good file to be put back", || {
        let output = agent.status().output();
        match (output.live, output.error) {
            (Some(live), Some(error)) if live.put_back > 0 => Ok(error),
            (live, error) => Err(format!("{live:?} {error:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_section_that_haproxy_can_not_load_stops_nobody_and_is_loaded_when_its_cause_is_gone() {
    let (mut web, page) = web().await;
    let (agent, traffic) = web.serve().await;
    until_applied(&agent).await;
    agent.stop().await;
    let (good, worker) = (web.site.file(), web.site.haproxy().processes().await.worker);

    let lines = vec![format!("errorfile 503 {}", page.display())];
    web.site.set("/haproxy/extra_sections", "http-errors pages", lines);
    let agent = web.site.run_agent();
    let error = until_put_back(&agent).await;
    assert!(error.contains("last good file"), "{error}");
    assert_eq!(web.site.file(), good);
    assert!(same_worker(&web, worker).await);

    write_page(&page);
    until("no error any more", || agent.status().output().error.map_or(Ok(()), Err)).await;
    assert!(web.site.file().contains("http-errors pages"));
    web.site.until_serves("web", &["blue", "green"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn what_needs_no_reload_goes_on_while_none_succeeds() {
    let (mut web, page) = web().await;
    write_page(&page);
    let lines = vec![format!("errorfile 503 {}", page.display())];
    web.site.set("/haproxy/extra_sections", "http-errors pages", lines);
    web.site.add_service("fixed", &web.etcd.endpoints());
    // Servers of this algorithm come by reloads alone.
    web.site.set("/services/fixed/haproxy", "listen", vec!["balance source"]);
    let (agent, traffic) = web.serve().await;
    until_applied(&agent).await;
    let (good, worker) = (web.site.file(), web.site.haproxy().processes().await.worker);

    std::fs::remove_file(&page).unwrap();
    web.etcd.put("/services/fixed/blue", &registration(&web.blue)).await;
    let error = until_put_back(&agent).await;
    assert!(error.contains("balance source is static") && error.contains("last good file"), "{error}");
    assert_eq!(web.site.file(), good);

    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.etcd.delete(&key("blue")).await;
    until("red to be asked", || if red.requests() > 0 { Ok(()) } else { Err("not yet".to_owned()) }).await;
    assert!(same_worker(&web, worker).await, "by commands");
    assert!(agent.status().output().error.is_some(), "the rest is still to be done");

    write_page(&page);
    until("no error any more", || agent.status().output().error.map_or(Ok(()), Err)).await;
    web.site.until_serves("web", &["green", "red"]).await;
    web.site.until_serves("fixed", &["blue"]).await;
    assert_eq!((servers(&web.site).len(), web.site.server_lines("fixed").len()), (2, 1));
    all_answered(traffic).await;
}

/// Whether that worker still serves. Newer versions list it among the old ones after a reload that failed.
async fn same_worker(web: &Web, worker: Option<u32>) -> bool {
    let now = web.site.haproxy().processes().await;
    now.worker.or(now.old_workers.first().copied()) == worker
}
