//! All services as they are to be served: what changed since the last look, and the text for it.

mod reconfigure;
mod unclaimed;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use discovery_core::{Rejected, Snapshot};
use haproxy_render::{Document, Name, ReadBack, Server, ServerId, Service};
use haproxy_runtime::Live;
use tracing::{error, info, warn};

use self::unclaimed::Unclaimed;
pub(crate) use self::{reconfigure::Difference, unclaimed::Said};
use crate::{
    config::{self, Haproxy},
    desired::{KnownIds, Shape, name},
    fold::{Folded, Served, fold},
    generator::Generator,
    state::Entry,
};

/// The desired state of everything.
#[derive(Debug)]
pub(crate) struct Model {
    document: Document,
    services: HashMap<Name, State>,
    haproxy: Haproxy,
}

/// The desired state of one service.
#[derive(Debug)]
struct State {
    config: config::Service,
    generator: Generator,
    last_good: Option<Snapshot>,
    /// Those that were served before this program started, or before the service became another, until it is known who is to be.
    before: Vec<Server>,
    /// The last answer that was believed: of the source, or until it has answered that of the state file or of the source before it.
    known: Option<Snapshot>,
    /// The source has not answered yet.
    unheard: bool,
    /// What is served beside what the source says, because not all that it is made of has answered since the start.
    unclaimed: Option<Unclaimed>,
    /// What came of that at the last look.
    served: Option<Served>,
    ids: KnownIds,
    /// Where it stands in the document; `None` while HAProxy does not serve it.
    position: Option<usize>,
    rejected: Rejected,
    leaderless: bool,
    /// How many endpoints got no id.
    without_id: usize,
}

/// How the servers of one service changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) service: String,
    pub(crate) added: usize,
    pub(crate) removed: usize,
    pub(crate) altered: usize,
}

impl Changed {
    /// Adds what changed later.
    pub(crate) fn and_then(&mut self, later: &Self) {
        self.added += later.added;
        self.removed += later.removed;
        self.altered += later.altered;
    }
}

impl Model {
    /// The state in which nothing has been heard. `before` is what the file held when this program started.
    pub(crate) fn new(services: &[config::Service], haproxy: &Haproxy, mut before: Option<ReadBack>) -> Self {
        let mut document = without_services(haproxy);
        let mut states = HashMap::with_capacity(services.len());
        for config in services {
            let shape = config.shape.as_ref().zip(before.as_mut());
            let backend = shape.and_then(|(shape, before)| before.take(&shape.backend_name));
            let before = backend.map(|backend| backend.servers).unwrap_or_default();
            let mut state = State::new(config.clone(), before);
            if let Some(service) = state.desired(None, haproxy, None) {
                state.position = Some(document.services.len());
                document.services.push(Arc::new(service));
            }
            states.insert(config.name.clone(), state);
        }
        Self { document, services: states, haproxy: haproxy.clone() }
    }

    /// Gives a service what a state file has of it, to go on with until its source answers, if nothing else is known of it. `newer`: what the file of HAProxy holds was written after that. Returns whether it is used.
    ///
    /// It is taken as an answer of the source: all rules of the service apply to it. The servers in HAProxy's file yield to it,
    /// unless they are newer and others, which says that this program did not live to write both.
    pub(crate) fn recall(&mut self, service: &str, entry: &Entry, newer: bool) -> bool {
        let Some(state) =
            self.services.get_mut(service).filter(|state| state.unheard && state.known.is_none())
        else {
            return false;
        };
        let used = state.recall(entry, newer);
        self.refresh(service, None, None);
        used
    }

    /// What is worth remembering of a service: the last answer that was believed, the ids of its servers, and whether its source has
    /// still to speak, so that the answer is one that was [recalled](Self::recall), or of the source before it.
    pub(crate) fn known(&self, service: &str) -> Option<(&Snapshot, &KnownIds, bool)> {
        let state = self.services.get(service)?;
        Some((state.known.as_ref()?, &state.ids, state.unheard))
    }

    /// Looks at one service again. `None`: nothing is different for HAProxy. `live` knows which servers HAProxy has, if anybody does.
    pub(crate) fn refresh(
        &mut self,
        service: &str,
        said: Option<&Said>,
        live: Option<&Live>,
    ) -> Option<Changed> {
        let state = self.services.get_mut(service)?;
        let desired = state.desired(said, &self.haproxy, live);
        let (position, desired) = (state.position?, desired?);
        let current = &mut self.document.services[position];
        if **current == desired {
            return None;
        }
        let changed = changed(current, &desired);
        *current = Arc::new(desired);
        Some(changed)
    }

    /// Who is to be served at all of a service, and whether its source has answered since the start.
    pub(crate) fn served(&self, service: &str) -> Option<(&Served, bool)> {
        let state = self.services.get(service)?;
        Some((state.served.as_ref()?, !state.unheard))
    }

    /// What HAProxy is to run.
    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// Whether there is such a service.
    pub(crate) fn has(&self, service: &str) -> bool {
        self.services.contains_key(service)
    }

    /// How HAProxy is to serve a service, if at all, and the endpoints of it that it can't.
    pub(crate) fn outcome(&self, service: &str) -> (Option<Arc<Service>>, Rejected) {
        let Some(state) = self.services.get(service) else { return (None, Rejected::default()) };
        let desired = state.position.map(|position| Arc::clone(&self.document.services[position]));
        (desired, state.generator.refused().and(&state.rejected))
    }
}

/// What stands before and behind the services.
fn without_services(haproxy: &Haproxy) -> Document {
    let mut document = Document::new(haproxy.global.clone(), haproxy.defaults.clone());
    document.extra_sections.clone_from(&haproxy.extra_sections);
    document.shared_frontend.clone_from(&haproxy.shared_frontend);
    document
}

