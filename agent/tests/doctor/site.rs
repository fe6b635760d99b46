//! A machine with one service.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use agent::{
    Agent, Config, Finding, Registry, Source, Topic,
    discovery::{
        Endpoint, Snapshot, WatchError,
        testing::{ScriptedWatcher, Step},
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

type Script = Arc<dyn Fn() -> Vec<Step> + Send + Sync>;

pub(crate) struct Site {
    dir: TempDir,
    config: Value,
    script: Script,
}

impl Site {
    /// Nothing is reloaded unless it says so; the registry answers at once.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directories can be made");
        std::fs::write(dir.path().join("haproxy.cfg"), "global\n").expect("it is ours to write");
        let config = json!({
            "services": { "web": { "discovery": { "method": "scripted" }, "haproxy": { "port": null } } },
            "haproxy": {
                "config_file_path": dir.path().join("haproxy.cfg"),
                "do_reloads": false,
                "global": [],
                "defaults": [],
            },
            "agent": { "backoff_min": 0.1, "backoff_max": 0.1 },
        });
        let endpoint =
            Endpoint::new(IpAddr::from([10, 0, 0, 1]).try_into().expect("an address is a host"), 80)
                .expect("80 is a port");
        let script = Arc::new(move || vec![Step::Yield(Snapshot::new([endpoint.clone()]))]);
        Self { dir, config, script }
    }

    pub(crate) fn failing(mut self, error: impl Fn() -> WatchError + Send + Sync + 'static) -> Self {
        self.script = Arc::new(move || (0..1000).map(|_| Step::Fail(error())).collect());
        self
    }

    /// Sets what stands at a JSON pointer, whose last key may be new.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        let (map, key) = pointer.rsplit_once('/').expect("pointers have slashes");
        self.config.pointer_mut(map).expect("the map is there")[key] = value;
        self
    }

    pub(crate) fn reloaded_by(self, command: &str) -> Self {
        self.set("/haproxy/do_reloads", json!(true)).set("/haproxy/reload_command", json!(command))
    }

    pub(crate) fn with_socket(self, path: &Path) -> Self {
        self.set("/haproxy/socket_file_path", json!(path))
    }

    /// With this revision in HAProxy's file.
    pub(crate) fn holding(self, revision: &str) -> Self {
        let text = format!("global\n\tset-var proc.synapse_rev str({revision})\n");
        std::fs::write(self.path("haproxy.cfg"), text).expect("it is ours to write");
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The names of what is in the directory.
    pub(crate) fn listing(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).expect("it is ours to read");
        let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        names.sort();
        names
    }

    pub(crate) fn agent(&self) -> Agent {
        let script = Arc::clone(&self.script);
        let registry = Registry::empty().with("scripted", move |_| {
            let script = Arc::clone(&script);
            let source = Source::new(move |_| ScriptedWatcher::new(script()));
            Ok(source.at("the registry at here:1", Some("user \"reader\"".to_owned())))
        });
        Agent::new(
            Config::parse(&self.config.to_string(), None, &registry).expect("the configuration is right"),
        )
    }

    pub(crate) async fn examine(&self) -> Vec<Finding> {
        self.agent().examine().await
    }
}

/// The first finding about something.
pub(crate) fn found<'a>(findings: &'a [Finding], topic: Topic, subject: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.topic == topic && finding.subject == subject);
    found.unwrap_or_else(|| panic!("nothing about {subject}: {findings:#?}"))
}
