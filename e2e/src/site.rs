//! Everything on the machine that an agent looks after.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::{Config, Registry};
use serde_json::{Value, json};

use crate::traffic::Turn;
use crate::{AgentTask, Haproxy, Port, Traffic, requests_over, wait_until};

/// Longest wait for what HAProxy must serve, on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_mins(1);
/// Requests that find out who is served: as many as servers can have a turn.
const TURNS: usize = 12;

/// An HAProxy, and the configuration of an agent that finds its servers.
///
/// It starts as a package leaves it: HAProxy runs, and serves nobody. Scenarios add services and change keys, then start
/// agents, one after the other. What differs from an agent's defaults, for the sake of tests that take seconds: HAProxy
/// may be reloaded every 0.2 s instead of 2, and what can't be reached is tried again within a second.
#[derive(Debug)]
pub struct Site {
    haproxy: Haproxy,
    config: Value,
    fronts: BTreeMap<String, Port>,
    turn: Arc<Turn>,
    /// HAProxy does not start without a listener.
    _idle: Port,
}

impl Site {
    /// A site without services.
    pub async fn start() -> Self {
        let idle = Port::free();
        let times = ["timeout connect 2s", "timeout client 10s", "timeout server 10s"];
        let haproxy = Haproxy::start(&format!(
            "defaults\n  {}\nlisten idle\n  bind 127.0.0.1:{idle}\n",
            times.join("\n  ")
        ))
        .await;
        let config = json!({
            "services": {},
            "haproxy": {
                "config_file_path": haproxy.config(),
                "reload_command": haproxy.reload_command(),
                "restart_interval": 0.2,
                "bind_address": "127.0.0.1",
                "global": ["maxconn 200"],
                "defaults": ["mode http", "balance roundrobin", times[0], times[1], times[2]],
                "extra_sections": { "listen idle": [format!("bind 127.0.0.1:{idle}")] },
            },
            "agent": { "backoff_min": 0.05, "backoff_max": 1 },
        });
        Self { haproxy, config, fronts: BTreeMap::new(), turn: Arc::default(), _idle: idle }
    }

    /// Adds a service that is registered in etcd below `/services/NAME`, and returns where HAProxy is to serve it.
    pub fn add_service(&mut self, name: &str, endpoints: &[String]) -> SocketAddr {
        let front = Port::free();
        let address = front.address();
        self.config["services"][name] = json!({
            "discovery": { "method": "etcd", "endpoints": endpoints, "prefix": format!("/services/{name}") },
            "haproxy": { "port": front.number() },
        });
        self.fronts.insert(name.to_owned(), front);
        address
    }

    /// Takes a service out.
    pub fn remove_service(&mut self, name: &str) {
        let services = self.config["services"].as_object_mut().expect("it is a map");
        assert!(services.remove(name).is_some(), "no service {name}");
        self.fronts.remove(name);
    }

    /// Sets a key of the configuration's section at `section`, a JSON pointer such as `/haproxy`. For agents started
    /// from now on.
    pub fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        let found = self.config.pointer_mut(section);
        found.unwrap_or_else(|| panic!("no section {section}"))[key] = value.into();
    }

    /// Starts an agent.
    pub fn run_agent(&self) -> AgentTask {
        let text = self.config.to_string();
        let config = Config::parse(&text, Some("site.json"), &Registry::builtin());
        AgentTask::start(config.unwrap_or_else(|report| panic!("the test's own configuration: {report}")))
    }

    /// Writes the configuration to a file, always the same.
    pub fn write_config(&self) -> PathBuf {
        self.haproxy.dir().write("synapse.json", self.config.to_string())
    }

    /// Starts an agent that follows what [`write_config`](Self::write_config) writes.
    pub fn follow(&self) -> AgentTask {
        AgentTask::follow(&self.write_config())
    }

    /// HAProxy.
    pub fn haproxy(&self) -> &Haproxy {
        &self.haproxy
    }

    /// HAProxy, to be stopped or started again.
    pub fn haproxy_mut(&mut self) -> &mut Haproxy {
        &mut self.haproxy
    }

    /// HAProxy's configuration as it is now.
    pub fn file(&self) -> String {
        let path = self.haproxy.config();
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
    }

    /// The `server` lines that a service has in that file, without indent.
    pub fn server_lines(&self, service: &str) -> Vec<String> {
        let (file, title) = (self.file(), format!("backend {service}"));
        let section = file.lines().skip_while(|line| *line != title).skip(1);
        let lines = section.take_while(|line| line.is_empty() || line.starts_with(char::is_whitespace));
        lines.map(str::trim).filter(|line| line.starts_with("server ")).map(str::to_owned).collect()
    }

    /// Where a service is served.
    pub fn front(&self, service: &str) -> SocketAddr {
        self.fronts.get(service).unwrap_or_else(|| panic!("no service {service}")).address()
    }

    /// Starts a client of a service, which should be served already: what is refused counts as failed.
    pub fn traffic(&self, service: &str) -> Traffic {
        Traffic::start(self.front(service), Arc::clone(&self.turn))
    }

    /// Waits until requests for a service are answered by exactly these, sorted by name, and none fails, and HAProxy's
    /// earlier workers are gone: from then on nobody else is asked.
    ///
    /// That is true of backends of up to twelve servers of equal weight, and while nobody but [`traffic`](Self::traffic) sends
    /// requests.
    pub async fn until_serves(&self, service: &str, servers: &[&str]) {
        let (front, what) = (self.front(service), format!("{service} to be served by {servers:?}"));
        wait_until(DEADLINE, &what, async || {
            // Round robin: a worker that these requests have to itself asks each of its servers. One that shares them
            // with another is an earlier one, or has one.
            let asking = self.turn.lock().await;
            let spread = requests_over(front, TURNS).await;
            drop(asking);
            if spread.servers() != servers || !spread.failed().is_empty() {
                return Err(format!("{spread:?}"));
            }
            let processes = self.haproxy.processes().await;
            let settled = processes.old_workers.is_empty() && processes.failed == 0;
            if settled { Ok(()) } else { Err(format!("{processes:?}")) }
        })
        .await;
    }
}
