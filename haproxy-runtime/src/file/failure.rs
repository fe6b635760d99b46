//! Word of a failure, for whoever looks while it lasts.

use std::{fs, io, sync::Arc, time::SystemTime};

use tokio::task::spawn_blocking;

use super::{ConfigFile, Text, joined, read::read, write::replace_note};
use crate::error::{Step, WriteError};

/// The most that is kept of an error, in bytes: HAProxy's own words may be long.
const MOST: usize = 16 * 1024;

/// Why HAProxy was not brought up to date, as the process that tried has left it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What went wrong, with its causes.
    pub error: String,
    /// When it was last tried.
    pub at: SystemTime,
}

impl ConfigFile {
    /// Leaves word in the staging directory, as `<name of the live file>.failure`, that HAProxy was not brought up to date, and why;
    /// `None`: it was. Of a long error only the beginning is kept. Does not take its turn with writes, and is not forced to disk.
    ///
    /// # Errors
    /// The note can't be written, or an earlier one not be removed. Without a staging directory there is nothing to remove.
    pub async fn note_failure(&self, error: Option<String>) -> Result<(), WriteError> {
        let disk = Arc::clone(&self.disk);
        let note = move || {
            let text = error.map(|mut error| {
                error.truncate(error.floor_char_boundary(MOST));
                Text::from(error)
            });
            replace_note(&disk.target()?.failure(), text.as_ref())
        };
        joined(spawn_blocking(note).await, self.path())
    }

    /// What [`note_failure`](Self::note_failure) was last given, by this process or another; `None` when that is nothing.
    ///
    /// # Errors
    /// The note can't be read, or the disk does not answer.
    pub async fn failure(&self) -> Result<Option<Failure>, WriteError> {
        let disk = Arc::clone(&self.disk);
        let look = move || {
            let path = disk.target()?.failure();
            let look = || -> io::Result<Option<Failure>> {
                let Some(text) = read(&path)? else { return Ok(None) };
                let at = fs::metadata(&path)?.modified()?;
                Ok(Some(Failure { error: String::from_utf8_lossy(&text).into_owned(), at }))
            };
            look().map_err(WriteError::at(Step::Read, &path))
        };
        let look = async { joined(spawn_blocking(look).await, self.path()) };
        self.within(look).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Staging;

    #[tokio::test]
    async fn what_failed_is_known_until_it_has_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("haproxy.cfg");
        let file = ConfigFile::open(&path, Staging::Beside).unwrap();
        assert_eq!(file.failure().await.unwrap(), None);
        file.note_failure(None).await.unwrap();
        file.prepare().await.unwrap();
        for error in ["the reload command: it ended with 1", "another"] {
            file.note_failure(Some(error.to_owned())).await.unwrap();
            let other = ConfigFile::open(&path, Staging::Beside).unwrap();
            assert_eq!(other.failure().await.unwrap().unwrap().error, error);
        }
        file.note_failure(Some("ä".repeat(MOST))).await.unwrap();
        assert_eq!(file.failure().await.unwrap().unwrap().error.len(), MOST);
        file.note_failure(None).await.unwrap();
        assert_eq!(file.failure().await.unwrap(), None);
        let left: Vec<_> = fs::read_dir(directory.path().join(".synapse")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
