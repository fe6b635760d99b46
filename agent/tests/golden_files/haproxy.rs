//! HAProxy's opinion of a file.

#[path = "../../../haproxy-runtime/tests/socket/program.rs"]
mod program;

use std::{
    fmt,
    io::Write as _,
    process::{Command, Stdio},
};

use program::program;

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
    // frontend and backend have one name, as Synapse calls them.
    let known = ["could not resolve address", "has the same name as frontend"];
    let about = |line: &&str| {
        let warning = line.starts_with("[WARNING]") && !known.iter().any(|known| line.contains(known));
        line.starts_with("[ALERT]") || warning
    };
    let words = words.lines().filter(about).map(str::to_owned).collect();
    Said { code: output.status.code(), words }
}
