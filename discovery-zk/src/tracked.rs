//! One service, as the driver follows it.

mod answer;

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use answer::DELETED;
use discovery_core::shared::Slot;
use tokio::{sync::watch, time::Instant};

use crate::{
    known::{Change, Found, Known},
    node::Node,
    question::{Ask, Question},
    session::What,
};

/// Over how long services spread their first question of a session that follows another: everybody who watches the same ensemble
/// has lost it at the same time.
const SPREAD: Duration = Duration::from_secs(1);

/// What is known of one child.
#[derive(Debug, Default)]
struct Child {
    /// Which child of this name: one may go and come again under its name while a question is under way.
    ticket: u64,
    /// Its data is watched.
    armed: bool,
    /// Its data was read in this session.
    read: bool,
    /// It is being read.
    asked: bool,
    /// What is gathered waits for that.
    awaited: bool,
    /// It was written since.
    stale: bool,
}

/// What is known of a node that is read whole.
#[derive(Debug, Default)]
struct Part {
    /// A watch tells when it changes.
    armed: bool,
    /// It is being read.
    asked: bool,
    /// When to read it.
    wanted: Option<Instant>,
}

impl Part {
    /// Wants it read then, at the latest.
    fn want(&mut self, when: Instant) {
        self.wanted = Some(self.wanted.map_or(when, |wanted| wanted.min(when)));
    }

    /// Wants it read some time after a change: then, unless a time was chosen for an earlier change. The earliest of many
    /// pauses of chance would be none.
    fn note(&mut self, when: Instant) {
        self.wanted.get_or_insert(when);
    }
}

/// What came with a listing and is not told yet: nobody is shown half of it.
#[derive(Debug)]
struct Gathering {
    changes: Vec<Change>,
    /// How many answers are still to come.
    waiting: usize,
}

/// One service: what it wants to know, what is known, and what to ask next. Asks nothing itself.
///
/// Each question is answered from one session; [`begin`](Self::begin) starts over with another. Nothing is told before all of
/// a listing was read. The same child is never read twice unless it was written.
#[derive(Debug)]
pub(crate) struct Tracked {
    node: Arc<Node>,
    slot: watch::Sender<Slot<Known>>,
    children: HashMap<Arc<str>, Child>,
    list: Part,
    /// A watch tells when the node is made. It may outlast that, and then also tells when the node is written.
    awaited: bool,
    settings: Part,
    /// What stands there; `None` when that was not read in this session.
    found: Option<Found>,
    /// Children that were written, and when to read them.
    stale: Vec<Arc<str>>,
    stale_due: Option<Instant>,
    gathering: Option<Gathering>,
    /// All was read and told in this session.
    whole: bool,
    /// The service cannot be read, and waits to be [retried](Self::retry).
    failed: bool,
    /// The listing under way was asked for by nobody.
    checking: bool,
    check: Option<Instant>,
    /// When the present listing was asked for, and before when not to ask for another.
    started: Option<Instant>,
    rested: Option<Instant>,
    ticket: u64,
    questions: Vec<Question>,
}

