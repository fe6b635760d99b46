//! A Docker that is none: it answers as its API is documented, on a real socket, and does wrong what a test tells it to.

#![allow(dead_code, reason = "each test uses some of it")]

mod answer;
mod request;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{broadcast, watch},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// How long anything in a test may take before it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How many of its lists have a container that has ended, as it has told. A real one takes up to a third of a second to forget it.
const LAG: usize = 1;

/// How it treats requests other than for events.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mood {
    Well,
    /// It answers this status with this body.
    Refuses(u16, String),
    /// It answers so, whatever it was asked, and closes the connection.
    Says(Vec<u8>),
    /// It announces more of a list than it sends.
    Truncates,
    /// It sends the head of a list, and then bytes without end.
    Endless,
    /// It takes requests and never answers.
    Silent,
    /// It sends its answers byte by byte.
    Slow,
}

/// How it treats requests for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    Well,
    Refuses,
    /// It says that it will, and never tells any.
    Nothing,
    /// It ends the stream in the middle of each event.
    HalfOf,
    /// It sends nothing but nonsense, as fast as it can.
    Floods,
}

struct State {
    containers: Vec<Value>,
    /// What runs in truth, if the list does not say so yet, and how often it will be asked for before it does.
    behind: Option<(usize, Vec<Value>)>,
    inspected: Vec<Value>,
    mood: Mood,
    telling: Telling,
    versions: (&'static str, &'static str),
    requests: VecDeque<String>,
    flooded: usize,
}

/// What all connections share.
pub(crate) struct Shared {
    state: Mutex<State>,
    events: broadcast::Sender<String>,
    frozen: watch::Sender<bool>,
    /// Connections are closed when this changes; each listens to it.
    up: watch::Sender<bool>,
}

enum At {
    Socket(PathBuf),
    Tcp(u16, Option<TlsAcceptor>),
}

/// A fake Docker.
pub(crate) struct Fake {
    at: At,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

/// A running container as the list has it, with `port` published on a port of the host.
pub(crate) fn container(number: u16, image: &str, port: u16, public: u16) -> Value {
    json!({
        "Id": format!("{number:064x}"),
        "Names": [format!("/web-{number}")],
        "Image": image,
        "ImageID": format!("sha256:{}", "ab".repeat(32)),
        "Command": "nginx -g 'daemon off;'",
        "Created": 1_700_000_000,
        "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": port, "PublicPort": public, "Type": "tcp"},
            {"IP": "::", "PrivatePort": port, "PublicPort": public, "Type": "tcp"},
            {"PrivatePort": 9000, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": port, "PublicPort": 1, "Type": "udp"},
        ],
        "Labels": {},
        "State": "running",
        "Status": "Up 2 hours",
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": {"bridge": {
            "IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": "7ea2", "EndpointID": "2cdc",
            "Gateway": "172.17.0.1", "IPAddress": format!("172.17.0.{number}"), "IPPrefixLen": 16,
            "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "MacAddress": "02:42:ac:11:00:02",
        }}},
        "Mounts": [],
    })
}

impl State {
    /// Whether one that runs is not among these.
    fn ends(&self, containers: &[Value]) -> bool {
        let gone = |one: &&Value| !containers.iter().any(|other| other["Id"] == one["Id"]);
        let truth = self.behind.as_ref().map_or(&self.containers, |(_, containers)| containers);
        truth.iter().find(gone).is_some()
    }

