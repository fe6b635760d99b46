//! From the servers that a backend has to those that it is to have.

use std::collections::{HashMap, HashSet};

use super::moves::{Adjustment, Moves, Out, Rules, Swap, can_swap, serves, weight};
use super::options::{has_agent, is_pinned, same_limit, same_make};
use super::reason::{Obstacle, Reason};
use super::setting::Setting;
use super::way::{Hurdle, Way, between};
use super::{Change, Departure, InitState, Leaving, Step, What};
use crate::document::Backend;
use crate::name::Name;
use crate::number::ServerId;
use crate::server::Server;

/// How one backend gets where it is to be, as far as commands take it.
#[derive(Debug, Default)]
pub(crate) struct Transition {
    pub(crate) steps: Vec<Step>,
    /// What is wanted.
    pub(crate) changes: Vec<Change>,
    /// What commands do of it.
    pub(crate) done: Vec<Change>,
    pub(crate) reasons: Vec<Reason>,
    /// Servers that begin to leave.
    pub(crate) departing: Vec<Departure>,
    /// Servers that left and are back, or have made room.
    pub(crate) back: Vec<Name>,
    /// The servers after the commands, where those do not do everything.
    pub(crate) reached: Vec<Server>,
}

/// Plans what becomes of the servers of a backend whose lines stay. `leaving` are in the process too.
pub(crate) fn plan(
    before: &Backend,
    after: &Backend,
    leaving: &Leaving,
    setting: &Setting<'_>,
    rules: Rules<'_>,
) -> Transition {
    if before.servers == after.servers {
        return Transition::default();
    }
    let mut draft = Draft::new(before, after, leaving, setting, rules);
    if !rules.capabilities.adds_servers() {
        draft.note_all();
        let version = rules.capabilities.version().into();
        draft.out.reasons.push(Reason::Unsupported { version });
        return draft.out;
    }
    draft.classify();
    draft.finish()
}

struct Draft<'a> {
    before: &'a Backend,
    after: &'a Backend,
    leaving: &'a Leaving,
    setting: &'a Setting<'a>,
    rules: Rules<'a>,
    old: HashMap<&'a Name, &'a Server>,
    new: HashMap<&'a Name, &'a Server>,
    /// Who has an id, in the process.
    holders: HashMap<ServerId, &'a Name>,
    moves: Moves,
    /// Servers that make room for others.
    room: HashSet<Name>,
    /// Servers that stay as they are, or away, until a reload.
    held: HashSet<&'a Name>,
    out: Transition,
}

impl<'a> Draft<'a> {
    fn new(
        before: &'a Backend,
        after: &'a Backend,
        leaving: &'a Leaving,
        setting: &'a Setting<'a>,
        rules: Rules<'a>,
    ) -> Self {
        let by_name =
            |backend: &'a Backend| backend.servers.iter().map(|server| (server.name(), server)).collect();
        let gone = leaving.of(&before.name).map(|departure| (departure.id(), departure.server()));
        let there = before.servers.iter().map(|server| (server.id(), server.name()));
        Self {
            before,
            after,
            leaving,
            setting,
            rules,
            old: by_name(before),
            new: by_name(after),
            holders: gone.chain(there).collect(),
            moves: Moves::default(),
            room: HashSet::new(),
            held: HashSet::new(),
            out: Transition::default(),
        }
    }

    fn note_all(&mut self) {
        let backend = &self.after.name;
        for new in &self.after.servers {
            match self.old.get(new.name()) {
                Some(old) if *old == new => {}
                Some(old) => match (self.setting.complete(old), self.setting.complete(new)) {
                    // Words that one inherits and the other states make no difference.
                    (Ok(was), Ok(is)) if is_same(&was, &is) => {}
                    (Ok(was), Ok(is)) => self.out.changes.push(Change::between(backend, &was, &is)),
                    _ => self.out.changes.push(Change::between(backend, old, new)),
                },
                None => self.out.changes.push(Change::added(backend, new)),
            }
        }
        let gone = self.before.servers.iter().filter(|old| !self.new.contains_key(old.name()));
        self.out.changes.extend(gone.map(|old| Change::removed(backend, old.name())));
    }

    fn hold(&mut self, server: &'a Name, hurdle: Hurdle) {
        self.held.insert(server);
        hurdle.reason(&self.after.name, server, self.setting).note(&mut self.out.reasons);
    }

