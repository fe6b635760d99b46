//! Making files and filling them.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, BufWriter, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::Path,
};

use super::text::Text;
use crate::error::{Step, WriteError};

/// How much is written at a time, in bytes.
const BUFFER: usize = 256 * 1024;

/// For writing, and never through a link.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = rustix::fs::OFlags::NOFOLLOW.bits();
    options.write(true).custom_flags(flags.cast_signed());
    options
}

/// For this process's eyes only, until it has the mode that it shall have.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    options().create_new(true).mode(0o600).open(path)
}

pub(super) fn remove_leftover(path: &Path) -> Result<(), WriteError> {
    let fail = WriteError::at(Step::Clear, path);
    match fs::symlink_metadata(path) {
        // A mistyped path must not cost the machine its /dev/null.
        Ok(metadata) if !(metadata.is_file() || metadata.is_symlink()) => {
            Err(WriteError::refused(Step::Clear, path, "it is not a regular file"))
        }
        Ok(_) => fs::remove_file(path).map_err(fail),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fail(error)),
    }
}

/// Puts `text` there as a whole, or nothing. Not down to the disk.
pub(super) fn replace_note(path: &Path, text: Option<&Text>) -> Result<(), WriteError> {
    let fail = WriteError::at(Step::Note, path);
    let Some(text) = text else {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fail(error)),
            _ => Ok(()),
        };
    };
    let mut new = path.to_owned().into_os_string();
    new.push("-new");
    let new = Path::new(&new);
    remove_leftover(new)?;
    let written = create_new(new).and_then(|mut file| write_all(&mut file, text));
    written.and_then(|()| fs::rename(new, path)).map_err(|error| {
        let _ = fs::remove_file(new);
        fail(error)
    })
}

/// Best effort: only root may give files away, others to their own groups.
pub(super) fn keep_owner(file: &File, like: &Metadata, path: &Path) {
    let Ok(own) = file.metadata() else { return };
    if (own.uid(), own.gid()) == (like.uid(), like.gid()) {
        return;
    }
    if fchown(file, Some(like.uid()), Some(like.gid())).is_ok() {
        return;
    }
    match fchown(file, None, Some(like.gid())) {
        Ok(()) => tracing::debug!(?path, uid = like.uid(), "the file's owner changes; its group stays"),
        Err(error) => {
            tracing::debug!(?path, uid = like.uid(), gid = like.gid(), %error, "the file's owner changes");
        }
    }
}

/// Truncates after writing: a reader in between finds old text behind the new, never an empty file.
pub(super) fn replace_text(file: &mut File, text: &Text) -> io::Result<()> {
    file.rewind()?;
    write_all(file, text)?;
    file.set_len(text.len() as u64)
}

/// Few calls, without the whole of it in one place.
pub(super) fn write_all(file: &mut File, text: &Text) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(text.len().min(BUFFER), file);
    text.pieces().try_for_each(|piece| writer.write_all(piece))?;
    writer.flush()
}
