//! What is to be done with the servers of one backend, and the commands that do it.

use super::options::{Arguments, has_agent, is_checked};
use super::reason::Obstacle;
use super::setting::Setting;
use super::{Capabilities, InitState, Step};
use crate::name::Name;
use crate::number::Weight;
use crate::server::Server;

/// By what means things are done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) capabilities: &'a Capabilities,
    pub(crate) init_state: InitState,
}

/// What is to be done with the servers of one backend. Servers here inherit nothing any more.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) adjustments: Vec<Adjustment>,
    pub(crate) swaps: Vec<Swap>,
    pub(crate) departures: Vec<Out>,
}

/// A server that comes.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) server: Server,
    arguments: Arguments,
}

/// A server that stays and is told something.
#[derive(Debug)]
pub(crate) struct Adjustment {
    /// As it is to be.
    pub(crate) server: Server,
    pub(crate) address: bool,
    pub(crate) weight: bool,
    pub(crate) maxconn: Option<u32>,
    /// Its check was turned off.
    pub(crate) health: bool,
    /// Its agent was turned off.
    pub(crate) agent: bool,
    /// It was said to be down, and has no check to find out otherwise.
    pub(crate) up: bool,
    pub(crate) disable: bool,
    pub(crate) enable: bool,
}

/// Servers that have to be gone before another one can come.
#[derive(Debug)]
pub(crate) struct Swap {
    pub(crate) outs: Vec<Out>,
    pub(crate) into: Arrival,
}

/// A server that goes.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) name: Name,
    /// It has an agent, which would bring it back.
    pub(crate) agent: bool,
    /// It is not in maintenance yet.
    pub(crate) serves: bool,
}

impl Arrival {
    /// Fails where the server can not be added as it should be.
    pub(crate) fn of(server: Server, rules: Rules<'_>) -> Result<Self, Obstacle> {
        let down = rules.init_state == InitState::FullyDown && is_checked(&server);
        let arguments = Arguments::of(&server, rules.capabilities, down && rules.capabilities.init_state())?;
        Ok(Self { server, arguments })
    }
}

impl Adjustment {
    /// Nothing, so far.
    pub(crate) fn of(server: Server) -> Self {
        Self {
            server,
            address: false,
            weight: false,
            maxconn: None,
            health: false,
            agent: false,
            up: false,
            disable: false,
            enable: false,
        }
    }

    /// Whether the server gets no traffic any more.
    pub(crate) fn takes_away(&self) -> bool {
        self.disable || (self.weight && weight(&self.server) == Weight::ZERO)
    }

    pub(crate) fn is_nothing(&self) -> bool {
        let Self { server: _, address, weight, maxconn, health, agent, up, disable, enable } = self;
        !(*address || *weight || *health || *agent || *up || *disable || *enable) && maxconn.is_none()
    }
}

impl Moves {
    /// The commands: first what adds to those that serve, last what takes away from them, so that at no time fewer serve
    /// than before or after. Servers that are swapped go one after the other.
    pub(crate) fn steps(&self, backend: &Name, setting: &Setting<'_>, rules: Rules<'_>) -> Vec<Step> {
        let mut script = Script { backend, rules, setting, steps: Vec::new() };
        for arrival in &self.arrivals {
            script.add(arrival);
        }
        if !self.arrivals.is_empty() {
            script.cookies();
        }
        for arrival in &self.arrivals {
            script.begin(arrival);
        }
        let (fewer, more): (Vec<_>, Vec<_>) =
            self.adjustments.iter().partition(|adjustment| adjustment.takes_away());
        for adjustment in more {
            script.adjust(adjustment);
        }
        for Swap { outs, into } in &self.swaps {
            for out in outs.iter().filter(|out| out.serves) {
                script.retire(out);
            }
            for out in outs {
                script.steps.push(Step::delete(backend, &out.name).gate());
            }
            script.add(into);
            script.cookies();
            script.begin(into);
        }
        for adjustment in fewer {
            script.adjust(adjustment);
        }
        for out in &self.departures {
            script.retire(out);
        }
        script.steps
    }
}

/// The commands for one backend, as they are written.
struct Script<'a> {
    backend: &'a Name,
    rules: Rules<'a>,
    setting: &'a Setting<'a>,
    steps: Vec<Step>,
}

