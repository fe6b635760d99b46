//! From what is to be served to how HAProxy is to serve it: the one place where an endpoint becomes a server.

use std::collections::{BTreeMap, HashSet};

use discovery_core::{Endpoint, Rejection};
use haproxy_render::{
    Address, Backend, Bind, Cookie, Frontend, Ids, Line, Name, OptionPool, Server, ServerId, ServerOptions,
    Service, Weight,
};

use sha1::{Digest as _, Sha1};

use crate::{fold::Served, template::Template};

/// How HAProxy is to serve a service, but for its servers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    pub(crate) service: Name,
    pub(crate) has_frontend: bool,
    pub(crate) bind: Option<Bind>,
    pub(crate) frontend: Vec<Line>,
    pub(crate) frontend_name: Name,
    pub(crate) backend_name: Name,
    pub(crate) backend: Vec<Line>,
    pub(crate) shared_frontend: Vec<Line>,
    pub(crate) options: Template,
    /// What a registry asks of all servers, to stand behind the service's own options.
    pub(crate) asked: Option<Template>,
    /// Whether a cookie on a server line has any effect.
    pub(crate) cookie: bool,
    pub(crate) cookie_value: CookieValue,
    /// Whether a `default-server` line says what becomes of a name that does not resolve.
    pub(crate) names_init_addr: bool,
    /// What servers inherit, to be written out on their lines: one that is added at run time inherits nothing.
    pub(crate) inherited: ServerOptions,
    /// The algorithm, where nobody has stated it: HAProxy's default depends on its version.
    pub(crate) balance: Option<Line>,
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
    /// In an order of this seed's own, in which whoever stays keeps its place relative to the others, whoever comes or goes.
    /// Without a seed by name.
    Shuffled(Option<u64>),
}

impl Order {
    fn sort(self, servers: &mut [Server]) {
        match self {
            Self::Ascending | Self::Shuffled(None) => servers.sort_by(|a, b| a.name().cmp(b.name())),
            Self::Descending => servers.sort_by(|a, b| b.name().cmp(a.name())),
            Self::AsDiscovered => {}
            Self::Shuffled(Some(seed)) => servers.sort_by_cached_key(|server| {
                let digest =
                    Sha1::new().chain_update(seed.to_be_bytes()).chain_update(server.name().as_str());
                (<[u8; 20]>::from(digest.finalize()), server.name().clone())
            }),
        }
    }
}

/// The seed of a host that is called `name`: the same in every release.
pub(crate) fn order_seed(name: &str) -> u64 {
    Sha1::digest(name).iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

/// What stands in the cookie by which a client finds its server again (Synapse's `cookie_value_method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CookieValue {
    /// The server's name.
    Name,
    /// The name's SHA-1 in hexadecimal digits, which shows clients no address.
    Hash,
}

impl CookieValue {
    fn of(self, name: &Name) -> Result<Cookie, String> {
        match self {
            Self::Name => Ok(Cookie::from(name)),
            Self::Hash => {
                let digest = <[u8; 20]>::from(Sha1::digest(name.as_str()));
                // 40 digits, of which a number of 16 bytes has 32.
                let (first, rest) = digest.split_at(16);
                let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
                Cookie::parse(&format!("{:032x}{:08x}", number(first), number(rest)))
                    .map_err(|error| error.to_string())
            }
        }
    }
}

/// A service as HAProxy is to serve it, and the endpoints that it can't serve.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    pub(crate) service: Service,
    pub(crate) rejected: Vec<Rejection>,
    /// How many of them for want of an id.
    pub(crate) without_id: usize,
}

/// The ids of one backend's servers.
pub(crate) type KnownIds = BTreeMap<Name, ServerId>;

impl Shape {
    /// Makes the servers. `before` are those that were served before this program started; `ids` are those that
    /// servers have, and become those that they are given. `held` are those that servers have in HAProxy, where ids can only
    /// be given anew by deleting their holders.
    pub(crate) fn desired(
        &self,
        served: &Served,
        before: &[Server],
        ids: &mut KnownIds,
        held: Option<&KnownIds>,
    ) -> Desired {
        let mut pool = OptionPool::default();
        let (servers, rejected, without_id) = match served {
            Served::Unheard(_) if !before.is_empty() => {
                (before.iter().map(|server| self.whole(server, &mut pool)).collect(), Vec::new(), 0)
            }
            Served::Known(snapshot) | Served::Unheard(snapshot) => {
                self.servers(snapshot.endpoints(), ids, held, &mut pool)
            }
        };
        let lines = self.balance.iter().chain(&self.backend).cloned().collect();
        let mut backend = Backend::new(self.backend_name.clone(), lines);
        backend.servers = servers;
        let mut service = Service::new(self.service.clone(), backend);
        service.shared_frontend.clone_from(&self.shared_frontend);
        if self.has_frontend {
            let mut frontend = Frontend::new(self.frontend_name.clone(), self.backend_name.clone());
            frontend.lines.clone_from(&self.frontend);
            frontend.bind.clone_from(&self.bind);
            service.frontend = Some(frontend);
        }
        Desired { service, rejected, without_id }
    }

