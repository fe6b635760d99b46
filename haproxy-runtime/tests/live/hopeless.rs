//! What can't be done, however often it is tried.

use std::time::Duration;

use haproxy_render::{Document, Section};
use haproxy_runtime::{Check, Command, Deed, Live, Pace, Progress, Reload, Restored};
use tokio::time::{Instant, sleep_until};

use crate::site::{By, Site, changed, document, line, server};

/// Where a candidate is to lie there is something that nobody removes.
fn block(site: &Site) {
    std::fs::create_dir(site.haproxy.path(".synapse/haproxy.cfg")).unwrap();
}

fn unblock(site: &Site) {
    std::fs::remove_dir(site.haproxy.path(".synapse/haproxy.cfg")).unwrap();
}

#[tokio::test]
async fn live_an_edit_that_can_not_be_undone_is_an_error_of_the_file_and_of_no_apply() {
    let first = document(vec![server("a", 1, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live_at(Pace::default(), "admin.sock");
    changed(&mut live, &first).await;
    let good = site.file();
    block(&site);
    std::fs::write(site.haproxy.path("haproxy.cfg"), "# oops\n").unwrap();
    assert_eq!(live.apply(&first).await.unwrap(), Progress::Unchanged);
    assert!(live.flush().await.is_err());
    assert!(live.behind().unwrap().error.is_some());
    let failures = live.counters().applier.write_failures;
    for _ in 0..20 {
        assert_eq!(live.apply(&first).await.unwrap(), Progress::Unchanged);
    }
    let more = live.counters().applier.write_failures - failures;
    assert!(more < 10, "each apply has tried: {more}");

    unblock(&site);
    live.flush().await.unwrap();
    assert_eq!((site.file(), site.reloads()), (good.clone(), 0));
    // Neither does a file that is gone wait for the next change.
    std::fs::remove_file(site.haproxy.path("haproxy.cfg")).unwrap();
    assert_eq!(live.apply(&first).await.unwrap(), Progress::Unchanged);
    live.flush().await.unwrap();
    assert_eq!(site.file(), good);
}

#[tokio::test]
async fn live_a_first_revision_that_can_not_be_written_waits_for_the_pace() {
    let first = document(vec![server("a", 1, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live_at(Pace::default(), "admin.sock");
    block(&site);
    let mut last = Duration::ZERO;
    for _ in 0..3 {
        live.apply(&first).await.unwrap_err();
        let now = Instant::now();
        let pause = live.ready_at(now).expect("not at once") - now;
        assert!(pause > last, "{pause:?} after {last:?}");
        last = pause;
    }
}

/// Its reloads fail, as those of a unit do that is not active; they only count themselves.
fn failing(site: &Site, pace: Pace) -> Live {
    let count = format!("echo x >> '{}'; false", site.haproxy.path("reloads").display());
    site.live_at(pace, "admin.sock")
        .with_reload(Reload::new(Command::shell(count).unwrap(), Duration::from_secs(20)))
        .with_verification(Duration::from_millis(300))
}

fn no_pace() -> Pace {
    Pace::new(Duration::ZERO, 0.0).unwrap()
}

/// With a section that no HAProxy takes.
fn broken(mut document: Document) -> Document {
    document.extra_sections.push(Section::new(line("backend broken"), vec![line("nonsense")]));
    document
}

#[tokio::test]
async fn live_a_haproxy_that_is_not_there_yet_starts_with_the_servers_of_now() {
    let (first, second) = (document(vec![server("a", 1, 1, "")]), document(vec![server("b", 2, 2, "")]));
    let mut site = Site::start(&first, By::Nothing).await;
    let mut live = failing(&site, no_pace());
    changed(&mut live, &first).await;
    site.haproxy.kill();
    for restarted in [false, true] {
        if restarted {
            live = failing(&site, no_pace());
        }
        for _ in 0..3 {
            let error = live.apply(&second).await.unwrap_err();
            assert_eq!(error.restored(), Restored::No);
            assert!(site.file().contains("server b ") && !site.file().contains("server a "));
            assert!(site.haproxy.path(".synapse/haproxy.cfg.reload-pending").exists());
            sleep_until(live.ready_at(Instant::now()).expect("not at once")).await;
        }
    }
    let tries = site.reloads();
    site.haproxy.restart().await;
    assert_eq!(site.servers().await, ["b 2 1 0"]);
    assert_eq!(live.apply(&second).await.unwrap(), Progress::Unchanged);
    assert!(!site.haproxy.path(".synapse/haproxy.cfg.reload-pending").exists());
    assert_eq!((live.process().unwrap().pid, site.reloads()), (site.haproxy.pid(), tries));
}

#[tokio::test]
async fn live_a_haproxy_that_is_not_there_yet_starts_with_what_nobody_judged_only_if_that_is_servers() {
    let first = document(vec![server("a", 1, 1, "")]);
    let mut site = Site::start(&first, By::Nothing).await;
    changed(&mut site.live(), &first).await;
    let good = site.file();
    site.haproxy.kill();
    let second = broken(document(vec![server("b", 2, 2, "")]));
    let error = failing(&site, no_pace()).apply(&second).await.unwrap_err();
    assert_eq!((error.restored(), site.file()), (Restored::File, good.clone()));

    // The check is somebody.
    let check = Check::new(Command::shell("true").unwrap(), Duration::from_secs(20));
    let error = failing(&site, no_pace()).with_check(check).apply(&second).await.unwrap_err();
    assert_eq!(error.restored(), Restored::No);
    assert!(site.file().contains("nonsense"));
}

#[tokio::test]
async fn live_a_haproxy_that_is_there_and_can_not_be_talked_to_gets_its_file_back() {
    let first = document(vec![server("a", 1, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    changed(&mut site.live(), &first).await;
    let good = site.file();
    let count = format!("echo x >> '{}'; false", site.haproxy.path("reloads").display());
    let mut live = site
        .live_at(no_pace(), "operator.sock")
        .with_reload(Reload::new(Command::shell(count).unwrap(), Duration::from_secs(20)));
    let error = live.apply(&document(vec![server("b", 2, 2, "")])).await.unwrap_err();
    assert_eq!((error.restored(), site.file()), (Restored::File, good));
}

/// What was done by commands in an apply that can't reload.
async fn done_all_the_same(live: &mut Live, document: &Document) -> Option<Deed> {
    match live.apply(document).await {
        Err(error) => error.done().cloned(),
        Ok(Progress::Deferred { done, .. }) => done,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn live_a_file_that_can_not_be_put_back_is_put_back_later_and_membership_goes_on() {
    let first = document(vec![server("a", 1, 1, "")]);
    let site = Site::start(&first, By::Nothing).await;
    // Writes fail from the first reload on.
    let block = format!("mkdir -p '{}'; false", site.haproxy.path(".synapse/haproxy.cfg").display());
    let mut live = site
        .live_at(no_pace(), "admin.sock")
        .with_reload(Reload::new(Command::shell(block).unwrap(), Duration::from_secs(20)));
    changed(&mut live, &first).await;
    let error = live.apply(&broken(first.clone())).await.unwrap_err();
    assert_eq!(error.restored(), Restored::No);
    assert!(site.file().contains("nonsense"));
    for id in 2..6 {
        let both = vec![server("a", 1, 1, ""), server("b", 2, id, "")];
        let deed = done_all_the_same(&mut live, &broken(document(both))).await.expect("what can be done");
        assert!(!deed.changes.is_empty(), "{deed}");
        assert_eq!(site.servers().await, ["a 1 1 0", "b 2 1 0"]);
    }
    assert!(live.flush().await.is_err());
    assert!(live.behind().unwrap().error.is_some());
    let pending = site.haproxy.path(".synapse/haproxy.cfg.reload-pending");
    assert!(pending.exists(), "a next run has to know");

    unblock(&site);
    live.flush().await.unwrap();
    assert!(site.file().contains("server b ") && !site.file().contains("nonsense"));
    let revision = site.haproxy.socket().process().await.unwrap().revision.unwrap();
    assert!(site.file().contains(&revision.directive()));
    assert!(!pending.exists());
}

#[tokio::test]
async fn live_a_reload_that_fails_is_tried_ever_more_seldom_however_much_servers_change() {
    let weighted = |weight: u32| document(vec![server("a", 1, 1, &format!("weight {weight}"))]);
    let site = Site::start(&weighted(1), By::Nothing).await;
    let mut live = failing(&site, no_pace());
    changed(&mut live, &weighted(1)).await;
    let (mut weight, mut last, mut attempts) = (1, Duration::ZERO, 0);
    while attempts < 5 {
        weight += 1;
        match live.apply(&broken(weighted(weight))).await {
            Err(_) => {
                attempts += 1;
                let now = Instant::now();
                let pause = live.ready_at(now).expect("not at once") - now;
                assert!(pause > last, "{pause:?} after {last:?}");
                last = pause;
            }
            Ok(Progress::Deferred { until, .. }) => {
                assert_eq!(site.servers().await, [format!("a 1 {weight} 0")]);
                sleep_until(until).await;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(site.reloads(), attempts);

    // What else is to be loaded does not pay for it.
    let mut other = weighted(weight);
    other.extra_sections.push(Section::new(line("backend more"), vec![]));
    live.apply(&other).await.unwrap_err();
    assert_eq!(site.reloads(), attempts + 1);
}
