//! An agent that serves its status, sources that do as a test says, and somebody who asks.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use agent::{
    Config, Registry, Source,
    discovery::{Snapshot, WatchError, Watcher},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

use crate::site::{Running, Site};

/// Longer than anything here takes.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// What a source says.
#[derive(Clone)]
pub(crate) enum Said {
    Nothing,
    Answer(Snapshot),
    Failure(WatchError),
}

/// A source that says what it is told to say, and once unless that is a failure.
struct Steered {
    said: watch::Receiver<Said>,
    fresh: bool,
}

#[async_trait]
impl Watcher for Steered {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        loop {
            self.fresh |= self.said.has_changed().unwrap_or(false);
            let said = self.said.borrow_and_update().clone();
            match said {
                Said::Failure(error) => return Err(error),
                Said::Answer(snapshot) if std::mem::take(&mut self.fresh) => return Ok(snapshot),
                Said::Answer(_) | Said::Nothing => {}
            }
            if self.said.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            self.fresh = true;
        }
    }
}

/// An agent's surroundings, and the reins of its sources.
pub(crate) struct Place {
    pub(crate) site: Site,
    reins: Arc<Mutex<HashMap<String, watch::Sender<Said>>>>,
}

impl Place {
    /// Services, whose sources begin with what is given.
    pub(crate) fn new<const N: usize>(services: [(&str, Said); N]) -> Self {
        let mut site = Site::new()
            .set(&["status"], json!({ "listen": "127.0.0.1:0", "max_staleness": 0.2 }))
            .set(&["agent"], json!({ "startup_wait": 0.2, "backoff_min": 0.01, "backoff_max": 0.05 }));
        let mut reins = HashMap::new();
        for (name, said) in services {
            site = site.service(name, Vec::new);
            reins.insert(name.to_owned(), watch::Sender::new(said));
        }
        Self { site, reins: Arc::new(Mutex::new(reins)) }
    }

    pub(crate) fn set(mut self, path: &[&str], value: Value) -> Self {
        self.site = self.site.set(path, value);
        self
    }

    /// The same place without a service.
    pub(crate) fn without(mut self, service: &str) -> Self {
        self.site = self.site.without(service);
        self
    }

    pub(crate) fn config(&self) -> Config {
        let reins = Arc::clone(&self.reins);
        let registry = Registry::empty().with("scripted", move |_| {
            let reins = Arc::clone(&reins);
            Ok(Source::new(move |context| {
                let said = reins.lock().expect("no holder panics")[context.service()].subscribe();
                Steered { said, fresh: true }
            }))
        });
        self.site.config_with(&registry)
    }

    /// Has the source of a service say something else.
    pub(crate) fn say(&self, service: &str, said: Said) {
        self.reins.lock().expect("no holder panics")[service].send_replace(said);
    }

    /// Starts an agent, and waits until its status is served.
    pub(crate) async fn start(&self) -> (Running, Visitor) {
        let running = Running::start(self.config());
        let visitor = Visitor { address: listening(&running).await };
        (running, visitor)
    }
}

/// Where the status of an agent is served.
pub(crate) async fn listening(running: &Running) -> SocketAddr {
    let listening = async {
        loop {
            if let Some(address) = running.status.window().and_then(|window| window.listening) {
                return address;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, listening).await.expect("it listens")
}

/// A failure.
pub(crate) fn failure(text: &'static str) -> Said {
    Said::Failure(WatchError::new(text))
}

/// Somebody who asks.
#[derive(Clone, Copy)]
pub(crate) struct Visitor {
    pub(crate) address: SocketAddr,
}

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Visitor {
    pub(crate) async fn get(self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
    }

    /// Sends a request as it is.
    pub(crate) async fn ask(self, request: &str) -> Reply {
        let answer = async {
            let mut stream = TcpStream::connect(self.address).await.expect("somebody listens");
            // Whoever has heard enough may hang up.
            let _ = stream.write_all(request.as_bytes()).await;
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            String::from_utf8(bytes).expect("it is text")
        };
        let answer = timeout(DEADLINE, answer).await.expect("an answer in time");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Reply { code: code.unwrap_or_default(), head: head.to_lowercase(), body: body.to_owned() }
    }

    pub(crate) async fn json(self) -> Value {
        serde_json::from_str(&self.get("/status").await.body).expect("it is JSON")
    }

    /// The value of a series; `None`: there is none.
    pub(crate) async fn metric(self, series: &str) -> Option<f64> {
        let metrics = self.get("/metrics").await.body;
        let values = metrics.lines().filter_map(|line| line.rsplit_once(' '));
        values.filter(|(name, _)| *name == series).find_map(|(_, value)| value.parse().ok())
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(self, path: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
        let mut last = None;
        let asking = async {
            loop {
                let reply = self.get(path).await;
                if wanted(&reply) {
                    return reply;
                }
                last = Some(reply);
                sleep(Duration::from_millis(10)).await;
            }
        };
        let reply = timeout(DEADLINE, asking).await.ok();
        reply.unwrap_or_else(|| panic!("{path} goes on saying {last:?}"))
    }

    pub(crate) async fn until_ready(self) {
        self.until("/readyz", |reply| reply.code == 200).await;
    }
}
