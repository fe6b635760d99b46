//! Another configuration for an agent that runs.

use std::{fmt, sync::Arc};

use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::config::Config;

/// Gives an agent that [runs](crate::Agent::run) another configuration. Cheap to clone, and of no effect on how long the agent runs.
///
/// ```
/// # use agent::{Agent, Config, Registry};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("haproxy.cfg");
/// let config = |services: &str| {
///     let haproxy = format!("{{config_file_path: {path:?}, do_reloads: false, global: [], defaults: []}}");
///     Config::parse(&format!("services: {services}\nhaproxy: {haproxy}\n"), None, &Registry::builtin())
/// };
/// let web = "web: {discovery: {method: base}, default_servers: [{host: 10.0.0.1, port: 80}], haproxy: {port: 8000}}";
/// let agent = Agent::new(config("{}")?);
/// let (handle, mut status) = (agent.handle(), agent.status());
/// let changed = config(&format!("{{{web}}}"))?;
/// let stop = async move {
///     let done = handle.reconfigure(changed).await.unwrap();
///     assert_eq!(done.to_string(), "1 service added (web)");
///     while status.services()[0].servers == 0 {
///         status.changed().await;
///     }
/// };
/// agent.run(stop).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    configuration: Arc<watch::Sender<ConfigurationStatus>>,
}

/// A configuration that is to be taken over, and who wants to know.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) config: Box<Config>,
    pub(crate) answer: Answer,
}

/// Where it is said what came of a request.
pub(crate) type Answer = oneshot::Sender<Result<Reconfigured, ReconfigureError>>;

/// Where an agent finds requests.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) requests: mpsc::Receiver<Request>,
    /// Kept, so that there can always be another request.
    pub(crate) handle: Handle,
}

/// Why an agent does not have a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// It has ended, or was never made to run until it is stopped.
    #[error("the agent does not run")]
    Stopped,
    /// A newer one came while the first answers of this one's new sources were waited for.
    #[error("a newer configuration has come before this one was in use")]
    Superseded,
}

/// What was different in a configuration that was taken over. `Display` says it in one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconfigured {
    /// The services that there were not before, in their order.
    pub added: Vec<String>,
    /// The services that there are no more.
    pub removed: Vec<String>,
    /// The services that say something else than before.
    pub changed: Vec<String>,
    /// The services whose source is another than before; their sections may be the same if `agent` is not.
    pub sources: Vec<String>,
    /// How many services say what they said before.
    pub unchanged: usize,
    /// What else is different: sections and keys by their names, such as `haproxy.defaults`.
    pub other: Vec<&'static str>,
}

/// Which configuration is in use, and what became of those that should have replaced it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConfigurationStatus {
    /// Since when the one that is in use is.
    pub since: Instant,
    /// How many were taken over since the start, the first not counted.
    pub taken: u64,
    /// Since when a newer one waits for the first answers of its new sources; `None`: none does.
    pub waiting: Option<Instant>,
    /// Why the newest one is not in use; `None`: it is, or will be.
    pub failure: Option<ConfigurationFailure>,
}

/// Why a configuration is not in use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigurationFailure {
    /// When that was found.
    pub at: Instant,
    /// What is wrong with it, as a person is to read it.
    pub error: String,
}

/// How many services a line names.
const NAMED: usize = 5;

/// A handle, and where its requests are found.
pub(crate) fn channel() -> Inbox {
    let (sender, requests) = mpsc::channel(1);
    let status = ConfigurationStatus { since: Instant::now(), taken: 0, waiting: None, failure: None };
    let handle = Handle { requests: sender, configuration: Arc::new(watch::Sender::new(status)) };
    Inbox { requests, handle }
}

