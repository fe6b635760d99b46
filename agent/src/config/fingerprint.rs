//! What was read of the file system, and whether it is still there.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use sha1::{Digest as _, Sha1};

use super::parse::MAX_BYTES;

/// All that a configuration was made of: the files with what was in them, and the directory with its names.
///
/// Two are equal if the same was read from the same places. [`Loader::changed`](super::Loader::changed) tells whether it is still
/// so. Clones share what is learnt by asking.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<Look>);

/// One place that was looked at.
#[derive(Clone, PartialEq, Eq)]
struct Look {
    path: PathBuf,
    found: Found,
}

#[derive(Clone, PartialEq, Eq)]
enum Found {
    File {
        content: Result<Content, ErrorKind>,
        stamp: Stamped,
    },
    /// The names in it that count, sorted.
    Directory(Result<Vec<OsString>, ErrorKind>),
    /// A pipe, say: what it held is gone, so nothing of it can change.
    Stream,
}

type Content = [u8; 20];

/// The stamp of a file with this content. `None`: what the file system says may stay the same while the content changes.
#[derive(Clone, Default)]
struct Stamped(Arc<Mutex<Option<Stamp>>>);

// Not what was read, but how to find out cheaply that it is still there.
impl PartialEq for Stamped {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Stamped {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// File systems keep times that coarsely: what is changed twice within it may have one stamp.
const COARSE: Duration = Duration::from_secs(2);

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether every later change gives another stamp.
    fn settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let latest = self.changed.0.max(self.modified.0);
        u64::try_from(latest).is_ok_and(|latest| Duration::from_secs(latest) + COARSE < now)
    }
}

impl Stamped {
    fn set(&self, stamp: Stamp, now: SystemTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stamp.settled(now).then_some(stamp);
    }

    fn is(&self, stamp: Stamp) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Some(stamp)
    }
}

/// What a read file may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Whatever can be read to an end.
    Anything,
    /// A file alone: who opens a pipe in a directory waits for ever.
    File,
}

impl Fingerprint {
    /// Reads a file of at most `limit` bytes as text, and takes it down.
    pub(super) fn read(&mut self, path: &Path, allowed: Allowed, limit: usize) -> io::Result<String> {
        self.read_at(path, allowed, limit, SystemTime::now())
    }

    /// As [`read`](Self::read), with what the time is.
    pub(super) fn read_at(
        &mut self,
        path: &Path,
        allowed: Allowed,
        limit: usize,
        now: SystemTime,
    ) -> io::Result<String> {
        let stamp = Stamped::default();
        let (read, stream) = match open(path, allowed) {
            Ok((file, metadata)) => {
                if metadata.is_file() {
                    stamp.set(Stamp::of(&metadata), now);
                }
                (bytes(file, limit), !metadata.is_file() && !metadata.is_dir())
            }
            Err(error) => (Err(error), false),
        };
        let content = read.as_ref().map(|bytes| Sha1::digest(bytes).into()).map_err(io::Error::kind);
        let found = if stream { Found::Stream } else { Found::File { content, stamp } };
        self.0.push(Look { path: path.to_owned(), found });
        text(read?)
    }

    /// The names in a directory that `wanted` says yes to, sorted; taken down as well.
    pub(super) fn list(&mut self, path: &Path, limit: usize) -> io::Result<Vec<OsString>> {
        let names = names(path, limit);
        let found = Found::Directory(names.as_ref().map(Vec::clone).map_err(io::Error::kind));
        self.0.push(Look { path: path.to_owned(), found });
        names
    }

    /// Whether something of it is not there any more, or differs.
    pub(super) fn changed(&self) -> bool {
        self.0.iter().any(Look::changed)
    }

    /// Whether asking for times and numbers will do for all files.
    #[cfg(test)]
    pub(super) fn trusts_its_stamps(&self) -> bool {
        let trusted = |stamp: &Stamped| stamp.0.lock().is_ok_and(|stamp| stamp.is_some());
        self.0.iter().all(|look| !matches!(&look.found, Found::File { stamp, .. } if !trusted(stamp)))
    }
}

impl Look {
    fn changed(&self) -> bool {
        match &self.found {
            Found::Stream => false,
            Found::Directory(before) => {
                *before != names(&self.path, usize::MAX).map_err(|error| error.kind())
            }
            Found::File { content, stamp } => {
                let now = match fs::metadata(&self.path) {
                    Ok(metadata) => Stamp::of(&metadata),
                    Err(error) => return *content != Err(error.kind()),
                };
                if content.is_ok() && stamp.is(now) {
                    return false;
                }
                let read = open(&self.path, Allowed::File).and_then(|(file, metadata)| {
                    let digest = Sha1::digest(bytes(file, MAX_BYTES)?).into();
                    Ok((digest, Stamp::of(&metadata)))
                });
                match read {
                    Ok((digest, now)) if *content == Ok(digest) => {
                        stamp.set(now, SystemTime::now());
                        false
                    }
                    Ok(_) => true,
                    Err(error) => *content != Err(error.kind()),
                }
            }
        }
    }
}

impl fmt::Debug for Fingerprint {
    /// Paths only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|look| &look.path)).finish()
    }
}

fn open(path: &Path, allowed: Allowed) -> io::Result<(File, Metadata)> {
    if allowed == Allowed::File && !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn bytes(file: File, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(more).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "with it there are more than 64 MiB to read"));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = 1 + valid.matches('\n').count();
        io::Error::new(ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

/// The names in a directory that say something about a configuration: not hidden, and `*.json`, `*.yaml` or `*.yml`.
fn names(path: &Path, limit: usize) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden && matches!(extension, Some("json" | "yaml" | "yml")) {
            names.push(name);
        }
        if names.len() > limit {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                format!("there are more than {limit} files in it"),
            ));
        }
    }
    names.sort();
    Ok(names)
}
