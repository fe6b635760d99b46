//! What a service makes of the answers that it gets.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::Arc,
    time::Duration,
};

use discovery_core::Settings;
use tokio::time::Instant;
use tracing::warn;

use super::{Child, Gathering, Tracked};
use crate::{
    decode::Decode,
    deed::Deed,
    failure::{Failure, reason},
    known::{Change, Found},
    question::{Answer, Ask, Question},
    session::Fault,
};

/// How many children a node can have: more are no service, and would not fit our memory.
const MAX_CHILDREN: usize = 100_000;
/// How long after a child was deleted its parent's children are listed, if the parent's own watch has not said so by then.
pub(super) const DELETED: Duration = Duration::from_millis(100);
/// How often, about, a node's children are listed though no watch has said anything.
const CHECK: Duration = Duration::from_mins(10);
/// The longest that listing a large node puts off its next listing, unless the configuration asks for more.
const MAX_REST: Duration = Duration::from_secs(5);

impl Tracked {
    /// Takes an answer over.
    ///
    /// # Errors
    ///
    /// The session is of no use any more.
    pub(crate) fn answered(
        &mut self,
        question: &Question,
        answer: Answer,
        now: Instant,
    ) -> Result<(), Failure> {
        let fault = answer.fault();
        if let Some(lost @ Fault::Lost(_)) = fault {
            return Err(Failure::from_fault(doing(&question.ask), lost));
        }
        // What was refused has armed nothing.
        let unarmed = fault.is_some() && question.watch;
        match (&question.ask, answer) {
            (Ask::Child(name), Answer::Data(data)) => {
                self.child_answered(name, question.ticket, unarmed, data, now);
            }
            (Ask::Children, Answer::Names(names)) => {
                self.list.asked = false;
                self.list.armed &= !unarmed;
                self.listed(names, now);
            }
            (Ask::Exists, Answer::Exists(exists)) => {
                self.list.asked = false;
                self.awaited &= !unarmed;
                self.looked_for(exists, now);
            }
            (Ask::Settings, Answer::Data(data)) => {
                self.settings.asked = false;
                self.settings.armed &= !unarmed;
                self.settings_answered(data);
            }
            (Ask::SettingsExist, Answer::Exists(exists)) => {
                self.settings.asked = false;
                self.settings.armed &= !unarmed;
                match exists {
                    Ok(true) => self.settings.want(now),
                    Ok(false) => self.find(None),
                    Err(fault) => self.find(Some(Err(reason(&fault).into()))),
                }
            }
            (Ask::Children | Ask::Exists | Ask::Child(_) | Ask::Settings | Ask::SettingsExist, _) => {
                debug_assert!(false, "each question has its kind of answer");
            }
        }
        Ok(())
    }

    fn listed(&mut self, names: Result<Vec<String>, Fault>, now: Instant) {
        let names = match names {
            Ok(names) => names,
            Err(Fault::NoNode) => return self.ask_existence(),
            Err(fault) => return self.fail_to_list(&Failure::from_fault(doing(&Ask::Children), &fault)),
        };
        if names.len() > MAX_CHILDREN {
            let cause =
                format!("{} children: {MAX_CHILDREN} are the most that one service can have", names.len());
            return self.fail_to_list(&Failure::new(doing(&Ask::Children), &cause));
        }
        self.unlisted = false;
        let mut gathering = self.gathering.take().unwrap_or_default();
        gathering.waiting = 0;
        let mut before = mem::take(&mut self.children);
        self.children.reserve(names.len());
        let mut missed = 0;
        for name in names {
            let known = before.remove_entry(name.as_str());
            missed += usize::from(known.is_none());
            let (name, child) = known.unwrap_or_else(|| {
                self.ticket += 1;
                (Arc::from(name), Child { ticket: self.ticket, ..Child::default() })
            });
            let Child { read, asked, refused, .. } = child;
            let entry = if read { None } else { Decode::read_name(&name) };
            let awaited = !read && entry.is_none();
            let read = read || entry.is_some();
            self.children.insert(Arc::clone(&name), Child { read, awaited, ..child });
            gathering.waiting += usize::from(awaited);
            if awaited && !asked && !refused {
                self.ask_child(&name);
            }
            if entry.is_some() {
                gathering.changes.push((name, entry));
            }
        }
        missed += before.len();
        gathering.changes.extend(self.depart(before));
        if mem::take(&mut self.checking) && missed > 0 {
            warn!(source = "zookeeper", path = %self.node.path(), missed, "the watch had missed changes");
        }
        self.gathering = Some(gathering);
        let refused = self.refused().next().is_some();
        self.refused_due = refused.then_some(now);
        self.rest(now);
        self.check = Some(next_check(now));
        // With each check, what could not be read before may be readable now.
        if self.node.settings().is_some() && !self.settings.armed && !self.settings.asked {
            self.found = None;
            self.ask_settings(Ask::Settings);
        }
        self.tell();
    }

