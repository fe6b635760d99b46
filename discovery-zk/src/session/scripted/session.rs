//! A session with a server in memory.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::ready,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Ensemble, Fake, Kind,
    tree::{Firing, Tree},
};
use crate::session::{CLOSING, Event, Fault, Mark, Session};

#[derive(Clone)]
enum Phase {
    Live,
    Hung,
    Ended(String),
}

/// What both ends of a session share.
pub(super) struct Inner {
    server: SocketAddr,
    phase: watch::Sender<Phase>,
    /// Held while a request arrives, in order.
    turn: tokio::sync::Mutex<()>,
    /// Held while an answer is due, in order.
    answering: tokio::sync::Mutex<()>,
    lines: Mutex<Lines>,
}

/// What is armed, and what is to be told.
struct Lines {
    data: HashMap<String, Vec<Mark>>,
    children: HashMap<String, Vec<Mark>>,
    events: mpsc::UnboundedSender<Event>,
    /// Events that a hung server has still to send.
    held: VecDeque<Event>,
    hung: bool,
}

pub(super) struct FakeSession {
    ensemble: Fake,
    inner: Arc<Inner>,
}

impl fmt::Debug for FakeSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeSession").field("server", &self.inner.server).finish_non_exhaustive()
    }
}

/// One request that waits for its answer.
struct UnderWay<'a>(&'a Fake);

