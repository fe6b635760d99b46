//! The configuration file: replaced in one step, or left as it was.

mod disk;
mod failure;
mod pending;
mod read;
mod target;
mod text;
mod write;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::spawn_blocking,
    time::{Instant, timeout},
};

use self::{
    disk::{Disk, Put},
    target::Target,
};
pub use self::{failure::Failure, text::Text};
use crate::error::{Step, WriteError};

/// Where a candidate lies until it goes live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Staging {
    /// Under the live file's name in `.synapse/` beside it: on the same mount, yet out of sight of whoever watches the
    /// live file's directory. Where that directory can't be written, no candidate is made and the live file is
    /// overwritten in place.
    #[default]
    Beside,
    /// At this path (Synapse's `candidate_config_file_path`). On another filesystem, going live costs a second copy.
    At(PathBuf),
}

/// What [`ConfigFile::prepare`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prepared {
    /// The staging directory was made just now, which a watcher of the live file's directory has seen as an event.
    pub created: bool,
    /// There is a staging directory. Without it, a reload that is due is forgotten when this process dies.
    pub staged: bool,
    /// An earlier process wrote the file but did not live to see HAProxy reload it.
    pub reload_pending: bool,
}

/// How the live file got its new text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// In one step: a reader sees the old text or the new one, a watcher sees one event.
    Rename,
    /// Overwritten: a reader may see a mixture. For files that can't be replaced, such as a bind-mounted one.
    InPlace,
}

/// A write that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The length of the file, in bytes.
    pub bytes: u64,
    /// How they got there.
    pub how: How,
}

/// What is noted for the next run of this program, beside what the file says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Notable {
    /// What HAProxy was told and the live file does not hold yet.
    Told,
    /// Who of ours is in HAProxy still, on the way out.
    Leaving,
}

/// One configuration file on disk.
///
/// A write goes in two steps, so that a check can run in between: [`ConfigFile::stage`] writes a candidate,
/// [`Staged::commit`] renames it over the live file. Someone who watches the live file's directory for files closed
/// after writing, moved in or created sees exactly one event a write. The exceptions: the staging directory is seen
/// once, when it is made ([`ConfigFile::prepare`] does that early); and a candidate on another filesystem, where
/// `.synapse/` can't be made either, is copied through a hidden file beside the live one.
///
/// - Symbolic links are followed anew at each write: what the link points to is replaced, the link stays.
/// - The live file keeps its mode and, as far as this process may, its owner; a new one gets mode 0644. A candidate is
///   readable by nobody else until it has that mode, and is never written through a link.
/// - The candidate is on disk before it goes live, the directory after.
/// - Where the live file can't be replaced (a mount of its own, a directory that can't be written), it is overwritten,
///   with a warning once. If that fails half-way, the old text is put back.
/// - All calls to the filesystem run on the runtime's threads for blocking work.
///
/// Cloning gives a second handle on the same file; writes through both take turns.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    disk: Arc<Disk>,
    /// Held by whoever touches the disk, past the end of a future that was dropped.
    turn: Arc<Mutex<()>>,
}

impl ConfigFile {
    /// How long after the staging directory was made the first write should wait; see [`ConfigFile::hold`].
    ///
    /// Clay's HAProxy container starts `inotifywait` anew after each event, and misses what happens until it watches
    /// again: some ten milliseconds, more on a loaded machine.
    pub const HOLD: Duration = Duration::from_millis(500);

    /// How long a disk that does not answer is waited for, by whoever has something else to do.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A handle on the file at `path`. Touches nothing yet.
    ///
    /// # Errors
    /// A path without a file name, or a candidate path equal to it.
    pub fn open(path: impl Into<PathBuf>, staging: Staging) -> Result<Self, WriteError> {
        let path = path.into();
        if path.file_name().is_none() {
            return Err(WriteError::refused(Step::Resolve, &path, "the path names no file"));
        }
        if let Staging::At(candidate) = &staging {
            if candidate.file_name().is_none() {
                return Err(WriteError::refused(Step::Resolve, candidate, "the path names no file"));
            }
            if *candidate == path {
                return Err(WriteError::refused(Step::Resolve, candidate, disk::SAME_FILE));
            }
        }
        Ok(Self::on(Disk::new(path, staging)))
    }

