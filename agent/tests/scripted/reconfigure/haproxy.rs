//! What all services share, and how HAProxy is told.

use std::time::Duration;

use agent::discovery::testing::Step;
use serde_json::json;
use tokio::time::timeout;

use super::{SECOND, told, two};
use crate::{
    fake::{Does, Fake, Says},
    site::{Site, line, says, until},
};

#[tokio::test(start_paused = true)]
async fn what_stands_around_the_services_is_one_write() {
    let site = two().set(&["haproxy", "shared_frontend"], json!(["bind :81"]));
    let mut running = site.start();
    running.applied().await;
    let site = site
        .set(&["haproxy", "global"], json!(["maxconn 5"]))
        .set(&["haproxy", "defaults"], json!(["timeout connect 9s", "default-server inter 5s"]))
        .set(&["haproxy", "extra_sections"], json!({ "listen stats": ["bind :82"] }))
        .set(&["haproxy", "shared_frontend"], json!(["bind :83"]))
        .set(&["haproxy", "max_server_id"], json!(500));
    let done = running.reconfigure(site.config()).await;
    let expected = r#"["haproxy.global", "haproxy.defaults", "haproxy.extra_sections", "haproxy.shared_frontend", "what services inherit"]"#;
    assert_eq!((told(&done), done.unchanged), (format!("+[] -[] ~[] s[] {expected}"), 2));
    let file = site.file();
    for text in ["maxconn 5", "timeout connect 9s", "listen stats", "bind :83"] {
        assert!(file.contains(text), "{text} is missing: {file}");
    }
    // What servers inherit is written out on their lines.
    assert_eq!(file.matches("inter 5s").count(), 4, "{file}");
    assert_eq!(site.servers("web"), [line(1, 1), line(2, 2)]);
    assert_eq!(running.status.output().counters.writes, 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn another_file_is_written_and_the_one_before_left_as_it_is() {
    let site = two();
    let mut running = site.start();
    running.applied().await;
    let (old, path) = (site.file(), site.path().with_file_name("other.cfg"));
    let site = site.set(&["haproxy", "config_file_path"], json!(path)).service("db", Vec::new);
    let done = running.reconfigure(site.config()).await;
    assert_eq!(told(&done), r#"+[] -[] ~[] s[] ["how HAProxy is told"]"#);
    assert_eq!((std::fs::read_to_string(&path).unwrap(), site.file()), (old.clone(), old));
    assert_eq!(running.status.output().counters.writes, 2, "the totals go on");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_mended_by_another_path() {
    let site = two();
    let good = site.path();
    let site = site.set(&["haproxy", "config_file_path"], json!(good.with_file_name("none").join("h.cfg")));
    let mut running = site.start();
    running.applied().await;
    assert!(running.status.output().error.is_some());
    let site = site.set(&["haproxy", "config_file_path"], json!(good));
    running.reconfigure(site.config()).await;
    assert_eq!((running.status.output().error, site.served("web")), (None, vec![1, 2]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn it_is_taken_over_while_a_write_waits_for_its_pace() {
    let site = Site::new()
        .service("web", || vec![says([1]), Step::Wait(SECOND), says([1, 2])])
        .set(&["haproxy", "restart_interval"], json!(600));
    let mut running = site.start();
    running.applied().await;
    until("the write to wait", || running.status.output().pending.is_some()).await;
    let site = site.set(&["haproxy", "restart_interval"], json!(0));
    let taken = timeout(10 * SECOND, running.handle.reconfigure(site.config())).await;
    assert_eq!(told(&taken.unwrap().unwrap()), r#"+[] -[] ~[] s[] ["how HAProxy is told"]"#);
    let written = timeout(10 * SECOND, until("it to be written", || site.served("web") == [1, 2])).await;
    written.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn without_its_socket_nothing_is_shown_of_what_haproxy_runs() {
    let fake = Fake::process(&Says::new(7), |_| Does::Says(String::new()));
    let site = two().set(&["haproxy", "socket_file_path"], json!(fake.path()));
    let mut running = site.start();
    let deadline = Duration::from_secs(30);
    let looked = until("HAProxy to be found", || running.status.output().haproxy.is_some());
    timeout(deadline, looked).await.unwrap();
    let site = site.set(&["haproxy", "do_socket"], json!(false));
    running.reconfigure(site.config()).await;
    let output = running.status.output();
    assert!(output.haproxy.is_none() && output.live.is_none() && output.revision.is_none(), "{output:?}");
    assert!(output.behind.is_none() && output.unloaded.is_none(), "{output:?}");
    running.stop().await;
}
