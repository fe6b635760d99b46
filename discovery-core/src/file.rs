//! A catalog on disk.

use std::{
    fs::{self, Metadata},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::{
    sync::Mutex,
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};
use tracing::warn;

use crate::{
    catalog::{Catalog, MAX_BYTES},
    error::WatchError,
    poll::{Fetch, Polled},
    snapshot::Snapshot,
};

/// A [`Catalog`] on disk as a source for one service, read again when it changes.
///
/// Each question looks at the file's identity, length and times; only when one of them is different is it read. A time
/// stamp that is younger than two seconds is not trusted, since two writes can share one: until it is older, every question
/// reads.
///
/// - A file that is missing, unreadable, no regular file, longer than 64 MiB, not UTF-8, not a catalog, or that changes
///   while it is read, is an error: whoever listens keeps the last good answer. An empty file is an error as well.
/// - A whole document that does not name the service says that nobody serves it: the answer is an empty snapshot. That is
///   logged when it begins, because it is what a misspelt name looks like.
///
/// Whoever writes the file should write another one beside it and rename that over it. A JSON document that is seen half
/// written is refused, because its end is missing; half a YAML document can look whole.
///
/// Reading happens on tokio's threads for blocking work, one read a document at any time, so a file system that hangs
/// holds one thread.
#[derive(Debug, Clone)]
pub struct File {
    document: Arc<Document>,
    service: Arc<str>,
    /// Whether the log says already that the document does not name the service.
    absent: bool,
}

/// A document that any number of services share.
#[derive(Debug)]
struct Document {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was read last, and when that began.
    known: Option<(Instant, Known)>,
    /// A read that has begun. It outlives a caller that stopped waiting for it; the next one takes it over.
    reading: Option<(Instant, JoinHandle<Result<Known, WatchError>>)>,
}

/// What was read last.
#[derive(Debug, Clone)]
struct Known {
    catalog: Arc<Catalog>,
    /// What the file looked like; `None` when that can't tell whether it changes afterwards.
    stamp: Option<Stamp>,
}

impl File {
    /// How often to look for a change when nothing else is asked for: every second.
    pub const EVERY: Duration = Duration::from_secs(1);

    /// What the document at `path` says of `service`. Nothing is read yet.
    pub fn new(path: impl Into<PathBuf>, service: impl Into<Arc<str>>) -> Self {
        let document = Document { path: path.into(), state: Mutex::default() };
        Self { document: Arc::new(document), service: service.into(), absent: false }
    }

    /// What the same document says of another service. The document is read once for all who share it.
    #[must_use]
    pub fn for_service(&self, service: impl Into<Arc<str>>) -> Self {
        Self { document: Arc::clone(&self.document), service: service.into(), absent: false }
    }

    /// [`File::new`] as a watcher that looks for a change every so often; [`File::EVERY`] is a good choice.
    pub fn watch(path: impl Into<PathBuf>, service: impl Into<Arc<str>>, every: Duration) -> Polled<Self> {
        Polled::new(Self::new(path, service), every)
    }
}

#[async_trait]
impl Fetch for File {
    async fn fetch(&mut self) -> Result<Snapshot, WatchError> {
        let called = Instant::now();
        let mut state = self.document.state.lock().await;
        let State { known, reading } = &mut *state;
        let fresh = match known {
            // Another service of the document has had it read since this one asked: that answers both.
            Some((begun, known)) if *begun > called => known.clone(),
            _ => {
                let (begun, handle) = reading.get_or_insert_with(|| {
                    let (document, known) =
                        (Arc::clone(&self.document), known.clone().map(|(_, known)| known));
                    (Instant::now(), spawn_blocking(move || read(&document.path, known, SystemTime::now())))
                });
                let (begun, outcome) = (*begun, handle.await);
                *reading = None;
                let fresh = outcome.map_err(|error| {
                    WatchError::new(doing("reading", &self.document.path)).because(error)
                })??;
                *known = Some((begun, fresh.clone()));
                fresh
            }
        };
        let answer = fresh.catalog.service(&self.service).cloned();
        let absent = answer.is_none();
        if absent && !self.absent {
            let (service, source) = (&*self.service, self.document.path.display());
            warn!(service, %source, "the document does not name the service: nobody serves it");
        }
        self.absent = absent;
        Ok(answer.unwrap_or_default())
    }
}

fn doing(what: &str, path: &Path) -> String {
    format!("{what} {}", path.display())
}

/// Reads the document unless it is what is `known`. Blocks.
fn read(path: &Path, known: Option<Known>, now: SystemTime) -> Result<Known, WatchError> {
    let failed = |error| WatchError::new(doing("reading", path)).because(error);
    // Before it is opened: opening a named pipe waits for somebody to write to it.
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("not a regular file")));
    }
    match known {
        Some(known) if known.stamp.as_ref().is_some_and(|stamp| *stamp == Stamp::of(&metadata)) => {
            return Ok(known);
        }
        _ => {}
    }
    let (text, stamp) = text(path).map_err(failed)?;
    let catalog =
        Catalog::parse(&text).map_err(|error| WatchError::new(doing("parsing", path)).because(error))?;
    Ok(Known { catalog: Arc::new(catalog), stamp: stamp.trusted(now) })
}

