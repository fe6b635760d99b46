//! A ZooKeeper in memory that does what a test tells it to do.

mod session;
mod tests;
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use async_trait::async_trait;
use session::{FakeSession, Inner};
use tokio::{sync::mpsc, time::sleep};
use tree::{Change, Tree, join};

use super::{Connect, Established, Fault};
use crate::{config::EnsembleConfig, failure::Failure};

/// An ensemble. Clones are the same ensemble.
///
/// Every server begins up, with a tree that holds nothing but `/`. A request is carried out when its future is first polled, unless the
/// server hangs: then when it goes on. Its answer is there `latency` later. Events are sent when what they tell of happens, so they can overtake the
/// answer that armed them, as the real ones can.
///
/// Calls panic on what a test cannot have meant: making a node twice, deleting one that is not there or has children, an unknown address. So
/// does a session that is asked to arm a watch with a mark that is armed on the same path already.
#[derive(Clone)]
pub(crate) struct Fake {
    ensemble: Arc<Mutex<Ensemble>>,
}

/// What a server is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As it should be.
    Up,
    /// Refuses connections. Its sessions end.
    Down,
    /// Accepts connections and says nothing. Its sessions get no answer and no event until it goes on.
    Hung,
    /// Serves, but learns of no change until it is up again; then of each.
    Stale,
}

/// How often something was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Connections that were tried.
    pub(crate) connects: usize,
    pub(crate) children: usize,
    pub(crate) data: usize,
    pub(crate) exists: usize,
    /// Sessions that were closed politely.
    pub(crate) closes: usize,
    /// The most requests that waited for an answer at one time.
    pub(crate) most_under_way: usize,
}

impl Counts {
    /// All requests.
    pub(crate) fn reads(&self) -> usize {
        self.children + self.data + self.exists
    }
}

/// One request, as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Children,
    Data,
    Exists,
}

struct Ensemble {
    /// What a server that knows everything has.
    newest: Tree,
    servers: BTreeMap<SocketAddr, Server>,
    log: Vec<Change>,
    denied: BTreeSet<String>,
    sessions: Vec<Weak<Inner>>,
    counts: Counts,
    asked: Vec<(Kind, String)>,
    under_way: usize,
    latency: Duration,
}

struct Server {
    mode: Mode,
    tree: Tree,
    /// How much of the log its tree has.
    applied: usize,
}

impl Fake {
    /// An ensemble of servers at these addresses.
    pub(crate) fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let server = || Server { mode: Mode::Up, tree: Tree::new(), applied: 0 };
        let ensemble = Ensemble {
            newest: Tree::new(),
            servers: addresses.into_iter().map(|address| (address, server())).collect(),
            log: Vec::new(),
            denied: BTreeSet::new(),
            sessions: Vec::new(),
            counts: Counts::default(),
            asked: Vec::new(),
            under_way: 0,
            latency: Duration::ZERO,
        };
        Self { ensemble: Arc::new(Mutex::new(ensemble)) }
    }

    /// An ensemble of this many servers, at 127.0.0.1:2181, 127.0.0.2:2181 and so on.
    pub(crate) fn of(servers: u8) -> Self {
        Self::new((1..=servers).map(Self::address))
    }

    /// Where the nth server of [`Fake::of`] is; the first is 1.
    pub(crate) fn address(nth: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, nth], 2181))
    }

    /// What connects to it.
    pub(crate) fn connector(&self) -> Arc<dyn Connect> {
        Arc::new(self.clone())
    }

    /// Makes a node, and those above it that are missing.
    pub(crate) fn create(&self, path: &str, data: impl AsRef<[u8]>) {
        let mut ensemble = self.lock();
        assert!(!ensemble.newest.0.contains_key(path), "{path} is there already");
        let above: Vec<_> = path.match_indices('/').map(|(at, _)| &path[..at]).skip(1).collect();
        for missing in above {
            if !ensemble.newest.0.contains_key(missing) {
                ensemble.change(Change::Create(missing.to_owned(), Arc::default()));
            }
        }
        ensemble.change(Change::Create(path.to_owned(), data.as_ref().into()));
    }

    /// Writes a node.
    pub(crate) fn set(&self, path: &str, data: impl AsRef<[u8]>) {
        let mut ensemble = self.lock();
        assert!(ensemble.newest.0.contains_key(path), "there is no {path}");
        ensemble.change(Change::Set(path.to_owned(), data.as_ref().into()));
    }

    /// Deletes a node that has no children.
    pub(crate) fn delete(&self, path: &str) {
        let mut ensemble = self.lock();
        let node = ensemble.newest.0.get(path);
        assert!(node.is_some_and(|node| node.children.is_empty()), "{path} is not there, or has children");
        ensemble.change(Change::Delete(path.to_owned()));
    }

    /// Deletes a node and all below it, the deepest first, as clients do.
    pub(crate) fn delete_all(&self, path: &str) {
        let children = self.lock().newest.0.get(path).map(|node| node.children.clone());
        for child in children.into_iter().flatten() {
            self.delete_all(&join(path, &child));
        }
        self.delete(path);
    }

    /// From now on nobody may read this node's data and children. Whether it exists may be asked, as of a real server.
    pub(crate) fn deny(&self, path: &str) {
        self.lock().denied.insert(path.to_owned());
    }

    /// Takes [`Fake::deny`] back.
    pub(crate) fn undeny(&self, path: &str) {
        self.lock().denied.remove(path);
    }

    /// Changes what a server is like.
    pub(crate) fn server(&self, address: SocketAddr, mode: Mode) {
        let mut ensemble = self.lock();
        ensemble.servers.get_mut(&address).expect("a server of the ensemble").mode = mode;
        for session in ensemble.sessions_at(address) {
            match mode {
                Mode::Up | Mode::Stale => session.go_on(),
                Mode::Down => session.end("the server has closed the connection"),
                Mode::Hung => session.hang(),
            }
        }
        if mode == Mode::Up {
            ensemble.catch_up(address);
        }
    }

    /// Ends all sessions, as if they had expired. New ones can be had.
    pub(crate) fn cut(&self) {
        for session in self.lock().sessions() {
            session.end("the session has expired");
        }
    }

    /// From now on answers are there this long after the request.
    pub(crate) fn latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// What was asked for so far.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// What was asked for since the last call, in order; the counts begin again at zero.
    pub(crate) fn take_asked(&self) -> Vec<(Kind, String)> {
        let mut ensemble = self.lock();
        ensemble.counts = Counts::default();
        std::mem::take(&mut ensemble.asked)
    }

    /// How many sessions there are that did not end.
    pub(crate) fn sessions(&self) -> usize {
        self.lock().sessions().len()
    }

    /// At which servers there are sessions that did not end.
    pub(crate) fn connected(&self) -> Vec<SocketAddr> {
        self.lock().sessions().iter().map(|session| session.server()).collect()
    }

    /// How many watches are armed in sessions that did not end.
    pub(crate) fn armed(&self) -> usize {
        let sessions = self.lock().sessions();
        sessions.iter().map(|session| session.armed()).sum()
    }

    /// How many answers are being waited for.
    pub(crate) fn under_way(&self) -> usize {
        self.lock().under_way
    }

    fn lock(&self) -> MutexGuard<'_, Ensemble> {
        self.ensemble.lock().unwrap()
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").finish_non_exhaustive()
    }
}