impl Script<'_> {
    fn add(&mut self, Arrival { server, arguments }: &Arrival) {
        self.steps.push(Step::add(self.backend, server.name(), arguments));
        // One that starts in maintenance is not checked before that ends, as if it was from the file.
        if !server.disabled() {
            self.check(server);
        }
    }

    /// Has the server's checks run. Before it is enabled: it would be up, and stay up.
    fn check(&mut self, server: &Server) {
        if is_checked(server) {
            self.steps.push(Step::enable_health(self.backend, server.name()));
        }
        if has_agent(server) {
            self.steps.push(Step::enable_agent(self.backend, server.name()));
        }
    }

    /// Before new servers take traffic: else they set an empty cookie.
    fn cookies(&mut self) {
        if self.setting.dynamic_cookies && !self.rules.capabilities.computes_cookies() {
            self.steps.push(Step::dynamic_cookies(self.backend));
        }
    }

    fn begin(&mut self, Arrival { server, .. }: &Arrival) {
        if !server.disabled() {
            self.enable(server, !self.rules.capabilities.init_state());
        }
    }

    /// `hold`: whether a server that is to wait for its checks has to be held back.
    fn enable(&mut self, server: &Server, hold: bool) {
        if hold && self.waits(server) {
            // Enabled, it is up until its first check fails, or until it is said to be down; that would be lost before. With
            // a weight of zero in between it gets no traffic.
            self.steps.push(Step::weight(self.backend, server.name(), Weight::ZERO));
            self.steps.push(Step::enable(self.backend, server.name()));
            self.hold(server);
        } else {
            self.steps.push(Step::enable(self.backend, server.name()));
        }
    }

    /// Whether the server gets no traffic before its checks pass.
    fn waits(&self, server: &Server) -> bool {
        self.rules.init_state == InitState::FullyDown && is_checked(server)
    }

    /// Says that a server of weight zero is down, and gives it its weight back.
    fn hold(&mut self, server: &Server) {
        self.steps.push(Step::health_down(self.backend, server.name()));
        if weight(server) != Weight::ZERO {
            self.steps.push(Step::weight(self.backend, server.name(), weight(server)));
        }
    }

    fn adjust(&mut self, adjustment: &Adjustment) {
        let server = &adjustment.server;
        let name = server.name();
        if adjustment.disable {
            self.steps.push(Step::maintain(self.backend, name));
        }
        if adjustment.health && !adjustment.enable {
            self.steps.push(Step::enable_health(self.backend, name));
        }
        if adjustment.agent && !adjustment.enable {
            self.steps.push(Step::enable_agent(self.backend, name));
        }
        if let Some(maxconn) = adjustment.maxconn {
            self.steps.push(Step::maxconn(self.backend, name, maxconn));
        }
        // A server elsewhere is a new server.
        let in_use = !server.disabled() && !adjustment.enable;
        let moves = adjustment.address && in_use && self.waits(server);
        let mut weighed = moves;
        if moves {
            self.steps.push(Step::weight(self.backend, name, Weight::ZERO));
        }
        if let Some(ip) = server.address().ip().filter(|_| adjustment.address) {
            self.steps.push(Step::address(self.backend, name, ip, server.port()));
        }
        if moves {
            self.hold(server);
        }
        if adjustment.enable {
            // It may have been added in maintenance, and then its checks never ran.
            self.check(server);
            weighed = self.waits(server);
            if adjustment.weight && !weighed {
                self.steps.push(Step::weight(self.backend, name, weight(server)));
                weighed = true;
            }
            self.enable(server, true);
        }
        if adjustment.weight && !weighed {
            self.steps.push(Step::weight(self.backend, name, weight(server)));
        }
        if adjustment.up {
            self.steps.push(Step::health_up(self.backend, name));
        }
    }

    fn retire(&mut self, out: &Out) {
        if out.agent {
            self.steps.push(Step::disable_agent(self.backend, &out.name));
        }
        self.steps.push(Step::retire(self.backend, &out.name));
    }
}

/// The weight that it has.
pub(crate) fn weight(server: &Server) -> Weight {
    server.weight().unwrap_or(Weight::ONE)
}

/// Whether it takes traffic as far as its line goes.
pub(crate) fn serves(server: &Server) -> bool {
    !server.disabled() && weight(server) != Weight::ZERO
}

/// Whether servers can be swapped one after the other: as many others as are swapped serve all the while.
///
/// Each has `backup` and `serves`. Backups count only when nobody else serves.
pub(crate) fn can_swap<'a>(
    swapped: impl IntoIterator<Item = &'a Server>,
    steady: impl IntoIterator<Item = &'a Server>,
) -> bool {
    let count = |servers: &mut dyn Iterator<Item = &'a Server>| {
        servers.filter(|server| serves(server)).fold((0_usize, 0_usize), |(active, backup), server| {
            if server.backup() { (active, backup + 1) } else { (active + 1, backup) }
        })
    };
    let (active, backup) = count(&mut swapped.into_iter());
    let (steady_active, steady_backup) = count(&mut steady.into_iter());
    match active {
        0 => steady_active > 0 || backup <= steady_backup,
        _ => active <= steady_active,
    }
}
