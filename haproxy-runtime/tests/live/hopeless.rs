//! What can't be done, however often it is tried.

use std::time::Duration;

use haproxy_runtime::{Pace, Progress};
use tokio::time::Instant;

use crate::site::{By, Site, changed, document, server};

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
