//! From what is to be served to how HAProxy is to serve it: the one place where an endpoint becomes a server.

use std::collections::{BTreeMap, HashSet};

use discovery_core::{Endpoint, Rejection};
use haproxy_render::{
    Address, Backend, Bind, Cookie, Frontend, Ids, Line, Name, Server, ServerId, ServerOptions, Service,
    Weight,
};

use crate::{fold::Served, template::Template};

/// How HAProxy is to serve a service, but for its servers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    pub(crate) service: Name,
    pub(crate) has_frontend: bool,
    pub(crate) bind: Option<Bind>,
    pub(crate) frontend: Vec<Line>,
    pub(crate) backend_name: Name,
    pub(crate) backend: Vec<Line>,
    pub(crate) shared_frontend: Vec<Line>,
    pub(crate) options: Template,
    /// Whether a cookie on a server line has any effect.
    pub(crate) cookie: bool,
    /// Whether a `default-server` line says what becomes of a name that does not resolve.
    pub(crate) names_init_addr: bool,
    pub(crate) order: Order,
    pub(crate) use_nerve_weights: bool,
    pub(crate) max_server_id: ServerId,
    /// The ids of servers that the operator has written into the backend.
    pub(crate) reserved_ids: Vec<ServerId>,
}

/// The order of a backend's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// By name.
    Ascending,
    /// By name, backwards.
    Descending,
    /// By address, as a snapshot has them.
    AsDiscovered,
}

/// A service as HAProxy is to serve it, and the endpoints that it can't serve.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    pub(crate) service: Service,
    pub(crate) rejected: Vec<Rejection>,
}

/// The ids of one backend's servers.
pub(crate) type KnownIds = BTreeMap<Name, ServerId>;

impl Shape {
    /// Makes the servers. `before` are those that were served before this program started; `ids` are those that
    /// servers have, and become those that they are given.
    pub(crate) fn desired(&self, served: &Served, before: &[Server], ids: &mut KnownIds) -> Desired {
        let (servers, rejected) = match served {
            Served::Unheard(_) if !before.is_empty() => (before.to_vec(), Vec::new()),
            Served::Known(snapshot) | Served::Unheard(snapshot) => self.servers(snapshot.endpoints(), ids),
        };
        let mut backend = Backend::new(self.backend_name.clone(), self.backend.clone());
        backend.servers = servers;
        let mut service = Service::new(self.service.clone(), backend);
        service.shared_frontend.clone_from(&self.shared_frontend);
        if self.has_frontend {
            let mut frontend = Frontend::new(self.service.clone(), self.backend_name.clone());
            frontend.lines.clone_from(&self.frontend);
            frontend.bind.clone_from(&self.bind);
            service.frontend = Some(frontend);
        }
        Desired { service, rejected }
    }

    fn servers(&self, endpoints: &[Endpoint], ids: &mut KnownIds) -> (Vec<Server>, Vec<Rejection>) {
        let mut rejected = Vec::new();
        let mut named = Vec::with_capacity(endpoints.len());
        let mut taken = HashSet::with_capacity(endpoints.len());
        for endpoint in endpoints {
            match name(endpoint) {
                // A name and a host may meet in one: `a` at `b.example` and nobody at `a_b.example`.
                Ok(name) if !taken.insert(name.clone()) => {
                    let reason = "another endpoint's server has this name already";
                    rejected.push(Rejection::new(&endpoint.to_string(), reason));
                }
                Ok(name) => named.push((name, endpoint)),
                Err(reason) => rejected.push(Rejection::new(&endpoint.to_string(), &reason)),
            }
        }
        // Ids first and for all: which number a server gets must not hang on the order of the lines.
        let known = std::mem::take(ids);
        let assigned = Ids::new()
            .max(self.max_server_id)
            .previous(known)
            .reserved(self.reserved_ids.iter().copied())
            .assign(named.iter().map(|(name, endpoint)| (name.clone(), wanted_id(endpoint))));
        *ids = assigned.ids;
        // Read once for all: a hundred servers then share one text.
        let constant = self.options.constant().map(trusted);
        let mut servers = Vec::with_capacity(named.len());
        for (name, endpoint) in named {
            let server = match ids.get(&name) {
                Some(&id) => self.server(name, endpoint, id, constant.as_ref()),
                None => Err(format!("no id is left up to {}", self.max_server_id)),
            };
            match server {
                Ok(server) => servers.push(server),
                Err(reason) => rejected.push(Rejection::new(&endpoint.to_string(), &reason)),
            }
        }
        match self.order {
            Order::Ascending => servers.sort_by(|a, b| a.name().cmp(b.name())),
            Order::Descending => servers.sort_by(|a, b| b.name().cmp(a.name())),
            Order::AsDiscovered => {}
        }
        (servers, rejected)
    }

