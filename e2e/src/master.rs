//! HAProxy's master process, over its socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

/// Longest answer that is read.
const ANSWER: u64 = 16 * 1024 * 1024;
/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Longest reload: of a configuration with 100,000 servers on a busy machine.
const RELOAD: Duration = Duration::from_mins(1);
/// Between two tries: the master of old versions executes itself anew in a reload and refuses connections meanwhile.
const EVERY: Duration = Duration::from_millis(5);

/// Why HAProxy did not take a new configuration.
#[derive(Debug)]
pub struct ReloadError(String);

impl std::fmt::Display for ReloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "reloading HAProxy: {}", self.0)
    }
}

impl std::error::Error for ReloadError {}

/// HAProxy's processes at one moment: what the master says to `show proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processes {
    /// The master's process id; it survives reloads.
    pub master: u32,
    /// Reloads since the start, those that failed included.
    pub reloads: u32,
    /// Reloads that failed since the last one that succeeded.
    pub failed: u32,
    /// The process id of the worker that takes new connections.
    pub worker: Option<u32>,
    /// Process ids of workers that only finish their connections.
    pub old_workers: Vec<u32>,
}

impl Processes {
    fn parse(text: &str) -> Option<Self> {
        let (mut master, mut worker, mut old_workers, mut old) = (None, None, Vec::new(), false);
        for line in text.lines() {
            // Lines that begin with # are headings; the first one names the columns.
            if let Some(heading) = line.strip_prefix('#') {
                old = heading.trim_start().starts_with("old");
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(pid), Some(kind)) = (words.next().and_then(|word| word.parse().ok()), words.next())
            else {
                continue;
            };
            match kind {
                "master" => {
                    let reloads = words.next()?.parse().ok()?;
                    // `[failed: 0]`
                    let failed = line.split("failed: ").nth(1)?.split(']').next()?.parse().ok()?;
                    master = Some((pid, reloads, failed));
                }
                "worker" if old => old_workers.push(pid),
                "worker" => worker = Some(pid),
                _ => {}
            }
        }
        let (master, reloads, failed) = master?;
        Some(Self { master, reloads, failed, worker, old_workers })
    }
}

/// The master's socket.
#[derive(Debug)]
pub(crate) struct Master {
    socket: PathBuf,
}

impl Master {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sends one command and returns the answer.
    async fn ask(&self, command: &str) -> std::io::Result<String> {
        let asked = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(format!("{command}\n").as_bytes()).await?;
            // The master closes after the answer only if told that no other command follows.
            stream.shutdown().await?;
            let mut answer = String::new();
            stream.take(ANSWER).read_to_string(&mut answer).await?;
            Ok(answer)
        };
        timeout(DEADLINE, asked).await.unwrap_or_else(|_| Err(crate::http::late("HAProxy's master")))
    }

    /// The processes now; `Err` says why the master did not tell.
    pub(crate) async fn processes(&self) -> Result<Processes, String> {
        let answer = self.ask("show proc").await.map_err(|error| error.to_string())?;
        Processes::parse(&answer).ok_or_else(|| format!("an answer to `show proc` that is none: {answer:?}"))
    }

    /// The processes, asking again for as long as the master is busy with a reload.
    pub(crate) async fn wait_processes(
        &self,
        until: impl Fn(&Processes) -> bool,
    ) -> Result<Processes, ReloadError> {
        let end = Instant::now() + RELOAD;
        loop {
            let seen = self.processes().await;
            match seen {
                Ok(processes) if until(&processes) => return Ok(processes),
                seen if Instant::now() >= end => {
                    return Err(ReloadError(format!("nothing within {RELOAD:?}; last: {seen:?}")));
                }
                _ => sleep(EVERY).await,
            }
        }
    }

    /// Reloads and waits for the outcome.
    pub(crate) async fn reload(&self) -> Result<Processes, ReloadError> {
        let before = self.wait_processes(|_| true).await?;
        // Up to 2.6 the answer is empty and comes before the reload, or not at all; from 2.7 on it has the outcome.
        let answer = self.ask("reload").await.unwrap_or_default();
        let after = self.wait_processes(|now| now.reloads > before.reloads).await?;
        if after.failed > 0 || answer.contains("Success=0") { Err(ReloadError(answer)) } else { Ok(after) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_told_from_old_workers() {
        let text = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n\
                    10              master          3 [failed: 1]   0d00h00m02s     2.6.12\n\
                    # workers\n\
                    12              worker          0               0d00h00m01s     2.6.12\n\
                    # old workers\n\
                    11              worker          1               0d00h00m01s     2.6.12\n\
                    # programs\n\n";
        let processes = Processes::parse(text).unwrap();
        let expected =
            Processes { master: 10, reloads: 3, failed: 1, worker: Some(12), old_workers: vec![11] };
        assert_eq!(processes, expected);
    }

    #[test]
    fn an_answer_without_a_master_is_none() {
        assert_eq!(Processes::parse("Unknown command\n"), None);
    }
}
