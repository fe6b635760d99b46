//! A file that can't follow, and what may happen meanwhile.

use std::time::Duration;

use haproxy_render::Server;
use haproxy_runtime::{Cause, Filed, Live, Progress};
use tokio::time::timeout;

use crate::{
    haproxy::{DEADLINE, until},
    site::{By, Echo, Site, changed, document, server},
};

/// Where a candidate is to lie there is something that nobody removes: writes fail, notes don't.
fn block(site: &Site) {
    std::fs::create_dir(site.haproxy.path(".synapse/haproxy.cfg")).unwrap();
}

fn unblock(site: &Site) {
    std::fs::remove_dir(site.haproxy.path(".synapse/haproxy.cfg")).unwrap();
}

/// A change by commands alone.
async fn told(live: &mut Live, servers: Vec<Server>) {
    match live.apply(&document(servers)).await.unwrap() {
        Progress::Changed(deed) => assert!(deed.reloaded.is_none() && deed.written.is_none(), "{deed}"),
        other => panic!("{other:?}"),
    }
}

async fn filed(live: &mut Live) -> Filed {
    timeout(DEADLINE, live.filed()).await.expect("news of the file")
}

/// The names of the servers that HAProxy has.
async fn names(site: &Site) -> Vec<String> {
    let servers = site.servers().await;
    servers.iter().map(|server| server.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn live_a_file_that_can_not_be_written_is_tried_again_and_membership_goes_on() {
    let a = Echo::start(b'a').await;
    let (one, two, three) =
        (server("a", a.port, 1, ""), server("b", a.port, 2, ""), server("c", a.port, 3, ""));
    let site = Site::start(&document(vec![one.clone()]), By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &document(vec![one.clone()])).await;
    block(&site);
    told(&mut live, vec![one.clone(), two.clone()]).await;
    assert!(matches!(filed(&mut live).await, Filed::Failed { .. }));
    told(&mut live, vec![one, two, three]).await;
    assert_eq!(names(&site).await, ["a", "b", "c"]);
    let error = live.behind().unwrap().error.unwrap();
    assert!(error.to_string().contains(".synapse/haproxy.cfg"), "{error}");
    assert!(!site.file().contains("server b "));

    unblock(&site);
    while live.behind().is_some() {
        filed(&mut live).await;
    }
    assert!(site.file().contains("server b ") && site.file().contains("server c "));
    assert_eq!(site.reloads(), 0);
}

/// An HAProxy with the first server that was told of the second, and that somebody has reloaded before its file could follow.
async fn reloaded_in_the_lag(one: &Server, two: &Server) -> (Site, Live) {
    let first = document(vec![one.clone()]);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    block(&site);
    told(&mut live, vec![one.clone(), two.clone()]).await;
    site.reload_by_hand(&live).await;
    (site, live)
}

#[tokio::test]
async fn live_a_haproxy_that_somebody_reloads_before_its_file_has_followed_is_brought_forward_by_the_next_change()
 {
    let a = Echo::start(b'a').await;
    let (one, two, three) =
        (server("a", a.port, 1, ""), server("b", a.port, 2, ""), server("c", a.port, 3, ""));
    let (site, mut live) = reloaded_in_the_lag(&one, &two).await;
    assert_eq!(names(&site).await, ["a"], "the file had no more");
    told(&mut live, vec![one, two, three]).await;
    assert_eq!((names(&site).await, site.reloads()), (["a", "b", "c"].map(str::to_owned).to_vec(), 0));
}

#[tokio::test]
async fn live_a_haproxy_that_somebody_reloads_before_its_file_has_followed_is_found_when_it_has() {
    let a = Echo::start(b'a').await;
    let (one, two) = (server("a", a.port, 1, ""), server("b", a.port, 2, "weight 7"));
    let (site, mut live) = reloaded_in_the_lag(&one, &two).await;
    unblock(&site);
    while filed(&mut live).await != Filed::Replaced {}
    told(&mut live, vec![one, two]).await;
    assert_eq!(names(&site).await, ["a", "b"]);
    let revision = site.haproxy.socket().process().await.unwrap().revision.unwrap();
    assert!(site.file().contains(&revision.directive()) && site.file().contains("weight 7"));
    assert_eq!((site.reloads(), live.behind().is_none()), (0, true));
}

#[tokio::test]
async fn live_a_reconciliation_brings_a_haproxy_forward_whose_file_can_not_follow() {
    let a = Echo::start(b'a').await;
    let (one, two) = (server("a", a.port, 1, ""), server("b", a.port, 2, ""));
    let (site, mut live) = reloaded_in_the_lag(&one, &two).await;
    live.reconcile().await;
    told(&mut live, vec![one, two]).await;
    assert_eq!((names(&site).await, site.reloads()), (["a", "b"].map(str::to_owned).to_vec(), 0));
}

/// A run of this program that ends at once after it has told HAProxy of a second server, of these options.
async fn killed_in_the_lag(site: &Site, port: u16, options: &str) -> Vec<Server> {
    let both = vec![server("a", port, 1, ""), server("b", port, 2, options)];
    let mut live = site.live();
    changed(&mut live, &document(both[..1].to_vec())).await;
    block(site);
    told(&mut live, both.clone()).await;
    until("the note", async || {
        let note = std::fs::read_to_string(site.haproxy.path(".synapse/haproxy.cfg.told")).ok()?;
        note.contains("server b ").then_some(())
    })
    .await;
    drop(live);
    unblock(site);
    assert!(!site.file().contains("server b "));
    both
}

#[tokio::test]
async fn live_the_next_run_goes_on_without_a_reload_where_the_last_was_killed_before_its_file_had_followed() {
    let a = Echo::start(b'a').await;
    let site = Site::start(&document(vec![server("a", a.port, 1, "")]), By::Nothing).await;
    // What no reading back shows.
    let both = killed_in_the_lag(&site, a.port, "check inter 1234").await;
    let mut live = site.live();
    assert_eq!(live.apply(&document(both.clone())).await.unwrap(), Progress::Unchanged);
    live.flush().await.unwrap();
    assert_eq!((names(&site).await, site.reloads()), (["a", "b"].map(str::to_owned).to_vec(), 0));
    assert!(site.file().contains("inter 1234"));
    assert!(!site.haproxy.path(".synapse/haproxy.cfg.told").exists());

    // The same, and something else is wanted by now.
    let site = Site::start(&document(vec![server("a", a.port, 1, "")]), By::Nothing).await;
    killed_in_the_lag(&site, a.port, "").await;
    let deed = changed(&mut site.live(), &document(vec![server("b", a.port, 2, "")])).await;
    assert!(deed.to_string().starts_with("- web/a; by "), "{deed}");
    assert_eq!(site.reloads(), 0);
}

#[tokio::test]
async fn live_without_a_note_of_what_it_was_told_a_process_is_reloaded() {
    let a = Echo::start(b'a').await;
    let site = Site::start(&document(vec![server("a", a.port, 1, "")]), By::Master).await;
    let both = killed_in_the_lag(&site, a.port, "").await;
    std::fs::write(site.haproxy.path(".synapse/haproxy.cfg.told"), "# generated by somebody\n").unwrap();
    let deed = changed(&mut site.live(), &document(both)).await;
    assert!(matches!(deed.reloaded.unwrap().causes[..], [Cause::Revision { runs: Some(_) }]));
    assert_eq!((names(&site).await, site.reloads()), (["a", "b"].map(str::to_owned).to_vec(), 1));
}

#[tokio::test]
async fn live_a_reload_waits_for_more_to_come_and_commands_do_not() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    // Longer than this test takes, but for what is waited for.
    let mut live = site.live().with_settle(Duration::from_secs(1), Duration::from_hours(1));
    changed(&mut live, &first).await;
    let mut second = document(vec![server("a", a.port, 1, "weight 6")]);
    second.extra_sections.push(haproxy_render::Section::new(crate::site::line("backend more"), vec![]));
    let Progress::Deferred { until, done, .. } = live.apply(&second).await.unwrap() else { panic!() };
    assert_eq!(done.unwrap().changes.len(), 1);
    assert_eq!((site.servers().await, site.reloads()), (vec![format!("a {} 6 0", a.port)], 0));
    tokio::time::sleep_until(until).await;
    assert!(changed(&mut live, &second).await.reloaded.is_some());
    assert_eq!(site.reloads(), 1);
}