#[async_trait]
impl Connect for Fake {
    async fn connect(
        &self,
        _name: &str,
        address: SocketAddr,
        config: &EnsembleConfig,
    ) -> Result<Established, Failure> {
        let doing = format!("connecting to {address}");
        let latency = {
            let mut ensemble = self.lock();
            ensemble.counts.connects += 1;
            ensemble.latency
        };
        sleep(latency).await;
        let failure = |cause: &str| Failure::new(doing.clone(), cause);
        let mode = self.lock().servers.get(&address).expect("a server of the ensemble").mode;
        match mode {
            Mode::Down => return Err(failure("connection refused")),
            Mode::Hung => {
                sleep(config.timeouts().connect).await;
                return Err(failure("no answer in time"));
            }
            Mode::Up | Mode::Stale => {}
        }
        let mut ensemble = self.lock();
        let (sender, events) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner::new(address, sender));
        ensemble.sessions.push(Arc::downgrade(&inner));
        let session = Arc::new(FakeSession::new(self.clone(), inner));
        Ok(Established { session, events })
    }
}

impl Ensemble {
    fn check(&self, path: &str) -> Result<(), Fault> {
        if self.denied.contains(path) {
            return Err(Fault::Refused("the user may not read this node".to_owned()));
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        self.newest.apply(&change);
        self.log.push(change);
        let learning = |server: &&Server| !matches!(server.mode, Mode::Stale);
        let addresses: Vec<_> =
            self.servers.iter().filter(|(_, server)| learning(server)).map(|(address, _)| *address).collect();
        for address in addresses {
            self.catch_up(address);
        }
    }

    /// Tells a server and its sessions of all that it missed.
    fn catch_up(&mut self, address: SocketAddr) {
        let sessions = self.sessions_at(address);
        let server = self.servers.get_mut(&address).expect("a server of the ensemble");
        for change in &self.log[server.applied..] {
            for firing in server.tree.apply(change) {
                for session in &sessions {
                    session.fire(&firing);
                }
            }
        }
        server.applied = self.log.len();
    }

    fn sessions(&mut self) -> Vec<Arc<Inner>> {
        let live = |session: &Weak<Inner>| session.upgrade().filter(|session| !session.is_over());
        self.sessions.retain(|session| live(session).is_some());
        self.sessions.iter().filter_map(live).collect()
    }

    fn sessions_at(&mut self, address: SocketAddr) -> Vec<Arc<Inner>> {
        self.sessions().into_iter().filter(|session| session.server() == address).collect()
    }
}
