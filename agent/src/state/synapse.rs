//! The state file of Synapse: `{SERVICE: {SERVER: {"timestamp": …, "host": …, …}}}`.

use std::{collections::BTreeMap, time::UNIX_EPOCH};

use discovery_core::{Rejection, Snapshot};
use serde::Deserialize;

use super::format::{Entry, Origin, Parsed, Parts, Remembered, Unreadable, endpoint, known_id, moment, read};
use crate::desired::KnownIds;

/// Stands among the servers, and is none: the section that the service was last served by. Nobody can tell how much of it was
/// the registry's, so it is left to the registry and to our own configuration.
const CONFIGURATION: &str = "watcher_config_for_generator";

/// What Synapse adds to an endpoint.
#[derive(Deserialize)]
struct Added {
    #[serde(default)]
    timestamp: Option<f64>,
    #[serde(default)]
    haproxy_server_id: Option<u32>,
}

/// Reads it. Those that have the newest time of their service were there when it was written; the others had left, and
/// only their ids are kept.
pub(super) fn parse(text: &str, top: &Parts<'_>) -> Result<Parsed, Unreadable> {
    let (mut services, mut rejected, mut written) = (BTreeMap::new(), Vec::new(), UNIX_EPOCH);
    for (service, raw) in top {
        let servers: Parts<'_> = read(text, raw.get())?;
        let (mut endpoints, mut ids) = (Vec::new(), KnownIds::new());
        for (server, raw) in servers.iter().filter(|(server, _)| *server != CONFIGURATION) {
            let read = || {
                let added: Added = read(text, raw.get()).map_err(|error| error.to_string())?;
                let at = moment(added.timestamp.unwrap_or_default()).ok_or("`timestamp` is no time")?;
                Ok::<_, String>((endpoint(text, raw.get())?, at, added.haproxy_server_id))
            };
            match read() {
                Ok((endpoint, at, id)) => {
                    endpoints.push((endpoint, at));
                    // A name or an id that can't be is not worth the server: it gets another.
                    ids.extend(id.and_then(|id| known_id(server, id).ok()));
                }
                Err(reason) => rejected.push(Rejection::new(&format!("{service}.{server}"), &reason)),
            }
        }
        let Some(confirmed) = endpoints.iter().map(|(_, at)| *at).max() else { continue };
        written = written.max(confirmed);
        let there = endpoints.into_iter().filter(|(_, at)| *at == confirmed).map(|(endpoint, _)| endpoint);
        services.insert(service.clone(), Entry { snapshot: Snapshot::new(there), confirmed, ids });
    }
    Ok(Parsed { remembered: Remembered { written, services }, origin: Origin::Synapse, rejected })
}
