//! The blocking half of a configuration file.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::time::Instant;

use super::{
    How, Notable, Prepared, Staging,
    read::{RESTORABLE, holds, read, read_text},
    target::Target,
    text::Text,
    write::{create_new, keep_owner, options, remove_leftover, replace_note, replace_text, write_all},
};
use crate::error::{Step, WriteError};

pub(super) const SAME_FILE: &str = "the candidate is the live file itself";
const FIXED: &str = "its directory can't be written, or it is a mount of its own";

/// The calls whose failures depend on the machine (mounts, full disks); tests put their own in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls {
    pub(super) make_directory: fn(&Path) -> io::Result<()>,
    pub(super) rename: fn(&Path, &Path) -> io::Result<()>,
    pub(super) sync: fn(&File) -> io::Result<()>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            make_directory: |path| fs::create_dir(path),
            rename: |from, to| fs::rename(from, to),
            sync: File::sync_all,
        }
    }
}

/// What [`Disk::commit`] puts in place.
pub(super) struct Put<'a> {
    pub(super) target: &'a Target,
    pub(super) candidate: Option<&'a Path>,
    pub(super) text: &'a Text,
}

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) path: PathBuf,
    pub(super) calls: Calls,
    /// The mode that the file has after each write, whatever it had before. Such a file is written as a whole or not at all.
    mode: Option<u32>,
    /// Symbolic links are followed.
    follows: bool,
    staging: Staging,
    /// When this process last made the staging directory.
    created: Mutex<Option<Instant>>,
    warned_in_place: AtomicBool,
    warned_unmarked: AtomicBool,
}

impl Disk {
    pub(super) fn new(path: PathBuf, staging: Staging) -> Self {
        Self {
            path,
            calls: Calls::default(),
            mode: None,
            follows: true,
            staging,
            created: Mutex::default(),
            warned_in_place: AtomicBool::new(false),
            warned_unmarked: AtomicBool::new(false),
        }
    }

    pub(super) fn private(path: PathBuf) -> Self {
        Self { mode: Some(0o600), ..Self::new(path, Staging::Beside) }
    }

    pub(super) fn published(path: PathBuf) -> Self {
        Self { mode: Some(0o644), follows: false, ..Self::new(path, Staging::Beside) }
    }

