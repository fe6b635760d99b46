//! Reloads that fail, or have to wait.

use std::time::Duration;

use haproxy_render::Section;
use haproxy_runtime::{Cause, LiveFault, Pace, Progress, Restored, Seen};
use tokio::time::sleep_until;

use crate::site::{By, Client, Echo, Site, chain, changed, document, line, server};

#[tokio::test]
async fn live_a_reload_that_fails_puts_the_last_good_file_back_and_membership_goes_on() {
    let (a, b) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live().with_verification(Duration::from_secs(2));
    changed(&mut live, &first).await;
    let (process, good) = (live.process().unwrap(), site.file());
    let mut kept = Client::connect(&site.haproxy).await.unwrap();

    let mut broken = document(vec![server("a", a.port, 1, "")]);
    broken.extra_sections.push(Section::new(line("backend broken"), vec![line("nonsense")]));
    let error = live.apply(&broken).await.unwrap_err();
    let LiveFault::Unverified(unverified) = error.fault() else { panic!("{error:?}") };
    assert!(matches!(&unverified.seen, Seen::Old(_)), "{error:?}");
    assert!(chain(&error).contains("section \"backend broken\" changed"), "{}", chain(&error));
    assert_eq!((error.restored(), site.file()), (Restored::Running, good));
    assert!(kept.echoes().await);
    assert_eq!((live.process(), live.counters().put_back), (Some(process), 1));
    let kept_text = std::fs::read_to_string(site.haproxy.path(".synapse/haproxy.cfg.last-good")).unwrap();
    assert_eq!(kept_text, site.file());

    // Servers need not wait for somebody to mend it.
    let mut both = document(vec![server("a", a.port, 1, ""), server("b", b.port, 2, "")]);
    both.extra_sections.clone_from(&broken.extra_sections);
    let done = match live.apply(&both).await {
        Ok(Progress::Deferred { done, .. }) => done,
        // A slow machine is past the pause after the first failure.
        result => result.unwrap_err().done().cloned(),
    };
    assert_eq!(done.unwrap().changes.len(), 1);
    assert_eq!(site.servers().await.len(), 2);
    live.flush().await.unwrap();
    assert!(site.file().contains("server b ") && !site.file().contains("nonsense"));

    // The same text is left in peace for a while, which grows until even a slow machine sees it.
    let mut tries = site.reloads();
    let progress = loop {
        match live.apply(&both).await {
            Ok(progress) => break progress,
            Err(error) => assert!(tries < 8, "it is tried at once each time: {error:?}"),
        }
        tries += 1;
    };
    assert!(matches!(progress, Progress::Deferred { .. }), "{progress:?}");
    let mended = document(vec![server("a", a.port, 1, ""), server("b", b.port, 2, "")]);
    let progress = live.apply(&mended).await.unwrap();
    assert_eq!((progress, site.reloads()), (Progress::Unchanged, tries));
}

#[tokio::test]
async fn live_a_check_that_refuses_leaves_the_file_and_membership_goes_on() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let check = haproxy_runtime::Command::shell("! grep nonsense \"$SYNAPSE_CANDIDATE\"").unwrap();
    let check = haproxy_runtime::Check::new(check, Duration::from_secs(20));
    let mut live = site.live().with_check(check);
    changed(&mut live, &first).await;
    let mut broken = document(vec![server("a", a.port, 1, "weight 6")]);
    broken.extra_sections.push(Section::new(line("backend broken"), vec![line("nonsense")]));
    let error = live.apply(&broken).await.unwrap_err();
    assert!(matches!(error.fault(), LiveFault::Apply(_)) && error.restored() == Restored::No, "{error:?}");
    assert_eq!(site.servers().await, [format!("a {} 6 0", a.port)]);
    live.flush().await.unwrap();
    assert!(site.file().contains("weight 6") && !site.file().contains("nonsense"));
    assert_eq!(site.reloads(), 0);
}

#[tokio::test]
async fn live_what_commands_can_do_does_not_wait_for_the_pace_of_reloads() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live_at(Pace::new(Duration::from_secs(2), 0.0).unwrap(), "admin.sock");
    changed(&mut live, &first).await;
    let mut second = first.clone();
    second.extra_sections.push(Section::new(line("backend more"), vec![]));
    assert!(changed(&mut live, &second).await.reloaded.is_some());

    let mut third = document(vec![server("a", a.port, 1, "weight 6")]);
    third.extra_sections = second.extra_sections.clone();
    third.extra_sections.push(Section::new(line("backend another"), vec![]));
    let Progress::Deferred { until, causes, done } = live.apply(&third).await.unwrap() else { panic!() };
    assert!(matches!(causes[..], [Cause::Needed(_)]) && done.unwrap().changes.len() == 1);
    assert_eq!(site.servers().await, [format!("a {} 6 0", a.port)]);
    let Progress::Deferred { done: None, .. } = live.apply(&third).await.unwrap() else { panic!() };
    sleep_until(until).await;
    let deed = changed(&mut live, &third).await;
    assert!(deed.reloaded.is_some() && deed.changes.is_empty(), "{deed}");
    assert_eq!(site.reloads(), 2);
}

