//! HAProxy in a container of its own, which shares a directory with the agent: the files of `deploy/`, as processes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use agent::{Config, Registry};
use e2e::{AgentTask, Dir, HttpBackend, Port, Script, get, wait_until};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_mins(1);

/// An agent that reads its endpoints from a file and writes HAProxy's configuration into a directory of its own.
struct Arrangement {
    dir: Dir,
    front: Port,
}

impl Arrangement {
    fn prepare(name: &str) -> Self {
        let arrangement = Self { dir: Dir::new(name), front: Port::free() };
        fs::create_dir(arrangement.dir.join("shared")).unwrap();
        arrangement
    }

    /// Makes this the one endpoint, in one step, as a registry would.
    fn announce(&self, backend: &HttpBackend) {
        let catalog = json!([{ "host": "127.0.0.1", "port": backend.port(), "name": backend.name() }]);
        fs::write(self.dir.join("catalog.new"), catalog.to_string()).unwrap();
        fs::rename(self.dir.join("catalog.new"), self.dir.join("catalog.json")).unwrap();
    }

    fn agent(&self, reload_command: impl Into<Value>) -> AgentTask {
        let config = json!({
            "services": { "web": {
                "discovery": { "method": "file", "path": self.dir.join("catalog.json"), "check_interval": 0.02 },
                "haproxy": { "port": self.front.number(), "listen": ["mode http", "balance roundrobin"] },
            } },
            "haproxy": {
                "config_file_path": self.config(),
                "reload_command": reload_command.into(),
                "bind_address": "127.0.0.1",
                "do_socket": false,
                "global": ["maxconn 100"],
                "defaults": ["timeout connect 1s", "timeout client 5s", "timeout server 5s"],
            },
        });
        let config = Config::parse(&config.to_string(), None, &Registry::builtin());
        AgentTask::start(config.unwrap_or_else(|report| panic!("{report}")))
    }

    fn config(&self) -> std::path::PathBuf {
        self.dir.join("shared/haproxy.cfg")
    }

    async fn until_serves(&self, backend: &HttpBackend) {
        wait_until(DEADLINE, &format!("{} to serve", backend.name()), async || {
            match get(self.front.address(), "/").await {
                Ok(response) if response.server.as_deref() == Some(backend.name()) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

/// A program called `haproxy` that notes each start of the real one in `starts`, checks aside.
fn counted_haproxy(dir: &Dir) -> std::path::PathBuf {
    let (bin, starts) = (dir.join("bin"), dir.join("starts"));
    fs::create_dir(&bin).unwrap();
    let program = bin.join("haproxy");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' -c '*) ;; *) echo start >>'{}' ;; esac\n\
         PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/bin exec haproxy \"$@\"\n",
        starts.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

fn starts(dir: &Dir) -> usize {
    fs::read_to_string(dir.join("starts")).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn a_container_that_watches_its_configuration_reloads_once_a_change_and_misses_none() {
    const CHANGES: usize = 10;
    let here = Arrangement::prepare("watching");
    let path = format!("{}:/usr/bin:/bin", counted_haproxy(&here.dir).display());
    let backends = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    here.announce(&backends[0]);
    let container = [("CONFIG", here.config()), ("PATH", path.into())];
    let container = container.each_ref().map(|(name, value)| (*name, value.as_path()));
    let _container = Script::start("deploy/watch.sh", &container, &here.dir);
    Script::until_watched(&here.dir.join("shared")).await;

    // The very first write of all, in the default set-up: the staging directory is not there yet either.
    let _agent = here.agent("echo noop");
    here.until_serves(&backends[0]).await;
    assert_eq!(starts(&here.dir), 1);
    for change in 1..=CHANGES {
        let next = &backends[change % 2];
        here.announce(next);
        here.until_serves(next).await;
        assert_eq!(starts(&here.dir), 1 + change, "one change, one reload");
    }
}

#[tokio::test]
async fn a_container_is_reloaded_through_its_master_socket_and_its_refusals_are_seen() {
    let here = Arrangement::prepare("master");
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    here.announce(&blue);
    let (config, master) = (here.config(), here.dir.join("shared/master.sock"));
    let path = Path::new("/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    let container = [("CONFIG", config.as_path()), ("MASTER", master.as_path()), ("PATH", path)];
    let _container = Script::start("deploy/haproxy.sh", &container, &here.dir);
    let reload = format!("MASTER='{}' sh '{}'", master.display(), Script::path("deploy/reload.sh").display());
    let agent = here.agent(reload);
    here.until_serves(&blue).await;
    here.announce(&green);
    here.until_serves(&green).await;
    wait_until(DEADLINE, "the reload to be done", async || {
        let output = agent.status().output();
        if output.counters.reloads > 0 && output.error.is_none() {
            Ok(())
        } else {
            Err(format!("{output:?}"))
        }
    })
    .await;
    assert_eq!(agent.status().output().counters.reload_failures, 0);

    // Somebody breaks what HAProxy reads beside our file: it refuses, goes on, and we know.
    let reload = || {
        std::process::Command::new("sh").arg(Script::path("deploy/reload.sh")).env("MASTER", &master).status()
    };
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{good}\nnonsense\n")).unwrap();
    assert!(!reload().unwrap().success());
    here.until_serves(&green).await;
    fs::write(&config, good).unwrap();
    assert!(reload().unwrap().success());
    here.until_serves(&green).await;
}

#[tokio::test]
async fn no_reload_by_signal_is_lost_however_quickly_they_follow() {
    const RELOADS: u32 = 10;
    let idle = Port::free();
    let haproxy = e2e::Haproxy::start(&format!(
        "defaults\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nlisten idle\n  bind 127.0.0.1:{idle}\n"
    ))
    .await;
    let dir = Dir::new("signal");
    let pid = dir.join("pid");
    fs::write(&pid, haproxy.processes().await.master.to_string()).unwrap();
    let before = haproxy.reloads().await;
    for _ in 0..RELOADS {
        let script = Script::path("deploy/signal.sh");
        let done = tokio::process::Command::new("sh").arg(script).env("PID", &pid).status().await.unwrap();
        assert!(done.success());
    }
    wait_until(DEADLINE, "the reloads to be done", async || {
        let reloads = haproxy.reloads().await - before;
        if reloads == RELOADS { Ok(()) } else { Err(format!("{reloads} reloads")) }
    })
    .await;
}
