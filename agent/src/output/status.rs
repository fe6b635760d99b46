//! How bringing HAProxy up to date is going.

use haproxy_runtime::{Behind, Counters, LiveCounters};
use tokio::time::Instant;
use tracing::warn;

use super::{HaproxyStatus, History, Output, Way, summary::NAMED};

/// A change that waits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pending {
    /// When it is made.
    pub until: Instant,
    /// Why it takes a reload; empty where every change does.
    pub causes: Vec<String>,
}

/// What became of the last apply.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OutputStatus {
    /// When HAProxy was last brought to what it should run, or found to run it already.
    pub applied: Option<Instant>,
    /// When something was last changed for HAProxy, in part or in whole.
    pub changed: Option<Instant>,
    /// What was done then, in words, by commands or by a reload and why; empty when nothing was to do.
    pub done: String,
    /// Why the last attempt failed, if it did: it is tried again.
    pub error: Option<String>,
    /// What waits for the pace of reloads, or to settle; `None`: nothing does.
    pub pending: Option<Pending>,
    /// The last changes.
    pub history: History,
    /// The revision that HAProxy is known to run; `None`: that can't be told, as without a socket.
    pub revision: Option<String>,
    /// HAProxy as it was last found at its socket; `None`: none is used, or nobody has looked yet.
    pub haproxy: Option<HaproxyStatus>,
    /// Writes, reloads and failures since the start.
    pub counters: Counters,
    /// The servers, as `BACKEND/SERVER`, that somebody else has added to our backends and that are let be: `foreign_servers:
    /// report`. HAProxy is looked at at the start and once a minute.
    pub foreign_servers: Vec<String>,
    /// What was done over HAProxy's socket since the start; `None`: none is used.
    pub live: Option<LiveCounters>,
    /// Since when the file does not hold what HAProxy was told by commands, and why; `None`: it does. For a moment that is so after
    /// each change. With an error, a HAProxy that is started now begins with what was there before.
    pub behind: Option<Behind>,
    /// Since when HAProxy does not run what its file holds, because whoever is to reload it (`do_reloads: false`) has not; `None`: that is
    /// not so, or not for long. It is looked at once a minute.
    pub unloaded: Option<Instant>,
}

impl Output {
    /// Brings the status up to date with the file.
    pub(crate) fn show(&self, status: &mut OutputStatus) {
        match &self.way {
            Way::Reloads { applier, .. } => {
                status.counters = applier.counters();
                // An earlier configuration may have had a socket.
                (status.live, status.behind, status.unloaded) = (None, None, None);
                (status.revision, status.haproxy) = (None, None);
                status.foreign_servers.clear();
            }
            Way::Commands(live) => {
                let counters = live.counters();
                (status.counters, status.live) = (counters.applier, Some(counters));
                (status.behind, status.unloaded) = (live.behind(), live.unloaded());
                status.revision = live.revision().map(|revision| revision.to_string());
                status.haproxy = live.sight().map(HaproxyStatus::from);
                let foreign: Vec<String> = live.strangers().iter().map(ToString::to_string).collect();
                if !foreign.is_empty() && foreign != status.foreign_servers {
                    let named = foreign.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
                    warn!(
                        count = foreign.len(),
                        servers = named,
                        "somebody else has added servers to our backends; letting them be, as `foreign_servers` has it"
                    );
                }
                status.foreign_servers = foreign;
            }
        }
    }
}