#[tokio::test]
async fn live_a_change_that_was_cut_off_is_made_good() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    let second = document(vec![server("a", a.port, 1, "weight 8")]);
    for steps in 0..200 {
        // Dropped after ever more turns.
        let mut apply = Box::pin(live.apply(&second));
        let mut turns = 0;
        let done = std::future::poll_fn(|context| {
            turns += 1;
            match apply.as_mut().poll(context) {
                std::task::Poll::Ready(result) => std::task::Poll::Ready(Some(result)),
                std::task::Poll::Pending if turns > steps => std::task::Poll::Ready(None),
                std::task::Poll::Pending => std::task::Poll::Pending,
            }
        })
        .await;
        if let Some(result) = done {
            result.unwrap();
            break;
        }
    }
    live.apply(&second).await.unwrap();
    live.flush().await.unwrap();
    assert_eq!(site.servers().await, [format!("a {} 8 0", a.port)]);
    let process = site.haproxy.socket().process().await.unwrap();
    assert!(site.file().contains(&process.revision.unwrap().directive()));
}

#[tokio::test]
async fn live_a_reload_that_nobody_survives_is_followed_by_one_with_the_last_good_file() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let mut site = Site::start(&first, By::Restart).await;
    let mut live = site.live().with_verification(Duration::from_millis(500));
    changed(&mut live, &first).await;
    let good = site.file();
    let mut broken = first.clone();
    broken.extra_sections.push(Section::new(line("backend broken"), vec![line("nonsense")]));
    let error = live.apply(&broken).await.unwrap_err();
    assert_eq!((error.restored(), site.file(), site.reloads()), (Restored::Reloaded, good, 2));
    // Whoever starts it now starts it with that.
    site.haproxy.restart().await;
    assert_eq!(live.apply(&first).await.unwrap(), Progress::Unchanged);
    assert_eq!((live.process().unwrap().pid, site.reloads()), (site.haproxy.pid(), 2));
}

#[tokio::test]
async fn live_a_file_that_an_earlier_run_left_bad_is_put_back() {
    let a = Echo::start(b'a').await;
    let first = document(vec![server("a", a.port, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    changed(&mut site.live(), &first).await;
    let good = site.file();
    // It wrote the file, and ended before it could see what came of the reload.
    let mut broken = first.clone();
    broken.extra_sections.push(Section::new(line("backend broken"), vec![line("nonsense")]));
    std::fs::write(site.haproxy.path(".synapse/haproxy.cfg.last-good"), &good).unwrap();
    std::fs::write(site.haproxy.path(".synapse/haproxy.cfg.reload-pending"), "").unwrap();
    site.haproxy.configure(&haproxy_render::render(&broken));

    let mut live = site.live().with_verification(Duration::from_secs(1));
    let error = live.apply(&broken).await.unwrap_err();
    assert_eq!((error.restored(), site.file()), (Restored::File, good));
    assert!(!site.haproxy.path(".synapse/haproxy.cfg.reload-pending").exists());
    assert_eq!(live.apply(&first).await.unwrap(), Progress::Unchanged);
}

#[tokio::test]
async fn live_what_was_kept_of_long_ago_does_not_replace_what_runs() {
    let first = document(vec![server("a", 1, 1, "")]);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    let old = site.file();
    changed(&mut live, &document(vec![server("a", 1, 1, ""), server("b", 2, 2, "")])).await;
    drop(live);
    let mut broken = first.clone();
    broken.extra_sections.push(Section::new(line("backend broken"), vec![line("nonsense")]));
    std::fs::write(site.haproxy.path(".synapse/haproxy.cfg.last-good"), &old).unwrap();
    std::fs::write(site.haproxy.path(".synapse/haproxy.cfg.reload-pending"), "").unwrap();
    site.haproxy.configure(&haproxy_render::render(&broken));
    let mut live = site.live().with_verification(Duration::from_secs(1));
    let error = live.apply(&broken).await.unwrap_err();
    assert_eq!(error.restored(), Restored::No);
    assert_ne!(site.file(), old);
}
