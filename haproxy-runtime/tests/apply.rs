//! From a text to a reload, with files and commands that are real.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use haproxy_runtime::{
    Applied, Applier, ApplyError, Change, Check, Command, ConfigFile, Counters, How, Pace, Reload, Staging,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const GAP: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_mins(1);

/// A directory whose staging directory is not new, so that nothing has to wait for a watcher.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(".synapse")).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn live(&self) -> PathBuf {
        self.path("haproxy.cfg")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.live()).unwrap_or_default()
    }

    fn file(&self) -> ConfigFile {
        ConfigFile::open(self.live(), Staging::Beside).unwrap()
    }

    /// Runs `text` in this directory.
    fn command(&self, text: &str) -> Command {
        Command::shell(format!("cd '{}' && {{ {text}\n}}", self.0.path().display())).unwrap()
    }

    /// A reload that counts itself, and works where the file `broken` is absent.
    fn reload(&self) -> Reload {
        Reload::new(self.command("echo x >> reloads; test ! -e broken"), DEADLINE)
    }

    /// A check that counts itself, and refuses what holds the word `bad`.
    fn check(&self) -> Check {
        let text = "echo x >> checks; if grep bad \"$SYNAPSE_CANDIDATE\"; then exit 1; fi";
        Check::new(self.command(text), DEADLINE)
    }

    fn applier(&self) -> Applier {
        Applier::new(Pace::new(GAP, 0.0).unwrap()).with_file(self.file()).with_reload(self.reload())
    }

    fn count(&self, what: &str) -> usize {
        fs::read_to_string(self.path(what)).unwrap_or_default().lines().count()
    }

    fn is_marked(&self) -> bool {
        self.path(".synapse/haproxy.cfg.reload-pending").exists()
    }
}

fn changed(applied: Applied) -> Change {
    match applied {
        Applied::Changed(change) => change,
        other => panic!("nothing was done: {other:?}"),
    }
}

fn is_deferred(applied: &Applied) -> bool {
    matches!(applied, Applied::Deferred { .. })
}

/// Lets time pass in no time. The clock runs otherwise: the commands are real.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Lets time pass until the text applied last may be applied again.
async fn pass_until_ready(applier: &Applier) {
    let now = Instant::now();
    if let Some(at) = applier.ready_at(now) {
        pass(at - now).await;
    }
}

#[tokio::test]
async fn a_new_text_is_written_and_reloaded_at_once() {
    let place = Place::new();
    let mut applier = place.applier().with_check(place.check());
    let change = changed(applier.apply("one").await.unwrap());
    assert_eq!(place.text(), "one");
    assert_eq!((place.count("checks"), place.count("reloads")), (1, 1));
    let written = change.written.as_ref().unwrap();
    assert_eq!((written.bytes, written.how), (3, How::Rename));
    assert_eq!(change.reloaded.as_ref().unwrap().attempt, 1);
    assert!(change.checked.is_some());
    assert!(!place.is_marked() && !applier.reload_pending());
    let line = change.to_string();
    assert!(line.contains("checked in ") && line.contains(", wrote 3 bytes, reloaded in "), "{line}");
}

#[tokio::test]
async fn a_thousand_equal_texts_do_nothing() {
    let place = Place::new();
    let mut applier = place.applier().with_check(place.check());
    applier.apply("one").await.unwrap();
    let (before, counters) = (fs::metadata(place.live()).unwrap(), applier.counters());
    pass(GAP).await;
    for _ in 0..1000 {
        assert_eq!(applier.apply("one").await.unwrap(), Applied::Unchanged);
    }
    let after = fs::metadata(place.live()).unwrap();
    let stamp = |file: &fs::Metadata| (file.ino(), file.mtime(), file.mtime_nsec(), file.ctime_nsec());
    assert_eq!(stamp(&after), stamp(&before));
    assert_eq!(applier.counters(), counters);
    assert_eq!((place.count("checks"), place.count("reloads")), (1, 1));
}

