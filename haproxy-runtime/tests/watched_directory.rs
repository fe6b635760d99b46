//! What somebody sees who watches the live file's directory, as Clay's HAProxy container does:
//! `inotifywait -e close_write,moved_to,create`, started anew after each event.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{mem::MaybeUninit, os::fd::OwnedFd, path::Path, time::Duration};

use haproxy_runtime::{Applied, Applier, ConfigFile, Pace, Staging};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use tokio::time::Instant;

struct Watch(OwnedFd);

impl Watch {
    fn on(directory: &Path) -> Self {
        let watch = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let mask = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::CREATE;
        add_watch(&watch, directory, mask).unwrap();
        Self(watch)
    }

    /// Everything seen since the last call. The kernel queues an event before the call that causes it returns.
    fn seen(&self) -> Vec<(String, ReadFlags)> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let mut seen = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().unwrap().to_str().unwrap().to_owned();
                    seen.push((name, event.events()));
                }
                Err(error) => {
                    assert_eq!(error, rustix::io::Errno::AGAIN);
                    return seen;
                }
            }
        }
    }
}

fn moved_to(name: &str) -> Vec<(String, ReadFlags)> {
    vec![(name.to_owned(), ReadFlags::MOVED_TO)]
}

fn applier(file: ConfigFile) -> Applier {
    Applier::new(Pace::new(Duration::ZERO, 0.0).unwrap()).with_file(file)
}

#[tokio::test]
async fn each_write_is_one_event() {
    let directory = tempfile::tempdir().unwrap();
    let file = ConfigFile::open(directory.path().join("haproxy.cfg"), Staging::Beside).unwrap();
    file.prepare().await.unwrap();
    let watch = Watch::on(directory.path());
    for text in ["one", "two", "three"] {
        file.stage(text.as_bytes().into()).await.unwrap().commit_before_reload().await.unwrap();
        assert_eq!(watch.seen(), moved_to("haproxy.cfg"), "{text}");
        file.clear_reload_pending().await.unwrap();
        assert_eq!(watch.seen(), [], "the note of a pending reload is out of sight");
    }
}

#[tokio::test]
async fn each_write_through_a_candidate_elsewhere_is_one_event() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.cfg");
    for elsewhere in [tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap()] {
        let file = ConfigFile::open(&path, Staging::At(elsewhere.path().join("candidate"))).unwrap();
        file.prepare().await.unwrap();
        let watch = Watch::on(directory.path());
        for text in ["one", "two"] {
            file.stage(text.as_bytes().into()).await.unwrap().commit().await.unwrap();
            assert_eq!(watch.seen(), moved_to("haproxy.cfg"), "{text} {elsewhere:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_or_equal_text_is_no_event() {
    let directory = tempfile::tempdir().unwrap();
    let file = ConfigFile::open(directory.path().join("haproxy.cfg"), Staging::Beside).unwrap();
    let mut applier = applier(file.clone());
    applier.apply("text").await.unwrap();
    let watch = Watch::on(directory.path());
    assert_eq!(applier.apply("text").await.unwrap(), Applied::Unchanged);
    file.stage((*b"other").into()).await.unwrap().keep();
    assert_eq!(watch.seen(), []);
}

#[tokio::test(start_paused = true)]
async fn the_first_write_waits_until_the_new_staging_directory_was_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.cfg");
    let watch = Watch::on(directory.path());
    let mut first = applier(ConfigFile::open(&path, Staging::Beside).unwrap());
    assert!(first.prepare().await.unwrap().unwrap().created);
    assert_eq!(watch.seen(), [(".synapse".to_owned(), ReadFlags::CREATE | ReadFlags::ISDIR)]);
    let prepared = Instant::now();
    first.apply("one").await.unwrap();
    assert!(prepared.elapsed() >= ConfigFile::HOLD, "{:?}", prepared.elapsed());
    assert_eq!(watch.seen(), moved_to("haproxy.cfg"));

    // A directory that was there already holds nothing up.
    let mut second = applier(ConfigFile::open(&path, Staging::Beside).unwrap());
    let started = Instant::now();
    second.apply("two").await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(watch.seen(), moved_to("haproxy.cfg"));
}

#[tokio::test(start_paused = true)]
async fn the_hold_runs_out() {
    let directory = tempfile::tempdir().unwrap();
    let file = ConfigFile::open(directory.path().join("haproxy.cfg"), Staging::Beside).unwrap();
    assert_eq!(file.hold(Instant::now()), Duration::ZERO, "nothing was made yet");
    file.prepare().await.unwrap();
    assert_eq!(file.hold(Instant::now()), ConfigFile::HOLD);
    tokio::time::advance(ConfigFile::HOLD / 2).await;
    assert_eq!(file.hold(Instant::now()), ConfigFile::HOLD / 2);
    tokio::time::advance(ConfigFile::HOLD / 2).await;
    assert_eq!(file.hold(Instant::now()), Duration::ZERO);
}
