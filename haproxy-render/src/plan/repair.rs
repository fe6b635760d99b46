//! What somebody else has changed, and how to undo it.

use std::collections::{BTreeMap, HashSet};

use super::moves::{Adjustment, Moves, Out, Swap, can_swap, weight};
use super::options::{can_move, has, has_agent, is_checked, is_pinned, maxconn, value};
use super::planner::Draft;
use super::reason::{Obstacle, Reason};
use super::setting::Setting;
use super::transition::Transition;
use super::way::Hurdle;
use super::{Change, Departure, Found, Leaving, Planner, Repair, Running, Stranger, Usage};
use crate::document::{Backend, Document};
use crate::name::Name;
use crate::server::Server;

/// What HAProxy takes when `rise` and `fall` are not given.
const RISE: u32 = 2;
const FALL: u32 = 3;

impl Planner {
    /// What takes a process that should run `document` back to it. `running` is what it says of itself, of all backends or
    /// of some; `leaving` are the servers that it should have besides, in maintenance.
    ///
    /// Looks at the backends of the document's services only, and there neither at the operator's own servers nor at what
    /// an agent has the say in. Compares what HAProxy tells: id, address, port, weight, maintenance, whether checks run; with
    /// [usage](Found::usage) also `maxconn`, `backup`, cookie, `rise` and `fall`. Whether a backend that has no servers is
    /// there at all is not told.
    ///
    /// Half done is well begun: what is found once more after the plan was carried out, HAProxy will not do.
    pub fn repair(&self, document: &Document, running: &Running, leaving: &Leaving) -> Repair {
        let inherited = document.inherited();
        let mut draft = Draft::default();
        let mut strangers = Vec::new();
        let mut still = leaving.clone();
        for service in &document.services {
            let backend = &service.backend;
            let Some(found) = running.backend(&backend.name) else { continue };
            let setting = Setting::new(&inherited, backend);
            let inspection = Inspection { backend, found, leaving, setting: &setting, planner: self };
            inspection.forget_gone(&mut still);
            let (transition, others) = inspection.plan();
            strangers.extend(others);
            draft.add(&backend.name, transition);
        }
        let plan = self.plan(draft, document, &still);
        Repair { plan, strangers, leaving: still }
    }
}

/// One backend, and what the process says of it.
pub(crate) struct Inspection<'a> {
    pub(crate) backend: &'a Backend,
    pub(crate) found: &'a BTreeMap<Name, Found>,
    pub(crate) leaving: &'a Leaving,
    pub(crate) setting: &'a Setting<'a>,
    pub(crate) planner: &'a Planner,
}

/// What is wrong with a server.
enum Finding {
    /// It can be told.
    Told(Adjustment),
    /// Only a new one will do.
    Wrong(&'static str),
}

impl Inspection<'_> {
    /// Takes those out of `still` that have left and are gone.
    pub(crate) fn forget_gone(&self, still: &mut Leaving) {
        let name = &self.backend.name;
        let gone = |one: &&Departure| self.found.get(one.server()).is_none_or(|found| found.id != one.id());
        for departure in self.leaving.of(name).filter(gone) {
            still.remove(name, departure.server());
        }
    }

    pub(crate) fn plan(&self) -> (Transition, Vec<Stranger>) {
        let mut out = Transition::default();
        let mut moves = Moves::default();
        let mut strangers = Vec::new();
        let name = &self.backend.name;
        let mut swaps = Vec::new();
        let mut steady = Vec::new();
        for server in &self.backend.servers {
            let result = self.inspect(server, &mut moves, &mut swaps, &mut steady, &mut out.changes);
            if let Err(hurdle) = result {
                hurdle.reason(name, server.name(), self.setting).note(&mut out.reasons);
            }
        }
        if can_swap(swaps.iter().map(|(server, _)| server), &steady) {
            moves.swaps.extend(swaps.into_iter().map(|(_, swap)| swap));
        } else {
            out.reasons.push(Reason::Outage { backend: name.clone(), count: swaps.len() });
        }
        let ours: HashSet<&Name> = self.backend.servers.iter().map(Server::name).collect();
        for (server, found) in self.found.iter().filter(|(server, _)| !ours.contains(server)) {
            self.look_at_other(server, found, &mut moves, &mut strangers, &mut out);
        }
        out.done.clone_from(&out.changes);
        let can = self.planner.capabilities().adds_servers();
        if !can && (!moves.arrivals.is_empty() || !moves.swaps.is_empty() || !moves.departures.is_empty()) {
            let version = self.planner.capabilities().version().into();
            out.reasons.push(Reason::Unsupported { version });
            return (Transition { departing: Vec::new(), ..out }, strangers);
        }
        out.steps = moves.steps(name, self.setting, self.planner.rules());
        (out, strangers)
    }