#[tokio::test]
async fn changes_faster_than_the_pace_are_merged_into_one() {
    let place = Place::new();
    let mut applier = place.applier();
    applier.apply("one").await.unwrap();
    for burst in 0..50 {
        assert!(is_deferred(&applier.apply(&format!("burst {burst}")).await.unwrap()));
        assert_eq!(place.text(), "one", "the file is what HAProxy runs");
    }
    let Applied::Deferred { until } = applier.apply("last").await.unwrap() else {
        panic!("it was not deferred")
    };
    assert_eq!(applier.ready_at(Instant::now()), Some(until));
    pass_until_ready(&applier).await;
    assert_eq!(applier.ready_at(Instant::now()), None);
    changed(applier.apply("last").await.unwrap());
    assert_eq!((place.text().as_str(), place.count("reloads")), ("last", 2));
}

#[tokio::test]
async fn a_change_that_is_taken_back_in_time_is_never_written() {
    let place = Place::new();
    let mut applier = place.applier();
    applier.apply("one").await.unwrap();
    assert!(is_deferred(&applier.apply("two").await.unwrap()));
    assert_eq!(applier.apply("one").await.unwrap(), Applied::Unchanged);
    assert_eq!(place.count("reloads"), 1);
}

#[tokio::test]
async fn a_refused_candidate_changes_nothing_and_is_kept() {
    let place = Place::new();
    let mut applier = place.applier().with_check(place.check());
    applier.apply("one").await.unwrap();
    pass(GAP).await;

    let error = applier.apply("a bad text").await.unwrap_err();
    let ApplyError::Check { candidate, source } = &error else { panic!("{error:?}") };
    assert_eq!(fs::read_to_string(candidate).unwrap(), "a bad text");
    assert!(error.to_string().contains(candidate.to_str().unwrap()), "{error}");
    assert!(source.to_string().ends_with("it printed last: a bad text"), "{source}");
    assert_eq!((place.text().as_str(), place.count("reloads")), ("one", 1));
    assert!(!place.is_marked() && !applier.reload_pending());
}

#[tokio::test]
async fn a_refused_text_is_checked_again_at_a_growing_distance() {
    let place = Place::new();
    let mut applier = place.applier().with_check(place.check());
    for (checks, pause) in [(1, GAP), (2, GAP * 2), (3, GAP * 4), (4, Pace::MAX_PAUSE)] {
        applier.apply("bad").await.unwrap_err();
        for _ in 0..100 {
            assert!(is_deferred(&applier.apply("bad").await.unwrap()));
        }
        pass(pause.saturating_sub(Duration::from_secs(5))).await;
        assert!(is_deferred(&applier.apply("bad").await.unwrap()), "after {checks} checks");
        assert_eq!(place.count("checks"), checks);
        // With all of the jitter.
        pass(Duration::from_secs(5) + pause / 4).await;
    }
    assert_eq!((applier.counters().check_failures, place.count("reloads")), (4, 0));
}

#[tokio::test]
async fn a_corrected_text_does_not_pay_for_the_refused_one() {
    let place = Place::new();
    let mut applier = place.applier().with_check(place.check());
    for _ in 0..4 {
        applier.apply("bad").await.unwrap_err();
        pass_until_ready(&applier).await;
    }
    applier.apply("bad").await.unwrap_err();
    assert!(is_deferred(&applier.apply("good").await.unwrap()), "the gap holds for every text");
    pass(GAP).await;
    changed(applier.apply("good").await.unwrap());
    assert_eq!((place.text().as_str(), place.count("reloads")), ("good", 1));
}