    fn classify(&mut self) {
        self.note_all();
        if self.setting.fixed.is_some() && self.is_reordered() {
            self.out.reasons.push(Reason::Order { backend: self.after.name.clone() });
        }
        let mut swaps = Vec::new();
        for new in &self.after.servers {
            let result = match self.old.get(new.name()).copied() {
                Some(old) if old == new => Ok(()),
                Some(old) => self.alter(old, new, &mut swaps),
                None => self.arrive(new, &mut swaps),
            };
            if let Err(hurdle) = result {
                self.hold(new.name(), hurdle);
            }
        }
        self.settle(swaps);
        for old in &self.before.servers {
            if !self.new.contains_key(old.name()) && !self.room.contains(old.name()) {
                let was = self.setting.complete(old).unwrap_or_else(|_| old.clone());
                self.moves.departures.push(out_of(&was));
                self.out.departing.push(Departure::of(&self.before.name, &was));
            }
        }
    }

    /// Whether the servers that stay are in another order.
    fn is_reordered(&self) -> bool {
        let staying =
            |server: &&Server| self.old.contains_key(server.name()) && self.new.contains_key(server.name());
        let names = |backend: &'a Backend| backend.servers.iter().filter(staying).map(Server::name);
        !names(self.before).eq(names(self.after))
    }

    /// Turns one server into another of its name.
    fn alter(
        &mut self,
        old: &'a Server,
        new: &'a Server,
        swaps: &mut Vec<Handover<'a>>,
    ) -> Result<(), Hurdle> {
        let (was, is) = (self.setting.complete(old)?, self.setting.complete(new)?);
        match between(&was, &is, self.setting)? {
            Way::Adjust(adjustment) if adjustment.is_nothing() => {}
            Way::Adjust(adjustment) => self.moves.adjustments.push(adjustment),
            Way::Swap => {
                if is_pinned(&was) {
                    return Err(Obstacle::Pinned.into());
                }
                let mut outs = vec![out_of(&was)];
                let into = self.setting.arrival(is, self.rules)?;
                if old.id() != new.id()
                    && let Some(holder) = self.holders.get(&new.id()).copied()
                {
                    outs.push(self.make_room(holder, new.id())?);
                }
                self.claim(&outs);
                swaps.push(Handover { from: old, to: new, swap: Swap { outs, into } });
            }
        }
        Ok(())
    }

    /// Brings in a server that was not there, or was about to leave.
    fn arrive(&mut self, new: &'a Server, swaps: &mut Vec<Handover<'a>>) -> Result<(), Hurdle> {
        let backend = &self.before.name;
        let is = self.setting.complete(new)?;
        let namesake = self.leaving.get(backend, new.name());
        if let Some(was) = namesake.and_then(|departure| departure.was.clone())
            && let Ok(Way::Adjust(adjustment)) = between(&was.with_disabled(true), &is, self.setting)
        {
            // It is in maintenance: all it takes is to end that.
            if !adjustment.is_nothing() {
                self.moves.adjustments.push(adjustment);
            }
            self.out.back.push(new.name().clone());
            return Ok(());
        }
        let into = self.setting.arrival(is, self.rules)?;
        let mut outs = Vec::new();
        if let Some(departure) = namesake {
            outs.push(self.make_room(departure.server(), new.id())?);
        }
        let holder = self.holders.get(&new.id()).copied().filter(|holder| *holder != new.name());
        let goes = holder
            .and_then(|holder| self.old.get(holder).copied())
            .filter(|old| !self.new.contains_key(old.name()));
        match (holder, goes) {
            (_, Some(old)) => {
                // One goes and another takes its id.
                let was = self.setting.complete(old)?;
                if is_pinned(&was) || self.room.contains(old.name()) {
                    return Err(Obstacle::Id(new.id()).into());
                }
                self.claim(&outs);
                self.room.insert(old.name().clone());
                outs.insert(0, out_of(&was));
                swaps.push(Handover { from: old, to: new, swap: Swap { outs, into } });
                return Ok(());
            }
            (Some(holder), None) => outs.push(self.make_room(holder, new.id())?),
            (None, None) => {}
        }
        if outs.is_empty() {
            self.moves.arrivals.push(into);
        } else {
            self.claim(&outs);
            self.moves.swaps.push(Swap { outs, into });
        }
        Ok(())
    }

    /// A server that left has to be deleted now. Whoever else has the id would have to give it up, which takes a reload.
    fn make_room(&self, server: &Name, id: ServerId) -> Result<Out, Hurdle> {
        let departure = self.leaving.get(&self.before.name, server).filter(|_| !self.room.contains(server));
        match departure.filter(|departure| !departure.was.as_ref().is_some_and(is_pinned)) {
            Some(_) => Ok(Out { name: server.clone(), agent: false, serves: false }),
            None => Err(Obstacle::Id(id).into()),
        }
    }

