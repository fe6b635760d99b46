//! Shell scripts of this repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Process;
use crate::{Dir, wait_until};

/// Longest start of a script.
const START: Duration = Duration::from_secs(30);

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

    /// Waits until an `inotifywait`, such as `deploy/watch.sh` starts, has its watch on this directory: it sees changes from then
    /// on only.
    pub async fn until_watched(directory: &Path) {
        wait_until(START, &format!("{} to be watched", directory.display()), async || {
            if watched(directory) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
    }
}

fn watched(directory: &Path) -> bool {
    let wanted = directory.display().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    processes.into_iter().any(|process| {
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        let mut words = command.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let ours = words.next().is_some_and(|first| first.ends_with("inotifywait"))
            && words.any(|word| word == wanted);
        let fds = fs::read_dir(process.join("fdinfo")).into_iter().flatten().flatten();
        ours && fds
            .map(|fd| fs::read_to_string(fd.path()).unwrap_or_default())
            .any(|info| info.contains("inotify wd"))
    })
}