#[tokio::test]
async fn a_failed_reload_stays_pending_and_is_made_good_without_another_write() {
    let place = Place::new();
    let mut applier = place.applier().with_check(place.check());
    fs::write(place.path("broken"), "").unwrap();
    for failed in 1..=3 {
        let error = applier.apply("one").await.unwrap_err();
        assert!(matches!(error, ApplyError::Reload { attempt, .. } if attempt == failed), "{error:?}");
        assert!(applier.reload_pending() && place.is_marked());
        assert!(is_deferred(&applier.apply("one").await.unwrap()));
        pass_until_ready(&applier).await;
    }
    let inode = fs::metadata(place.live()).unwrap().ino();
    fs::remove_file(place.path("broken")).unwrap();
    let change = changed(applier.apply("one").await.unwrap());
    assert_eq!((change.written, change.reloaded.unwrap().attempt), (None, 4));
    assert_eq!(fs::metadata(place.live()).unwrap().ino(), inode);
    assert!(!applier.reload_pending() && !place.is_marked());
    assert_eq!(applier.apply("one").await.unwrap(), Applied::Unchanged);
    let Counters { writes, write_failures, check_failures, reloads, reload_failures, .. } =
        applier.counters();
    assert_eq!((writes, write_failures, check_failures, reloads, reload_failures), (1, 0, 0, 1, 3));
    assert_eq!((place.count("checks"), place.count("reloads")), (1, 4));
}

#[tokio::test]
async fn a_failed_reload_is_made_good_while_the_next_text_is_refused() {
    let place = Place::new();
    let mut applier = place.applier().with_check(place.check());
    fs::write(place.path("broken"), "").unwrap();
    applier.apply("one").await.unwrap_err();
    assert!(is_deferred(&applier.apply("bad").await.unwrap()), "the pace holds for the reload too");
    assert_eq!(place.count("reloads"), 1);

    pass_until_ready(&applier).await;
    let error = applier.apply("bad").await.unwrap_err();
    assert!(matches!(error, ApplyError::Check { .. }), "{error:?}");
    assert_eq!((place.count("reloads"), applier.counters().reload_failures), (2, 2));
    assert!(applier.reload_pending() && place.is_marked());

    fs::remove_file(place.path("broken")).unwrap();
    pass_until_ready(&applier).await;
    let error = applier.apply("bad").await.unwrap_err();
    assert!(matches!(error, ApplyError::Check { .. }), "{error:?}");
    assert_eq!((place.text().as_str(), place.count("reloads")), ("one", 3));
    assert!(!applier.reload_pending() && !place.is_marked());
    let Counters { writes, check_failures, reloads, reload_failures, .. } = applier.counters();
    assert_eq!((writes, check_failures, reloads, reload_failures), (1, 2, 1, 2));

    pass_until_ready(&applier).await;
    applier.apply("bad").await.unwrap_err();
    assert_eq!(place.count("reloads"), 3, "nothing is due any more");
}

#[tokio::test]
async fn another_text_need_not_wait_for_the_failures_of_the_last() {
    let place = Place::new();
    let mut applier = place.applier().with_check(place.check());
    assert_eq!(applier.ready_at_for_another(Instant::now()), None);
    for _ in 0..3 {
        applier.apply("bad").await.unwrap_err();
        pass_until_ready(&applier).await;
    }
    applier.apply("bad").await.unwrap_err();
    let now = Instant::now();
    let another = applier.ready_at_for_another(now).unwrap();
    assert!(another <= now + GAP && applier.ready_at(now).unwrap() > now + GAP * 5);
    pass(another - now).await;
    assert_eq!(applier.ready_at_for_another(Instant::now()), None);
    changed(applier.apply("good").await.unwrap());
    let now = Instant::now();
    assert_eq!(applier.ready_at_for_another(now), applier.ready_at(now));
}

#[tokio::test]
async fn a_reload_that_hangs_counts_as_failed() {
    let place = Place::new();
    let reload = Reload::new(place.command("sleep 300"), Duration::from_millis(100));
    let mut applier = place.applier().with_reload(reload);
    let started = Instant::now();
    applier.apply("one").await.unwrap_err();
    assert!(started.elapsed() < DEADLINE);
    assert!(applier.reload_pending());
}

#[tokio::test]
async fn a_text_that_is_there_at_the_start_is_not_reloaded() {
    let place = Place::new();
    fs::write(place.live(), "one").unwrap();
    assert_eq!(place.applier().apply("one").await.unwrap(), Applied::Unchanged);
    assert_eq!(place.count("reloads"), 0);
}

