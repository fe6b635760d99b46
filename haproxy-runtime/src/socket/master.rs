//! HAProxy's master process, which reloads and knows all workers.

use std::{fmt, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    address::SocketAddress,
    connection::connect,
    error::{Outcome, SocketError, SocketFault},
    process_list::Processes,
    reply::shown,
};

/// For one question; a reload has its own deadline.
const QUESTION: Duration = Duration::from_secs(5);
/// For connecting.
const CONNECT: Duration = Duration::from_secs(1);
/// Between two tries while the master replaces itself and takes no connections, as it does up to version 3.0.
const EVERY: Duration = Duration::from_millis(10);
/// What is read of an answer. That to `reload` is a log, of which HAProxy keeps 16 KiB by default.
const LONGEST: u64 = 1024 * 1024;
/// Lines of a message in an error.
const LINES: usize = 8;

/// The socket of HAProxy's master (`haproxy -W -S PATH`).
#[derive(Debug, Clone)]
pub struct Master {
    address: SocketAddress,
}

/// A reload that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MasterReload {
    /// The processes after it.
    pub processes: Processes,
    /// What HAProxy said while it loaded, warnings included; `None` up to version 2.6, which tells its own log only.
    pub message: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// The master did not do, or did not say, what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MasterError {
    /// It can't be talked to.
    #[error("asking HAProxy's master")]
    Socket(#[from] SocketError),
    /// What answers is no master, or the socket's level is too low.
    #[error(
        "{address} answered {command:?} with {reply:?}: is it the socket of HAProxy's master (`haproxy -W -S`)?"
    )]
    NotMaster {
        /// Who was asked.
        address: SocketAddress,
        /// What.
        command: &'static str,
        /// The start of the answer, escaped.
        reply: String,
    },
    /// HAProxy did not load its configuration. The worker that ran before goes on.
    #[error("HAProxy did not load its configuration{}", said(.message.as_deref()))]
    Refused {
        /// All that HAProxy said, as it said it; `None` up to version 2.6, which tells its own log only.
        message: Option<String>,
    },
    /// The reload did not end in time. Whether it will is not known.
    #[error("no reload was done within {deadline:?}")]
    Deadline {
        /// How long it was waited for.
        deadline: Duration,
        /// The last failure to ask how things are, if the last question failed.
        source: Option<Box<MasterError>>,
    },
}