impl State {
    fn new(config: config::Service, before: Vec<Server>) -> Self {
        Self {
            ids: before.iter().map(|server| (server.name().clone(), server.id())).collect(),
            config,
            generator: Generator::default(),
            last_good: None,
            before,
            known: None,
            unheard: true,
            unclaimed: None,
            served: None,
            position: None,
            rejected: Rejected::default(),
            leaderless: false,
            without_id: 0,
        }
    }

    fn recall(&mut self, entry: &Entry, newer: bool) -> bool {
        let service = self.config.name.as_str();
        // What HAProxy's file has is what HAProxy runs: those ids are taken.
        let mut taken: HashSet<ServerId> = self.ids.values().copied().collect();
        let max = self.config.shape.as_ref().map_or(ServerId::DEFAULT_MAX, |shape| shape.max_server_id);
        for (name, id) in &entry.ids {
            if *id <= max && !self.ids.contains_key(name) && taken.insert(*id) {
                self.ids.insert(name.clone(), *id);
            }
        }
        if entry.snapshot.is_empty() && !self.before.is_empty() {
            return false;
        }
        if newer && !self.before.is_empty() {
            let (Served::Known(served) | Served::Unheard(served)) =
                fold(&self.config.rules, Some(&entry.snapshot), None).served;
            let recalled: HashSet<_> = served.iter().filter_map(|endpoint| name(endpoint).ok()).collect();
            let before: HashSet<_> = self.before.iter().map(|server| server.name().clone()).collect();
            if recalled != before {
                info!(
                    service,
                    "the state file is older than HAProxy's configuration; going on with the servers of that"
                );
                return false;
            }
        }
        self.known = Some(entry.snapshot.clone());
        true
    }

    /// What the source says, with what it lacks while not all that it is made of has answered.
    fn hear(&mut self, said: &Said) -> Snapshot {
        if std::mem::replace(&mut self.unheard, false) {
            self.unclaimed = self.known.as_ref().and_then(|known| Unclaimed::of(known, said));
            if self.unclaimed.is_some() {
                let service = self.config.name.as_str();
                info!(
                    service,
                    "not all of its sources have answered; what was known before is served beside what the others say"
                );
            }
        }
        let completed = self.unclaimed.as_mut().and_then(|unclaimed| unclaimed.complete(said));
        if completed.is_none() {
            self.unclaimed = None;
        }
        completed.unwrap_or_else(|| said.snapshot().clone())
    }

    /// Folds what the source said and makes servers of it. Logs what is refused for the first time.
    fn desired(&mut self, said: Option<&Said>, haproxy: &Haproxy, live: Option<&Live>) -> Option<Service> {
        let said = match said {
            Some(said) => Some(self.hear(said)),
            None => self.known.clone().filter(|_| self.unheard),
        };
        let said = said.as_ref();
        self.generator.follow(said.and_then(Snapshot::settings), &self.config, haproxy);
        let Folded { served, last_good, believed, no_leader } =
            fold(&self.config.rules, said, self.last_good.as_ref());
        self.last_good = last_good;
        if believed && !self.unheard {
            self.known = said.cloned();
        }
        let service = self.config.name.as_str();
        if let Some(reason) = no_leader.filter(|_| said.is_some() && !self.leaderless) {
            warn!(service, error = %reason, "nobody is elected leader, so nobody is served");
        }
        self.leaderless = no_leader.is_some() && said.is_some();
        self.served = Some(served.clone());
        let shape: &Shape = self.generator.shape().or(self.config.shape.as_ref())?;
        let held: Option<KnownIds> = live.map(|live| {
            let held = live.holders(&shape.backend_name);
            held.map(|(name, id)| (name.clone(), id)).collect()
        });
        let earlier = self.unheard.then(|| self.ids.clone());
        let desired = shape.desired(&served, &self.before, &mut self.ids, held.as_ref());
        if let Some(earlier) = earlier {
            // Who is not there as far as is known may be in the first answer, and is to have its id then.
            let taken: HashSet<ServerId> = self.ids.values().copied().collect();
            for (name, id) in earlier {
                if !taken.contains(&id) {
                    self.ids.entry(name).or_insert(id);
                }
            }
        }
        if let Served::Known(_) = served {
            // Once a source was believed, those from before the start are out of date, whatever it says next.
            self.before = Vec::new();
        }
        if desired.without_id > 0 && self.without_id == 0 {
            let (endpoints, max) = (desired.without_id, shape.max_server_id);
            error!(service, endpoints, %max, "no server ids are left, so these endpoints are not served: raise `max_server_id`");
        }
        self.without_id = desired.without_id;
        let rejected: Rejected = desired.rejected.into_iter().collect();
        for rejection in rejected.named() {
            if self.rejected.named().binary_search_by(|known| known.entry().cmp(rejection.entry())).is_err() {
                warn!(
                    service,
                    entry = rejection.entry(),
                    error = rejection.reason(),
                    "not serving an endpoint"
                );
            }
        }
        self.rejected = rejected;
        Some(desired.service)
    }
}

fn changed(old: &Service, new: &Service) -> Changed {
    let before: HashMap<_, _> = old.backend.servers.iter().map(|server| (server.name(), server)).collect();
    let (mut added, mut kept, mut altered) = (0usize, 0usize, 0);
    for server in &new.backend.servers {
        match before.get(server.name()) {
            None => added += 1,
            Some(old) => {
                kept += 1;
                altered += usize::from(*old != server);
            }
        }
    }
    Changed { service: new.name.to_string(), added, removed: before.len().saturating_sub(kept), altered }
}