    /// A handle on a file beside the configuration, for this process's own use, staged [beside](Staging::Beside) it. What it holds
    /// is nobody else's business: it has mode 0600 after each write, whatever it had before. And it is never overwritten in
    /// place: where it can't be replaced as a whole, a write fails, and the file is as it was.
    ///
    /// # Errors
    /// A path without a file name.
    pub fn private(path: impl Into<PathBuf>) -> Result<Self, WriteError> {
        let path = path.into();
        if path.file_name().is_none() {
            return Err(WriteError::refused(Step::Resolve, &path, "the path names no file"));
        }
        Ok(Self::on(Disk::private(path)))
    }

    /// A handle on a file that is for everybody to read and for this process alone to write, staged [beside](Staging::Beside) it: it
    /// has mode 0644 after each write, whatever it had before, is never overwritten in place, and no symbolic link in its place is
    /// followed. Where it can't be replaced as a whole, or is no regular file, a write fails, and all is as it was.
    ///
    /// # Errors
    /// A path without a file name.
    pub fn published(path: impl Into<PathBuf>) -> Result<Self, WriteError> {
        let path = path.into();
        if path.file_name().is_none() {
            return Err(WriteError::refused(Step::Resolve, &path, "the path names no file"));
        }
        Ok(Self::on(Disk::published(path)))
    }

    /// On a disk that does this when it is to be sure that a text is there.
    #[cfg(test)]
    pub(crate) fn with_sync(mut self, sync: fn(&std::fs::File) -> std::io::Result<()>) -> Self {
        Arc::get_mut(&mut self.disk).expect("nobody else has it yet").calls.sync = sync;
        self
    }

    fn on(disk: Disk) -> Self {
        Self { disk: Arc::new(disk), turn: Arc::default() }
    }

    /// Whether the other is a handle on the same path, staged at the same place.
    pub fn is_like(&self, other: &Self) -> bool {
        self.disk.is_like(&other.disk)
    }

    /// The path given to [`ConfigFile::open`].
    pub fn path(&self) -> &Path {
        &self.disk.path
    }

    /// Where a candidate lies, if not beside the file: see [`Staging::At`].
    pub fn candidate(&self) -> Option<&Path> {
        self.disk.candidate()
    }

    /// Makes the staging directory, and looks for a reload that an earlier process left undone.
    ///
    /// Call it when the program starts: making the directory is an event to whoever watches the one that it is in.
    /// Calling it again is harmless.
    ///
    /// # Errors
    /// The live file's directory does not exist or can't be read; the staging directory's name is taken by something
    /// else. A directory that merely can't be written is no error: see [`Prepared::staged`].
    pub async fn prepare(&self) -> Result<Prepared, WriteError> {
        self.blocking(Disk::prepare).await
    }

    /// How much of [`ConfigFile::HOLD`] is left at `now`: zero, unless this process made the staging directory just now.
    pub fn hold(&self, now: Instant) -> Duration {
        self.disk.created().map_or(Duration::ZERO, |created| {
            Self::HOLD.saturating_sub(now.saturating_duration_since(created))
        })
    }

    /// Whether the live file holds exactly `text`; `false` when there is none.
    pub async fn holds(&self, text: Text) -> Result<bool, WriteError> {
        self.blocking(move |disk| disk.holds(&text)).await
    }

    /// The live file's text; `None` when there is none.
    ///
    /// # Errors
    /// It can't be read, or is larger than 256 MiB.
    pub async fn read(&self) -> Result<Option<Vec<u8>>, WriteError> {
        self.blocking(Disk::read).await
    }

    /// As [`Self::read`], for who only puts it back.
    pub(crate) async fn text(&self) -> Result<Option<Text>, WriteError> {
        self.blocking(Disk::text).await
    }

    /// Keeps `text` in the staging directory, as `<name of the live file>.last-good`, until another is kept.
    pub(crate) async fn keep(&self, text: Text) -> Result<(), WriteError> {
        self.blocking(move |disk| disk.keep(&text)).await
    }

    /// What was kept last; `None` when nothing was.
    pub(crate) async fn kept(&self) -> Result<Option<Text>, WriteError> {
        self.blocking(Disk::kept).await
    }

    /// Keeps `text` in the staging directory, as `<name of the live file>.told`, say; `None`: nothing any more. Does not take its turn
    /// with writes, and is not forced to disk.
    pub(crate) async fn take_note(&self, of: Notable, text: Option<Text>) -> Result<(), WriteError> {
        let disk = Arc::clone(&self.disk);
        joined(spawn_blocking(move || disk.take_note(of, text.as_ref())).await, self.path())
    }

