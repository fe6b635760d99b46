//! From one document to another.

use std::collections::HashMap;
use std::sync::Arc;

use super::moves::Rules;
use super::setting::Setting;
use super::structure::{self, Sides};
use super::transition::{self, Transition};
use super::{Capabilities, Change, Commands, Departure, Leaving, Meanwhile, Plan, Reason, Reload, Step};
use crate::document::{Document, Service};
use crate::line::Line;
use crate::name::Name;

/// Decides what is to be done. Made once for each process of HAProxy, of what that process can do.
///
/// ```
/// use std::num::NonZeroU16;
/// use std::sync::Arc;
///
/// use haproxy_render::plan::{Capabilities, Leaving, Plan, Planner, Version};
/// use haproxy_render::{Address, Backend, Document, Name, Server, ServerId, Service};
///
/// let web = Name::parse("web")?;
/// let service = |servers: Vec<Server>| {
///     let mut backend = Backend::new(web.clone(), Vec::new());
///     backend.servers = servers;
///     Arc::new(Service::new(web.clone(), backend))
/// };
/// let server = Server::builder(
///     Name::parse("a")?,
///     Address::parse("10.0.0.1")?,
///     NonZeroU16::new(8080).ok_or("a port")?,
///     ServerId::new(1)?,
/// );
/// let (mut before, mut after) = (Document::default(), Document::default());
/// before.services.push(service(vec![]));
/// after.services.push(service(vec![server.build()?]));
///
/// let planner = Planner::new(Capabilities::of(Version::parse("3.0.11")?));
/// let Plan::Commands(commands) = planner.change(&before, &after, &Leaving::default()) else { panic!() };
/// let commands: Vec<&str> = commands.steps().iter().map(|step| step.command()).collect();
/// assert_eq!(commands, ["add server web/a 10.0.0.1:8080 id 1", "enable server web/a"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Planner {
    capabilities: Capabilities,
    init_state: InitState,
    strangers: Strangers,
    max_steps: usize,
}

/// How a server with health checks begins that is added, moved, or taken out of maintenance at run time. HAProxy's words.
///
/// It is not written to the file: a process that starts from it would have no server in use before its checks pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitState {
    /// In use at once; one failed check takes it out. What HAProxy does with servers of its file.
    #[default]
    Up,
    /// Not in use before as many checks passed as `rise` says.
    FullyDown,
}

/// What becomes of a server that somebody else has added to one of our backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strangers {
    /// It goes as a server of ours does that is not wanted any more.
    #[default]
    Remove,
    /// It stays, and is [named](super::Repair::strangers). Nothing in a process tells it from a server of ours that an earlier run has put
    /// into maintenance and did not live to delete: whoever wants those deleted [notes](Leaving::lines) who leaves.
    Report,
}

/// More commands than these take longer than a reload does.
const MAX_STEPS: usize = 50_000;

