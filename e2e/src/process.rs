//! Child processes that do not outlive the test.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::time::{Instant, sleep};

use crate::binary;
use crate::wait::Wait;

/// Between two looks at a process that is ending.
const EVERY: Duration = Duration::from_millis(2);
/// Longest way of a signal to all threads.
const FREEZE: Duration = Duration::from_secs(10);
/// What of a log a panic shows.
const TAIL: usize = 4_000;

/// A server in a process group of its own, killed as a group on drop.
///
/// The group's leader is a guard, a shell that reads from a pipe whose other end this process holds. It keeps the
/// group's id from being used again, and when this process dies without running destructors (Ctrl-C, SIGKILL) the
/// pipe closes and the guard kills the group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    guard: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with an environment of only `PATH`, working in `dir`, its output appended to `DIR/NAME.log`.
    pub(crate) fn spawn(name: &str, program: &Path, args: &[String], dir: &Path) -> Self {
        let log = dir.join(format!("{name}.log"));
        let output = || {
            File::options()
                .create(true)
                .append(true)
                .open(&log)
                .unwrap_or_else(|error| panic!("opening {}: {error}", log.display()))
        };
        let mut guard = Command::new("/bin/sh")
            .args(["-c", "read -r _; kill -KILL 0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("starting the guard of {name}: {error}"));
        let group = i32::try_from(guard.id()).expect("Linux numbers processes with positive i32");
        let child = Command::new(program)
            .args(args)
            .current_dir(dir)
            // Variables such as ETCD_NAME or ETCDCTL_ENDPOINTS of whoever runs the tests are not for these servers.
            .env_clear()
            .env("PATH", binary::search_path())
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .process_group(group)
            .spawn();
        match child {
            Ok(child) => Self { child, guard, log },
            Err(error) => {
                let _ = guard.kill();
                let _ = guard.wait();
                panic!("starting {}: {error}", program.display())
            }
        }
    }

    /// The server's process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child that was started here can be waited for")
    }

    /// Sends a signal to the server alone. One that has ended gets none.
    pub(crate) fn signal(&mut self, signal: Signal) {
        // Not yet waited for, so the id is still this child's.
        if self.exited().is_none() {
            kill_process(pid(&self.child), signal)
                .unwrap_or_else(|error| panic!("sending {signal:?} to {}: {error}", self.child.id()));
        }
    }

    /// Stops the server (SIGSTOP) and waits until each of its threads has: the signal reaches them one by one, and
    /// those that still run may answer.
    pub(crate) async fn freeze(&mut self) {
        self.signal(Signal::STOP);
        wait_stopped(self.child.id()).await;
    }

    /// The same for the server and all that it has started, of which `ids` are waited for.
    pub(crate) async fn freeze_group(&self, ids: impl IntoIterator<Item = u32>) {
        self.signal_group(Signal::STOP);
        for id in ids {
            wait_stopped(id).await;
        }
    }

    /// Sends a signal to the server and all that it has started.
    pub(crate) fn signal_group(&self, signal: Signal) {
        let group = pid(&self.guard);
        kill_process_group(group, signal).unwrap_or_else(|error| {
            panic!("sending {signal:?} to the group of {}: {error}", self.child.id())
        });
    }

    /// Waits until the server has ended; `false` if it has not within `deadline`.
    pub(crate) async fn wait_exit(&mut self, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        loop {
            if self.exited().is_some() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            sleep(EVERY).await;
        }
    }

    /// Kills the whole group and waits until its processes are gone, so that their ports are free again.
    pub(crate) async fn kill_group(&mut self) {
        let group = pid(&self.guard);
        // The guard is waited for last: until then nobody else can have this group id.
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
        // Processes the server itself started are not our children: somebody else reaps them, in his own time.
        let end = Instant::now() + Duration::from_secs(2);
        let _ = self.guard.wait();
        while test_kill_process_group(group).is_ok() && Instant::now() < end {
            sleep(EVERY).await;
        }
    }

    /// The end of what the server printed.
    pub(crate) fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL)..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Once the guard was waited for, the group's id may be somebody else's.
        if matches!(self.guard.try_wait(), Ok(None)) {
            let _ = kill_process_group(pid(&self.guard), Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.guard.wait();
    }
}

/// `Ok` if no thread of the process runs; `Err` says which does. One that has ended has none.
fn stopped(tasks: &Path) -> Result<(), String> {
    for task in std::fs::read_dir(tasks).into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything; the state follows it: stopped, zombie or dead is fine.
        if stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['T', 'Z', 'X'])) {
            return Err(stat);
        }
    }
    Ok(())
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

async fn wait_stopped(id: u32) {
    let tasks = format!("/proc/{id}/task");
    let what = format!("the threads in {tasks} to stop");
    let mut wait = Wait::new(FREEZE, &what);
    while wait.look(async { stopped(Path::new(&tasks)) }).await.is_none() {}
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;
    use crate::Dir;

    const DEADLINE: Duration = Duration::from_secs(10);

    fn shell(dir: &Dir, script: &str) -> Process {
        Process::spawn("script", Path::new("/bin/sh"), &["-c", script].map(str::to_owned), dir.path())
    }

    fn killed(process: &mut Process) -> bool {
        process.exited().and_then(|status| status.signal()) == Some(Signal::KILL.as_raw())
    }

    #[tokio::test]
    async fn the_guard_kills_the_group_when_this_process_dies() {
        let dir = Dir::new("unit");
        let mut process = shell(&dir, "sleep 1000; true");
        // What the kernel does for a process that dies.
        drop(process.guard.stdin.take());
        assert!(process.wait_exit(DEADLINE).await);
        assert!(killed(&mut process));
    }

    #[tokio::test]
    async fn a_killed_group_leaves_no_grandchild() {
        let dir = Dir::new("unit");
        let mut process = shell(&dir, "sleep 1000 & echo $!; wait");
        crate::wait_until(DEADLINE, "the grandchild", async || match process.log_tail() {
            tail if tail.ends_with('\n') => Ok(()),
            tail => Err(tail),
        })
        .await;
        let grandchild = process.log_tail().trim().to_owned();
        process.kill_group().await;
        assert!(killed(&mut process));
        // Nobody may have reaped it yet, but it has no command line any more.
        let command = std::fs::read(format!("/proc/{grandchild}/cmdline")).unwrap_or_default();
        assert!(!command.starts_with(b"sleep\x001000"), "{grandchild} runs");
    }

    #[tokio::test]
    async fn a_signal_to_a_process_that_has_ended_goes_nowhere() {
        let dir = Dir::new("unit");
        let mut process = shell(&dir, "exit 3");
        assert!(process.wait_exit(DEADLINE).await);
        process.signal(Signal::TERM);
        assert_eq!(process.exited().and_then(|status| status.code()), Some(3));
    }
}