#[tokio::test]
async fn a_reload_that_an_earlier_process_left_undone_is_made_good() {
    let place = Place::new();
    fs::write(place.path("broken"), "").unwrap();
    place.applier().apply("one").await.unwrap_err();
    fs::remove_file(place.path("broken")).unwrap();

    let mut applier = place.applier();
    let prepared = applier.prepare().await.unwrap().unwrap();
    assert!(prepared.reload_pending && applier.reload_pending());
    let change = changed(applier.apply("one").await.unwrap());
    assert_eq!((change.written, place.count("reloads")), (None, 2));
    assert_eq!(place.applier().apply("one").await.unwrap(), Applied::Unchanged);
}

#[tokio::test]
async fn an_apply_dropped_in_mid_reload_forgets_nothing() {
    async fn appears(path: &Path) {
        let deadline = Instant::now() + DEADLINE;
        while !path.exists() {
            assert!(Instant::now() < deadline, "the reload did not start");
            sleep(Duration::from_millis(5)).await;
        }
    }
    let place = Place::new();
    let command = place.command("test -e quick || { touch started; sleep 300; }");
    let mut applier = place.applier().with_reload(Reload::new(command, DEADLINE));
    let started = place.path("started");
    tokio::select! {
        result = applier.apply("one") => panic!("it ended by itself: {result:?}"),
        () = appears(&started) => {}
    }
    assert!(applier.reload_pending() && place.is_marked());
    assert_eq!(place.text(), "one");
    fs::write(place.path("quick"), "").unwrap();
    let change = changed(applier.apply("one").await.unwrap());
    assert!(change.written.is_none() && change.reloaded.is_some());
}

#[tokio::test]
async fn a_file_changed_by_somebody_else_is_put_right() {
    let place = Place::new();
    let mut applier = place.applier();
    applier.apply("one").await.unwrap();
    fs::write(place.live(), "someone else's").unwrap();
    pass(GAP).await;
    changed(applier.apply("one").await.unwrap());
    assert_eq!((place.text().as_str(), place.count("reloads")), ("one", 2));
}

#[tokio::test]
async fn without_reloads_the_pace_holds_for_the_writes() {
    let place = Place::new();
    let mut applier = Applier::new(Pace::new(GAP, 0.0).unwrap()).with_file(place.file());
    changed(applier.apply("one").await.unwrap());
    assert!(is_deferred(&applier.apply("two").await.unwrap()));
    pass(GAP).await;
    let change = changed(applier.apply("two").await.unwrap());
    assert!(change.reloaded.is_none());
    assert_eq!(place.text(), "two");
    assert!(!place.is_marked() && !applier.reload_pending());
}

#[tokio::test]
async fn without_a_file_each_new_text_is_a_reload() {
    let place = Place::new();
    let mut applier = Applier::new(Pace::new(GAP, 0.0).unwrap()).with_reload(place.reload());
    assert_eq!(applier.prepare().await.unwrap(), None);
    for (text, reloads) in [("one", 1), ("one", 1), ("two", 2), ("one", 3)] {
        applier.apply(text).await.unwrap();
        assert_eq!(place.count("reloads"), reloads, "{text}");
        pass(GAP).await;
    }
    assert!(!place.live().exists());
}

#[tokio::test]
async fn an_applier_without_parts_does_nothing() {
    let mut applier = Applier::new(Pace::default());
    assert_eq!(applier.apply("one").await.unwrap(), Applied::Unchanged);
}

#[tokio::test]
async fn a_write_that_fails_is_tried_again_later() {
    let place = Place::new();
    fs::create_dir(place.live()).unwrap();
    let mut applier = place.applier();
    assert!(matches!(applier.apply("one").await.unwrap_err(), ApplyError::Write(_)));
    assert!(is_deferred(&applier.apply("one").await.unwrap()));
    fs::remove_dir(place.live()).unwrap();
    pass_until_ready(&applier).await;
    changed(applier.apply("one").await.unwrap());
    assert_eq!((place.text().as_str(), place.count("reloads")), ("one", 1));
    assert_eq!(applier.counters().write_failures, 1);
}
