//! What it takes to look at a HAProxy of many servers.
//!
//! It is the first `haproxy` on the `PATH` or in an `sbin` directory, or the one that `E2E_HAPROXY` names. A test binary of its own, so
//! that nothing else takes memory meanwhile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, reason = "shared with other tests, each of which needs some of it")]
#[path = "socket/haproxy.rs"]
mod haproxy;
#[allow(dead_code, reason = "shared with other tests, each of which needs some of it")]
#[path = "live/site.rs"]
mod site;

use std::sync::Arc;

use haproxy_render::{Backend, Document, Service};

use crate::site::{By, Site, changed, document, line, name, server};

const BACKENDS: usize = 200;
const SERVERS: u32 = 100;
/// HAProxy's two answers have 8 MB, and what they say of all servers takes as much again once more. Of one backend it is 80 kB; the
/// text of the file, and what a program needs for the first time, have their share.
const MOST: u64 = 6 * 1024;

fn many() -> Document {
    let mut document = document(Vec::new());
    document.services.extend((0..BACKENDS).map(|number| {
        let title = name(&format!("a-backend-with-a-name-of-usual-length-{number}"));
        let mut backend = Backend::new(title.clone(), vec![line("balance roundrobin")]);
        let server = |id: u32| server(&format!("server-{id:06}.zone-a.example.com_10.0.0.1:8080"), 1, id, "");
        backend.servers = (1..=SERVERS).map(server).collect();
        Arc::new(Service::new(title, backend))
    }));
    document
}

/// How much memory this process has, and had at most since `forget_most`, in KiB.
fn memory() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    ["VmRSS:", "VmHWM:"].map(|title| {
        let rest = status.lines().find_map(|line| line.strip_prefix(title)).unwrap();
        rest.trim().trim_end_matches(" kB").parse().unwrap()
    })
}

fn forget_most() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

#[tokio::test]
async fn live_looking_at_many_servers_takes_the_memory_of_one_backend() {
    let document = many();
    let site = Site::start(&document, By::Nothing).await;
    let mut live = site.live();
    forget_most();
    let [before, _] = memory();
    // Who runs, and what, is found out; the process gets its first revision.
    changed(&mut live, &document).await;
    let last = BACKENDS - 1;
    for number in [0, BACKENDS / 2, last] {
        let server = format!(
            "a-backend-with-a-name-of-usual-length-{number}/server-000050.zone-a.example.com_10.0.0.1:8080"
        );
        site.tell(&[&format!("set server {server} weight 9")]).await;
    }
    let deed = live.reconcile().await.unwrap();
    assert_eq!((deed.repaired.len(), deed.commands, deed.reloaded), (3, 3, None));
    let [_, most] = memory();
    assert!(most.saturating_sub(before) < MOST, "{before} KiB before, {most} KiB at most");
}