    /// What was noted last; `None` when nothing is.
    pub(crate) async fn noted(&self, of: Notable) -> Result<Option<Vec<u8>>, WriteError> {
        let disk = Arc::clone(&self.disk);
        let noted = async { joined(spawn_blocking(move || disk.noted(of)).await, self.path()) };
        self.within(noted).await
    }

    /// Writes `text` to the candidate, which then waits to be committed. The live file is not touched.
    ///
    /// Waits until an earlier [`Staged`] of this file has been committed or dropped.
    ///
    /// # Errors
    /// The candidate can't be written; what there was of it is removed.
    ///
    /// # Cancel safety
    /// Dropping the future removes the candidate, if need be as soon as the disk answers.
    pub async fn stage(&self, text: Text) -> Result<Staged, WriteError> {
        let disk = Arc::clone(&self.disk);
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // The result is built on the blocking thread: if nobody waits for it any more, its drop cleans up there.
        let stage = move || {
            let (target, candidate) = disk.stage(&text)?;
            Ok(Staged { disk, target, candidate, text, _turn: turn })
        };
        joined(spawn_blocking(stage).await, self.path())
    }

    /// Forgets that a reload is due. Nothing to forget is fine.
    pub async fn clear_reload_pending(&self) -> Result<(), WriteError> {
        self.blocking(Disk::unmark).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, WriteError> {
        let disk = Arc::clone(&self.disk);
        let work = async {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let work = move || {
                let result = work(&disk);
                drop(turn);
                result
            };
            joined(spawn_blocking(work).await, self.path())
        };
        self.within(work).await
    }

    /// Gives up on a disk that does not answer. What it was asked for may be done later, in its turn.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, WriteError>>,
    ) -> Result<T, WriteError> {
        let result = timeout(Self::PATIENCE, work).await;
        result.unwrap_or_else(|_| Err(WriteError::at(Step::Wait, self.path())(ErrorKind::TimedOut.into())))
    }
}

/// A candidate that waits to go live. Dropping it removes the candidate.
#[derive(Debug)]
#[must_use = "dropping it removes the candidate"]
pub struct Staged {
    disk: Arc<Disk>,
    target: Target,
    candidate: Option<PathBuf>,
    text: Text,
    _turn: OwnedMutexGuard<()>,
}

impl Staged {
    /// Where the candidate lies; `None` when there is no place for one and the live file will be overwritten.
    pub fn candidate(&self) -> Option<&Path> {
        self.candidate.as_deref()
    }

    /// Leaves the candidate where it is, for somebody to look at; the next [`ConfigFile::stage`] removes it.
    pub fn keep(mut self) -> Option<PathBuf> {
        self.candidate.take()
    }

    /// Puts the candidate in the live file's place.
    ///
    /// # Errors
    /// The live file is as it was; the candidate is removed.
    ///
    /// # Cancel safety
    /// A commit that has begun is finished, even when the future is dropped: what the file holds is then unknown, not
    /// mixed. Compare before the next write.
    pub async fn commit(self) -> Result<Written, WriteError> {
        self.put(false).await
    }

    /// As [`Staged::commit`], and before that notes on disk that a reload is due, so that a process started after this
    /// one died learns of it from [`ConfigFile::prepare`], until [`ConfigFile::clear_reload_pending`].
    ///
    /// The note is an empty file, `.synapse/<name of the live file>.reload-pending`. It is not forced to disk: a machine
    /// that loses power starts HAProxy anew as well. Where it can't be made, the commit goes on without it.
    pub async fn commit_before_reload(self) -> Result<Written, WriteError> {
        self.put(true).await
    }

    async fn put(mut self, mark: bool) -> Result<Written, WriteError> {
        let path = self.disk.path.clone();
        let commit = move || {
            let put = Put { target: &self.target, candidate: self.candidate.as_deref(), text: &self.text };
            let how = self.disk.commit(&put, mark)?;
            // Renamed away or removed: the next candidate of that name is somebody else's.
            self.candidate = None;
            Ok(Written { bytes: self.text.len() as u64, how })
        };
        joined(spawn_blocking(commit).await, &path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            disk::discard(&candidate);
        }
    }
}

/// A blocking thread is lost only when the runtime shuts down before it could start.
fn joined<T>(
    result: Result<Result<T, WriteError>, tokio::task::JoinError>,
    path: &Path,
) -> Result<T, WriteError> {
    result.unwrap_or_else(|error| Err(WriteError::at(Step::Resolve, path)(std::io::Error::other(error))))
}

#[cfg(test)]
mod tests;
