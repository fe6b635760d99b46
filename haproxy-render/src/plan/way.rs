//! What it takes to make one server another, and what may stand in the way.

use super::moves::{Adjustment, Arrival, Rules, weight};
use super::options::{can_move, has_agent, maxconn, same_limit, same_make};
use super::reason::{Obstacle, Reason};
use super::setting::Setting;
use crate::name::Name;
use crate::server::Server;

/// What it takes to make one server another of its name.
#[derive(Debug)]
pub(crate) enum Way {
    /// It is told something; or nothing.
    Adjust(Adjustment),
    /// It is deleted, and added anew.
    Swap,
}

/// Why a server can't come or change by commands.
#[derive(Debug)]
pub(crate) enum Hurdle {
    Obstacle(Obstacle),
    Static,
    Inherited(String),
}

impl From<Obstacle> for Hurdle {
    fn from(obstacle: Obstacle) -> Self {
        Self::Obstacle(obstacle)
    }
}

impl Hurdle {
    pub(crate) fn reason(self, backend: &Name, server: &Name, setting: &Setting<'_>) -> Reason {
        let backend = backend.clone();
        match self {
            Self::Obstacle(obstacle) => Reason::Server { backend, server: server.clone(), obstacle },
            Self::Static => Reason::Static { backend, balance: setting.fixed.clone().unwrap_or_default() },
            Self::Inherited(problem) => Reason::Inherited { backend, problem: problem.into() },
        }
    }
}

/// What it takes to make `old` into `new`, both of one name, both without anything that they inherit.
pub(crate) fn between(old: &Server, new: &Server, setting: &Setting<'_>) -> Result<Way, Hurdle> {
    let mut adjustment = Adjustment::of(new.clone());
    let moved = (old.address(), old.port()) != (new.address(), new.port());
    let weighed = weight(old) != weight(new);
    if let Some(name) = new.address().dns().filter(|_| moved) {
        return Err(Obstacle::Name(name.as_str().into()).into());
    }
    let from_name = moved && old.address().dns().is_some();
    // What an agent says is a share of the weight that the server started with.
    let by_agent = weighed && has_agent(new);
    if !same_make(old, new) || from_name || by_agent || (moved && !can_move(new)) {
        return Ok(Way::Swap);
    }
    if !same_limit(old, new) {
        match (maxconn(old), maxconn(new)) {
            (Some(_), Some(limit)) => adjustment.maxconn = Some(limit),
            _ => return Ok(Way::Swap),
        }
    }
    if weighed && setting.fixed.is_some() {
        return Err(Hurdle::Static);
    }
    adjustment.address = moved;
    adjustment.weight = weighed;
    adjustment.disable = !old.disabled() && new.disabled();
    adjustment.enable = old.disabled() && !new.disabled();
    Ok(Way::Adjust(adjustment))
}

impl Setting<'_> {
    /// The server with all that it inherits.
    pub(crate) fn complete(&self, server: &Server) -> Result<Server, Hurdle> {
        match &self.defaults {
            Ok(defaults) => server.with_defaults(defaults).map_err(|_| Obstacle::Words.into()),
            Err(problem) => Err(Hurdle::Inherited(problem.clone())),
        }
    }

    /// The server as one that is added.
    pub(crate) fn arrival(&self, server: Server, rules: Rules<'_>) -> Result<Arrival, Hurdle> {
        if self.fixed.is_some() {
            return Err(Hurdle::Static);
        }
        Ok(Arrival::of(server, rules)?)
    }
}
