//! The program under test, as a process.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use super::services::DEADLINE;

/// What the kernel counts processor time in: a hundredth of a second, on every architecture that Linux has this for.
const TICK: Duration = Duration::from_millis(10);

/// Builds it as people do who need one source alone, and says where it is.
pub(crate) fn build(source: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = std::process::Command::new(env!("CARGO"))
        .args(["build", "--release", "-p", "synapse-rs", "--no-default-features", "--features", source])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the program does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executables.next_back().expect("cargo names the program that it built")
}

/// Processor time and memory of a process since its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Now, and at most, in KiB.
    resident: [u64; 2],
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [now, most] = self.resident.map(|kib| kib / 1024);
        write!(
            f,
            "{:.2} s of processor time since the start, {now} MiB resident (at most {most})",
            self.cpu.as_secs_f64()
        )
    }
}

/// A running agent, killed on drop.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    started: Instant,
}

impl Program {
    pub(crate) fn start(binary: &Path, config: &Path) -> Self {
        let log = std::fs::File::create(config.with_extension("log")).expect("a file in our directory");
        let mut command = Command::new(binary);
        command
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        let started = Instant::now();
        Self { child: command.spawn().expect("the program that was just built starts"), started }
    }

    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn usage(&self) -> Usage {
        let read = |name: &str| {
            let path = format!("/proc/{}/{name}", self.pid().as_raw_nonzero());
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {path}: {error}"))
        };
        let (stat, status) = (read("stat"), read("status"));
        // The name, in parentheses, may hold anything. Of what follows, 11 and 12 are user and system time.
        let fields: Vec<&str> = stat.rsplit_once(") ").expect("proc(5)").1.split(' ').collect();
        let ticks: u32 = [11, 12].map(|field| fields[field].parse::<u32>().expect("proc(5)")).iter().sum();
        let resident = ["VmRSS:", "VmHWM:"].map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("proc(5)");
            line.trim().trim_end_matches(" kB").parse().expect("proc(5)")
        });
        Usage { cpu: TICK * ticks, resident }
    }

    /// Forgets how much memory it had at most: from here on that is counted anew.
    pub(crate) fn forget_most(&self) {
        let path = format!("/proc/{}/clear_refs", self.pid().as_raw_nonzero());
        std::fs::write(&path, "5").unwrap_or_else(|error| panic!("writing {path}: {error}"));
    }

    /// Ends it as an operator does.
    pub(crate) async fn end(mut self) {
        kill_process(self.pid(), Signal::TERM).expect("it was not waited for yet");
        let status = timeout(DEADLINE, self.child.wait()).await.expect("it ends").expect("it is our child");
        assert!(status.success(), "it ended with {status}");
    }

    fn pid(&self) -> Pid {
        let id = self.child.id().expect("it was not waited for yet");
        Pid::from_raw(id.try_into().expect("process ids are small")).expect("no process has the id 0")
    }
}
