//! An agent's surroundings: a directory, a configuration, and scripts for its sources.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use agent::{
    Agent, AgentError, Config, Handle, Reconfigured, Registry, Source, Status,
    discovery::{
        Endpoint, Snapshot, WatchError,
        testing::{Calls, ScriptedWatcher, Step},
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

/// Longer than anything here takes, on a clock that is not real.
const DEADLINE: Duration = Duration::from_hours(1);

/// What a source does, made anew for each agent.
type Script = Arc<dyn Fn() -> ScriptedWatcher + Send + Sync>;

/// A configuration in the making. Nothing is reloaded unless it says so: a child process would live in real time.
pub(crate) struct Site {
    dir: TempDir,
    config: Value,
    scripts: HashMap<String, Script>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directories can be made");
        let config = json!({
            "services": {},
            "haproxy": {
                "config_file_path": dir.path().join("haproxy.cfg"),
                "do_reloads": false,
                "restart_interval": 0,
                "global": [],
                "defaults": [],
            },
            "agent": {},
        });
        Self { dir, config, scripts: HashMap::new() }
    }

    /// Adds a service, or replaces one, whose source plays `steps`.
    pub(crate) fn service(
        mut self,
        name: &str,
        steps: impl Fn() -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        self.config["services"][name] =
            json!({ "discovery": { "method": "scripted" }, "haproxy": { "port": null } });
        self.scripts.insert(name.to_owned(), Arc::new(move || ScriptedWatcher::new(steps())));
        self
    }

    /// Takes a service out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.config["services"].as_object_mut().expect("it is a map").remove(name);
        self
    }

    /// Sets a key, given by its path.
    pub(crate) fn set(mut self, path: &[&str], value: Value) -> Self {
        let place = path.iter().fold(&mut self.config, |place, key| &mut place[*key]);
        *place = value;
        self
    }

    /// Takes a section away.
    pub(crate) fn without_section(mut self, key: &str) -> Self {
        self.config.as_object_mut().expect("it is a map").remove(key);
        self
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("haproxy.cfg")
    }

    /// What the file holds; nothing when there is none.
    pub(crate) fn file(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap_or_default()
    }

    /// The `server` lines of a service in the file: name, address and id.
    pub(crate) fn servers(&self, service: &str) -> Vec<String> {
        let text = self.file();
        let section = text.split("\n\n").find(|section| section.starts_with(&format!("backend {service}\n")));
        let lines = section.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("\tserver "));
        lines.map(|line| line.split(' ').take(4).collect::<Vec<_>>().join(" ")).collect()
    }

    /// The last bytes of the addresses that a service has in the file.
    pub(crate) fn served(&self, service: &str) -> Vec<u8> {
        let servers = self.servers(service);
        let number = |line: &String| line.strip_prefix("10.0.0.")?.split_once(':')?.0.parse().ok();
        servers.iter().map(|line| number(line).expect("all servers here are of 10.0.0.0/24")).collect()
    }

    pub(crate) fn config(&self) -> Config {
        self.config_counting(&Arc::default())
    }

    /// As [`config`](Self::config); the calls of the sources that it makes are added to `calls`.
    pub(crate) fn config_counting(&self, calls: &Arc<std::sync::Mutex<Vec<Calls>>>) -> Config {
        self.config_with(&self.registry(calls))
    }

    /// The text of the configuration.
    pub(crate) fn text(&self) -> String {
        self.config.to_string()
    }

    /// The method that plays the scripts; the calls of the sources that it makes are added to `calls`.
    pub(crate) fn registry(&self, calls: &Arc<std::sync::Mutex<Vec<Calls>>>) -> Registry {
        let (scripts, calls) = (self.scripts.clone(), Arc::clone(calls));
        Registry::empty().with("scripted", move |_section| {
            let (scripts, calls) = (scripts.clone(), Arc::clone(&calls));
            Ok(Source::new(move |context| {
                let watcher = scripts[context.service()]();
                calls.lock().expect("no holder panics").push(watcher.calls());
                watcher
            }))
        })
    }

    /// The configuration with other methods.
    pub(crate) fn config_with(&self, registry: &Registry) -> Config {
        Config::parse(&self.config.to_string(), Some("test"), registry)
            .unwrap_or_else(|report| panic!("{report}"))
    }

    /// Starts an agent.
    pub(crate) fn start(&self) -> Running {
        Running::start(self.config())
    }

    /// Runs an agent once.
    pub(crate) async fn once(&self) -> Result<(), AgentError> {
        Agent::new(self.config()).once().await
    }
}

/// An agent at work.
pub(crate) struct Running {
    pub(crate) status: Status,
    pub(crate) handle: Handle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        let agent = Agent::new(config);
        let (status, handle) = (agent.status(), agent.handle());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(agent.run(async {
            let _ = stopped.await;
        }));
        Self { status, handle, stop, task }
    }

    /// Waits until it has applied, or failed to.
    pub(crate) async fn applied(&mut self) {
        assert!(timeout(DEADLINE, self.status.changed()).await.expect("an apply within the hour"));
    }

    /// Gives it another configuration, and waits until it has it and has applied it, or failed to.
    pub(crate) async fn reconfigure(&mut self, config: Config) -> Reconfigured {
        // What was applied before does not count.
        while timeout(Duration::ZERO, self.status.changed()).await == Ok(true) {}
        let taken = timeout(DEADLINE, self.handle.reconfigure(config)).await.expect("within the hour");
        self.applied().await;
        taken.expect("it runs, and nothing newer has come")
    }

    /// Stops it, and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("the agent runs");
        let ended = timeout(DEADLINE, self.task).await.expect("it stops within the hour");
        ended.expect("it does not panic");
    }
}

/// Waits until `holds`.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let looking = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(DEADLINE, looking).await.is_ok(), "after an hour: still not {what}");
}

/// `10.0.0.NUMBER:80`.
pub(crate) fn endpoint(number: u8) -> Endpoint {
    let host = std::net::IpAddr::from([10, 0, 0, number]).try_into().expect("it is specified");
    Endpoint::new(host, 80).expect("80 is a port")
}

/// These numbers' endpoints.
pub(crate) fn endpoints<const N: usize>(numbers: [u8; N]) -> Snapshot {
    numbers.into_iter().map(endpoint).collect()
}

/// An answer.
pub(crate) fn says<const N: usize>(numbers: [u8; N]) -> Step {
    Step::Yield(endpoints(numbers))
}

/// A failure.
pub(crate) fn fails() -> Step {
    Step::Fail(WatchError::new("asking the registry"))
}

/// The line of a server: name, address, id.
pub(crate) fn line(number: u8, id: u32) -> String {
    format!("10.0.0.{number}:80 10.0.0.{number}:80 id {id}")
}