/// The lines of a message that say why, for the end of an error.
fn said(message: Option<&str>) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let Some(message) = message else { return f.write_str("; its log says why") };
        let alerts: Vec<_> =
            message.lines().filter(|line| line.starts_with("[ALERT]")).take(LINES).map(shown).collect();
        match alerts.as_slice() {
            [] => write!(f, ": {}", shown(message)),
            alerts => write!(f, ": {}", alerts.join(" | ")),
        }
    })
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
        let command = "show proc";
        let reply = match timeout(QUESTION, self.ask(command)).await {
            Ok(reply) => reply.map_err(|fault| self.failed(fault, Outcome::Nothing))?,
            Err(_) => return Err(self.failed(SocketFault::Silent { deadline: QUESTION }, Outcome::Nothing)),
        };
        Processes::read(&reply).ok_or_else(|| self.not_master(command, &reply))
    }

    /// Reloads, and waits for the outcome, at most for `deadline`.
    ///
    /// From version 2.7 on HAProxy answers with the outcome. Before, its list of processes tells, and a reload by somebody
    /// else at the same time counts as this one.
    ///
    /// # Errors
    /// The master can't be asked, or the configuration was refused, or the deadline passed.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection. HAProxy reloads all the same, once it was asked to.
    pub async fn reload(&self, deadline: Duration) -> Result<MasterReload, MasterError> {
        let started = Instant::now();
        let end = started + deadline;
        let before = self.wait(end, deadline, |_| true).await?;
        let command = "reload";
        let message = loop {
            let Ok(reply) = timeout_at(end, self.ask(command)).await else {
                return Err(MasterError::Deadline { deadline, source: None });
            };
            match reply {
                Ok(reply) if reply.starts_with("Success=1") => break Some(message(&reply)),
                Ok(reply) if reply.starts_with("Success=0") => {
                    return Err(MasterError::Refused { message: Some(message(&reply)) });
                }
                Ok(reply) if reply.trim().is_empty() => break None,
                Ok(reply) => return Err(self.not_master(command, &reply)),
                // It just replaces itself, for a reload that somebody else asked for.
                Err(SocketFault::Refused) => pause(end, deadline, None).await?,
                // It replaces itself for this reload, and has dropped the connection for that.
                Err(SocketFault::Closed { .. }) => break None,
                Err(fault) => return Err(self.failed(fault, Outcome::Unknown)),
            }
        };
        let loaded = message.is_some();
        let news = |now: &Processes| loaded || now.master != before.master || now.reloads > before.reloads;
        let processes = self.wait(end, deadline, news).await?;
        if !loaded && processes.failed > 0 {
            return Err(MasterError::Refused { message: None });
        }
        Ok(MasterReload { processes, message, took: started.elapsed() })
    }

    /// Asks for the processes until `enough`, also while the master takes no connections.
    async fn wait(
        &self,
        end: Instant,
        deadline: Duration,
        enough: impl Fn(&Processes) -> bool,
    ) -> Result<Processes, MasterError> {
        loop {
            let Ok(seen) = timeout_at(end, self.processes()).await else {
                return Err(MasterError::Deadline { deadline, source: None });
            };
            let failure = match seen {
                Ok(processes) if enough(&processes) => return Ok(processes),
                Ok(_) => None,
                Err(MasterError::Socket(error)) if is_passing(error.fault()) => Some(error.into()),
                Err(error) => return Err(error),
            };
            pause(end, deadline, failure).await?;
        }
    }

    /// Sends one command and reads until the end: the master closes the connection when told that no more will come.
    async fn ask(&self, command: &str) -> Result<String, SocketFault> {
        let mut stream = connect(&self.address, CONNECT).await?;
        let closed = |source| SocketFault::Closed { answered: 0, sent: 1, source: Some(source) };
        stream.write_all(format!("{command}\n").as_bytes()).await.map_err(closed)?;
        stream.shutdown().await.map_err(closed)?;
        let mut reply = Vec::new();
        stream.take(LONGEST).read_to_end(&mut reply).await.map_err(closed)?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    fn failed(&self, fault: SocketFault, outcome: Outcome) -> MasterError {
        SocketError::new(self.address.clone(), fault, outcome).into()
    }

    fn not_master(&self, command: &'static str, reply: &str) -> MasterError {
        MasterError::NotMaster { address: self.address.clone(), command, reply: shown(reply) }
    }
}

/// Whether a master that replaces itself may be the reason.
fn is_passing(fault: &SocketFault) -> bool {
    matches!(fault, SocketFault::Refused | SocketFault::Closed { .. } | SocketFault::Full)
}

async fn pause(end: Instant, deadline: Duration, failure: Option<MasterError>) -> Result<(), MasterError> {
    if Instant::now() + EVERY >= end {
        return Err(MasterError::Deadline { deadline, source: failure.map(Box::new) });
    }
    sleep(EVERY).await;
    Ok(())
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

    #[test]
    fn a_refusal_shows_the_alerts_and_no_control_characters() {
        let refused = |text: &str| MasterError::Refused { message: Some(text.to_owned()) }.to_string();
        let text = "[NOTICE] (1) : haproxy version\n[ALERT] (1) : unknown \x1b keyword\n[ALERT] (1) : fatal";
        assert_eq!(
            refused(text),
            "HAProxy did not load its configuration: [ALERT] (1) : unknown \\u{1b} keyword | [ALERT] (1) : fatal"
        );
        assert_eq!(refused("no\nalert"), "HAProxy did not load its configuration: no | alert");
        assert!(refused(&"[ALERT] x\n".repeat(1_000)).len() < 200);
        let silent = MasterError::Refused { message: None };
        assert_eq!(silent.to_string(), "HAProxy did not load its configuration; its log says why");
    }
}
