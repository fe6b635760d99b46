//! One service, as the driver follows it.

mod answer;

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use answer::DELETED;
use discovery_core::shared::Slot;
use tokio::{sync::watch, time::Instant};

use crate::{
    deed::Witness,
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
    /// The server would not tell what it says.
    refused: bool,
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

/// What came with a listing, or since a child was refused, and is not told yet: nobody is shown half of it.
#[derive(Debug, Default)]
struct Gathering {
    changes: Vec<Change>,
    /// How many children are still to be read.
    waiting: usize,
}

/// One service: what it wants to know, what is known, and what to ask next. Asks nothing itself.
///
/// Each question is answered from one session; [`begin`](Self::begin) starts over with another. Nothing is told before all of
/// a listing was read. The same child is never read twice unless it was written: what was read before something was refused is kept
/// until that can be read, too.
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
    /// What is gathered also waits for another listing.
    unlisted: bool,
    /// When to ask again for the children that were refused.
    refused_due: Option<Instant>,
    /// The first of them is being read; the others follow if it can be.
    probing: bool,
    /// The listing under way was asked for by nobody.
    checking: bool,
    check: Option<Instant>,
    /// When the present listing was asked for, and before when not to ask for another.
    started: Option<Instant>,
    rested: Option<Instant>,
    /// When the listing was asked for that is not told yet.
    listed: Option<Instant>,
    witness: Witness,
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
            unlisted: false,
            refused_due: None,
            probing: false,
            checking: false,
            check: None,
            started: None,
            rested: None,
            listed: None,
            witness: Witness::default(),
            ticket: 0,
            questions: Vec::new(),
        }
    }

    /// The same, with somebody who is told of what is done.
    pub(crate) fn witnessed(self, witness: Witness) -> Self {
        Self { witness, ..self }
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
        (self.unlisted, self.refused_due, self.probing) = (false, None, false);
        (self.check, self.started, self.rested, self.listed) = (None, None, None, None);
        self.questions.clear();
    }

    /// The session is over: nothing is to be asked before another begins.
    pub(crate) fn end(&mut self) {
        self.begin(Instant::now());
        self.list.wanted = None;
    }

    /// Whether what was told is all that is known to have happened, so that silence means "still so".
    pub(crate) fn is_current(&self) -> bool {
        let pending = self.list.wanted.or(self.settings.wanted).or(self.stale_due).is_some();
        let asked = self.list.asked || self.settings.asked;
        let settled = self.whole && !self.failed && self.gathering.is_none() && !pending && !asked;
        settled && !self.children.values().any(|child| child.asked)
    }

    /// Asks again for what has failed, and for nothing else.
    pub(crate) fn retry(&mut self, now: Instant) {
        if !mem::take(&mut self.failed) {
            return;
        }
        if self.unlisted || self.list.wanted.is_some() || !self.list.armed {
            // Those who have left since are known already, so those who have come must be before anything is told.
            self.unlisted = true;
            self.list.want(now);
        } else {
            self.refused_due = Some(now);
            self.tell();
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
        let list = if self.can_list() { self.list.wanted } else { None };
        let settings = if self.settings.asked { None } else { self.settings.wanted };
        [list, settings, self.stale_due, self.refused_due, self.check].into_iter().flatten().min()
    }

    /// Whether a listing can be taken over: not while the last one is being read.
    fn can_list(&self) -> bool {
        !self.list.asked && (self.gathering.is_none() || self.unlisted)
    }

    /// What to ask now.
    pub(crate) fn questions(&mut self, now: Instant) -> Vec<Question> {
        let due = |when: Option<Instant>| when.is_some_and(|when| when <= now);
        if self.failed {
            return mem::take(&mut self.questions);
        }
        if due(self.check) {
            self.check = None;
            // A listing that is under way is as good, and what it finds was not missed.
            if self.list.wanted.is_none() && !self.list.asked {
                self.list.wanted = Some(now);
                self.checking = true;
            }
        }
        if due(self.list.wanted) && self.can_list() {
            self.list.wanted = None;
            self.started = Some(now);
            self.listed.get_or_insert(now);
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
        if due(self.refused_due) {
            self.probe();
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
        (child.asked, child.stale, child.refused) = (true, false, false);
        let ticket = child.ticket;
        self.questions.push(Question { ask: Ask::Child(Arc::clone(name)), watch, ticket });
    }

    /// Asks for one of the children that were refused: what has refused one has mostly refused them all, for the same reason.
    fn probe(&mut self) {
        self.refused_due = None;
        if let Some(first) = self.refused().min() {
            self.probing = true;
            self.ask_child(&first);
        }
    }

    fn ask_refused(&mut self) {
        let refused: Vec<_> = self.refused().collect();
        for name in refused {
            self.ask_child(&name);
        }
    }

    fn refused(&self) -> impl Iterator<Item = Arc<str>> {
        let refused = self.children.iter().filter(|(_, child)| child.refused && !child.asked);
        refused.map(|(name, _)| Arc::clone(name))
    }
}

fn random(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests;
