//! Servers come and go over HAProxy's socket, without a reload.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod serving_support;

use std::time::Duration;

use e2e::{Deploy, Etcd, HttpBackend, KeepAlive, Site};
use haproxy_runtime::{CommandLine, Socket, SocketAddress};
use serving_support::{DEADLINE, Web, key, register, servers, until, until_applied};

/// Processes that are replaced, one after the other.
const PROCESSES: usize = 20;
/// How many a second.
const PACE: u32 = 5;
/// How long a process that was deregistered goes on.
const GRACE: Duration = Duration::from_millis(500);

async fn web() -> Web {
    let mut web = Web::prepare().await;
    over_the_socket(&mut web.site);
    web
}

fn over_the_socket(site: &mut Site) {
    let socket = site.haproxy().dir().join("admin.sock");
    site.set("/haproxy", "socket_file_path", socket.display().to_string());
    site.set(
        "/haproxy",
        "defaults",
        vec![
            "mode http",
            "balance roundrobin",
            "retries 0",
            "timeout connect 2s",
            "timeout client 1m",
            "timeout server 1m",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_deploy_takes_no_reload_and_costs_no_request_and_no_connection() {
    let etcd = Etcd::start().await;
    let mut site = Site::start().await;
    over_the_socket(&mut site);
    site.add_service("web", &etcd.endpoints());
    let mut deploy = Deploy::start(&etcd, "web", PROCESSES).await;
    let agent = site.run_agent();
    until_listed(&site, &deploy).await;
    site.haproxy().wait_serving(site.front("web").port(), DEADLINE).await;
    let clients = KeepAlive::start(site.front("web"), 25, 500);
    until_asked(&deploy).await;
    until_applied(&agent).await;
    let before = (agent.status().output().counters.reloads, site.haproxy().processes().await);

    // On a machine that is busy enough half a second is over before anybody has been told. That no request is lost then is
    // nobody's promise.
    let socket = Socket::new(SocketAddress::unix(site.haproxy().dir().join("admin.sock")).unwrap());
    deploy.roll(Duration::from_secs(1) / PACE, GRACE, async |name| until_out(&socket, &name).await).await;
    until_asked(&deploy).await;
    until_listed(&site, &deploy).await;

    let kept = clients.stop().await;
    assert!(kept.requests > PROCESSES && kept.failed.is_empty() && kept.closed == 0, "{kept:#?}");
    let after = (agent.status().output().counters.reloads, site.haproxy().processes().await);
    assert_eq!(after, before, "no reload, and the same worker");
    let output = agent.status().output();
    assert!(output.done.contains("by ") && output.done.contains("command"), "{output:?}");
    let live = output.live.unwrap();
    assert!(live.by_commands > 0 && live.refusals == 0, "{live:?}");
}

/// Waits until HAProxy has sent something to each process.
async fn until_asked(deploy: &Deploy<'_>) {
    until("every process to be asked", || {
        let idle: Vec<_> =
            deploy.running().filter(|process| process.requests() == 0).map(HttpBackend::name).collect();
        if idle.is_empty() { Ok(()) } else { Err(format!("{idle:?} were not")) }
    })
    .await;
}

/// Waits until HAProxy sends nothing more to this process.
async fn until_out(socket: &Socket, name: &str) {
    let (ask, name) = (CommandLine::parse("show servers state web").unwrap(), format!(" {name}_"));
    e2e::wait_until(DEADLINE, "a process to be out of rotation", async || {
        let mut serves = false;
        // Bit 0 of the administrative state is maintenance.
        let each = |_, line: &str| {
            let state = line.split(' ').nth(6).and_then(|state| state.parse::<u32>().ok());
            serves |= line.contains(&name) && state.is_none_or(|state| state & 1 == 0);
        };
        socket.read(std::slice::from_ref(&ask), each).await.map_err(|error| error.to_string())?;
        if serves { Err("it is in use".to_owned()) } else { Ok(()) }
    })
    .await;
}

/// Waits until the file has these processes.
async fn until_listed(site: &Site, deploy: &Deploy<'_>) {
    let mut wanted: Vec<_> = deploy.running().map(|process| process.name().to_owned()).collect();
    wanted.sort_unstable();
    until("the file to have the processes that run", || match servers(site) {
        found if found == wanted => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_is_started_again_goes_on_without_a_reload() {
    let web = web().await;
    let (agent, traffic) = web.serve().await;
    let before = web.site.haproxy().processes().await;
    let commands = web.site.haproxy().reload_commands();
    drop(agent);
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    let _agent = web.site.run_agent();
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    assert_eq!(web.site.haproxy().processes().await, before);
    assert_eq!(web.site.haproxy().reload_commands(), commands);
    serving_support::all_answered(traffic).await;
}

#[tokio::test]
async fn without_do_socket_no_socket_is_opened() {
    let mut web = web().await;
    web.site.set("/haproxy", "do_socket", false);
    let (agent, traffic) = web.serve().await;
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    let output = agent.status().output();
    assert!(output.live.is_none() && output.counters.reloads >= 2, "{output:?}");
    assert!(!web.site.file().contains("stats socket") && !web.site.file().contains("synapse_rev"));
    serving_support::all_answered(traffic).await;
}

#[tokio::test]
async fn an_haproxy_that_was_started_anew_is_gone_on_with() {
    let mut web = web().await;
    let (agent, traffic) = web.serve().await;
    drop(traffic);
    until_applied(&agent).await;
    let reloads = agent.status().output().counters.reloads;
    web.site.haproxy_mut().stop().await;
    web.site.haproxy_mut().restart().await.unwrap();
    web.etcd.delete(&key("blue")).await;
    web.site.until_serves("web", &["green"]).await;
    let status = || agent.status().output();
    e2e::wait_until(DEADLINE, "an apply without an error", async || status().error.map_or(Ok(()), Err)).await;
    assert_eq!(status().counters.reloads, reloads);
}