    /// `constant`: the service's options, if they are the same for all.
    fn server(
        &self,
        name: Name,
        endpoint: &Endpoint,
        id: ServerId,
        constant: Option<&Result<ServerOptions, String>>,
    ) -> Result<Server, String> {
        let host = endpoint.host().to_string();
        let address = Address::parse(&host).map_err(|error| error.to_string())?;
        let own = if let Some(constant) = constant {
            constant.clone()?
        } else if endpoint.name().is_none() && self.options.needs_name() {
            // An option without its value would take the next word for it.
            return Err("the service's server_options have `%{name}`, and it has no name".to_owned());
        } else {
            let name = endpoint.name().unwrap_or_default();
            trusted(&self.options.fill(&host, endpoint.port().get(), name))?
        };
        let (_, asked) = ServerOptions::split_id(endpoint.server_options().unwrap_or_default());
        let asked =
            ServerOptions::untrusted(&asked).map_err(|error| format!("haproxy_server_options: {error}"))?;
        let cookie = self.cookie.then(|| Cookie::from(&name));
        let weight = endpoint.weight().filter(|_| self.use_nerve_weights);
        // What registries hold goes up to any number, HAProxy's weights to 256.
        let weight = weight.map(|weight| Weight::new(weight).unwrap_or(Weight::MAX));
        Server::builder(name, address, endpoint.port(), id)
            .backup(endpoint.backup())
            .cookie(cookie)
            .weight(weight)
            .inherits_init_addr(self.names_init_addr)
            .options(own)
            .options(asked)
            .build()
            .map_err(|error| error.to_string())
    }
}

/// The operator's own options for a service's servers.
fn trusted(text: &str) -> Result<ServerOptions, String> {
    ServerOptions::trusted(text).map_err(|error| format!("the service's server_options: {error}"))
}

/// The ids that `server` lines of the operator's own have.
pub(crate) fn reserved_ids(backend: &[Line]) -> Vec<ServerId> {
    let words = |line: &Line| line.as_str().split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let servers =
        backend.iter().map(words).filter(|words| words.first().is_some_and(|first| first == "server"));
    let id = |words: Vec<String>| {
        let value = words.iter().skip_while(|word| *word != "id").nth(1)?.parse().ok()?;
        ServerId::new(value).ok()
    };
    servers.filter_map(id).collect()
}

/// The id that an endpoint's options ask for, as Synapse's users write it.
fn wanted_id(endpoint: &Endpoint) -> Option<ServerId> {
    ServerOptions::split_id(endpoint.server_options()?).0
}

/// `name_host:port`, or `host:port` without a name, as Synapse names servers.
fn name(endpoint: &Endpoint) -> Result<Name, String> {
    let (host, port) = (endpoint.host(), endpoint.port());
    let text = match endpoint.name() {
        Some(name) => format!("{name}_{host}:{port}"),
        None => format!("{host}:{port}"),
    };
    Name::parse(&text).map_err(|error| format!("its name cannot be a server's: {error}"))
}
