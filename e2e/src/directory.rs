//! Directories that vanish with the test.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::binary;

/// A temporary directory, removed with everything in it on drop.
///
/// When the thread is panicking and `E2E_KEEP` is set, it stays, and its path is printed to stderr.
#[derive(Debug)]
pub struct Dir {
    inner: TempDir,
}

impl Dir {
    /// An empty directory; `name` becomes part of its path.
    pub fn new(name: &str) -> Self {
        // The system's own directory for such things, not one below `target`: paths of Unix sockets end at 107 bytes.
        let inner = tempfile::Builder::new()
            .prefix(&format!("e2e-{name}-"))
            .tempdir()
            .unwrap_or_else(|error| panic!("making a temporary directory for {name}: {error}"));
        Self { inner }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        self.inner.path()
    }

    /// The path of `name` in the directory, whether or not there is such a file.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, contents).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if std::thread::panicking() && binary::variable("E2E_KEEP").is_some() {
            self.inner.disable_cleanup(true);
            // A drop in a panic has nobody to report a closed stderr to.
            let _ = writeln!(std::io::stderr(), "E2E_KEEP: left {}", self.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_its_files() {
        let dir = Dir::new("unit");
        let file = dir.write("file", "text");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
        drop(dir);
        assert!(!file.exists());
    }
}