impl<'a> UnderWay<'a> {
    fn new(fake: &'a Fake) -> Self {
        let mut ensemble = fake.lock();
        ensemble.under_way += 1;
        ensemble.counts.most_under_way = ensemble.counts.most_under_way.max(ensemble.under_way);
        drop(ensemble);
        Self(fake)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

impl FakeSession {
    pub(super) fn new(ensemble: Fake, inner: Arc<Inner>) -> Self {
        Self { ensemble, inner }
    }

    /// Carries out a request when it is its turn, and waits until its answer is due.
    async fn ask<T>(
        &self,
        kind: Kind,
        path: &str,
        carry_out: impl FnOnce(&Ensemble, &Tree, &mut Lines) -> Result<T, Fault> + Send,
    ) -> Result<T, Fault> {
        let _under_way = UnderWay::new(&self.ensemble);
        let answering = self.inner.answering.lock();
        tokio::pin!(answering);
        let mut first = None;
        let (answer, at) = {
            let _turn = self.inner.turn.lock().await;
            self.inner.live().await?;
            // Puts this answer behind those that are due before it.
            tokio::select! {
                biased;
                turn = &mut answering => first = Some(turn),
                () = ready(()) => {}
            }
            let mut ensemble = self.ensemble.lock();
            let counts = &mut ensemble.counts;
            match kind {
                Kind::Children => counts.children += 1,
                Kind::Data => counts.data += 1,
                Kind::Exists => counts.exists += 1,
            }
            ensemble.asked.push((kind, path.to_owned()));
            let at = Instant::now() + ensemble.latency;
            let tree = &ensemble.servers[&self.inner.server].tree;
            (carry_out(&ensemble, tree, &mut self.inner.lines()), at)
        };
        let due = async {
            let _first = match first {
                Some(turn) => turn,
                None => answering.await,
            };
            if at > Instant::now() {
                sleep_until(at).await;
            }
            self.inner.live().await
        };
        tokio::select! {
            biased;
            lost = self.inner.ended() => Err(lost),
            live = due => live.and(answer),
        }
    }
}

#[async_trait]
impl Session for FakeSession {
    async fn children(&self, path: &str, watch: Option<Mark>) -> Result<Vec<String>, Fault> {
        self.ask(Kind::Children, path, |ensemble, tree, lines| {
            let node = tree.0.get(path).ok_or(Fault::NoNode)?;
            ensemble.check(path)?;
            arm(&mut lines.children, path, watch);
            Ok(node.children.iter().cloned().collect())
        })
        .await
    }

    async fn data(&self, path: &str, watch: Option<Mark>) -> Result<Vec<u8>, Fault> {
        self.ask(Kind::Data, path, |ensemble, tree, lines| {
            let node = tree.0.get(path).ok_or(Fault::NoNode)?;
            ensemble.check(path)?;
            arm(&mut lines.data, path, watch);
            Ok(node.data.to_vec())
        })
        .await
    }

    async fn exists(&self, path: &str, watch: Option<Mark>) -> Result<bool, Fault> {
        self.ask(Kind::Exists, path, |_, tree, lines| {
            arm(&mut lines.data, path, watch);
            Ok(tree.0.contains_key(path))
        })
        .await
    }

    fn forget(&self, member: u64, path: &str) {
        let below = path.strip_suffix('/').unwrap_or(path);
        let lines = &mut *self.inner.lines();
        for armed in [&mut lines.data, &mut lines.children] {
            armed.retain(|node, marks| {
                if node == path || node.rsplit_once('/').is_some_and(|(parent, _)| parent == below) {
                    marks.retain(|mark| mark.member != member);
                }
                !marks.is_empty()
            });
        }
    }

    async fn close(&self) {
        self.ensemble.lock().counts.closes += 1;
        if self.inner.lines().hung {
            sleep(CLOSING).await;
        }
        self.inner.end("the session was closed");
    }
}

fn arm(armed: &mut HashMap<String, Vec<Mark>>, path: &str, mark: Option<Mark>) {
    if let Some(mark) = mark {
        let marks = armed.entry(path.to_owned()).or_default();
        assert!(!marks.contains(&mark), "{mark:?} is armed on {path} already");
        marks.push(mark);
    }
}

impl Inner {
    pub(super) fn new(server: SocketAddr, events: mpsc::UnboundedSender<Event>) -> Self {
        let lines = Lines {
            data: HashMap::new(),
            children: HashMap::new(),
            events,
            held: VecDeque::new(),
            hung: false,
        };
        Self {
            server,
            phase: watch::Sender::new(Phase::Live),
            turn: tokio::sync::Mutex::new(()),
            answering: tokio::sync::Mutex::new(()),
            lines: Mutex::new(lines),
        }
    }

    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }

    /// How many watches are armed.
    pub(super) fn armed(&self) -> usize {
        let lines = self.lines();
        lines.data.values().chain(lines.children.values()).map(Vec::len).sum()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap()
    }

    /// Waits until the server is not hung.
    async fn live(&self) -> Result<(), Fault> {
        let mut phase = self.phase.subscribe();
        match &*phase.wait_for(|phase| !matches!(phase, Phase::Hung)).await.expect("the session holds it") {
            Phase::Ended(reason) => Err(Fault::Lost(reason.clone())),
            _ => Ok(()),
        }
    }

    async fn ended(&self) -> Fault {
        let mut phase = self.phase.subscribe();
        match &*phase.wait_for(|phase| matches!(phase, Phase::Ended(_))).await.expect("the session holds it")
        {
            Phase::Ended(reason) => Fault::Lost(reason.clone()),
            _ => unreachable!("waited for the end"),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Ended(_))
    }

    pub(super) fn hang(&self) {
        self.lines().hung = true;
        self.phase.send_replace(Phase::Hung);
    }

    pub(super) fn go_on(&self) {
        let mut lines = self.lines();
        lines.hung = false;
        while let Some(event) = lines.held.pop_front() {
            let _ = lines.events.send(event);
        }
        drop(lines);
        self.phase.send_replace(Phase::Live);
    }

    pub(super) fn end(&self, reason: &str) {
        if !self.is_over() {
            self.phase.send_replace(Phase::Ended(reason.to_owned()));
            let _ = self.lines().events.send(Event::Ended(reason.to_owned()));
        }
    }

    pub(super) fn fire(&self, firing: &Firing) {
        let mut lines = self.lines();
        let (armed, path, gone) = match firing {
            Firing::Data { path, gone } => (&mut lines.data, path, *gone),
            Firing::Children { path, gone } => (&mut lines.children, path, *gone),
        };
        for mark in armed.remove(path).into_iter().flatten() {
            let event = Event::Fired { mark, gone };
            if lines.hung {
                lines.held.push_back(event);
            } else {
                // Nobody listens to a session that is about to be dropped.
                let _ = lines.events.send(event);
            }
        }
    }
}