    fn servers(
        &self,
        endpoints: &[Endpoint],
        ids: &mut KnownIds,
        held: Option<&KnownIds>,
        pool: &mut OptionPool,
    ) -> (Vec<Server>, Vec<Rejection>, usize) {
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
                Ok(name) => {
                    // One text for a name, whatever becomes of these servers: the one that the ids have is kept.
                    let known = ids.get_key_value(&name).map(|(known, _)| known.clone());
                    named.push((known.unwrap_or(name), endpoint));
                }
                Err(reason) => rejected.push(Rejection::new(&endpoint.to_string(), &reason)),
            }
        }
        // Ids first and for all: which number a server gets must not hang on the order of the lines.
        let without_id;
        (*ids, without_id) = self.assign(std::mem::take(ids), held, &named);
        // Read once for all: a hundred servers then share one text.
        let constant = Constant {
            own: self.options.constant().map(trusted),
            asked: self.asked.as_ref().and_then(Template::constant).and_then(untrusted),
        };
        let mut servers = Vec::with_capacity(named.len());
        for (name, endpoint) in named {
            let server = match ids.get(&name) {
                Some(&id) => self.server(name, endpoint, id, &constant),
                None => Err(format!("no id is left up to {}", self.max_server_id)),
            };
            match server {
                Ok(server) => servers.push(self.whole(&server, pool)),
                Err(reason) => rejected.push(Rejection::new(&endpoint.to_string(), &reason)),
            }
        }
        self.order.sort(&mut servers);
        (servers, rejected, without_id)
    }

    fn assign(
        &self,
        mut known: KnownIds,
        held: Option<&KnownIds>,
        named: &[(Name, &Endpoint)],
    ) -> (KnownIds, usize) {
        let wanted: HashSet<&Name> = named.iter().map(|(name, _)| name).collect();
        // What those have that go, now or still, is not free before they are gone.
        let gone: Vec<ServerId> = held.map_or_else(Vec::new, |held| {
            let gone = known.iter().chain(held).filter(|(name, _)| !wanted.contains(name));
            gone.map(|(_, id)| *id).collect()
        });
        // One that comes back while it leaves is that server still.
        for (name, id) in held.into_iter().flatten().filter(|(name, _)| wanted.contains(name)) {
            known.entry(name.clone()).or_insert(*id);
        }
        let ids = Ids::new().max(self.max_server_id).previous(known);
        let reserved = |gone: &[ServerId]| {
            let ids = ids.clone().reserved(self.reserved_ids.iter().chain(gone).copied());
            ids.assign(named.iter().map(|(name, endpoint)| (name.clone(), wanted_id(endpoint))))
        };
        let mut assigned = reserved(&gone);
        if !assigned.left_out.is_empty() {
            // Rather one after the other than not at all.
            assigned = reserved(&[]);
        }
        (assigned.ids, assigned.left_out.len())
    }

    /// The server with all that it inherits written out, if there is room for that.
    fn whole(&self, server: &Server, pool: &mut OptionPool) -> Server {
        pool.share(server.with_defaults(&self.inherited).unwrap_or_else(|_| server.clone()))
    }

    fn server(
        &self,
        name: Name,
        endpoint: &Endpoint,
        id: ServerId,
        constant: &Constant,
    ) -> Result<Server, String> {
        let host = endpoint.host().to_string();
        let address = Address::parse(&host).map_err(|error| error.to_string())?;
        let own = if let Some(own) = &constant.own {
            own.clone()?
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
        let cookie = self.cookie.then(|| self.cookie_value.of(&name)).transpose()?;
        let weight = endpoint.weight().filter(|_| self.use_nerve_weights);
        // What registries hold goes up to any number, HAProxy's weights to 256.
        let weight = weight.map(|weight| Weight::new(weight).unwrap_or(Weight::MAX));
        let builder = Server::builder(name, address, endpoint.port(), id)
            .backup(endpoint.backup())
            .cookie(cookie)
            .weight(weight)
            .inherits_init_addr(self.names_init_addr)
            .options(own);
        let of_all = match (&constant.asked, &self.asked) {
            (Some(options), _) => Some(options.clone()),
            (None, Some(template)) => untrusted(&template.fill(&host, endpoint.port().get(), "")),
            (None, None) => None,
        };
        // What is asked of all servers is not worth losing one: all options together may be too long for its line.
        let with_all =
            of_all.and_then(|of_all| builder.clone().options(of_all).options(asked.clone()).build().ok());
        with_all.map_or_else(|| builder.options(asked).build().map_err(|error| error.to_string()), Ok)
    }
}

/// The options that are the same for all servers of a service, read once.
struct Constant {
    own: Option<Result<ServerOptions, String>>,
    asked: Option<ServerOptions>,
}

/// What a registry asks of all servers. It was judged when it came.
fn untrusted(text: &str) -> Option<ServerOptions> {
    ServerOptions::untrusted(text).ok()
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
pub(crate) fn name(endpoint: &Endpoint) -> Result<Name, String> {
    let (host, port) = (endpoint.host(), endpoint.port());
    let text = match endpoint.name() {
        Some(name) => format!("{name}_{host}:{port}"),
        None => format!("{host}:{port}"),
    };
    Name::parse(&text).map_err(|error| format!("its name cannot be a server's: {error}"))
}

#[cfg(test)]
mod tests;
