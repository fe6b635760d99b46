//! HAProxy itself, as it was last found.

use haproxy_render::plan::{Capabilities, Version};
use haproxy_runtime::Sight;
use tokio::time::Instant;

/// The HAProxy at the socket, as it was last found: before the first change, whenever something goes wrong, and once a minute.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HaproxyStatus {
    /// When it was looked for.
    pub at: Instant,
    /// Its version, with what the packager added; `None`: nobody answered.
    pub version: Option<String>,
    /// The id of its process.
    pub pid: Option<u64>,
    /// What a process of this version can be told to do.
    pub capabilities: Vec<&'static str>,
    /// Why it can't be changed by commands, so that every change is a reload; `None`: it can.
    pub trouble: Option<String>,
}

impl From<&Sight> for HaproxyStatus {
    fn from(sight: &Sight) -> Self {
        let process = sight.process.as_ref();
        Self {
            at: sight.at,
            version: process.map(|process| process.version.clone()),
            pid: process.map(|process| process.identity.pid.into()),
            capabilities: process.map(|process| capabilities(&process.version)).unwrap_or_default(),
            trouble: sight.trouble.as_ref().map(ToString::to_string),
        }
    }
}

fn capabilities(version: &str) -> Vec<&'static str> {
    let of = Version::parse(version).map_or_else(|_| Capabilities::none(), Capabilities::of);
    let known = [
        ("servers can be added and deleted", of.adds_servers()),
        ("servers begin as asked", of.init_state()),
        ("removable servers can be waited for", of.waits_for_removable()),
        ("options of servers are listed", of.lists_server_options()),
        ("reloads say how they went", of.reload_answers()),
    ];
    known.into_iter().filter(|(_, holds)| *holds).map(|(what, _)| what).collect()
}