    /// A server of ours.
    fn inspect(
        &self,
        server: &Server,
        moves: &mut Moves,
        swaps: &mut Vec<(Server, Swap)>,
        steady: &mut Vec<Server>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Hurdle> {
        let name = &self.backend.name;
        let server = self.setting.complete(server)?;
        let Some(found) = self.found.get(server.name()) else {
            changes.push(Change::added(name, &server));
            moves.arrivals.push(self.setting.arrival(server, self.planner.rules())?);
            return Ok(());
        };
        match self.compare(&server, found)? {
            Finding::Told(adjustment) => {
                if !adjustment.is_nothing() {
                    changes.push(Change::altered(name, server.name(), respects(&adjustment)));
                    moves.adjustments.push(adjustment);
                }
                if !found.maintenance && !found.stopped {
                    steady.push(server);
                }
            }
            Finding::Wrong(respect) => {
                changes.push(Change::altered(name, server.name(), vec![respect.to_owned()]));
                if is_pinned(&server) {
                    return Err(Obstacle::Pinned.into());
                }
                let out = Out {
                    name: server.name().clone(),
                    agent: found.agent.configured,
                    serves: !found.maintenance,
                };
                let into = self.setting.arrival(server.clone(), self.planner.rules())?;
                // One that takes no traffic now is not missed.
                let missed = server.with_disabled(found.maintenance || found.stopped);
                swaps.push((missed, Swap { outs: vec![out], into }));
            }
        }
        Ok(())
    }

    fn compare(&self, server: &Server, found: &Found) -> Result<Finding, Hurdle> {
        let mut adjustment = Adjustment::of(server.clone());
        let (checked, agent) = (is_checked(server), has_agent(server));
        if found.id != server.id() {
            return Ok(Finding::Wrong("id"));
        }
        if found.check.configured != checked {
            return Ok(Finding::Wrong("check"));
        }
        if found.agent.configured != agent {
            return Ok(Finding::Wrong("agent-check"));
        }
        if let Some(respect) = found.usage.as_ref().and_then(|usage| self.setting.compare(server, usage)) {
            return Ok(Finding::Wrong(respect));
        }
        if let Some(ip) = server.address().ip() {
            adjustment.address = (Some(ip), server.port().get()) != (found.address, found.port);
            if adjustment.address && !can_move(server) {
                return Ok(Finding::Wrong("address"));
            }
        }
        adjustment.maxconn = found.usage.as_ref().and_then(|usage| limit(server, usage));
        // In maintenance there is nothing to check.
        let in_use = !server.disabled();
        adjustment.health = checked && in_use && !found.check.enabled;
        adjustment.agent = agent && in_use && !found.agent.enabled;
        // Weight and maintenance are the agent's to say, as far as it has said anything.
        if !agent {
            adjustment.weight = found.weight != weight(server);
            let idle = found.maintenance || found.draining;
            adjustment.disable = !in_use && !found.maintenance;
            adjustment.enable = in_use && idle;
            // Maintenance ends with a server that is up.
            adjustment.up = in_use
                && !(checked || found.maintenance)
                && found.stopped
                && !found.held_back
                && !has(server, "track");
        }
        if adjustment.weight && weight(server) != found.initial_weight && self.setting.fixed.is_some() {
            return Err(Hurdle::Static);
        }
        Ok(Finding::Told(adjustment))
    }

    /// A server that the document does not have.
    fn look_at_other(
        &self,
        server: &Name,
        found: &Found,
        moves: &mut Moves,
        strangers: &mut Vec<Stranger>,
        out: &mut Transition,
    ) {
        let name = &self.backend.name;
        let goes = Out { name: server.clone(), agent: found.agent.enabled, serves: !found.maintenance };
        if self.leaving.get(name, server).is_some_and(|departure| departure.id() == found.id) {
            if goes.serves || goes.agent {
                out.changes.push(Change::removed(name, server));
                moves.departures.push(goes);
            }
            return;
        }
        if self.setting.may_be_own(server.as_str()) {
            return;
        }
        if self.planner.removes_strangers() {
            out.changes.push(Change::removed(name, server));
            out.departing.push(Departure::of_stranger(name, server, found.id));
            moves.departures.push(goes);
        } else {
            strangers.push(Stranger { backend: name.clone(), server: server.clone(), id: found.id });
        }
    }
}

impl Setting<'_> {
    /// Whether all is as the document has it that the statistics tell of a server.
    pub(crate) fn is_usual(&self, server: &Server, usage: &Usage) -> bool {
        // A server that can't be compared is found to be so where it is looked at, whatever the statistics tell of it.
        self.complete(server)
            .map_or(true, |server| self.compare(&server, usage).is_none() && limit(&server, usage).is_none())
    }

    /// What is wrong of that which only a new server can have right.
    fn compare(&self, server: &Server, usage: &Usage) -> Option<&'static str> {
        if usage.backup != server.backup() {
            return Some("backup");
        }
        // A cookie counts where there are any, and one that HAProxy computed is not ours to compare.
        let own = server.cookie().is_some() || !(self.dynamic_cookies || has(server, "cookie"));
        if self.http && own && usage.cookie.as_ref() != server.cookie() {
            return Some("cookie");
        }
        let wanted = (value(server, "rise", RISE)?, value(server, "fall", FALL)?);
        let differs = usage.rise_and_fall.is_some_and(|found| found != wanted);
        (is_checked(server) && differs).then_some("rise or fall")
    }
}

/// How many connections it should have at once, if it may have another number.
fn limit(server: &Server, usage: &Usage) -> Option<u32> {
    maxconn(server).filter(|limit| *limit != usage.maxconn)
}

fn respects(adjustment: &Adjustment) -> Vec<String> {
    let server = &adjustment.server;
    let said = [
        (adjustment.address, format!("address {}:{}", server.address(), server.port())),
        (adjustment.weight, format!("weight {}", weight(server))),
        (adjustment.maxconn.is_some(), format!("maxconn {}", adjustment.maxconn.unwrap_or_default())),
        (adjustment.health, "check on".to_owned()),
        (adjustment.agent, "agent on".to_owned()),
        (adjustment.up, "up".to_owned()),
        (adjustment.disable, "disabled".to_owned()),
        (adjustment.enable, "enabled".to_owned()),
    ];
    said.into_iter().filter(|(said, _)| *said).map(|(_, text)| text).collect()
}
