//! HAProxy's master, and the workers that it knows.

use std::time::Duration;

use haproxy_runtime::{Master, MasterError, MasterFault, Processes};

use super::{Finding, Topic, count, line};
use crate::{Ago, output::chain};

/// Old workers that live for longer after the last reload are worth a warning: each takes the memory of a whole HAProxy.
pub(super) const OLD: Duration = Duration::from_mins(10);
/// What to do about them.
pub(super) const END_THEM: &str = "set `hard-stop-after` in `global`, so that HAProxy ends them; `show sess` on their connections says who stays";

/// What is found, and whether it has told of the workers.
pub(super) async fn examine(master: &Master) -> (Vec<Finding>, bool) {
    let address = master.address().to_string();
    match master.processes().await {
        Ok(processes) => (of_processes(&address, &processes), true),
        Err(error) => (vec![unreachable(&address, &error)], false),
    }
}

fn of_processes(address: &str, processes: &Processes) -> Vec<Finding> {
    let version = line(&processes.version);
    let text = format!(
        "the master of HAProxy {version} answers (process {}), {}",
        processes.master,
        count(usize::try_from(processes.reloads).unwrap_or(usize::MAX), "reload")
    );
    let mut findings = vec![Finding::ok(Topic::Haproxy, address, text)];
    if processes.failed > 0 {
        let text = format!(
            "{} in a row failed: HAProxy runs what it had before",
            count(usize::try_from(processes.failed).unwrap_or(usize::MAX), "reload")
        );
        let remedy = "see HAProxy's log for what it refuses, or have it named: `synapse-rs render -c FILE > new.cfg; haproxy -c -f new.cfg` (the file in place is the last good one)";
        findings.push(Finding::error(Topic::Haproxy, address, text, remedy));
        // Up from 3.1 the one that goes on counts among the old ones.
        return findings;
    }
    // Old ones are old since the reload that has started the present one, or for longer.
    let since = processes.workers.iter().map(|worker| worker.age).min();
    let oldest = processes.old_workers.iter().map(|worker| worker.age).max();
    if let (Some(since), Some(oldest)) = (since, oldest) {
        let text = format!(
            "{} still {} connections from before the last reload, {} ago; the oldest runs for {}",
            count(processes.old_workers.len(), "old worker"),
            if processes.old_workers.len() == 1 { "has" } else { "have" },
            Ago(since),
            Ago(oldest),
        );
        findings.push(if since > OLD {
            Finding::warning(Topic::Haproxy, address, text, END_THEM)
        } else {
            Finding::ok(Topic::Haproxy, address, text)
        });
    }
    findings
}

fn unreachable(address: &str, error: &MasterError) -> Finding {
    let remedy = match error {
        MasterError::Worker { .. } => {
            "name the socket after `-S` of HAProxy's command line in `master_socket_path`"
        }
        MasterError::NotPermitted { .. } => {
            "give `-S` the level `operator` or `admin`: `-S PATH,level,operator`"
        }
        MasterError::Unreachable { fault: MasterFault::Denied, .. } => {
            "start HAProxy with `-S PATH,mode,660,group,GROUP` and a group of this user"
        }
        MasterError::Unreachable { fault: MasterFault::Silent { .. }, .. } => "restart HAProxy: it hangs",
        _ => "start HAProxy with `-W` and `-S` and the path at `master_socket_path`",
    };
    Finding::error(Topic::Haproxy, address, line(&chain(error)), remedy)
}