    /// Nobody else may have the room that these make, and they leave no more.
    fn claim(&mut self, left: &[Out]) {
        let names = left.iter().filter(|out| !out.serves).map(|out| out.name.clone());
        self.out.back.extend(names.clone());
        self.room.extend(names);
    }

    /// Swaps servers one after the other, if enough others serve all the while.
    fn settle(&mut self, swaps: Vec<Handover<'a>>) {
        if swaps.is_empty() {
            return;
        }
        let complete = |server: &Server| self.setting.complete(server).unwrap_or_else(|_| server.clone());
        let from: HashSet<&Name> = swaps.iter().map(|handover| handover.from.name()).collect();
        let stays = |old: &&Server| !from.contains(old.name()) && self.new.contains_key(old.name());
        let mut steady: Vec<Server> = Vec::new();
        for old in self.before.servers.iter().filter(stays) {
            let new = self.new.get(old.name()).filter(|_| !self.held.contains(old.name()));
            let (was, is) = (complete(old), complete(new.unwrap_or(&old)));
            // One whose weight or address changes serves all the while.
            steady.extend((serves(&was) && serves(&is)).then_some(is));
        }
        if self.rules.init_state == InitState::Up {
            steady.extend(self.moves.arrivals.iter().map(|arrival| arrival.server.clone()));
        }
        let swapped: Vec<Server> = swaps.iter().map(|handover| complete(handover.from)).collect();
        if can_swap(&swapped, &steady) {
            self.moves.swaps.extend(swaps.into_iter().map(|handover| handover.swap));
            return;
        }
        let count = swapped.iter().filter(|server| serves(server)).count();
        self.out.reasons.push(Reason::Outage { backend: self.after.name.clone(), count });
        for Handover { from, to, swap } in swaps {
            self.held.insert(to.name());
            self.room.remove(from.name());
            for out in swap.outs {
                self.out.back.retain(|name| *name != out.name);
            }
        }
    }

    /// Where a reload is to come, nobody goes or stops serving if nobody else serves until then.
    fn finish(mut self) -> Transition {
        let backend = &self.before.name;
        let spared = !self.out.reasons.is_empty() && self.would_be_empty();
        if spared {
            self.moves.departures.clear();
            self.out.departing.clear();
            let (fewer, rest) = std::mem::take(&mut self.moves.adjustments)
                .into_iter()
                .partition::<Vec<_>, _>(Adjustment::takes_away);
            self.moves.adjustments = rest;
            let names = fewer.iter().filter_map(|adjustment| self.new.get(adjustment.server.name()));
            self.held.extend(names.map(|server| server.name()));
        }
        if !self.out.reasons.is_empty() {
            self.out.reached = self.reached(spared);
        }
        let done = |change: &&Change| match change.what {
            What::Removed => !spared || self.room.contains(&change.server),
            What::Added(..) | What::Altered(_) => !self.held.contains(&change.server),
        };
        self.out.done = self.out.changes.iter().filter(done).cloned().collect();
        self.out.steps = self.moves.steps(backend, self.setting, self.rules);
        self.out
    }

    fn would_be_empty(&self) -> bool {
        let any = |servers: &[Server]| {
            servers.iter().any(|server| self.setting.complete(server).map_or(true, |server| serves(&server)))
        };
        any(&self.before.servers) && any(&self.after.servers) && !any(&self.reached(false))
    }

    /// The servers after the commands. `spared`: those that should go stay.
    fn reached(&self, spared: bool) -> Vec<Server> {
        let stay = self.before.servers.iter().filter_map(|old| match self.new.get(old.name()) {
            Some(_) if self.held.contains(old.name()) => Some(old.clone()),
            Some(new) => Some((*new).clone()),
            None => (spared && !self.room.contains(old.name())).then(|| old.clone()),
        });
        let come = self
            .after
            .servers
            .iter()
            .filter(|new| !self.old.contains_key(new.name()) && !self.held.contains(new.name()));
        stay.chain(come.cloned()).collect()
    }
}

/// Whether two servers of one name, both without anything that they inherit, are one to HAProxy.
fn is_same(a: &Server, b: &Server) -> bool {
    same_make(a, b)
        && same_limit(a, b)
        && (a.address(), a.port(), weight(a), a.disabled())
            == (b.address(), b.port(), weight(b), b.disabled())
}

/// A server that serves, on its way out.
fn out_of(server: &Server) -> Out {
    Out { name: server.name().clone(), agent: has_agent(server), serves: true }
}

/// A server of which another takes the name or the id.
struct Handover<'a> {
    from: &'a Server,
    to: &'a Server,
    swap: Swap,
}
