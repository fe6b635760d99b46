//! A real HAProxy.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::master::{Master, Processes, ReloadError};
use crate::process::Process;
use crate::wait::Wait;
use crate::{Dir, binary};

/// How often it is started anew when it ends during its start.
const ATTEMPTS: usize = 5;
/// Longest start.
const START: Duration = Duration::from_secs(30);

/// What HAProxy has against a configuration: its own words.
#[derive(Debug)]
pub struct Rejected(String);

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HAProxy rejects the configuration: {}", self.0)
    }
}

impl std::error::Error for Rejected {}

/// A running HAProxy: a master and its worker, in the foreground, with a directory of their own. Dropping it kills them.
#[derive(Debug)]
pub struct Haproxy {
    dir: Dir,
    config: PathBuf,
    master: Master,
    process: Option<Process>,
}

impl Haproxy {
    /// Starts it with `config`, which goes to a file of its own directory, and waits until its worker runs.
    pub async fn start(config: &str) -> Self {
        let dir = Dir::new("haproxy");
        let path = dir.write("haproxy.cfg", config);
        Self::start_in(dir, path).await
    }

    /// Starts it with the configuration at `config`, where the program under test writes it, and waits until its
    /// worker runs.
    pub async fn start_at(config: &Path) -> Self {
        Self::start_in(Dir::new("haproxy"), config.to_owned()).await
    }

    async fn start_in(dir: Dir, config: PathBuf) -> Self {
        let master = Master::new(&dir.join("master.sock"));
        let mut haproxy = Self { dir, config, master, process: None };
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            match haproxy.try_start().await {
                Ok(()) => return haproxy,
                Err(log) => failure = log,
            }
        }
        panic!("haproxy ended {ATTEMPTS} times during its start; its log:\n{failure}");
    }

    async fn try_start(&mut self) -> Result<(), String> {
        let program = binary::find("haproxy", "haproxy");
        let text = |path: &Path| path.display().to_string();
        // -db keeps it in the foreground even if the configuration says `daemon`.
        let flags =
            ["-W", "-db", "-S", &text(self.master.socket()), "-f", &text(&self.config)].map(str::to_owned);
        let process = self.process.insert(Process::spawn("haproxy", &program, &flags, self.dir.path()));
        // Not left to HAProxy's own -p: the file is there before anything can want to reload.
        self.dir.write("haproxy.pid", process.id().to_string());
        let mut wait = Wait::new(START, "haproxy to start");
        loop {
            if let Some(status) = process.exited() {
                return Err(format!("{status}\n{}", process.log_tail()));
            }
            let started = async {
                let processes = self.master.processes().await?;
                if processes.worker.is_some() { Ok(()) } else { Err(format!("{processes:?}")) }
            };
            if let Some(()) = wait.look(started).await {
                return Ok(());
            }
        }
    }

    /// The configuration's path.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The path of the master's socket.
    pub fn master_socket(&self) -> &Path {
        self.master.socket()
    }

    /// Where its socket and its log `haproxy.log` are; room for a stats socket, say.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// A shell command that reloads it as users do: SIGUSR2 to the master. It returns before the reload is done, and
    /// leaves a line in a file, which [`reload_commands`](Self::reload_commands) counts.
    ///
    /// Up to version 3.0 the master executes itself anew in each reload, and from then until its new worker runs it ignores
    /// the signal: what came then would never be loaded. So the command first waits, for up to 30 s, until the master's
    /// handler is in place. Should the master begin a reload just after that, it has yet to read the file.
    pub fn reload_command(&self) -> String {
        let (calls, pid) = (self.dir.join("reload-commands"), self.dir.join("haproxy.pid"));
        // SIGUSR2 is number 12, and bit 11 of the mask of signals that are caught.
        format!(
            "echo reload >> '{}' && pid=$(cat '{}') && left=3000 && \
             until test $((0x$(sed -n 's/^SigCgt:[[:space:]]*//p' /proc/$pid/status) & 0x800)) -ne 0; do \
             left=$((left - 1)); test $left -gt 0 || exit 1; sleep 0.01; done && kill -USR2 $pid",
            calls.display(),
            pid.display()
        )
    }

    /// How often [`reload_command`](Self::reload_command) was run.
    pub fn reload_commands(&self) -> usize {
        std::fs::read_to_string(self.dir.join("reload-commands")).map_or(0, |text| text.lines().count())
    }

    /// A shell command that has it check (`haproxy -c`) the configuration at `candidate`.
    pub fn check_command(candidate: &Path) -> String {
        format!("'{}' -c -f '{}'", binary::find("haproxy", "haproxy").display(), candidate.display())
    }

    /// Reloads it over the master's socket and waits, at most a minute, until the new worker runs.
    ///
    /// # Errors
    /// HAProxy did not take the configuration: the old worker goes on. Up to 2.6 the reason is in its log only.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        self.master.reload().await
    }

    /// Master, worker and reloads now, waiting for a reload's end if need be.
    pub async fn processes(&self) -> Processes {
        self.master.wait_processes().await.unwrap_or_else(|error| panic!("asking HAProxy's master: {error}"))
    }

    /// Reloads since the start, by whatever means, those that failed included.
    pub async fn reloads(&self) -> u32 {
        self.processes().await.reloads
    }

    /// Waits until something accepts connections on `port` of 127.0.0.1.
    pub async fn wait_serving(&self, port: u16, deadline: Duration) {
        let what = format!("haproxy to accept connections on port {port}");
        let mut wait = Wait::new(deadline, &what);
        let connect = async || match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        while wait.look(connect()).await.is_none() {}
    }

    /// Kills master and workers, waits until they are gone, and keeps the configuration.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill_group().await;
        }
    }

    /// Starts it anew with the configuration that is there now, stopping it first if it runs. Counts of reloads by
    /// the master begin again.
    ///
    /// # Errors
    /// It ended: what it printed.
    pub async fn restart(&mut self) -> Result<(), Rejected> {
        self.stop().await;
        self.try_start().await.map_err(Rejected)
    }

    /// Stops master and workers in their tracks (SIGSTOP): their sockets accept connections, and nothing answers.
    pub async fn freeze(&self) {
        let Processes { master, worker, old_workers, .. } = self.processes().await;
        let process = self.process.as_ref().expect("only an HAProxy that runs can be frozen");
        process.freeze_group([master].into_iter().chain(worker).chain(old_workers)).await;
    }

    /// Lets them go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        let process = self.process.as_ref().expect("only an HAProxy that runs can be thawed");
        process.signal_group(rustix::process::Signal::CONT);
    }

    /// The end of what it printed.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log_tail).unwrap_or_default()
    }

    /// Asks HAProxy (`haproxy -c`) whether it would start with `config`.
    ///
    /// # Errors
    /// It would not, a configuration without any listener included; warnings alone are no error.
    pub async fn check(config: &str) -> Result<(), Rejected> {
        let dir = Dir::new("check");
        let path = dir.write("haproxy.cfg", config);
        let program = binary::find("haproxy", "haproxy");
        let output = tokio::process::Command::new(&program)
            .args(["-c", "-f"])
            .arg(&path)
            .kill_on_drop(true)
            .output()
            .await
            .unwrap_or_else(|error| panic!("running {}: {error}", program.display()));
        if output.status.success() {
            return Ok(());
        }
        let printed = [output.stderr, output.stdout].concat();
        Err(Rejected(format!("{}: {}", output.status, String::from_utf8_lossy(&printed).trim())))
    }
}