fn text(path: &Path) -> io::Result<(String, Stamp)> {
    let file = fs::File::open(path)?;
    let before = Stamp::of(&file.metadata()?);
    let mut text = String::new();
    // One byte more than is allowed: then parsing says that it is too long.
    (&file).take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    if Stamp::of(&file.metadata()?) != before {
        return Err(io::Error::other("the file changed while it was read"));
    }
    Ok((text, before))
}

/// What a file looks like without being read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    id: [u64; 2],
    len: u64,
    modified: Option<SystemTime>,
    /// When anything about it changed, in seconds and nanoseconds: nobody can set that back, unlike `modified`.
    changed: Option<(i64, i64)>,
}

/// How old a time stamp must be before a change can be told by it. The coarsest file system in use counts in steps of 2 s.
const SETTLED: Duration = Duration::from_secs(2);

impl Stamp {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            id: [metadata.dev(), metadata.ino()],
            len: metadata.len(),
            modified: metadata.modified().ok(),
            changed: Some((metadata.ctime(), metadata.ctime_nsec())),
        }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        Self { id: [0; 2], len: metadata.len(), modified: metadata.modified().ok(), changed: None }
    }

    /// The stamp, unless the file is so young that it could change without getting another one.
    fn trusted(self, now: SystemTime) -> Option<Self> {
        let settled = |time: SystemTime| now.duration_since(time).is_ok_and(|age| age > SETTLED);
        let since_epoch = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let changed = match self.changed {
            None => self.modified,
            Some((seconds, _)) => u64::try_from(seconds).ok().and_then(since_epoch),
        };
        (self.modified.is_some_and(settled) && changed.is_some_and(settled)).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::write;

    use super::*;
    use crate::watcher::Watcher as _;

    const ONE: &str = r#"{"web":[{"host":"10.0.0.1","port":1}],"other":[]}"#;
    const TWO: &str = r#"{"web":[{"host":"10.0.0.2","port":2}]}"#;

    fn shown(answer: Result<Snapshot, WatchError>) -> String {
        answer.map_or_else(|error| error.chain(), |snapshot| format!("{snapshot:?}"))
    }

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn every_write_is_seen_also_two_within_one_time_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        let mut file = File::new(&path, "web");
        for _ in 0..50 {
            write(&path, ONE).unwrap();
            assert_eq!(shown(file.fetch().await), "[10.0.0.1:1]");
            write(&path, ONE.replace("10.0.0.1", "10.0.0.9")).unwrap();
            assert_eq!(shown(file.fetch().await), "[10.0.0.9:1]");
        }
    }

    #[test]
    fn a_settled_file_is_not_read_again_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        write(&path, ONE).unwrap();
        let first = read(&path, None, later()).unwrap();
        let again = read(&path, Some(first.clone()), later()).unwrap();
        assert!(Arc::ptr_eq(&first.catalog, &again.catalog));

        write(&path, TWO).unwrap();
        let changed = read(&path, Some(again), later()).unwrap();
        assert_eq!(changed.catalog.service("web").unwrap().endpoints()[0].to_string(), "10.0.0.2:2");
    }

    #[test]
    fn a_file_that_is_put_in_its_place_with_old_times_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("catalog.json"), dir.path().join("other"));
        write(&path, ONE).unwrap();
        write(&other, ONE.replace('1', "3")).unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::File::options().append(true).open(&other).unwrap().set_modified(time).unwrap();
        let first = read(&path, None, later()).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(read(&path, Some(first.clone()), later()).unwrap().catalog, first.catalog);
    }

    #[test]
    fn a_young_file_is_read_every_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        write(&path, ONE).unwrap();
        assert_eq!(read(&path, None, SystemTime::now()).unwrap().stamp, None);
        // Nor is a time in the future, of a server whose clock is ahead, taken for an old one.
        assert_eq!(read(&path, None, SystemTime::UNIX_EPOCH).unwrap().stamp, None);
    }

    #[tokio::test]
    async fn what_cannot_be_read_as_a_whole_is_an_error_and_reading_goes_on_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog");
        let mut file = File::new(&path, "web");
        let place = path.display();
        assert!(shown(file.fetch().await).starts_with(&format!("reading {place}: No such file")));
        for (content, said) in [
            ("", "parsing {}: the document is empty"),
            (&ONE[..20], "parsing {}: EOF while parsing a string at line 1 column 20"),
            ("\u{0}", "parsing {}: "),
        ] {
            write(&path, content).unwrap();
            let answer = shown(file.fetch().await);
            assert!(answer.starts_with(&said.replace("{}", &place.to_string())), "{answer}");
            write(&path, ONE).unwrap();
            assert_eq!(shown(file.fetch().await), "[10.0.0.1:1]");
        }
        write(&path, [0xff, 0xfe]).unwrap();
        assert!(shown(file.fetch().await).contains("UTF-8"));
        let mut folder = File::new(dir.path(), "web");
        assert!(shown(folder.fetch().await).ends_with("not a regular file"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_named_pipe_is_refused_instead_of_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert!(shown(File::new(&path, "web").fetch().await).ends_with("not a regular file"));
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog");
        fs::File::create(&path).unwrap().set_len(MAX_BYTES as u64 + 1).unwrap();
        let error = read(&path, None, later()).unwrap_err();
        assert!(error.chain().ends_with("the document is longer than 64 MiB"), "{}", error.chain());
    }

    #[tokio::test]
    async fn a_service_that_the_document_does_not_name_is_served_by_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog");
        write(&path, ONE).unwrap();
        assert_eq!(File::new(&path, "wbe").fetch().await.unwrap(), Snapshot::default());
    }

    #[tokio::test]
    async fn services_of_one_document_share_what_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog");
        write(&path, ONE).unwrap();
        let mut web = File::new(&path, "web");
        let mut other = web.for_service("other");
        assert_eq!(shown(web.fetch().await), "[10.0.0.1:1]");
        assert_eq!(shown(other.fetch().await), "[]");
        write(&path, TWO).unwrap();
        assert_eq!(shown(other.fetch().await), "[]");
        assert_eq!(shown(web.fetch().await), "[10.0.0.2:2]");
    }

    #[tokio::test]
    async fn services_that_ask_at_one_time_share_one_read_also_of_a_young_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog");
        write(&path, ONE).unwrap();
        let mut first = File::new(&path, "web");
        let mut second = first.for_service("web");
        let document = Arc::clone(&first.document);
        // Held back, so that both ask before either can read.
        let held = document.state.lock().await;
        let (mut first, mut second) = (first.fetch(), second.fetch());
        tokio::select! {
            biased;
            _ = &mut first => panic!("the document is locked"),
            _ = &mut second => panic!("the document is locked"),
            () = std::future::ready(()) => {}
        }
        drop(held);
        assert_eq!(shown(first.await), "[10.0.0.1:1]");
        fs::remove_file(&path).unwrap();
        assert_eq!(shown(second.await), "[10.0.0.1:1]");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watched_file_is_looked_at_in_the_interval_that_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog");
        write(&path, ONE).unwrap();
        let mut watcher = File::watch(&path, "web", File::EVERY);
        assert_eq!(shown(watcher.next().await), "[10.0.0.1:1]");
        write(&path, TWO).unwrap();
        let asked = Instant::now();
        assert_eq!(shown(watcher.next().await), "[10.0.0.2:2]");
        assert!((File::EVERY..=File::EVERY * 11 / 10).contains(&asked.elapsed()), "{:?}", asked.elapsed());
    }
}
