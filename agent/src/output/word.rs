//! Word of a failure beside HAProxy's file, for whoever looks while it lasts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haproxy_runtime::{ConfigFile, Failure};
use tokio::task::JoinSet;
use tracing::debug;

use super::chain;
use crate::Config;

/// Keeps the note of the last failure what it should be, without waiting for the disk.
#[derive(Debug)]
pub(super) struct Word {
    file: Option<ConfigFile>,
    /// One at a time, so that no older one comes last.
    writing: JoinSet<()>,
    desk: Arc<Mutex<Desk>>,
}

/// What whoever writes the note goes by.
#[derive(Debug)]
struct Desk {
    next: Option<Outcome>,
    /// Somebody writes, and will see what is next.
    busy: bool,
    /// Whether there may be a note: an earlier run may have left one, or one could not be removed.
    exists: bool,
}

/// What the note is to say.
#[derive(Debug)]
enum Outcome {
    UpToDate,
    Failed(String),
}

impl Word {
    pub(super) fn new(file: Option<ConfigFile>) -> Self {
        let desk = Desk { next: None, busy: false, exists: true };
        Self { file, writing: JoinSet::new(), desk: Arc::new(Mutex::new(desk)) }
    }

    /// Notes an error, or that there is none any more.
    pub(super) fn put(&mut self, error: Option<&str>) {
        let Some(file) = &self.file else { return };
        let mut desk = lock(&self.desk);
        desk.exists |= error.is_some();
        if !desk.exists {
            return;
        }
        desk.next = Some(error.map_or(Outcome::UpToDate, |error| Outcome::Failed(error.to_owned())));
        if !std::mem::replace(&mut desk.busy, true) {
            while self.writing.try_join_next().is_some() {}
            self.writing.spawn(write(file.clone(), Arc::clone(&self.desk)));
        }
    }

    /// Waits for the note to be what it should be. Cancel safe.
    pub(super) async fn finish(&mut self) {
        while self.writing.join_next().await.is_some() {}
    }
}

/// Writes until there is nothing to write any more.
async fn write(file: ConfigFile, desk: Arc<Mutex<Desk>>) {
    loop {
        let error = {
            let mut desk = lock(&desk);
            match desk.next.take() {
                Some(Outcome::UpToDate) => None,
                Some(Outcome::Failed(error)) => Some(error),
                None => {
                    desk.busy = false;
                    return;
                }
            }
        };
        let removes = error.is_none();
        match file.note_failure(error).await {
            Ok(()) if removes => {
                let mut desk = lock(&desk);
                desk.exists = desk.next.is_some();
            }
            Ok(()) => {}
            Err(error) => debug!(error = chain(&error), "noting why HAProxy was not brought up to date"),
        }
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    // Nothing panics while it is held.
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Config {
    /// Why HAProxy was not brought up to date when this was last tried, by any process with this configuration, and when; `None` if
    /// it was, or if nobody can tell.
    ///
    /// It is kept in a note beside HAProxy's file while an agent runs, and after it has ended.
    pub async fn last_failure(&self) -> Option<Failure> {
        let failure = self.haproxy.output.file.as_ref()?.failure().await;
        failure.map_err(|error| debug!(error = chain(&error), "looking for word of a failure")).ok()?
    }
}

#[cfg(test)]
mod tests {
    use haproxy_runtime::Staging;

    use super::*;

    fn site() -> (tempfile::TempDir, ConfigFile) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".synapse")).unwrap();
        let file = ConfigFile::open(directory.path().join("haproxy.cfg"), Staging::Beside).unwrap();
        (directory, file)
    }

    async fn written(word: &mut Word) {
        while word.writing.join_next().await.is_some() {}
    }

    #[tokio::test]
    async fn a_failure_that_is_over_before_it_was_noted_is_not_noted_for_long() {
        let (_directory, file) = site();
        let mut word = Word::new(Some(file.clone()));
        word.put(Some("the reload command: it ended with 1"));
        // The disk has not answered yet.
        word.put(None);
        written(&mut word).await;
        assert_eq!(file.failure().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_note_that_can_not_be_removed_is_removed_later() {
        let (directory, file) = site();
        let note = directory.path().join(".synapse/haproxy.cfg.failure");
        std::fs::create_dir(&note).unwrap();
        let mut word = Word::new(Some(file.clone()));
        word.put(None);
        written(&mut word).await;
        std::fs::remove_dir(&note).unwrap();
        std::fs::write(&note, "of an earlier run").unwrap();
        word.put(None);
        written(&mut word).await;
        assert_eq!(file.failure().await.unwrap(), None);
        assert!(!lock(&word.desk).exists);
    }
}
