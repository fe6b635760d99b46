//! What the machine allows of what a configuration names, and what to do about the rest.

mod clock;
mod command;
mod master;
mod name;
mod path;
mod port;
mod process;
mod registry;
mod socket;

use std::{collections::BTreeSet, fmt, future::Future, path::Path, time::Duration};

use haproxy_runtime::ConfigFile;
use serde::Serialize;
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use crate::{Agent, config::Config};

/// How long sources are given at least, however short `agent.startup_wait` is.
const LEAST_WAIT: Duration = Duration::from_secs(5);
/// How much longer than the first answers everything else may take.
const MORE: Duration = Duration::from_secs(9);

/// One thing that was looked at, and how it is.
///
/// All texts are one line, fit for a terminal, and without secrets. Serialized, it is an object with the fields below, by these
/// names; there may be more later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How it is.
    pub severity: Severity,
    /// What kind of thing it is.
    pub topic: Topic,
    /// Which one: an address, a path, a command.
    pub subject: String,
    /// How it was found.
    pub text: String,
    /// What to do about it; `None` where nothing is to do.
    pub remedy: Option<String>,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, and not as well as it could; or it may stop to.
    Warning,
    /// A run would fail at it, or do without it.
    Error,
}

/// What kind of thing a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Topic {
    /// Where endpoints come from.
    Registry,
    /// HAProxy's processes and sockets.
    Haproxy,
    /// What is written.
    File,
    /// What is run.
    Command,
    /// Where services listen.
    Port,
    /// The machine itself.
    Machine,
}

impl Finding {
    pub(crate) fn ok(topic: Topic, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, topic, subject: subject.into(), text: text.into(), remedy: None }
    }

    pub(crate) fn warning(
        topic: Topic,
        subject: impl Into<String>,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { severity: Severity::Warning, remedy, ..Self::ok(topic, subject, text) }
    }

    pub(crate) fn error(
        topic: Topic,
        subject: impl Into<String>,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Error, ..Self::warning(topic, subject, text, remedy) }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Registry => "registry",
            Self::Haproxy => "haproxy",
            Self::File => "file",
            Self::Command => "command",
            Self::Port => "port",
            Self::Machine => "machine",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.text)
    }
}

/// What is asked of HAProxy once and used more than once.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// The processes that answer on the stats sockets.
    processes: Vec<haproxy_runtime::Process>,
    /// Whether a master has told of all workers.
    mastered: bool,
}

impl Agent {
    /// Looks at everything that a run would lean on: whether the registries answer, and how soon; HAProxy's sockets, processes and
    /// program; the paths, commands and ports. Writes nothing, tells HAProxy nothing, and runs none of the commands, but for `haproxy
    /// -v` where the check command is one of HAProxy's.
    ///
    /// Takes no longer than `agent.startup_wait` (five seconds at least) and ten seconds more. What the operating system says of
    /// permissions, it says of the user that asks.
    ///
    /// The findings are in the order of [`Topic`]; it has no failures of its own: whatever can't be looked at is a finding.
    pub async fn examine(self) -> Vec<Finding> {
        let Self { config, sources, .. } = self;
        let wait = config.times.startup_wait.max(LEAST_WAIT);
        let end = Instant::now() + wait + MORE;
        let registries = registry::examine(&config, sources, wait);
        let haproxy = async {
            let (mut findings, seen) = haproxy(&config).await;
            let (copy, rest) = (config.clone(), seen.clone());
            findings.extend(blocking(move || on_disk(&copy, &rest)).await);
            let (of_commands, checks) = command::examine(&config.haproxy.output, &seen.processes).await;
            findings.extend(of_commands);
            let running = seen.processes.into_iter().map(|process| process.version);
            let versions: BTreeSet<String> = running.chain(checks).collect();
            findings.extend(versions.iter().filter_map(|version| name::examine(&config, version)));
            findings
        };
        let (registries, haproxy) = tokio::join!(
            within(end, Topic::Registry, "the registries", registries),
            within(end, Topic::Haproxy, "HAProxy and the disk", haproxy),
        );
        let mut findings = registries;
        findings.extend(haproxy);
        if let Some(failure) = config.last_failure().await {
            let path = config.haproxy.output.file.as_ref().map(|file| file.path().display().to_string());
            findings.push(Finding::warning(
                Topic::Haproxy,
                path.unwrap_or_default(),
                format!(
                    "HAProxy was not brought up to date when it was last tried: {}",
                    line(&failure.error)
                ),
                "repair what it says; a run tries again by itself",
            ));
        }
        findings.sort_by_key(|finding| finding.topic);
        findings
    }
}

async fn haproxy(config: &Config) -> (Vec<Finding>, Seen) {
    let output = &config.haproxy.output;
    let held = match &output.file {
        Some(file) => file.read().await.ok().flatten().and_then(|text| socket::revision(&text)),
        None => None,
    };
    let sockets = async {
        match &output.socket {
            Some(socket) => socket::examine(&socket.sockets, held.as_deref()).await,
            None => (Vec::new(), Vec::new()),
        }
    };
    let master = async {
        match output.reload.as_ref().and_then(|reload| reload.master()) {
            Some(master) => master::examine(master).await,
            None => (Vec::new(), false),
        }
    };
    let ((mut findings, processes), (of_master, mastered)) = tokio::join!(sockets, master);
    findings.extend(of_master);
    (findings, Seen { processes, mastered })
}

/// What is looked at without asking anybody.
fn on_disk(config: &Config, seen: &Seen) -> Vec<Finding> {
    let output = &config.haproxy.output;
    let mut findings = Vec::new();
    if let Some(file) = &output.file {
        findings.extend(path::of_file(file.path(), file.candidate()));
    }
    if let Some(state) = &config.haproxy.state {
        findings.extend(path::of_state(state.path()));
    }
    findings.extend(config.file_output.as_deref().map(path::of_directory));
    for socket in output.socket.iter().flat_map(|socket| socket.sockets.iter()) {
        findings.extend(socket.address().path().and_then(path::of_socket));
    }
    if !seen.mastered {
        findings.extend(process::old_workers(Path::new("/proc"), &seen.processes));
    }
    findings.extend(port::examine(config, seen));
    findings.extend(clock::examine(output.file.as_ref().map(ConfigFile::path), &seen.processes));
    findings
}

async fn blocking(work: impl FnOnce() -> Vec<Finding> + Send + 'static) -> Vec<Finding> {
    // Only the end of the runtime makes it fail.
    spawn_blocking(work).await.unwrap_or_default()
}

/// What is found until then; that nothing was is a finding, too.
async fn within(
    end: Instant,
    topic: Topic,
    what: &str,
    examination: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    timeout_at(end, examination).await.unwrap_or_else(|_| {
        let remedy =
            "look for a disk or a network filesystem that hangs (`ps` shows who waits for it in state D)";
        vec![Finding::error(topic, what, "could not be looked at in time", remedy)]
    })
}

/// A text from elsewhere in one line that is fit for a terminal.
fn line(text: &str) -> String {
    let joined: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    discovery_core::printable(&joined.join(" | "), 500)
}

/// `1 connection`, `2 connections`.
fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
