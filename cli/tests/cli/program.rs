//! Runs the program.

use std::{
    ffi::OsStr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use e2e::{Dir, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    time::timeout,
};

/// Longest wait for anything that must happen, on a machine that is busy with other tests.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// How the program ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    fn new(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Why it failed: what it said last but for what to do about it.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.stderr.lines().rfind(|line| line.starts_with("synapse-rs: "))
    }

    /// The lines of standard error, without the moment at which each was logged.
    pub(crate) fn logged(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .map(|line| line.split_once('Z').map_or(line, |(_, rest)| rest.trim_start()))
            .collect()
    }
}

/// The program, in a directory, with an environment that says nothing.
pub(crate) fn synapse(dir: &Dir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synapse-rs"));
    for name in [
        "SYNAPSE_CONFIG",
        "SYNAPSE_LOG",
        "SYNAPSE_LOG_FORMAT",
        "DEBUG",
        "NO_COLOR",
        "RUST_LOG",
        "JOURNAL_STREAM",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
    ] {
        command.env_remove(name);
    }
    command.current_dir(dir.path()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs `command` to its end.
pub(crate) async fn outcome(command: &mut Command) -> Outcome {
    let Ok(output) = timeout(DEADLINE, command.output()).await else {
        panic!("{command:?} has not ended within {DEADLINE:?}")
    };
    Outcome::new(output.unwrap_or_else(|error| panic!("running {command:?}: {error}")))
}

/// Runs the program with `arguments`, to its end.
pub(crate) async fn run<A: AsRef<OsStr>>(dir: &Dir, arguments: impl IntoIterator<Item = A>) -> Outcome {
    outcome(synapse(dir).args(arguments)).await
}

/// As [`run`], with `text` as its standard input.
pub(crate) async fn run_with_input<A: AsRef<OsStr>>(
    dir: &Dir,
    arguments: impl IntoIterator<Item = A>,
    text: &str,
) -> Outcome {
    let mut command = synapse(dir);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(text.as_bytes()).await.unwrap_or_else(|error| panic!("writing to {command:?}: {error}"));
    drop(stdin);
    let output = timeout(DEADLINE, child.wait_with_output()).await;
    Outcome::new(output.expect("it ends").expect("it can be waited for"))
}

/// The program at work. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: std::path::PathBuf,
}

impl Running {
    /// Starts it in `dir`, with its standard error in a file there.
    pub(crate) fn start<A: AsRef<OsStr>>(dir: &Dir, arguments: impl IntoIterator<Item = A>) -> Self {
        Self::start_with(dir, arguments, |_| {})
    }

    /// As [`start`](Self::start), with what `set` does to the command.
    pub(crate) fn start_with<A: AsRef<OsStr>>(
        dir: &Dir,
        arguments: impl IntoIterator<Item = A>,
        set: impl FnOnce(&mut Command),
    ) -> Self {
        let log = dir.join("stderr");
        let file = std::fs::File::create(&log).expect("the directory can be written to");
        let mut command = synapse(dir);
        command.args(arguments).stdout(Stdio::null()).stderr(file);
        set(&mut command);
        let child = command.spawn().unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        Self { child, log }
    }

    /// What it has logged so far.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has logged `text`.
    pub(crate) async fn wait_logged(&self, text: &str) {
        wait_until(DEADLINE, &format!("the log to have {text:?}"), async || {
            let logged = self.logged();
            if logged.contains(text) { Ok(()) } else { Err(logged) }
        })
        .await;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        kill_process(id.expect("it has not been waited for"), signal).expect("it is our child");
    }

    /// Waits for its end, at most for `within`.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let Ok(status) = timeout(within, self.child.wait()).await else {
            panic!("it has not ended within {within:?}; its log:\n{}", self.logged())
        };
        status.expect("it is our child")
    }
}

/// Waits until there is a file, and returns what is in it.
pub(crate) async fn wait_file(path: &Path) -> String {
    wait_until(DEADLINE, &format!("{} to be there", path.display()), async || {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    })
    .await
}

/// Asserts that `text` is what the file `name` of `tests/fixtures` holds.
#[track_caller]
pub(crate) fn assert_fixture(text: &str, name: &str) {
    assert_eq!(text, fixture(name), "left: what was printed; right: {name}");
}

/// A file of `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A configuration of two services from the file `endpoints.yaml`, beside it, with a reload that leaves a line in
/// `reloads`. `more` goes to the end of its `haproxy` section.
pub(crate) fn write_site(dir: &Dir, more: &str) {
    dir.write(
        "endpoints.yaml",
        "web:\n- {host: 10.0.0.2, port: 8080, name: b, weight: 10}\n- {host: 10.0.0.1, port: 8080, name: a}\nidle: []\n",
    );
    dir.write("synapse.yaml", site(more));
}

/// The configuration of [`write_site`].
pub(crate) fn site(more: &str) -> String {
    format!(
        "services:
  web:
    discovery: {{method: file, path: endpoints.yaml}}
    haproxy: {{port: 3213, backend_order: asc, server_options: check inter 2s, listen: [mode http, cookie SRV insert]}}
  idle:
    discovery: {{method: file, path: endpoints.yaml}}
    haproxy: {{port: 3214}}
haproxy:
  config_file_path: out/haproxy.cfg
  global: [maxconn 100]
  defaults: [timeout connect 1s, timeout client 1s, timeout server 1s]
  restart_interval: 0
{more}"
    )
}

/// The `reload_command` of most tests.
pub(crate) const COUNTED: &str = "  reload_command: echo reload >> reloads\n";

/// What HAProxy's configuration is with [`write_site`].
pub(crate) const RENDERED: &str = "\
# generated by synapse-rs: edits are overwritten

global
\tmaxconn 100

defaults
\ttimeout connect 1s
\ttimeout client 1s
\ttimeout server 1s

frontend web
\tmode http
\tbind localhost:3213
\tdefault_backend web

backend web
\tbalance roundrobin
\tmode http
\tcookie SRV insert
\tserver a_10.0.0.1:8080 10.0.0.1:8080 id 1 cookie a_10.0.0.1:8080 check inter 2s
\tserver b_10.0.0.2:8080 10.0.0.2:8080 id 2 cookie b_10.0.0.2:8080 check inter 2s

frontend idle
\tbind localhost:3214
\tdefault_backend idle

backend idle
\tbalance roundrobin
";