    /// What the list says.
    fn listed(&mut self) -> &[Value] {
        match self.behind.take() {
            Some((0, containers)) => self.containers = containers,
            Some((left, containers)) => self.behind = Some((left - 1, containers)),
            None => {}
        }
        &self.containers
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Fake {
    /// One that listens on a socket, whose path is not taken yet.
    pub(crate) async fn socket(path: &Path) -> Self {
        Self::begin(At::Socket(path.to_owned())).await
    }

    /// One that listens on a port.
    pub(crate) async fn tcp() -> Self {
        Self::begin(At::Tcp(0, None)).await
    }

    /// One that listens on a port and speaks TLS there.
    pub(crate) async fn tls(config: ServerConfig) -> Self {
        Self::begin(At::Tcp(0, Some(TlsAcceptor::from(Arc::new(config))))).await
    }

    async fn begin(at: At) -> Self {
        let state = State {
            containers: Vec::new(),
            behind: None,
            inspected: Vec::new(),
            mood: Mood::Well,
            telling: Telling::Well,
            versions: ("1.24", "1.41"),
            requests: VecDeque::new(),
            flooded: 0,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            events: broadcast::channel(1000).0,
            frozen: watch::Sender::new(false),
            up: watch::Sender::new(false),
        });
        let mut fake = Self { at, shared, listening: None };
        fake.start().await;
        fake
    }

    /// Where it listens, if that is a port.
    pub(crate) fn port(&self) -> u16 {
        let At::Tcp(port, _) = self.at else { panic!("it listens on a socket") };
        port
    }

    /// Listens again after [`stop`](Self::stop).
    pub(crate) async fn start(&mut self) {
        if self.listening.is_some() {
            return;
        }
        self.shared.up.send_replace(true);
        let shared = Arc::clone(&self.shared);
        self.listening = Some(match &mut self.at {
            At::Socket(path) => {
                let listener = UnixListener::bind(path).unwrap();
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        serve(stream, &shared);
                    }
                })
            }
            At::Tcp(port, acceptor) => {
                let acceptor = acceptor.clone();
                let listener = TcpListener::bind(("127.0.0.1", *port)).await.unwrap();
                *port = listener.local_addr().unwrap().port();
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        match &acceptor {
                            None => serve(stream, &shared),
                            Some(acceptor) => {
                                if let Ok(stream) = acceptor.accept(stream).await {
                                    serve(stream, &shared);
                                }
                            }
                        }
                    }
                })
            }
        });
    }

    /// Closes everything, as a daemon that ends does; its socket is gone.
    pub(crate) async fn stop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            let _ = listening.await;
        }
        self.shared.up.send_replace(false);
        if let At::Socket(path) = &self.at {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Keeps all connections open, takes new ones, and answers nothing.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.shared.frozen.send_replace(frozen);
    }

    /// Runs these containers and no others, and tells so, in the order of a real one: that a container runs when it is in the list,
    /// and that one does no more a moment before it is not.
    pub(crate) fn run(&self, containers: impl IntoIterator<Item = Value>) {
        let containers: Vec<_> = containers.into_iter().collect();
        if self.listening.is_some() && self.shared.state().ends(&containers) {
            self.shared.state().behind = Some((LAG, containers));
            self.tell("container", "die");
        } else {
            self.run_quietly(containers);
            self.tell("container", "start");
        }
    }

    /// Runs these containers and no others, as its list says at once, and tells nothing.
    pub(crate) fn run_quietly(&self, containers: impl IntoIterator<Item = Value>) {
        let mut state = self.shared.state();
        (state.containers, state.behind) = (containers.into_iter().collect(), None);
    }

    /// What is found when containers are looked at one by one.
    pub(crate) fn inspected(&self, containers: impl IntoIterator<Item = Value>) {
        self.shared.state().inspected = containers.into_iter().collect();
    }

    /// Tells an event to whoever listens.
    pub(crate) fn tell(&self, what: &str, action: &str) {
        let event = json!({
            "Type": what, "Action": action, "scope": "local", "time": 1_700_000_000, "timeNano": 1_700_000_000_000_000_000_i64,
            "Actor": {"ID": "0123", "Attributes": {"image": "app:1", "name": "web"}},
        });
        let _ = self.shared.events.send(format!("{event}\n"));
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.shared.state().mood = mood;
    }

    pub(crate) fn telling(&self, telling: Telling) {
        self.shared.state().telling = telling;
    }

    /// Which versions of the API it speaks.
    pub(crate) fn versions(&self, oldest: &'static str, newest: &'static str) {
        self.shared.state().versions = (oldest, newest);
    }

    /// The paths that were asked for, the last thousand.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.state().requests.iter().cloned().collect()
    }

    /// How often something was asked for whose path has this in it.
    pub(crate) fn asked(&self, part: &str) -> usize {
        self.requests().iter().filter(|path| path.contains(part)).count()
    }

    /// How many pieces of nonsense it has got rid of.
    pub(crate) fn flooded(&self) -> usize {
        self.shared.state().flooded
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.shared.up.receiver_count()
    }

    /// How many listen to its events, as far as it knows.
    pub(crate) fn heard(&self) -> usize {
        self.shared.events.receiver_count()
    }

    /// Waits until that many listen to its events.
    pub(crate) async fn until_heard(&self, listeners: usize) {
        let listens = async {
            while self.heard() != listeners {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, listens).await.expect("nobody listens to events");
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
        self.shared.up.send_replace(false);
    }
}

fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S, shared: &Arc<Shared>) {
    let (shared, mut up) = (Arc::clone(shared), shared.up.subscribe());
    tokio::spawn(async move {
        tokio::select! {
            _ = up.wait_for(|up| !up) => {}
            _ = answer::all(stream, &shared) => {}
        }
    });
}
