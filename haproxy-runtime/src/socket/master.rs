//! HAProxy's master process, which reloads and knows all workers.

mod error;

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep, timeout, timeout_at},
};

pub use self::error::{MasterError, MasterFault};
use super::{address::SocketAddress, connection::connect, process_list::Processes, reply::shown};

/// For one question; a reload has its own deadline.
const QUESTION: Duration = Duration::from_secs(5);
/// For connecting.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a master may refuse connections before it was told to reload: it may be at a reload for somebody else.
const REFUSING: Duration = Duration::from_secs(5);
/// Between two tries while the master replaces itself and takes no connections, as it does up to version 3.0.
const EVERY: Duration = Duration::from_millis(10);
/// What is read of an answer. That to `reload` is a log, of which HAProxy keeps 16 KiB by default.
const LONGEST: u64 = 1024 * 1024;

const PROCESSES: &str = "show proc";
const RELOAD: &str = "reload";

/// The socket of HAProxy's master (`haproxy -W -S PATH`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    address: SocketAddress,
}

/// A reload that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MasterReload {
    /// What HAProxy said while it loaded, warnings included; `None` up to version 2.6, which tells its own log only.
    pub message: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Master {
    /// The master whose socket is at `address`.
    pub fn new(address: SocketAddress) -> Self {
        Self { address }
    }

    /// Where its socket is.
    pub fn address(&self) -> &SocketAddress {
        &self.address
    }

    /// The processes now.
    ///
    /// # Errors
    /// The master can't be asked. During a reload that is normal up to version 3.0: it replaces itself.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn processes(&self) -> Result<Processes, MasterError> {
        let reply = match timeout(QUESTION, self.ask(PROCESSES)).await {
            Ok(reply) => reply.map_err(|fault| self.unreachable(PROCESSES, fault))?,
            Err(_) => {
                return Err(self.unreachable(PROCESSES, MasterFault::Silent { deadline: QUESTION }));
            }
        };
        if reply.is_empty() {
            let nothing = MasterFault::Closed(io::ErrorKind::UnexpectedEof.into());
            return Err(self.unreachable(PROCESSES, nothing));
        }
        Processes::read(&reply).ok_or_else(|| self.other(PROCESSES, &reply))
    }

    /// Reloads, and waits for the outcome, at most for `deadline`.
    ///
    /// From version 2.7 on HAProxy answers with the outcome. Before, its list of processes tells, and a reload by somebody
    /// else at the same time counts as this one. A master that refuses connections is tried again for five seconds: up to version
    /// 3.0 it replaces itself in each reload, also in one that somebody else has asked for.
    ///
    /// # Errors
    /// The master can't be asked, or the configuration was refused, or the deadline passed.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection. HAProxy reloads all the same, once it was asked to.
    pub async fn reload(&self, deadline: Duration) -> Result<MasterReload, MasterError> {
        let started = Instant::now();
        let end = started + deadline;
        let patience = end.min(started + REFUSING);
        loop {
            // Nothing but a master is told to reload; and where it does not say what came of it, the difference does.
            let before = self.wait(Some(patience), end, deadline, |_| true).await?;
            let Ok(reply) = timeout_at(end, self.ask(RELOAD)).await else {
                return Err(self.late(deadline, None));
            };
            let message = match reply {
                Ok(reply) if reply.starts_with("Success=1") => Some(message(&reply)),
                Ok(reply) if reply.starts_with("Success=0") => {
                    return Err(MasterError::Refused { message: Some(message(&reply)) });
                }
                Ok(reply) if reply.trim().is_empty() => None,
                Ok(reply) => return Err(self.other(RELOAD, &reply)),
                // It replaces itself for this reload, and has dropped the connection for that.
                Err(MasterFault::Closed(_)) => None,
                // It has just begun a reload that somebody else has asked for.
                Err(MasterFault::Refused) if Instant::now() + EVERY < patience => {
                    sleep(EVERY).await;
                    continue;
                }
                Err(fault) => return Err(self.unreachable(RELOAD, fault)),
            };
            if message.is_none() {
                let news = |now: &Processes| now.master != before.master || now.reloads > before.reloads;
                let after = self.wait(None, end, deadline, news).await?;
                if after.failed > 0 {
                    return Err(MasterError::Refused { message: None });
                }
            }
            return Ok(MasterReload { message, took: started.elapsed() });
        }
    }

    /// Asks for the processes until `enough`, at most until `end`; a master that takes no connections until `patience`, if there
    /// is one.
    async fn wait(
        &self,
        patience: Option<Instant>,
        end: Instant,
        deadline: Duration,
        enough: impl Fn(&Processes) -> bool,
    ) -> Result<Processes, MasterError> {
        loop {
            let Ok(seen) = timeout_at(end, self.processes()).await else {
                return Err(self.late(deadline, None));
            };
            let next = Instant::now() + EVERY;
            let failure = match seen {
                Ok(processes) if enough(&processes) => return Ok(processes),
                Ok(_) => None,
                Err(MasterError::Unreachable { fault, .. })
                    if fault.is_passing() && patience.is_none_or(|patience| next < patience) =>
                {
                    Some(self.unreachable(PROCESSES, fault))
                }
                Err(error) => return Err(error),
            };
            if next >= end {
                return Err(self.late(deadline, failure));
            }
            sleep(EVERY).await;
        }
    }

    /// Sends one command and reads until the end: the master closes the connection when told that no more will come.
    async fn ask(&self, command: &str) -> Result<String, MasterFault> {
        let mut stream = connect(&self.address, CONNECT).await.map_err(MasterFault::connecting)?;
        stream.write_all(format!("{command}\n").as_bytes()).await.map_err(MasterFault::Closed)?;
        stream.shutdown().await.map_err(MasterFault::Closed)?;
        let mut reply = Vec::new();
        stream.take(LONGEST).read_to_end(&mut reply).await.map_err(MasterFault::Closed)?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    fn unreachable(&self, command: &'static str, fault: MasterFault) -> MasterError {
        MasterError::Unreachable { address: self.address.clone(), command, fault }
    }

    fn late(&self, deadline: Duration, failure: Option<MasterError>) -> MasterError {
        MasterError::Deadline { address: self.address.clone(), deadline, source: failure.map(Box::new) }
    }

    /// Somebody who answers, but not as a master that reloads.
    fn other(&self, command: &'static str, reply: &str) -> MasterError {
        let address = self.address.clone();
        if reply.starts_with("Unknown command") {
            MasterError::Worker { address }
        } else if reply.starts_with("Permission denied") {
            MasterError::NotPermitted { address, command }
        } else {
            MasterError::NotMaster { address, command, reply: shown(reply) }
        }
    }
}

/// What follows `Success=1` and a line of dashes.
fn message(reply: &str) -> String {
    let text = reply.split_once('\n').map_or("", |(_, rest)| rest);
    text.strip_prefix("--\n").unwrap_or(text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_what_follows_the_outcome() {
        assert_eq!(message("Success=1\n--\n[NOTICE] a\n[NOTICE] b\n\n"), "[NOTICE] a\n[NOTICE] b");
        assert_eq!(message("Success=1\n"), "");
        assert_eq!(message("Success=1"), "");
    }
}
