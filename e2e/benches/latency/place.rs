//! The servers, the agent, and what is done to them.

use std::path::Path;

use agent::{Agent, Config};
use e2e::{Etcd, Haproxy, HttpBackend, Port};
use haproxy_runtime::Command;
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::stamp::{self, Client, Stamps};
use super::{DEADLINE, GONE, KEY, Moments, Put, Timeline, Told};

/// An etcd, two servers, two HAProxies, and an agent that keeps the first of them up to date.
pub(crate) struct Place {
    etcd: Etcd,
    pub(crate) comes: HttpBackend,
    _stays: HttpBackend,
    front: Port,
    haproxy: Haproxy,
    /// The HAProxy that the agent knows nothing of, where it listens, and in place of which port in the file.
    alone: (Haproxy, Port),
    watched: Mutex<Watched>,
    _stop: oneshot::Sender<()>,
}

/// What tells how far a change has come.
struct Watched {
    said: Stamps<usize>,
    written: Stamps,
    applied: Stamps,
}

impl Place {
    pub(crate) async fn build(told: Told) -> Self {
        let etcd = e2e::EtcdOptions::new().with_fsync().start().await;
        // Servers are used in the order of their names: the first request after a reload goes to the one that comes.
        let (comes, stays) = (HttpBackend::start("a-comes").await, HttpBackend::start("b-stays").await);
        etcd.put("/services/web/stays", &registration(&stays)).await;

        let (front, front_alone) = (Port::free(), Port::free());
        let own = e2e::Dir::new("latency");
        let path = own.join("haproxy.cfg");
        // The first write makes the file that HAProxy is then started with.
        config(&etcd, &front, &path, told, "true").once().await;
        let haproxy = Haproxy::start_at(&path).await;
        let text = std::fs::read_to_string(&path).expect("it was written");
        let alone = Haproxy::start(&at(&text, &front, &front_alone)).await;
        haproxy.wait_serving(front.number(), DEADLINE).await;
        alone.wait_serving(front_alone.number(), DEADLINE).await;

        let (said, stamps) = Stamps::channel();
        let made = Made { said: Some(said), ..config(&etcd, &front, &path, told, &told.command(&haproxy)) };
        let agent = Agent::new(made.parse());
        let watched = Watched {
            said: stamps,
            written: stamp::replacements(own.path()),
            applied: stamp::applies(agent.status()),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let _own = own;
            agent.run(async { _ = stopped.await }).await;
        });
        let place = Self {
            etcd,
            comes,
            _stays: stays,
            front,
            haproxy,
            alone: (alone, front_alone),
            watched: Mutex::new(watched),
            _stop: stop,
        };
        place.watched.lock().await.applied.next().await;
        place
    }

    /// How often HAProxy has been reloaded.
    pub(crate) async fn reloads(&self) -> u32 {
        self.haproxy.reloads().await
    }

    /// What the file holds.
    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(self.haproxy.config()).expect("the file is replaced, never removed")
    }

    /// Registers a server, or deregisters the one that was, and looks on.
    pub(crate) async fn change(&self, put: Put, registered: Option<&HttpBackend>) -> Moments {
        settled(&self.haproxy).await;
        let mut watched = self.watched.lock().await;
        let Watched { said, written, applied } = &mut *watched;
        said.clear();
        written.clear();
        applied.clear();
        let mut client = Client::start(self.front.address());
        let _ = client.next().await;

        let value = registered.map(registration);
        let start = Instant::now();
        let (acknowledged, mut moments) = tokio::join!(
            self.write(put, value.as_deref()),
            served(&mut client, start, self.comes.name(), registered.is_some())
        );
        let wanted = 1 + usize::from(registered.is_some());
        moments.acknowledged = Some(acknowledged - start);
        let source = loop {
            let (at, count) = late("the source", said.next()).await;
            if count == wanted {
                break at;
            }
        };
        // An apply may be said to be over twice: when HAProxy has been told, and when the file has followed.
        let told = loop {
            let (at, ()) = late("the apply", applied.next()).await;
            if at >= source {
                break at;
            }
        };
        moments.source = Some(source - start);
        moments.told = Some(told - start);
        moments.written = Some(late("the write", written.next()).await.0 - start);
        moments
    }

    /// The moment when etcd has acknowledged it.
    async fn write(&self, put: Put, value: Option<&str>) -> Instant {
        match (put, value) {
            (Put::Gateway, Some(value)) => drop(self.etcd.put(KEY, value).await),
            (Put::Gateway, None) => self.etcd.delete(KEY).await,
            (Put::Etcdctl, value) => {
                let args = value.map_or_else(|| vec!["del", KEY], |value| vec!["put", KEY, value]);
                let output = self.etcd.etcdctl(&args).await;
                assert!(output.status.success(), "etcdctl: {output:?}");
            }
        }
        Instant::now()
    }

    /// Reloads the other HAProxy with a file that has one more server, and back.
    pub(crate) async fn replace_alone(&self, without: &str, with: &str, told: Told, timeline: &mut Timeline) {
        let (haproxy, front) = &self.alone;
        let command = Command::shell(told.command(haproxy)).expect("a command");
        for (text, comes) in [(with, true), (without, false)] {
            settled(haproxy).await;
            std::fs::write(haproxy.config(), at(text, &self.front, front)).expect("a file in our directory");
            let mut client = Client::start(front.address());
            let _ = client.next().await;
            let start = Instant::now();
            let (told, mut moments) = tokio::join!(
                async {
                    command.run(DEADLINE).await.expect("the reload command works");
                    Instant::now()
                },
                served(&mut client, start, self.comes.name(), comes)
            );
            if comes {
                moments.told = Some(told - start);
                timeline.add(moments);
            }
        }
    }
}