impl Handle {
    /// Has the agent take over `config`, all or nothing, and says what was different. What is served goes on:
    ///
    /// - A service whose `discovery` and port are the same (and the pauses of `agent`) keeps its watcher and all that is known of it.
    /// - The first answers of new sources are waited for, up to `agent.startup_wait` of `config`. Until then everything goes on as
    ///   before. Then all of it is one change, of which a service without an answer is a part, too: with the servers that it has, or
    ///   those that the state file has for it.
    /// - A service that is there no more goes, and is forgotten by the state file. A connection that nobody uses any more is closed.
    ///
    /// What was [refused](Self::refuse) before is no longer shown from the first poll on, whatever becomes of this one.
    ///
    /// Returns when that is so: bringing HAProxy there is the next thing that the agent does, and shows in its
    /// [`Status`](crate::Status). An agent that does not run yet is waited for.
    ///
    /// # Errors
    ///
    /// The configuration is not in use: see [`ReconfigureError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the agent with the one configuration or the other, never with parts of both.
    pub async fn reconfigure(&self, config: Config) -> Result<Reconfigured, ReconfigureError> {
        let (answer, answered) = oneshot::channel();
        let request = Request { config: Box::new(config), answer };
        // Here, and not when it is its turn: what is found out about a newer one meanwhile is to stay shown.
        self.accept();
        self.requests.send(request).await.map_err(|_| ReconfigureError::Stopped)?;
        answered.await.unwrap_or(Err(ReconfigureError::Stopped))
    }

    /// Notes for the [`Status`](crate::Status) that there is a newer configuration, which can't be used, and why.
    pub fn refuse(&self, error: impl Into<String>) {
        let failure = ConfigurationFailure { at: Instant::now(), error: error.into() };
        self.configuration.send_modify(|status| status.failure = Some(failure));
    }

    /// Notes that there is no newer configuration: what was [refused](Self::refuse) was taken back.
    pub fn accept(&self) {
        self.configuration.send_modify(|status| status.failure = None);
    }

    /// Waits until the agent has ended. Cancel safe.
    pub async fn stopped(&self) {
        self.requests.closed().await;
    }

    pub(crate) fn status(&self) -> watch::Receiver<ConfigurationStatus> {
        self.configuration.subscribe()
    }

    pub(crate) fn tell(&self, tell: impl FnOnce(&mut ConfigurationStatus)) {
        self.configuration.send_modify(tell);
    }
}

impl Reconfigured {
    /// Whether it says what the one before said.
    pub fn is_nothing(&self) -> bool {
        let Self { added, removed, changed, sources, unchanged: _, other } = self;
        [added, removed, changed, sources].iter().all(|services| services.is_empty()) && other.is_empty()
    }
}

impl fmt::Display for Reconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_nothing() {
            return f.write_str("nothing is different");
        }
        let mut comma = "";
        for (services, what) in
            [(&self.added, "added"), (&self.removed, "removed"), (&self.changed, "changed")]
        {
            if services.is_empty() {
                continue;
            }
            let plural = if services.len() == 1 { "" } else { "s" };
            let named = services.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = match services.len() {
                all if all > NAMED => format!(" and {} more", all - NAMED),
                _ => String::new(),
            };
            write!(f, "{comma}{} service{plural} {what} ({named}{more})", services.len())?;
            comma = ", ";
        }
        if !self.other.is_empty() {
            write!(f, "{comma}other: {}", self.other.join(", "))?;
        }
        // Nothing but sources that had ended.
        if self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && self.other.is_empty()
        {
            write!(f, "{} sources begun again", self.sources.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("s{number}")).collect()
    }

    #[test]
    fn what_was_different_is_told_in_one_line() {
        let nothing = Reconfigured { unchanged: 7, ..Reconfigured::default() };
        assert_eq!((nothing.is_nothing(), nothing.to_string().as_str()), (true, "nothing is different"));
        let much = Reconfigured {
            added: names(1),
            removed: names(7),
            changed: names(2),
            other: vec!["haproxy.global", "agent"],
            ..nothing.clone()
        };
        let expected = "1 service added (s0), 7 services removed (s0, s1, s2, s3, s4 and 2 more), \
                        2 services changed (s0, s1), other: haproxy.global, agent";
        assert_eq!((much.is_nothing(), much.to_string().as_str()), (false, expected));
        let revived = Reconfigured { sources: names(1), ..nothing };
        assert_eq!(revived.to_string(), "1 sources begun again");
    }
}