impl Planner {
    /// With the defaults of everything else.
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            init_state: InitState::default(),
            strangers: Strangers::default(),
            max_steps: MAX_STEPS,
        }
    }

    /// How servers begin. Default: [`InitState::Up`].
    pub fn init_state(mut self, init_state: InitState) -> Self {
        self.init_state = init_state;
        self
    }

    /// What becomes of servers by somebody else. Default: [`Strangers::Remove`].
    pub fn strangers(mut self, strangers: Strangers) -> Self {
        self.strangers = strangers;
        self
    }

    /// How many commands are too many. Default: 50,000, about a second.
    pub fn max_steps(mut self, max_steps: usize) -> Self {
        self.max_steps = max_steps;
        self
    }

    /// What the process can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules { capabilities: &self.capabilities, init_state: self.init_state }
    }

    pub(crate) fn removes_strangers(&self) -> bool {
        self.strangers == Strangers::Remove
    }

    /// What takes a process that runs `before` to `after`. `leaving` are the servers that it has besides, in maintenance.
    ///
    /// Costs what has changed: services that are the same [`Arc`] in both are not looked at, so build a new one only for
    /// what is new. [Revisions](Document::revision) do not count as a change.
    ///
    /// Servers come before others go, and those that have to be swapped go one by one while at least as many others serve:
    /// at no moment fewer serve than before or after, but for the one that is being swapped. Where a reload is needed,
    /// [`Reload::meanwhile`] has what need not wait for it.
    ///
    /// Names and ids have to be unique within a backend.
    pub fn change(&self, before: &Document, after: &Document, leaving: &Leaving) -> Plan {
        let sides = Sides::of(before, after);
        let mut draft = Draft { reasons: structure::differences(before, after, &sides), ..Draft::default() };
        // What backends inherit matters to those that changed alone. Commands go to the process that there is, whatever
        // the next one inherits.
        let mut inherited: Option<Vec<&Line>> = None;
        for (old, new) in &sides.both {
            let reasons = structure::service(old, new, || before.inherited(), &self.capabilities);
            if !reasons.is_empty() {
                draft.reasons.extend(reasons);
                continue;
            }
            if old.backend.servers == new.backend.servers {
                continue;
            }
            let inherited = inherited.get_or_insert_with(|| before.inherited());
            let setting = Setting::new(inherited, &new.backend);
            let transition = transition::plan(&old.backend, &new.backend, leaving, &setting, self.rules());
            draft.take(old, new, transition);
        }
        self.plan(draft, before, leaving)
    }

    pub(crate) fn plan(&self, mut draft: Draft, before: &Document, leaving: &Leaving) -> Plan {
        let count = draft.steps.len();
        if count > self.max_steps {
            draft.reasons.insert(0, Reason::Many { count });
        }
        // One that comes back to stay in maintenance takes no command, and yet leaves no more.
        if draft.reasons.is_empty() && draft.steps.is_empty() && draft.back.is_empty() {
            return Plan::Nothing;
        }
        let mut leaving = leaving.clone();
        for (backend, server) in &draft.back {
            leaving.remove(backend, server);
        }
        for departure in &draft.departing {
            leaving.insert(departure.clone());
        }
        let commands =
            Commands { steps: draft.steps, changes: draft.done, departing: draft.departing, leaving };
        if draft.reasons.is_empty() {
            return Plan::Commands(commands);
        }
        let meanwhile = (1..=self.max_steps).contains(&count).then(|| {
            let mut document = before.clone();
            document.revision = None;
            for service in &mut document.services {
                if let Some(reached) = draft.reached.remove(&Arc::as_ptr(service).addr()) {
                    *service = reached;
                }
            }
            Box::new(Meanwhile { commands, document })
        });
        Plan::Reload(Reload { reasons: draft.reasons, changes: draft.changes, meanwhile })
    }
}

/// A plan in the making.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) steps: Vec<Step>,
    pub(crate) changes: Vec<Change>,
    pub(crate) done: Vec<Change>,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) departing: Vec<Departure>,
    pub(crate) back: Vec<(Name, Name)>,
    /// What becomes of services by commands, by the address of what they were.
    reached: HashMap<usize, Arc<Service>>,
}

impl Draft {
    fn take(&mut self, old: &Arc<Service>, new: &Arc<Service>, transition: Transition) {
        let whole = transition.reasons.is_empty();
        let reached = if whole && old.shared_frontend == new.shared_frontend {
            Arc::clone(new)
        } else {
            let mut service = Service::clone(old);
            let servers = if whole { &new.backend.servers } else { &transition.reached };
            service.backend.servers.clone_from(servers);
            Arc::new(service)
        };
        self.reached.insert(Arc::as_ptr(old).addr(), reached);
        self.add(&new.backend.name, transition);
    }

    pub(crate) fn add(&mut self, backend: &Name, transition: Transition) {
        self.steps.extend(transition.steps);
        self.changes.extend(transition.changes);
        self.done.extend(transition.done);
        self.reasons.extend(transition.reasons);
        self.departing.extend(transition.departing);
        self.back.extend(transition.back.into_iter().map(|server| (backend.clone(), server)));
    }
}
