//! What the scenarios of serving have in common.

#![allow(dead_code, reason = "each scenario uses its part")]

use std::{os::unix::fs::MetadataExt as _, time::Duration};

use e2e::{AgentTask, Etcd, HttpBackend, Processes, Site, Spread, Traffic};
use serde_json::{Value, json};

/// Longest wait for anything that must happen, on a machine that is busy with other tests.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// An etcd, an agent that watches it, and an HAProxy that serves `web` with blue and green.
#[derive(Debug)]
pub(crate) struct Web {
    pub(crate) etcd: Etcd,
    pub(crate) blue: HttpBackend,
    pub(crate) green: HttpBackend,
    pub(crate) site: Site,
}

impl Web {
    /// Everything but the agent.
    pub(crate) async fn prepare() -> Self {
        let etcd = Etcd::start().await;
        let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
        let mut site = Site::start().await;
        site.add_service("web", &etcd.endpoints());
        for backend in [&blue, &green] {
            register(&etcd, backend).await;
        }
        Self { etcd, blue, green, site }
    }

    /// Starts the agent, and requests as soon as they can be answered.
    pub(crate) async fn serve(&self) -> (AgentTask, Traffic) {
        let agent = self.site.run_agent();
        self.site.until_serves("web", &["blue", "green"]).await;
        (agent, self.site.traffic("web"))
    }
}

/// A site whose service `web` is discovered so, with a socket that HAProxy takes commands on.
pub(crate) async fn discovering(discovery: Value) -> Site {
    let mut site = Site::start().await;
    site.add_service("web", &[]);
    site.set("/services/web", "discovery", discovery);
    let socket = site.haproxy().dir().join("admin.sock");
    site.set("/haproxy", "socket_file_path", socket.display().to_string());
    site
}

/// How many reloads there were, once the agent has heard of the first, which serves before that; and HAProxy's processes.
pub(crate) async fn reloaded(agent: &AgentTask, site: &Site) -> (u64, Processes) {
    let reloads = until("the first reload to be counted", || {
        let reloads = agent.status().output().counters.reloads;
        if reloads > 0 { Ok(reloads) } else { Err("none".to_owned()) }
    });
    (reloads.await, site.haproxy().processes().await)
}

/// The key of a registration for `web`.
pub(crate) fn key(name: &str) -> String {
    format!("/services/web/{name}")
}

/// What `backend` says of itself.
pub(crate) fn registration(backend: &HttpBackend) -> String {
    named(backend.name(), backend)
}

/// What `backend` would say of itself under another name.
pub(crate) fn named(name: &str, backend: &HttpBackend) -> String {
    json!({ "host": "127.0.0.1", "port": backend.port(), "name": name }).to_string()
}

/// What `backend` says of itself, and more.
pub(crate) fn with(backend: &HttpBackend, more: &Value) -> String {
    let mut all = json!({ "host": "127.0.0.1", "port": backend.port(), "name": backend.name() });
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more.clone());
    }
    all.to_string()
}

/// Registers `backend` for `web`, under its name.
pub(crate) async fn register(etcd: &Etcd, backend: &HttpBackend) {
    etcd.put(&key(backend.name()), &registration(backend)).await;
}

/// Ends the requests; none must have failed, and there must have been some.
pub(crate) async fn all_answered(traffic: Traffic) -> Spread {
    let spread = traffic.stop().await;
    assert!(spread.failed().is_empty() && spread.total() > 0, "{spread:?}");
    spread
}

/// Waits until the source of `web` is in this state.
pub(crate) async fn until_state(agent: &AgentTask, state: &str) {
    until(&format!("the source to be {state}"), || {
        let web = agent.service("web");
        if web.state() == state { Ok(()) } else { Err(format!("{:?}", web.health)) }
    })
    .await;
}

/// Waits until an apply is over, the first one maybe: HAProxy may serve what is new before the status has it.
pub(crate) async fn until_applied(agent: &AgentTask) {
    until("an apply", || agent.status().output().applied.map(drop).ok_or_else(|| "none so far".to_owned()))
        .await;
}

/// `wait_until` for what can be looked at without waiting.
pub(crate) async fn until<T>(what: &str, probe: impl Fn() -> Result<T, String>) -> T {
    e2e::wait_until(DEADLINE, what, async || probe()).await
}

/// Which file this is, and when it was last touched in whatever way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Touched(u64, (i64, i64), (i64, i64));

impl Touched {
    pub(crate) fn last(site: &Site) -> Self {
        let found = std::fs::metadata(site.haproxy().config()).expect("HAProxy has a configuration");
        Self(found.ino(), (found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()))
    }
}

/// The names of the servers that the file has for `web`, sorted.
pub(crate) fn servers(site: &Site) -> Vec<String> {
    let lines = site.server_lines("web");
    let mut names: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            line.split_whitespace().nth(1)?.split_once("_127.").map(|(name, _)| name.to_owned())
        })
        .collect();
    assert_eq!(names.len(), lines.len(), "{lines:?}");
    names.sort_unstable();
    names
}
