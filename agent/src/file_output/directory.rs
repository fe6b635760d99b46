//! The directory on disk.

use std::{
    collections::BTreeSet,
    fs::{self, TryLockError},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use discovery_core::Snapshot;
use haproxy_runtime::{ConfigFile, WriteError};
use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use super::{
    backend, file_name,
    manifest::{self, Manifest},
};

/// A directory of files that others may have theirs in.
///
/// A file is ours if the manifest names it, and the manifest does so before the file is made. One thing is done at a time: a disk that
/// hangs takes one thread, however much there is to write.
///
/// While it is open, nobody else who asks has it open: what one of two agents calls its own, the other would remove.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    ours: Manifest,
    /// Held for its lock; `None` where the file system has none.
    lock: Option<fs::File>,
}

/// Why a file is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(
        "provided output directory {path:?} is not present or creatable; make it, or let the user that this program runs as make it"
    )]
    Directory { path: PathBuf, source: io::Error },
    #[error("another agent keeps its files in {path:?}; give each an `output_directory` of its own")]
    Taken { path: PathBuf },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("reading {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("removing {path:?}, whose service has none any more")]
    Remove { path: PathBuf, source: io::Error },
    /// The runtime ends, say.
    #[error("waiting for the disk")]
    Thread(#[source] tokio::task::JoinError),
}

impl Directory {
    /// Makes the directory, if need be, and reads which files in it are ours. A manifest that can't be understood is a warning: nothing
    /// is ours then.
    pub(super) async fn open(path: PathBuf) -> Result<Self, FileError> {
        blocking(move || {
            if let Err(source) = fs::create_dir_all(&path) {
                return Err(FileError::Directory { path, source });
            }
            let lock = match lock(&path) {
                Ok(lock) => Some(lock),
                Err(TryLockError::WouldBlock) => return Err(FileError::Taken { path }),
                Err(TryLockError::Error(error)) => {
                    debug!(path = %path.display(), %error, "going on without a lock on the directory");
                    None
                }
            };
            let ours = listed(&path)?;
            Ok(Self { path, ours, lock })
        })
        .await
    }

    /// The directory as it is, to be looked at alone: it need not be there, nor is anybody kept out of it.
    pub(super) async fn look(path: PathBuf) -> Result<Self, FileError> {
        blocking(move || Ok(Self { ours: listed(&path)?, path, lock: None })).await
    }

    /// Whether it still is what stands at its path: somebody may have removed it. As long as it is, its lock is not to be given away.
    pub(super) async fn is_there(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;

        let (path, lock) = (self.path.clone(), self.lock.as_ref().and_then(|lock| lock.try_clone().ok()));
        let same = move || {
            let (held, found) = (lock?.metadata().ok()?, fs::metadata(path).ok()?);
            Some((held.dev(), held.ino()) == (found.dev(), found.ino()))
        };
        spawn_blocking(same).await.ok().flatten().unwrap_or(false)
    }

    /// The services that have a file here.
    pub(super) fn services(&self) -> &BTreeSet<String> {
        &self.ours.0
    }

    /// Whether there is anything under the name of a service's file.
    pub(super) async fn has(&self, service: &str) -> Result<bool, FileError> {
        let path = self.file(service);
        blocking(move || match fs::symlink_metadata(&path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(FileError::Read { path, source }),
        })
        .await
    }

    /// Makes the files of these services ours, whether they are there or not.
    pub(super) async fn claim(&mut self, services: impl Iterator<Item = String>) -> Result<(), FileError> {
        let mut all = self.ours.clone();
        all.0.extend(services);
        self.declare(all).await
    }

    /// Has a file say who serves a service, if it does not. Whether it was written.
    pub(super) async fn put(&self, service: &str, snapshot: Snapshot) -> Result<bool, FileError> {
        match self.differs(service, snapshot).await? {
            Some(text) => self.write(self.file(service), text).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// What a file should say; `None` if it does.
    pub(super) async fn differs(
        &self,
        service: &str,
        snapshot: Snapshot,
    ) -> Result<Option<Vec<u8>>, FileError> {
        let path = self.file(service);
        blocking(move || {
            let text = backend::text(&snapshot);
            let same = says(&path, &text).map_err(|source| FileError::Read { path, source })?;
            Ok((!same).then_some(text))
        })
        .await
    }

    /// Whether there is a file of ours to remove for a service that is to have none.
    pub(super) async fn removes(&self, service: &str) -> Result<bool, FileError> {
        let path = self.file(service);
        let ours = self.ours.0.contains(service);
        blocking(move || Ok(ours && is_file(&path).map_err(|source| FileError::Read { path, source })?)).await
    }

    /// Removes the files of these services as far as they are ours. How many there were; a failure leaves the rest for another time.
    pub(super) async fn remove(&mut self, services: BTreeSet<String>) -> (usize, Result<(), FileError>) {
        let (mut removed, mut gone) = (0, self.ours.clone());
        let mut result = Ok(());
        for service in services.into_iter().filter(|service| self.ours.0.contains(service)) {
            let path = self.file(&service);
            let unlinked =
                blocking(move || unlink(&path).map_err(|source| FileError::Remove { path, source }));
            match unlinked.await {
                Ok(was_there) => {
                    removed += usize::from(was_there);
                    gone.0.remove(&service);
                }
                Err(error) => result = Err(error),
            }
        }
        (removed, self.declare(gone).await.and(result))
    }

    async fn declare(&mut self, ours: Manifest) -> Result<(), FileError> {
        if ours != self.ours {
            self.write(self.path.join(manifest::NAME), ours.text()).await?;
            self.ours = ours;
        }
        Ok(())
    }

    async fn write(&self, path: PathBuf, text: Vec<u8>) -> Result<(), FileError> {
        ConfigFile::published(path)?.stage(text.into()).await?.commit().await?;
        Ok(())
    }

    /// Where the file of a service is.
    pub(super) fn file(&self, service: &str) -> PathBuf {
        self.path.join(file_name(service))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    spawn_blocking(work).await.map_err(FileError::Thread)?
}

/// Which files in a directory are ours.
fn listed(path: &Path) -> Result<Manifest, FileError> {
    let manifest = path.join(manifest::NAME);
    match read(&manifest, manifest::MAX_BYTES) {
        Ok(None) => Ok(Manifest::default()),
        Ok(Some(text)) => Ok(Manifest::parse(&text).unwrap_or_else(|error| {
            warn!(
                path = %manifest.display(),
                error,
                "not using the list of files that an earlier run wrote: \
                 those of services that have gone since stay"
            );
            Manifest::default()
        })),
        Err(source) => Err(FileError::Read { path: manifest, source }),
    }
}

/// The directory itself, locked until it is dropped: a file for that would be one more among other people's.
fn lock(path: &Path) -> Result<fs::File, TryLockError> {
    let directory = fs::File::open(path).map_err(TryLockError::Error)?;
    directory.try_lock()?;
    Ok(directory)
}

/// A regular file's text; `None` if there is nothing, or something else, or more than `longest`.
fn read(path: &Path, longest: u64) -> io::Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.len() <= longest => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut text = Vec::new();
    fs::File::open(path)?.take(longest).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Whether a file says the same as `text`.
fn says(path: &Path, text: &[u8]) -> io::Result<bool> {
    // The same with indentation is longer, but not without end.
    let longest = 4096 + 16 * text.len() as u64;
    Ok(read(path, longest)?.is_some_and(|found| backend::same(&found, text)))
}

/// Removes a regular file; whether there was one. What else has its name was made by somebody else.
fn unlink(path: &Path) -> io::Result<bool> {
    if is_file(path)? { fs::remove_file(path).map(|()| true) } else { Ok(false) }
}

fn is_file(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_file()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
