//! From one configuration to another.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use haproxy_render::{Name, Service};
use haproxy_runtime::Live;

use super::{Changed, Model, Said, State, changed, without_services};
use crate::{
    config::{self, Config},
    fold::fold,
    generator::Generator,
};

/// What became of the services.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// In the order of the configuration.
    pub(crate) added: Vec<Name>,
    /// Sorted.
    pub(crate) removed: Vec<Name>,
    /// Those that say something else than before.
    pub(crate) changed: Vec<Name>,
    pub(crate) unchanged: usize,
    /// How their servers changed.
    pub(crate) servers: Vec<Changed>,
}

impl Model {
    /// Goes on with another configuration. The source of those that are `fresh` is another than before, `said` is what sources said
    /// last, and `live` knows which servers HAProxy has.
    ///
    /// A service that is not touched by it keeps everything, the value that it has in the document included. To one that is, it is
    /// what a restart of the program would be: whoever is served now is served until it is known who is to be.
    pub(crate) fn reconfigure(
        &mut self,
        config: &Config,
        fresh: &HashSet<Name>,
        said: impl Fn(&Name) -> Option<Said>,
        live: Option<&Live>,
    ) -> Difference {
        let all = !self.haproxy.shapes_like(&config.haproxy);
        self.haproxy = config.haproxy.clone();
        let before = std::mem::replace(&mut self.document, without_services(&self.haproxy)).services;
        let mut states = std::mem::take(&mut self.services);
        let mut difference = Difference::default();
        self.services = HashMap::with_capacity(config.services.len());
        for service in &config.services {
            let name = &service.name;
            let (mut state, current, touched) = match states.remove(name) {
                None => {
                    difference.added.push(name.clone());
                    (State::new(service.clone(), Vec::new()), None, true)
                }
                Some(mut state) => {
                    let current = state.position.and_then(|position| before.get(position).cloned());
                    let same = state.config.section == service.section;
                    if same {
                        difference.unchanged += 1;
                    } else {
                        difference.changed.push(name.clone());
                    }
                    let fresh = fresh.contains(name);
                    let touched = all || fresh || !same;
                    if touched {
                        state.turn_into(service, current.as_deref(), fresh);
                    } else {
                        state.config = service.clone();
                    }
                    (state, current, touched)
                }
            };
            let next = if touched {
                state.desired(said(name).as_ref(), &self.haproxy, live).map(|desired| match &current {
                    Some(current) if **current == desired => Arc::clone(current),
                    _ => Arc::new(desired),
                })
            } else {
                current.clone()
            };
            difference.servers.extend(difference_of(current.as_ref(), next.as_ref()));
            state.position = next.as_ref().map(|_| self.document.services.len());
            self.document.services.extend(next);
            self.services.insert(name.clone(), state);
        }
        difference.removed = states.keys().cloned().collect();
        difference.removed.sort();
        let gone = difference.removed.iter().filter_map(|name| before.get(states.get(name)?.position?));
        difference.servers.extend(gone.filter_map(|gone| difference_of(Some(gone), None)));
        difference
    }
}

fn difference_of(before: Option<&Arc<Service>>, after: Option<&Arc<Service>>) -> Option<Changed> {
    let nobody = |service: &Service| {
        let mut nobody = service.clone();
        nobody.backend.servers.clear();
        nobody
    };
    match (before, after) {
        (Some(before), Some(after)) => (!Arc::ptr_eq(before, after)).then(|| changed(before, after)),
        (Some(before), None) => Some(changed(before, &nobody(before))),
        (None, Some(after)) => Some(changed(&nobody(after), after)),
        (None, None) => None,
    }
}

impl State {
    /// Goes on as another service of the same name. `current` is what HAProxy is to run so far.
    fn turn_into(&mut self, config: &config::Service, current: Option<&Service>, fresh: bool) {
        if let Some(current) = current {
            self.before.clone_from(&current.backend.servers);
        }
        if self.config.rules != config.rules {
            // What was good was made by the old rules.
            let known = self.known.as_ref();
            self.last_good = known.and_then(|known| fold(&config.rules, Some(known), None).last_good);
        }
        self.config = config.clone();
        self.generator = Generator::default();
        self.unheard |= fresh;
    }
}
