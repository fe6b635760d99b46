//! Shell scripts of this repository.

use std::path::{Path, PathBuf};

use crate::Dir;
use crate::process::Process;

/// A script of this repository that runs until it is dropped, with everything that it has started.
#[derive(Debug)]
pub struct Script {
    _process: Process,
}

impl Script {
    /// Starts the script at `path`, relative to the repository, with these variables in its environment, in `dir`.
    pub fn start(path: &str, variables: &[(&str, &Path)], dir: &Dir) -> Self {
        let script = Self::path(path);
        let name =
            script.file_stem().map_or_else(|| path.to_owned(), |stem| stem.to_string_lossy().into_owned());
        let mut args: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}={}", value.display())).collect();
        args.extend(["sh".to_owned(), script.display().to_string()]);
        Self { _process: Process::spawn(&name, Path::new("/usr/bin/env"), &args, dir.path()) }
    }

    /// Where the script at `path`, relative to the repository, is.
    pub fn path(path: &str) -> PathBuf {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        repository.expect("this crate is a directory of the repository").join(path)
    }
}