    /// Takes leave of children that are not there any more. Who is being read is kept until that is answered: it may be there
    /// again by then, and watched.
    fn depart(&mut self, gone: HashMap<Arc<str>, Child>) -> Vec<Change> {
        let reading = gone.iter().filter(|(_, child)| child.asked);
        let kept =
            reading.map(|(name, child)| (Arc::clone(name), Child { read: false, awaited: false, ..*child }));
        self.children.extend(kept);
        gone.into_keys().map(|name| (name, None)).collect()
    }

    /// Says when to list next at the earliest: as the configuration has it, and not all the time, however large the node.
    fn rest(&mut self, now: Instant) {
        let Some(started) = self.started.take() else { return };
        let took = now.saturating_duration_since(started);
        let rest = (took * 2).min(MAX_REST);
        let rested = (now + rest).max(started + self.node.every());
        self.rested = Some(rested);
        if let Some(wanted) = &mut self.list.wanted {
            *wanted = (*wanted).max(rested);
        }
    }

    fn looked_for(&mut self, exists: Result<bool, Fault>, now: Instant) {
        match exists {
            // It was made in between.
            Ok(true) => self.list.want(now),
            Ok(false) => {
                let gone = mem::take(&mut self.children);
                let changes = self.depart(gone);
                let gathering = self.gathering.get_or_insert_default();
                gathering.changes.extend(changes);
                gathering.waiting = 0;
                self.unlisted = false;
                if self.node.settings() == Some(self.node.path()) {
                    // Whatever is armed there fires for whoever makes the node.
                    self.settings.wanted = None;
                    self.found = Some(None);
                } else if self.node.settings().is_some() && !self.settings.armed && !self.settings.asked {
                    self.ask_settings(Ask::Settings);
                }
                self.checking = false;
                self.check = Some(next_check(now));
                self.tell();
            }
            Err(fault) => self.fail_to_list(&Failure::from_fault(doing(&Ask::Exists), &fault)),
        }
    }

    fn child_answered(
        &mut self,
        name: &Arc<str>,
        ticket: u64,
        unarmed: bool,
        data: Result<Vec<u8>, Fault>,
        now: Instant,
    ) {
        let Some(child) = self.children.get_mut(name).filter(|child| child.ticket == ticket) else { return };
        child.asked = false;
        child.armed &= !unarmed;
        child.read = data.is_ok();
        match data {
            Ok(data) => {
                let entry = self.node.decode().read_data(name, &data);
                let awaited = mem::take(&mut child.awaited);
                if child.stale {
                    // Its turn may have passed while it was being read.
                    self.stale.push(Arc::clone(name));
                    self.stale_due = Some(self.stale_due.unwrap_or(now).min(now));
                }
                self.changed((Arc::clone(name), Some(entry)), awaited);
            }
            Err(Fault::NoNode) => {
                let awaited = child.awaited;
                self.children.remove(name);
                self.list.note(self.soon(now).max(now + DELETED));
                self.changed((Arc::clone(name), None), awaited);
            }
            Err(fault) => {
                child.refused = true;
                let awaited = mem::replace(&mut child.awaited, true);
                self.gathering.get_or_insert_default().waiting += usize::from(!awaited);
                self.probing = false;
                return self.fail(&Failure::from_fault(doing(&Ask::Child(Arc::clone(name))), &fault));
            }
        }
        if mem::take(&mut self.probing) {
            self.ask_refused();
        }
    }

