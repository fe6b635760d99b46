//! HAProxy's opinion of a file. It is the first `haproxy` on the `PATH` or in an `sbin` directory, or the one that `E2E_HAPROXY` names.

use std::{
    fmt,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// What `haproxy -c` said.
#[derive(Debug)]
pub(crate) struct Said {
    code: Option<i32>,
    /// Its words, but for those about itself.
    pub(crate) words: Vec<String>,
}

impl Said {
    /// Whether it takes the file without a word. 2 says that a file is fine and has nobody to listen.
    pub(crate) fn fine(&self) -> bool {
        self.taken() && self.words.is_empty()
    }

    /// Whether it takes the file, whatever it warns of.
    pub(crate) fn taken(&self) -> bool {
        matches!(self.code, Some(0 | 2))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {:?}\n{}", self.code, self.words.join("\n"))
    }
}

/// Gives it to `haproxy -c`.
pub(crate) fn check(text: &str) -> Said {
    let mut child = Command::new(program())
        .args(["-c", "-f", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    // That a name is not resolved here is no fault of the file: its server waits until it is. And 3.2 does not like that a service's
    // frontend and backend have one name, which only the service's `backend_name` can change.
    let known = ["could not resolve address", "has the same name as frontend"];
    let about = |line: &&str| {
        let warning = line.starts_with("[WARNING]") && !known.iter().any(|known| line.contains(known));
        line.starts_with("[ALERT]") || warning
    };
    let words = words.lines().filter(about).map(str::to_owned).collect();
    Said { code: output.status.code(), words }
}

#[allow(clippy::disallowed_methods, reason = "a test is a program of its own: its environment configures it")]
fn program() -> PathBuf {
    let chosen = std::env::var("E2E_HAPROXY").ok().filter(|value| !value.is_empty());
    if let Some(chosen) = chosen {
        return PathBuf::from(chosen);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"))
        .map(|directory| directory.join("haproxy"))
        .find(|candidate| candidate.is_file())
        .expect("`haproxy` is not installed: `scripts/test` installs what the tests need")
}