impl Tracked {
    pub(crate) fn new(node: Node, slot: watch::Sender<Slot<Known>>) -> Self {
        Self {
            node: Arc::new(node),
            slot,
            children: HashMap::new(),
            list: Part::default(),
            awaited: false,
            settings: Part::default(),
            found: None,
            stale: Vec::new(),
            stale_due: None,
            gathering: None,
            whole: false,
            failed: false,
            checking: false,
            check: None,
            started: None,
            rested: None,
            ticket: 0,
            questions: Vec::new(),
        }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(crate) fn slot(&self) -> &watch::Sender<Slot<Known>> {
        &self.slot
    }

    /// Begins a session: nothing is watched, and all is to be read.
    pub(crate) fn begin(&mut self, now: Instant) {
        // Whoever was never told anything has waited for long enough.
        let known = self.slot.borrow().version() > 0;
        let spread = if known { SPREAD.max(self.node.jitter()) } else { Duration::ZERO };
        let when = now + random(spread);
        self.children = HashMap::new();
        self.list = Part { wanted: Some(when), ..Part::default() };
        (self.awaited, self.settings) = (false, Part::default());
        (self.found, self.gathering) = (None, None);
        (self.stale, self.stale_due) = (Vec::new(), None);
        (self.whole, self.failed, self.checking) = (false, false, false);
        (self.check, self.started, self.rested) = (None, None, None);
        self.questions.clear();
    }

    /// The session is over: nothing is to be asked before another begins.
    pub(crate) fn end(&mut self) {
        self.begin(Instant::now());
        self.list.wanted = None;
    }

    /// Whether all was read in this session, so that silence means "still so".
    pub(crate) fn is_whole(&self) -> bool {
        self.whole && !self.failed
    }

    /// Asks again for what has failed.
    pub(crate) fn retry(&mut self, now: Instant) {
        if mem::take(&mut self.failed) {
            self.list.want(now);
        }
    }

    /// A watch has fired.
    pub(crate) fn fired(&mut self, what: &What, gone: bool, now: Instant) {
        let when = self.soon(now);
        // What a listing under way finds may be what is told here.
        self.checking = false;
        match what {
            What::Children => {
                self.list.armed = false;
                self.list.note(when);
            }
            What::Node => {
                self.awaited = false;
                self.list.note(when);
            }
            What::Settings => {
                self.settings.armed = false;
                self.settings.note(when);
            }
            What::Child(name) if gone => {
                let Some(child) = self.children.remove(name) else { return };
                // Its parent's watch fires right after; if it was deleted, made again, and listed in between, it does not.
                self.list.note(when.max(now + DELETED));
                self.changed((Arc::clone(name), None), child.awaited);
            }
            What::Child(name) => {
                let Some(child) = self.children.get_mut(name) else { return };
                child.armed = false;
                if !mem::replace(&mut child.stale, true) {
                    self.stale.push(Arc::clone(name));
                    self.stale_due.get_or_insert(when);
                }
            }
        }
    }

    /// When to react to what a watch has said.
    fn soon(&self, now: Instant) -> Instant {
        let when = now + random(self.node.jitter());
        self.rested.map_or(when, |rested| rested.max(when))
    }

    /// When [`questions`](Self::questions) has something new to say, if not before.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.failed {
            return None;
        }
        let listable = !self.list.asked && self.gathering.is_none();
        let list = if listable { self.list.wanted } else { None };
        let settings = if self.settings.asked { None } else { self.settings.wanted };
        [list, settings, self.stale_due, self.check].into_iter().flatten().min()
    }

    /// What to ask now.
    pub(crate) fn questions(&mut self, now: Instant) -> Vec<Question> {
        let due = |when: Option<Instant>| when.is_some_and(|when| when <= now);
        if self.failed {
            return Vec::new();
        }
        if due(self.check) {
            self.check = None;
            if self.list.wanted.is_none() {
                self.list.wanted = Some(now);
                self.checking = true;
            }
        }
        if due(self.list.wanted) && !self.list.asked && self.gathering.is_none() {
            self.list.wanted = None;
            self.started = Some(now);
            self.ask_children();
        }
        if due(self.settings.wanted) && !self.settings.asked {
            self.settings.wanted = None;
            self.ask_settings(Ask::Settings);
        }
        if due(self.stale_due) {
            self.stale_due = None;
            for name in mem::take(&mut self.stale) {
                // Who is being read is read again when that is answered.
                if self.children.get(&name).is_some_and(|child| child.stale && !child.asked) {
                    self.ask_child(&name);
                }
            }
        }
        mem::take(&mut self.questions)
    }

    fn ask_children(&mut self) {
        let watch = !mem::replace(&mut self.list.armed, true);
        self.list.asked = true;
        self.questions.push(Question { ask: Ask::Children, watch, ticket: 0 });
    }

    /// Asks whether there is a node at all, which is a part of listing it.
    fn ask_existence(&mut self) {
        let watch = !mem::replace(&mut self.awaited, true);
        self.list.asked = true;
        self.questions.push(Question { ask: Ask::Exists, watch, ticket: 0 });
    }

    fn ask_settings(&mut self, ask: Ask) {
        let watch = !mem::replace(&mut self.settings.armed, true);
        self.settings.asked = true;
        self.questions.push(Question { ask, watch, ticket: 0 });
    }

    fn ask_child(&mut self, name: &Arc<str>) {
        let Some(child) = self.children.get_mut(name) else { return };
        let watch = !mem::replace(&mut child.armed, true);
        (child.asked, child.stale) = (true, false);
        let ticket = child.ticket;
        self.questions.push(Question { ask: Ask::Child(Arc::clone(name)), watch, ticket });
    }
}

fn random(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode::Decode, path::Path, question::Answer};

    fn web() -> (Tracked, watch::Receiver<Slot<Known>>) {
        let node = Node::new(Path::new("/web").unwrap(), Decode::Nerve).with_settings(None);
        let (slot, seen) = watch::channel(Slot::default());
        let mut web = Tracked::new(node, slot);
        web.begin(Instant::now());
        (web, seen)
    }

    fn names(names: &[&str]) -> Answer {
        Answer::Names(Ok(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    fn data(port: u16) -> Answer {
        Answer::Data(Ok(format!(r#"{{"host":"h","port":{port}}}"#).into_bytes()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_that_is_away_while_it_is_read_is_watched_once_and_told_as_it_is() {
        let (mut web, seen) = web();
        let now = Instant::now();
        let listing = web.questions(now);
        web.answered(&listing[0], names(&["a"]), now).unwrap();
        let read = web.questions(now);
        web.answered(&read[0], data(1), now).unwrap();
        // Written, deleted, listed, made again, and only then read.
        web.fired(&What::Child("a".into()), false, now);
        web.fired(&What::Children, false, now);
        let asked = web.questions(now);
        assert!(asked.len() == 2 && asked.iter().all(|question| question.watch), "{asked:?}");
        web.answered(&asked[0], names(&[]), now).unwrap();
        assert!(seen.borrow().value().snapshot(&web.node).is_empty());
        web.fired(&What::Children, false, now);
        web.answered(&asked[1], data(2), now).unwrap();
        let listing = web.questions(now);
        web.answered(&listing[0], names(&["a"]), now).unwrap();
        assert_eq!(web.questions(now), [], "it is watched");
        let known = seen.borrow().value().snapshot(&web.node);
        assert_eq!(known.iter().map(|endpoint| endpoint.port().get()).collect::<Vec<_>>(), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_a_watch_has_overtaken_has_missed_nothing() {
        let (mut web, _seen) = web();
        let now = Instant::now();
        let listing = web.questions(now);
        web.answered(&listing[0], names(&[]), now).unwrap();
        let later = web.due().expect("a check");
        let check = web.questions(later);
        assert!(web.checking && check.len() == 1);
        web.fired(&What::Children, false, later);
        assert!(!web.checking);
    }
}
