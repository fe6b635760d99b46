//! 1,000 services of 100 endpoints each, and the file that the program makes of them.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use e2e::Port;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

pub(crate) const SERVICES: usize = 1_000;
pub(crate) const ENDPOINTS: usize = 100;
/// Longest wait for anything.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);
/// Between two looks at the file: a call of `stat`.
const LOOK: Duration = Duration::from_millis(1);

/// What an endpoint calls itself.
pub(crate) fn name(service: usize, number: usize) -> String {
    format!("node-{service:04}-{number:03}")
}

/// Where it is.
pub(crate) fn host(service: usize, number: usize) -> String {
    format!("10.{}.{}.{number}", service / 256, service % 256)
}

/// The program's configuration: the file to write, the command that reloads (`None`: nothing does), and where each service is
/// discovered.
pub(crate) fn config(
    fronts: &[Port],
    file: &Path,
    reload: Option<&str>,
    discovery: impl Fn(usize) -> Value,
) -> String {
    let services: serde_json::Map<_, _> = (0..SERVICES)
        .map(|service| {
            let section = json!({
                "discovery": discovery(service),
                "haproxy": {
                    "port": fronts[service].number(),
                    // As long as usual, but without `check`, for which HAProxy wants a file descriptor a server.
                    "server_options": "maxconn 100 inter 2s rise 3 fall 2",
                    "listen": ["balance roundrobin"],
                },
            });
            (format!("service-{service:04}"), section)
        })
        .collect();
    json!({
        "services": services,
        "haproxy": {
            "config_file_path": file,
            "do_reloads": reload.is_some(),
            "reload_command": reload,
            "restart_interval": 0,
            "bind_address": "127.0.0.1",
            "global": ["maxconn 1000"],
            "defaults": ["mode http", "timeout connect 1s", "timeout client 10s", "timeout server 10s"],
        },
    })
    .to_string()
}

/// The file, which must have every endpoint.
pub(crate) fn whole(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("it was just written");
    assert_eq!(text.matches("\n\tserver ").count(), SERVICES * ENDPOINTS, "the first write has everything");
    text
}

/// Waits until there is another file than that with the given inode.
pub(crate) async fn replaced(file: &Path, old: u64) {
    let end = Instant::now() + DEADLINE;
    while inode(file) == old {
        assert!(Instant::now() < end, "waited {DEADLINE:?} for {} to be replaced", file.display());
        sleep(LOOK).await;
    }
}

/// 0 where there is no file.
pub(crate) fn inode(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.ino())
}
