//! Which file is really meant.

use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
};

use super::Notable;
use crate::error::{Step, WriteError};

/// The kernel's own limit for links in a row.
const MAX_LINKS: usize = 40;

/// A file, existing or not, and the places around it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The file itself.
    pub(super) live: PathBuf,
    /// The directory that it is in.
    pub(super) directory: PathBuf,
    /// The staging directory beside it.
    pub(super) staging: PathBuf,
    name: OsString,
}

impl Target {
    /// Follows links, a dangling one included: a write creates what it points to.
    pub(super) fn behind(path: &Path) -> Result<Self, WriteError> {
        let fail = |error| WriteError::at(Step::Resolve, path)(error);
        let mut path_now = path.to_owned();
        for _ in 0..MAX_LINKS {
            let target = Self::locate(&path_now).map_err(fail)?;
            match fs::read_link(&target.live) {
                Ok(next) => path_now = target.directory.join(next),
                // Not a link, or nothing there.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) =>
                {
                    return Ok(target);
                }
                Err(error) => return Err(fail(error)),
            }
        }
        Err(fail(rustix::io::Errno::LOOP.into()))
    }

    /// The file of that very name. What it links to is not meant: a link is refused as [no regular file](Self::existing).
    pub(super) fn at(path: &Path) -> Result<Self, WriteError> {
        Self::locate(path).map_err(WriteError::at(Step::Resolve, path))
    }

    fn locate(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = fs::canonicalize(parent.unwrap_or(Path::new(".")))?;
        Ok(Self { staging: directory.join(".synapse"), live: directory.join(&name), directory, name })
    }

    /// What is there now; `None` for nothing.
    ///
    /// # Errors
    /// Something other than a regular file: replacing a device or a directory is nobody's wish.
    pub(super) fn existing(&self) -> Result<Option<Metadata>, WriteError> {
        match fs::symlink_metadata(&self.live) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
            Ok(_) => Err(WriteError::refused(Step::Resolve, &self.live, "it is not a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(WriteError::at(Step::Resolve, &self.live)(error)),
        }
    }

    /// Where a candidate lies in the staging directory.
    pub(super) fn staged(&self) -> PathBuf {
        self.staging.join(&self.name)
    }

    /// The note that a reload is due. It carries the file's name, for two files may share a directory.
    pub(super) fn marker(&self) -> PathBuf {
        self.staging.join(self.named("", ".reload-pending"))
    }

    /// The text that HAProxy ran last before the live one.
    pub(super) fn kept(&self) -> PathBuf {
        self.staging.join(self.named("", ".last-good"))
    }

    /// A note for the next run of this program.
    pub(super) fn notes(&self, of: Notable) -> PathBuf {
        let after = match of {
            Notable::Told => ".told",
            Notable::Leaving => ".leaving",
        };
        self.staging.join(self.named("", after))
    }

    /// Why HAProxy was not brought up to date.
    pub(super) fn failure(&self) -> PathBuf {
        self.staging.join(self.named("", ".failure"))
    }

    /// A hidden file beside the live one.
    pub(super) fn hidden(&self) -> PathBuf {
        self.directory.join(self.named(".", ".synapse"))
    }

    fn named(&self, before: &str, after: &str) -> OsString {
        let mut name = OsString::from(before);
        name.push(&self.name);
        name.push(after);
        name
    }
}