    /// The file that is really meant.
    pub(super) fn target(&self) -> Result<Target, WriteError> {
        if self.follows { Target::behind(&self.path) } else { Target::at(&self.path) }
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.path, &self.staging, self.mode, self.follows)
            == (&other.path, &other.staging, other.mode, other.follows)
    }

    pub(super) fn candidate(&self) -> Option<&Path> {
        match &self.staging {
            Staging::Beside => None,
            Staging::At(candidate) => Some(candidate),
        }
    }

    pub(super) fn prepare(&self) -> Result<Prepared, WriteError> {
        let target = self.target()?;
        let existed = target.staging.exists();
        let staged = self.has_staging(&target)?;
        let created = staged && !existed;
        Ok(Prepared { created, staged, reload_pending: staged && target.marker().exists() })
    }

    pub(super) fn created(&self) -> Option<Instant> {
        *self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holds(&self, text: &Text) -> Result<bool, WriteError> {
        let target = self.target()?;
        let Some(metadata) = target.existing()? else { return Ok(false) };
        // Also keeps a huge file from being read.
        if metadata.len() != text.len() as u64 {
            return Ok(false);
        }
        let fail = |error| WriteError::at(Step::Read, &target.live)(error);
        holds(File::open(&target.live).map_err(fail)?, text).map_err(fail)
    }

    /// The live file's text; `None` when there is none.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, WriteError> {
        let target = self.target()?;
        target.existing()?;
        read(&target.live).map_err(WriteError::at(Step::Read, &target.live))
    }

    /// As [`Disk::read`], for who only puts it back.
    pub(super) fn text(&self) -> Result<Option<Text>, WriteError> {
        let target = self.target()?;
        target.existing()?;
        read_text(&target.live).map_err(WriteError::at(Step::Read, &target.live))
    }

    /// Puts `text` where [`Disk::kept`] finds it.
    pub(super) fn keep(&self, text: &Text) -> Result<(), WriteError> {
        let target = self.target()?;
        let existing = target.existing()?;
        let kept = target.kept();
        self.make_staging(&target)?.map_err(WriteError::at(Step::Keep, &kept))?;
        self.write_new(&kept, text, existing.as_ref())
    }

    /// What [`Disk::keep`] was last given; `None` when that is nothing.
    pub(super) fn kept(&self) -> Result<Option<Text>, WriteError> {
        let kept = self.target()?.kept();
        read_text(&kept).map_err(WriteError::at(Step::Read, &kept))
    }

    /// Puts `text` where [`Disk::noted`] finds it, or nothing there. Not down to the disk.
    pub(super) fn take_note(&self, of: Notable, text: Option<&Text>) -> Result<(), WriteError> {
        replace_note(&self.target()?.notes(of), text)
    }

    /// What [`Disk::take_note`] was last given; `None` when that is nothing.
    pub(super) fn noted(&self, of: Notable) -> Result<Option<Vec<u8>>, WriteError> {
        let note = self.target()?.notes(of);
        read(&note).map_err(WriteError::at(Step::Read, &note))
    }

    /// Writes the candidate, and says where: `None` when nothing can be staged beside the live file.
    pub(super) fn stage(&self, text: &Text) -> Result<(Target, Option<PathBuf>), WriteError> {
        let target = self.target()?;
        let existing = target.existing()?;
        // Made even when the candidate lies elsewhere: if it was removed meanwhile, making it just before the rename
        // would hide that from a watcher.
        let has_staging = self.has_staging(&target)?;
        match &self.staging {
            Staging::At(candidate) => {
                // The link itself would be removed as a leftover: only its directory is followed.
                let parent = candidate.parent().filter(|parent| !parent.as_os_str().is_empty());
                let directory = fs::canonicalize(parent.unwrap_or(Path::new(".")))
                    .map_err(WriteError::at(Step::Stage, candidate))?;
                let name = candidate.file_name().unwrap_or_default();
                if directory.join(name) == target.live {
                    return Err(WriteError::refused(Step::Stage, candidate, SAME_FILE));
                }
                self.write_new(candidate, text, existing.as_ref())?;
                Ok((target, Some(candidate.clone())))
            }
            Staging::Beside => {
                if !has_staging {
                    return Ok((target, None));
                }
                let candidate = target.staged();
                match self.write_new(&candidate, text, existing.as_ref()) {
                    Ok(()) => Ok((target, Some(candidate))),
                    Err(error) if is_closed(&error) => Ok((target, None)),
                    Err(error) => Err(error),
                }
            }
        }
    }

    pub(super) fn commit(&self, put: &Put<'_>, mark: bool) -> Result<How, WriteError> {
        let marked = mark && self.mark(put.target);
        let result = self.put(put);
        if result.is_err() && marked {
            // The text did not change after all. A note that stays costs one reload too many at the next start.
            let _ = fs::remove_file(put.target.marker());
        }
        result
    }

    /// Forgets that a reload is due.
    pub(super) fn unmark(&self) -> Result<(), WriteError> {
        let marker = self.target()?.marker();
        match fs::remove_file(&marker) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(WriteError::at(Step::Unmark, &marker)(error))
            }
            _ => Ok(()),
        }
    }

    /// Notes that a reload is due; says whether the note is new.
    fn mark(&self, target: &Target) -> bool {
        match self.note(target) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => {
                if !self.warned_unmarked.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        path = ?target.marker(), error = &error as &dyn std::error::Error,
                        "can't note that a reload is due: it is forgotten if this process dies before it"
                    );
                }
                false
            }
        }
    }

    /// Makes the note; its error is what really stood in the way.
    pub(super) fn note(&self, target: &Target) -> io::Result<()> {
        self.make_staging(target).map_err(io::Error::other)??;
        create_new(&target.marker()).map(drop)
    }

    fn put(&self, put: &Put<'_>) -> Result<How, WriteError> {
        let target = put.target;
        let Some(candidate) = put.candidate else {
            return self.overwrite(target, put.text, &io::ErrorKind::PermissionDenied.into());
        };
        let how = match (self.calls.rename)(candidate, &target.live) {
            Ok(()) => How::Rename,
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => self.put_across(put)?,
            Err(error) if is_fixed(error.kind()) => self.overwrite(target, put.text, &error)?,
            Err(error) => return Err(WriteError::at(Step::Replace, &target.live)(error)),
        };
        discard(candidate);
        // The new text is live already, so this is no failure: a power cut could bring the old one back, whole.
        if let Err(error) = File::open(&target.directory).and_then(|directory| (self.calls.sync)(&directory))
        {
            tracing::warn!(path = ?target.directory, %error, "the new configuration may not survive a power cut");
        }
        Ok(how)
    }

    /// Copies the text to the live file's own filesystem first; preferably where watchers don't look.
    fn put_across(&self, put: &Put<'_>) -> Result<How, WriteError> {
        let target = put.target;
        let existing = target.existing()?;
        let mut places = vec![target.hidden()];
        if put.candidate != Some(&target.staged()) && self.has_staging(target).unwrap_or(false) {
            places.insert(0, target.staged());
        }
        let mut refused = io::Error::from(io::ErrorKind::CrossesDevices);
        for place in places {
            match self.write_new(&place, put.text, existing.as_ref()) {
                Ok(()) => {}
                Err(error) if is_closed(&error) => continue,
                Err(error) => return Err(error),
            }
            match (self.calls.rename)(&place, &target.live) {
                Ok(()) => return Ok(How::Rename),
                Err(error) => {
                    discard(&place);
                    if error.kind() != io::ErrorKind::CrossesDevices && !is_fixed(error.kind()) {
                        return Err(WriteError::at(Step::Replace, &target.live)(error));
                    }
                    refused = error;
                }
            }
        }
        self.overwrite(target, put.text, &refused)
    }

    /// Writes over the live file, through one descriptor, so that a watcher sees it closed once.
    fn overwrite(&self, target: &Target, text: &Text, why: &io::Error) -> Result<How, WriteError> {
        if self.mode.is_some() {
            return Err(WriteError::at(Step::Replace, &target.live)(io::Error::new(why.kind(), FIXED)));
        }
        if !self.warned_in_place.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                path = ?target.live, error = %why,
                "the configuration is overwritten in place, as it can't be replaced: HAProxy may read half of it; \
                 mount its directory instead of the file, and let this process write to it"
            );
        }
        target.existing()?;
        let fail = |error| WriteError::at(Step::Overwrite, &target.live)(error);
        let mut file =
            options().read(true).create(true).truncate(false).mode(0o644).open(&target.live).map_err(fail)?;
        let mut old = Vec::new();
        (&mut file).take(RESTORABLE).read_to_end(&mut old).map_err(fail)?;
        let written = replace_text(&mut file, text).and_then(|()| (self.calls.sync)(&file));
        if let Err(error) = written {
            // The old text's blocks are still the file's: this works on a full disk.
            if let Err(error) = replace_text(&mut file, &old.into()) {
                tracing::error!(path = ?target.live, %error, "the configuration is damaged: putting the old text back failed");
            }
            return Err(fail(error));
        }
        Ok(How::InPlace)
    }

    /// Whether there is a staging directory, made now if need be; `false` where nothing can be made.
    fn has_staging(&self, target: &Target) -> Result<bool, WriteError> {
        let made = self.make_staging(target)?;
        if let Err(error) = &made {
            // Said by everyone who then has to do without.
            tracing::debug!(path = ?target.staging, %error, "no staging directory");
        }
        Ok(made.is_ok())
    }

    /// Makes the staging directory unless it is there. The inner error says why nothing can be made here at all.
    fn make_staging(&self, target: &Target) -> Result<io::Result<()>, WriteError> {
        let fail = |error| WriteError::at(Step::Prepare, &target.staging)(error);
        match (self.calls.make_directory)(&target.staging) {
            Ok(()) => {
                *self.created.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                Ok(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Never through a link: it would lead to wherever somebody else likes.
                if fs::symlink_metadata(&target.staging).map_err(fail)?.is_dir() {
                    Ok(Ok(()))
                } else {
                    Err(WriteError::refused(Step::Prepare, &target.staging, "it is not a directory"))
                }
            }
            Err(error) if is_fixed(error.kind()) => Ok(Err(error)),
            Err(error) => Err(fail(error)),
        }
    }

    /// Writes a file that did not exist, with the owner and mode of another, down to the disk; or leaves nothing.
    fn write_new(&self, path: &Path, text: &Text, like: Option<&Metadata>) -> Result<(), WriteError> {
        remove_leftover(path)?;
        let mut file = create_new(path).map_err(WriteError::at(Step::Stage, path))?;
        let written = write_all(&mut file, text).and_then(|()| {
            if let Some(like) = like {
                keep_owner(&file, like, path);
            }
            // After the owner: changing that may clear bits of the mode.
            let mode = self.mode.unwrap_or_else(|| like.map_or(0o644, |like| like.mode() & 0o777));
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            (self.calls.sync)(&file)
        });
        written.map_err(|error| {
            discard(path);
            WriteError::at(Step::Stage, path)(error)
        })
    }
}

/// Removes a candidate that is not needed any more, or is gone already.
pub(super) fn discard(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(?path, %error, "removing a candidate; the next write removes it");
    }
}

/// A place where files can't be replaced or made, though one that is there might be written.
fn is_fixed(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(kind, PermissionDenied | ReadOnlyFilesystem | ResourceBusy)
}

fn is_closed(error: &WriteError) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| is_fixed(source.kind()))
}
