//! A real HAProxy.

#[path = "program.rs"]
mod program;

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use haproxy_runtime::{Master, Revision, Socket, SocketAddress};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use program::program;

/// For anything that a test waits for.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A running HAProxy in a directory of its own. Dropping it kills it and all its workers; so does this process's death.
pub(crate) struct Haproxy {
    directory: TempDir,
    child: Child,
    guard: Child,
    flags: &'static [&'static str],
}

impl Haproxy {
    /// One process, without a master.
    pub(crate) async fn alone(config: &str) -> Self {
        Self::start(config, &[]).await
    }

    /// A master and a worker.
    pub(crate) async fn mastered(config: &str) -> Self {
        let haproxy = Self::start(config, &["-W", "-S", "unix@master.sock"]).await;
        // The worker answers before the master does.
        until("the master", async || haproxy.master().processes().await.ok()).await;
        haproxy
    }

    async fn start(config: &str, flags: &'static [&'static str]) -> Self {
        let directory = tempfile::Builder::new().prefix("haproxy-").tempdir().unwrap();
        // Leads the group, keeps its number from being used again, and kills it when this process's end of the pipe closes.
        let guard = Command::new("/bin/sh")
            .args(["-c", "read -r _; kill -KILL 0"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::fs::write(directory.path().join("haproxy.cfg"), config).unwrap();
        let child = spawn(directory.path(), &guard, flags);
        let mut haproxy = Self { directory, child, guard, flags };
        haproxy.answers().await;
        haproxy
    }

    async fn answers(&mut self) {
        let end = Instant::now() + DEADLINE;
        while let Err(error) = self.socket().process().await {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("haproxy ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < end, "{:?}\n{}", error.fault(), self.log());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills it and starts it anew.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.directory.path(), &self.guard, self.flags);
        self.answers().await;
    }

    /// Another process that takes the sockets over and tells this one to end, as reloading works without a master. It is
    /// killed with this one.
    pub(crate) fn successor(&self) -> Successor {
        let pid = self.pid().to_string();
        Successor(spawn(self.directory.path(), &self.guard, &["-x", "admin.sock", "-sf", &pid]))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn socket_at(&self, name: &str) -> Socket {
        Socket::new(SocketAddress::unix(self.path(name)).unwrap())
    }

    /// The `stats socket` of [`config`].
    pub(crate) fn socket(&self) -> Socket {
        self.socket_at("admin.sock")
    }

    pub(crate) fn master(&self) -> Master {
        Master::new(SocketAddress::unix(self.path("master.sock")).unwrap())
    }

    /// The number of the process that was started: the master's, if there is one.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn configure(&self, config: &str) {
        std::fs::write(self.path("haproxy.cfg"), config).unwrap();
    }

    /// Stops it, and waits until each of its threads has: the signal reaches them one by one, and those that still run
    /// answer.
    pub(crate) async fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
        let tasks = format!("/proc/{}/task", self.pid());
        until("all threads to stop", async || {
            let mut tasks = std::fs::read_dir(&tasks).unwrap();
            let stopped = tasks.all(|task| {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
                // The name, in parentheses, may hold anything; the state follows it.
                stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
            });
            stopped.then_some(())
        })
        .await;
    }

    pub(crate) fn thaw(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("haproxy.log")).unwrap_or_default()
    }
}

/// What [`Haproxy::successor`] starts.
pub(crate) struct Successor(Child);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // The guard is waited for last: until then the group's number is its own.
        let _ = kill_process_group(Pid::from_child(&self.guard), Signal::KILL);
        let _ = self.child.wait();
        let _ = self.guard.wait();
    }
}

fn spawn(directory: &Path, guard: &Child, flags: &[&str]) -> Child {
    let log = || File::options().create(true).append(true).open(directory.join("haproxy.log")).unwrap();
    Command::new(program())
        // Sockets are named relative to it: their paths have to be short.
        .current_dir(directory)
        .args(["-db", "-f", "haproxy.cfg"])
        .args(flags)
        .env_clear()
        .process_group(i32::try_from(guard.id()).unwrap())
        .stdin(Stdio::null())
        .stdout(log())
        .stderr(log())
        .spawn()
        .unwrap()
}

/// A configuration with a socket of each level, one backend `web` with a server `old` that nobody answers for, and
/// `revision`.
pub(crate) fn config(revision: &str, more: &str) -> String {
    format!(
        "global\n\
         \x20   stats socket unix@admin.sock mode 600 level admin expose-fd listeners\n\
         \x20   stats socket unix@operator.sock mode 600 level operator\n\
         \x20   stats socket unix@user.sock mode 600 level user\n\
         \x20   stats timeout 2m\n\
         \x20   set-var proc.synapse_rev str({revision})\n\
         defaults\n\
         \x20   mode tcp\n\
         \x20   timeout connect 5s\n\
         \x20   timeout client 5m\n\
         \x20   timeout server 5m\n\
         frontend web\n\
         \x20   bind unix@web.sock\n\
         \x20   default_backend web\n\
         backend web\n\
         \x20   balance roundrobin\n\
         \x20   server old 127.0.0.1:1 id 1 disabled\n\
         {more}"
    )
}

pub(crate) fn revision(text: &str) -> Revision {
    Revision::parse(text).unwrap()
}

/// `2.6`, as the program itself says it.
pub(crate) fn version() -> (u32, u32) {
    let output = Command::new(program()).arg("-v").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let number = text.split("version ").nth(1).unwrap();
    let mut parts = number.split(['.', '-']).map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

/// Waits until `probe` has something.
pub(crate) async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < end, "waited {DEADLINE:?} for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