/// When `server` gave its first answer, or its last one.
async fn served(client: &mut Client, start: Instant, server: &str, comes: bool) -> Moments {
    let mut moments = Moments::default();
    let mut last = start;
    loop {
        let Ok((at, answer)) = timeout_at(start + DEADLINE, client.next()).await else {
            panic!("{server} has neither come nor gone within {DEADLINE:?}")
        };
        moments.requests += 1;
        match answer {
            Ok(name) if name == server && comes => {
                moments.served = Some(at - start);
                return moments;
            }
            Ok(name) if name == server => last = at,
            Ok(_) => {}
            Err(_) => moments.failed += 1,
        }
        if !comes && at - last > GONE {
            moments.served = Some(last - start);
            return moments;
        }
    }
}

/// Waits until only one worker is left.
async fn settled(haproxy: &Haproxy) {
    e2e::wait_until(DEADLINE, "the old workers to end", async || {
        let processes = haproxy.processes().await;
        if processes.old_workers.is_empty() { Ok(()) } else { Err(format!("{processes:?}")) }
    })
    .await;
}

async fn late<T>(what: &str, moment: impl Future<Output = T>) -> T {
    timeout(DEADLINE, moment).await.unwrap_or_else(|_| panic!("{what} did not follow within {DEADLINE:?}"))
}

fn registration(server: &HttpBackend) -> String {
    serde_json::json!({ "host": "127.0.0.1", "port": server.port(), "name": server.name() }).to_string()
}

/// The same file, of a HAProxy with sockets of its own.
fn at(text: &str, front: &Port, other: &Port) -> String {
    text.replace(&format!("127.0.0.1:{front}"), &format!("127.0.0.1:{other}"))
        .replace("stats.sock", "alone.sock")
}

/// A configuration of the agent.
struct Made {
    text: String,
    said: Option<tokio::sync::mpsc::UnboundedSender<(Instant, usize)>>,
}

fn config(etcd: &Etcd, front: &Port, path: &Path, told: Told, reload: &str) -> Made {
    let stats = path.with_file_name("stats.sock");
    let text = serde_json::json!({
        "services": { "web": {
            "discovery": { "method": "etcd", "endpoints": etcd.endpoints(), "prefix": "/services/web" },
            "haproxy": { "port": front.number(), "server_options": "check inter 2s", "listen": ["balance roundrobin"] },
        }},
        "haproxy": {
            "config_file_path": path,
            "reload_command": reload,
            "do_socket": told == Told::Commands,
            "socket_file_path": stats,
            "restart_interval": 0,
            "bind_address": "127.0.0.1",
            "global": [format!("stats socket {} level admin expose-fd listeners", stats.display())],
            "defaults": ["mode http", "timeout connect 1s", "timeout client 10s", "timeout server 10s"],
        },
    });
    Made { text: text.to_string(), said: None }
}

impl Made {
    fn parse(self) -> Config {
        let registry = self.said.map_or_else(agent::Registry::builtin, stamp::registry);
        Config::parse(&self.text, Some("latency.json"), &registry)
            .unwrap_or_else(|report| panic!("the benchmark's own configuration: {report}"))
    }

    /// Applies it once.
    async fn once(self) {
        Agent::new(self.parse()).once().await.expect("everything is there");
    }
}
