//! HAProxy's master process, over its socket.

use std::path::Path;
use std::time::Duration;

use haproxy_runtime::SocketAddress;
use tokio::time::{Instant, sleep};

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

impl From<haproxy_runtime::Processes> for Processes {
    fn from(processes: haproxy_runtime::Processes) -> Self {
        Self {
            master: processes.master,
            reloads: processes.reloads,
            failed: processes.failed,
            worker: processes.workers.last().map(|worker| worker.pid),
            old_workers: processes.old_workers.iter().map(|worker| worker.pid).collect(),
        }
    }
}

/// The master's socket.
#[derive(Debug)]
pub(crate) struct Master(haproxy_runtime::Master);

impl Master {
    pub(crate) fn new(socket: &Path) -> Self {
        let address = SocketAddress::unix(socket);
        let address = address.unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        Self(haproxy_runtime::Master::new(address))
    }

    pub(crate) fn socket(&self) -> &Path {
        self.0.address().path().expect("it was made of a path")
    }

    /// The processes now; `Err` says why the master did not tell.
    pub(crate) async fn processes(&self) -> Result<Processes, String> {
        self.0.processes().await.map(Processes::from).map_err(|error| chain(&error))
    }

    /// The processes, asking again for as long as the master is busy with a reload.
    pub(crate) async fn wait_processes(&self) -> Result<Processes, ReloadError> {
        let end = Instant::now() + RELOAD;
        loop {
            match self.processes().await {
                Ok(processes) => return Ok(processes),
                Err(error) if Instant::now() >= end => {
                    return Err(ReloadError(format!("nothing within {RELOAD:?}; last: {error}")));
                }
                Err(_) => sleep(EVERY).await,
            }
        }
    }

    /// Reloads and waits for the outcome.
    pub(crate) async fn reload(&self) -> Result<(), ReloadError> {
        self.0.reload(RELOAD).await.map(drop).map_err(|error| ReloadError(chain(&error)))
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