    fn settings_answered(&mut self, data: Result<Vec<u8>, Fault>) {
        match data {
            Ok(data) => {
                let found = Settings::parse(&data).map_err(|error| error.to_string().into()).transpose();
                self.find(found);
            }
            // Where there is no node at all, the service's own watch waits for it.
            Err(Fault::NoNode) if self.node.settings() == Some(self.node.path()) => self.find(None),
            Err(Fault::NoNode) => self.ask_settings(Ask::SettingsExist),
            // Never fatal: the service is served as it is configured here.
            Err(fault) => self.find(Some(Err(reason(&fault).into()))),
        }
    }

    fn find(&mut self, found: Found) {
        self.found = Some(found);
        self.tell();
    }

    /// Something is different; `awaited`, if whatever is gathered waits for it.
    pub(super) fn changed(&mut self, change: Change, awaited: bool) {
        match &mut self.gathering {
            Some(gathering) => {
                gathering.changes.push(change);
                gathering.waiting -= usize::from(awaited).min(gathering.waiting);
                self.tell();
            }
            None if self.whole => {
                self.slot.send_if_modified(|slot| slot.update(|known| known.apply([change])));
            }
            // Nothing is listed yet.
            None => {}
        }
    }

    /// Tells what was gathered, once all of it is here.
    pub(super) fn tell(&mut self) {
        if self.failed || self.unlisted {
            return;
        }
        if self.node.settings().is_some() && self.found.is_none() {
            return;
        }
        let changes = match &mut self.gathering {
            Some(gathering) if gathering.waiting > 0 => return,
            Some(gathering) => mem::take(&mut gathering.changes),
            None if self.whole => Vec::new(),
            None => return,
        };
        self.gathering = None;
        if !self.list.asked
            && let Some(listed) = self.listed.take()
        {
            let (path, took) = (self.node.path().as_str(), listed.elapsed());
            self.witness.tell(Deed::Discovered { path, took });
        }
        let whole = mem::replace(&mut self.whole, true);
        let found = self.found.clone().flatten();
        self.slot.send_if_modified(|slot| {
            slot.update(|known| {
                let entries = if whole { known.apply(changes) } else { known.replace(changes) };
                known.settle(&found) || entries
            })
        });
    }

    /// There is no listing to go by.
    fn fail_to_list(&mut self, failure: &Failure) {
        self.unlisted = true;
        self.gathering.get_or_insert_default();
        self.fail(failure);
    }

    /// The service cannot be read: its last good set stands, and what is missing is asked for when it is [retried](Self::retry).
    fn fail(&mut self, failure: &Failure) {
        self.checking = false;
        if mem::replace(&mut self.failed, true) {
            // The first reason was told.
            return;
        }
        if let Some(gathering) = &mut self.gathering {
            let slot = self.slot.borrow();
            gathering.condense(|name| self.whole && slot.value().has(name));
        }
        self.slot.send_modify(|slot| slot.fail(failure.error().clone()));
    }
}

impl Gathering {
    /// Keeps the last word on each child, so that what is gathered over many retries stays as large as what there is. Who has gone is
    /// of interest only if it was told.
    fn condense(&mut self, told: impl Fn(&str) -> bool) {
        let last: BTreeMap<_, _> = mem::take(&mut self.changes).into_iter().collect();
        let kept = last.into_iter().filter(|(name, entry)| entry.is_some() || told(name));
        self.changes = kept.collect();
    }
}

fn doing(ask: &Ask) -> String {
    match ask {
        Ask::Children => "listing its children".to_owned(),
        Ask::Exists => "looking whether it exists".to_owned(),
        Ask::Child(name) => format!("reading its child {}", discovery_core::printable(name, 200)),
        Ask::Settings | Ask::SettingsExist => "reading its generator configuration".to_owned(),
    }
}

fn next_check(now: Instant) -> Instant {
    now + CHECK.mul_f64(0.75 + fastrand::f64() / 2.0)
}
