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

    /// An agent that reloads, and talks to, HAProxy as these keys of its section `haproxy` have it.
    fn agent(&self, how: &[(&str, Value)]) -> AgentTask {
        let mut config = json!({
            "services": { "web": {
                "discovery": { "method": "file", "path": self.dir.join("catalog.json"), "check_interval": 0.02 },
                "haproxy": { "port": self.front.number(), "listen": ["mode http", "balance roundrobin"] },
            } },
            "haproxy": {
                "config_file_path": self.config(),
                "bind_address": "127.0.0.1",
                "global": ["maxconn 100"],
                "defaults": ["timeout connect 1s", "timeout client 5s", "timeout server 5s"],
            },
        });
        for (key, value) in how {
            config["haproxy"][key] = value.clone();
        }
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
    let _agent = here.agent(&[("reload_command", "echo noop".into()), ("do_socket", false.into())]);
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
async fn a_container_is_changed_and_reloaded_through_the_sockets_that_it_shares() {
    let here = Arrangement::prepare("master");
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    here.announce(&blue);
    let (config, master) = (here.config(), here.dir.join("shared/master.sock"));
    let path = Path::new("/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    let container = [("CONFIG", config.as_path()), ("MASTER", master.as_path()), ("PATH", path)];
    let _container = Script::start("deploy/haproxy.sh", &container, &here.dir);
    let shared = |name: &str| Value::from(here.dir.join("shared").join(name).display().to_string());
    let sockets =
        [("master_socket_path", shared("master.sock")), ("socket_file_path", shared("synapse.sock"))];
    let until_done = async |agent: &AgentTask, reloads: u64| {
        wait_until(DEADLINE, "it to be done", async || {
            let output = agent.status().output();
            let done = output.applied.is_some() && output.error.is_none();
            if done && output.counters.reloads == reloads { Ok(()) } else { Err(format!("{output:?}")) }
        })
        .await;
    };

    // HAProxy starts with the first configuration.
    let agent = here.agent(&sockets);
    here.until_serves(&blue).await;
    until_done(&agent, 0).await;
    here.announce(&green);
    here.until_serves(&green).await;
    until_done(&agent, 0).await;
    agent.stop().await;

    // What commands can't do takes a reload.
    let more = json!(["maxconn 200"]);
    let agent = here.agent(&[&sockets[..], &[("global", more)]].concat());
    until_done(&agent, 1).await;
    here.until_serves(&green).await;
}

#[tokio::test]
async fn no_reload_by_signal_is_lost_however_quickly_they_follow() {
    const ROUNDS: usize = 5;
    let idle = Port::free();
    let config = |front: &Port| {
        format!(
            "defaults\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n\
             listen idle\n  bind 127.0.0.1:{idle}\n  bind 127.0.0.1:{front}\n"
        )
    };
    let haproxy = e2e::Haproxy::start(&config(&Port::free())).await;
    let dir = Dir::new("signal");
    let pid = dir.join("pid");
    fs::write(&pid, haproxy.processes().await.master.to_string()).unwrap();
    for _ in 0..ROUNDS {
        let fronts = [Port::free(), Port::free()];
        for front in &fronts {
            fs::write(haproxy.config(), config(front)).unwrap();
            let script = Script::path("deploy/signal.sh");
            let done =
                tokio::process::Command::new("sh").arg(script).env("PID", &pid).status().await.unwrap();
            assert!(done.success());
        }
        // Whether the two signals were one reload or two: the last file is what counts.
        haproxy.wait_serving(fronts[1].number(), DEADLINE).await;
    }
}
