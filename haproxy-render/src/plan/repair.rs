//! What somebody else has changed, and how to undo it.

use std::collections::{BTreeMap, HashSet};

use super::moves::{Adjustment, Moves, Out, Swap, can_swap, weight};
use super::options::{can_move, has, has_agent, is_checked, is_pinned, maxconn, value};
use super::planner::Draft;
use super::reason::{Obstacle, Reason};
use super::setting::Setting;
use super::transition::Transition;
use super::way::Hurdle;
use super::{Change, Departure, Found, Leaving, Planner, Repair, Running, Stranger};
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
            for departure in leaving.of(&backend.name) {
                if !found.contains_key(departure.server()) {
                    still.remove(&backend.name, departure.server());
                }
            }
            let setting = Setting::new(&inherited, backend);
            let inspection = Inspection { backend, found, leaving, setting: &setting, planner: self };
            let (transition, others) = inspection.plan();
            strangers.extend(others);
            draft.add(&backend.name, transition);
        }
        let plan = self.plan(draft, document, &still);
        Repair { plan, strangers, leaving: still }
    }
}

struct Inspection<'a> {
    backend: &'a Backend,
    found: &'a BTreeMap<Name, Found>,
    leaving: &'a Leaving,
    setting: &'a Setting<'a>,
    planner: &'a Planner,
}

/// What is wrong with a server.
enum Finding {
    /// It can be told.
    Told(Adjustment),
    /// Only a new one will do.
    Wrong(&'static str),
}

impl Inspection<'_> {
    fn plan(&self) -> (Transition, Vec<Stranger>) {
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
        if let Some(respect) = found.usage.as_ref().and_then(|_| self.compare_usage(server, found)) {
            return Ok(Finding::Wrong(respect));
        }
        if let Some(ip) = server.address().ip() {
            adjustment.address = (Some(ip), server.port().get()) != (found.address, found.port);
            if adjustment.address && !can_move(server) {
                return Ok(Finding::Wrong("address"));
            }
        }
        if let (Some(limit), Some(usage)) = (maxconn(server), &found.usage) {
            adjustment.maxconn = (limit != usage.maxconn).then_some(limit);
        }
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

    /// What is wrong of that which only a new server can have right.
    fn compare_usage(&self, server: &Server, found: &Found) -> Option<&'static str> {
        let usage = found.usage.as_ref()?;
        if usage.backup != server.backup() {
            return Some("backup");
        }
        // A cookie counts where there are any, and one that HAProxy computed is not ours to compare.
        let own = server.cookie().is_some() || !(self.setting.dynamic_cookies || has(server, "cookie"));
        if self.setting.http && own && usage.cookie.as_ref() != server.cookie() {
            return Some("cookie");
        }
        let wanted = (value(server, "rise", RISE)?, value(server, "fall", FALL)?);
        let differs = usage.rise_and_fall.is_some_and(|found| found != wanted);
        (is_checked(server) && differs).then_some("rise or fall")
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
        if self.leaving.get(name, server).is_some() {
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
            strangers.push(Stranger { backend: name.clone(), server: server.clone() });
        }
    }
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
