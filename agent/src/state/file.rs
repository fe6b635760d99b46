//! The state file on disk.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use discovery_core::printable;
use haproxy_runtime::{ConfigFile, WriteError};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::format::{Entry, Origin, Parsed, Remembered, parse};
use crate::output::chain;

/// Where the state is kept.
#[derive(Debug, Clone)]
pub(crate) struct StateFile {
    file: ConfigFile,
    ttl: Duration,
}

/// What becomes of the file that was found, before another takes its place.
#[derive(Debug, Clone)]
pub(super) enum Aside {
    /// It is Synapse's, and this its text: a copy of it makes a way back.
    Copy(Vec<u8>),
    /// It was not understood, or not even read: it is for somebody to look at.
    Move,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Without what is too old.
    pub(super) remembered: Remembered,
    pub(super) aside: Option<Aside>,
}

/// Why the state was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The runtime ends, say.
    #[error("making the text of the state")]
    Text(#[source] tokio::task::JoinError),
    /// It would be overwritten without anybody having seen it.
    #[error("moving aside {path:?}")]
    Move { path: PathBuf, source: std::io::Error },
}

/// How many services or entries a log line names.
const NAMED: usize = 5;

impl StateFile {
    /// The state file at `path`, of which nothing older than `ttl` is used. Touches nothing.
    pub(crate) fn new(path: &Path, ttl: Duration) -> Result<Self, WriteError> {
        Ok(Self { file: ConfigFile::private(path)?, ttl })
    }

    /// Whether the other is the same file, of which the same is used.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.file.is_like(&other.file) && self.ttl == other.ttl
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Drops what is too old, or would be if the clock had not been set back; returns the names.
    pub(super) fn expire(
        &self,
        now: SystemTime,
        services: impl IntoIterator<Item = (String, Entry)>,
    ) -> Expired {
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for (name, entry) in services {
            let off = now.duration_since(entry.confirmed).unwrap_or_else(|ahead| ahead.duration());
            if off > self.ttl { dropped.push(name) } else { kept.push((name, entry)) }
        }
        Expired { kept: kept.into_iter().collect(), dropped }
    }

    /// Reads the file. What can't be read is a warning, and nothing remembered. Changes nothing.
    pub(super) async fn load(&self, now: SystemTime) -> Loaded {
        let path = self.path().display();
        let nothing = |aside| Loaded {
            remembered: Remembered { written: SystemTime::UNIX_EPOCH, services: [].into() },
            aside,
        };
        let data = match self.file.read().await {
            Ok(Some(data)) => data,
            Ok(None) => return nothing(None),
            Err(error) => {
                let found = tokio::fs::symlink_metadata(self.path()).await;
                // Its directory is made by whoever starts the program, systemd for one: who looks before that finds no file.
                if found.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
                    return nothing(None);
                }
                warn!(%path, error = chain(&error), "not using the state file: it can't be read");
                // A directory, say, is there by somebody's mistake, and not ours to move.
                let movable = found.is_ok_and(|found| found.is_file() || found.is_symlink());
                return nothing(movable.then_some(Aside::Move));
            }
        };
        // It may take long: not on a thread that others wait for.
        let (parsed, data) = match spawn_blocking(move || (parse(&data), data)).await {
            Ok((Ok(parsed), data)) => (parsed, data),
            Ok((Err(error), _)) => {
                warn!(
                    error = error.of(path),
                    "not using the state file; it is moved aside before another is written"
                );
                return nothing(Some(Aside::Move));
            }
            // Only the end of the runtime does this.
            Err(_) => return nothing(None),
        };
        let Parsed { remembered: Remembered { written, services }, origin, rejected } = parsed;
        for rejection in rejected.iter().take(NAMED) {
            warn!(%path, entry = rejection.entry(), error = rejection.reason(), "not using an entry of the state file");
        }
        if rejected.len() > NAMED {
            warn!(%path, entries = rejected.len(), "not using these entries of the state file, of which some are named above");
        }
        let Expired { kept: services, dropped } = self.expire(now, services);
        if !dropped.is_empty() {
            let names: Vec<_> = dropped.iter().take(NAMED).map(|name| printable(name, 60)).collect();
            let names = names.join(", ");
            warn!(%path, services = dropped.len(), %names, ttl = ?self.ttl, "not using what the state file has: it is too old");
        }
        let aside = match origin {
            Origin::Ours => None,
            Origin::Synapse => Some(Aside::Copy(data)),
        };
        info!(%path, services = services.len(), synapses = aside.is_some(), "read the state file");
        Loaded { remembered: Remembered { written, services }, aside }
    }

    /// Replaces the file, or leaves it as it was.
    pub(super) async fn write(&self, remembered: Remembered) -> Result<u64, StateError> {
        let text = spawn_blocking(move || remembered.to_json()).await.map_err(StateError::Text)?;
        Ok(self.file.stage(text.into()).await?.commit().await?.bytes)
    }

    /// Makes sure that what was found can still be found when it is replaced.
    pub(super) async fn put_aside(&self, aside: &Aside) -> Result<(), StateError> {
        match aside {
            Aside::Copy(text) => {
                let copy = ConfigFile::private(self.beside(".synapse"))?;
                // The first is the one that Synapse wrote last.
                if copy.read().await?.is_none() {
                    copy.stage(text.clone().into()).await?.commit().await?;
                    info!(path = %copy.path().display(), "kept a copy of Synapse's state file");
                }
            }
            Aside::Move => {
                let moved = self.beside(".refused");
                match tokio::fs::rename(self.path(), &moved).await {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(StateError::Move { path: self.path().to_owned(), source: error });
                    }
                    _ => info!(path = %moved.display(), "moved the state file that could not be used aside"),
                }
            }
        }
        Ok(())
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(self.path());
        name.push(suffix);
        name.into()
    }
}

/// What [`StateFile::expire`] leaves.
pub(super) struct Expired {
    pub(super) kept: BTreeMap<String, Entry>,
    pub(super) dropped: Vec<String>,
}
