//! Somebody else reloads HAProxy, when its file has changed.

use std::time::Duration;

use haproxy_render::{Document, Section};
use haproxy_runtime::{ConfigFile, Limits, Live, Pace, Progress, Sockets, Staging, Verification};
use tokio::time::{Instant, sleep_until};

use crate::site::{By, Echo, Site, changed, document, line, server};

/// One that does not reload.
fn live(site: &Site, pace: Duration) -> Live {
    let path = site.haproxy.path("admin.sock");
    let sockets = Sockets::parse([path.to_str().unwrap()], Limits::default()).unwrap();
    let file = ConfigFile::open(site.haproxy.path("haproxy.cfg"), Staging::Beside).unwrap();
    Live::new(file, sockets, Pace::new(pace, 0.0).unwrap())
}

/// Something that takes a reload.
fn more(mut document: Document, called: &str) -> Document {
    document.extra_sections.push(Section::new(line(&format!("backend {called}")), vec![]));
    document
}

/// The names of the servers that HAProxy has.
async fn names(site: &Site) -> Vec<String> {
    let servers = site.servers().await;
    servers.iter().map(|server| server.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn live_a_file_that_waits_to_be_loaded_does_not_go_back_to_what_runs() {
    let a = Echo::start(b'a').await;
    let (one, two, three) =
        (server("a", a.port, 1, ""), server("b", a.port, 2, ""), server("c", a.port, 3, ""));
    let first = document(vec![one.clone()]);
    let site = Site::start(&first, By::Master).await;
    let mut live = live(&site, Duration::from_hours(1));
    changed(&mut live, &first).await;
    let deed = changed(&mut live, &more(first, "more")).await;
    assert_eq!(deed.reloaded.unwrap().verified, Verification::NotOurs);

    // The pace lets no other file be written, and HAProxy gets its servers all the same.
    for servers in [vec![one.clone(), two.clone()], vec![one, two, three]] {
        let wanted = more(document(servers), "more");
        let Progress::Deferred { done, .. } = live.apply(&wanted).await.unwrap() else { panic!("it waits") };
        assert!(done.is_some());
        live.flush().await.unwrap();
        assert!(site.file().contains("backend more") && !site.file().contains("server b "));
    }
    assert_eq!(names(&site).await, ["a", "b", "c"]);

    site.reload_by_hand(&live).await;
    let third = more(document(vec![server("a", a.port, 1, ""), server("b", a.port, 2, "")]), "more");
    let deed = changed(&mut live, &third).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    assert_eq!(names(&site).await, ["a", "b"]);
    assert!(site.file().contains("backend more") && site.file().contains("server b "));
}

#[tokio::test]
async fn live_what_needs_no_reload_does_not_wait_for_whoever_reloads() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let mut live = live(&site, Duration::ZERO);
    changed(&mut live, &first).await;
    let mut both = document(vec![server("a", a.port, 1, ""), server("b", a.port, 2, "")]);
    for section in ["more", "and", "again"] {
        both = more(both, section);
        assert!(changed(&mut live, &both).await.reloaded.is_some());
        assert_eq!(names(&site).await, ["a", "b"]);
        assert!(site.file().contains(section) && site.file().contains("server b "));
    }
    site.reload_by_hand(&live).await;
    assert_eq!(live.apply(&both).await.unwrap(), Progress::Unchanged);
    // What the file waited with is not wanted any more.
    assert!(changed(&mut live, &first).await.reloaded.is_some());
    changed(&mut live, &both).await;
    assert_eq!((names(&site).await, live.unloaded()), (vec!["a".to_owned(), "b".to_owned()], None));
}

#[tokio::test]
async fn live_a_file_that_nobody_loads_shows() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let within = Duration::from_millis(200);
    let mut live = live(&site, Duration::ZERO).with_verification(within);
    changed(&mut live, &first).await;
    let second = more(first, "more");
    let before = Instant::now();
    changed(&mut live, &second).await;
    assert_eq!(live.unloaded(), None, "it has its time");
    sleep_until(Instant::now() + within).await;
    live.reconcile().await;
    assert_eq!(live.apply(&second).await.unwrap(), Progress::Unchanged);
    assert!(live.unloaded().is_some_and(|since| since >= before));

    site.reload_by_hand(&live).await;
    live.reconcile().await;
    assert_eq!(live.apply(&second).await.unwrap(), Progress::Unchanged);
    assert_eq!(live.unloaded(), None);
}
