//! The discovery methods: from the `discovery` section of a service to a watcher.

#[cfg(feature = "schema")]
mod schema;

use std::{collections::BTreeMap, fmt, future::Future, hash::Hash, num::NonZeroU16, sync::Arc};

use async_trait::async_trait;
use discovery_core::{
    Backoff, Snapshot, WatchError, Watcher,
    multi::View,
    transform::{LabelFilter, labelled},
};

use crate::{
    config::{Problem, Section, read_discovery},
    connection::{Connections, Hold},
    meter::Meter,
};

/// A checked `discovery` section: makes the watcher of a service.
///
/// Making one connects to nothing and reads nothing: that begins when the watcher is first asked. It is made anew each time
/// an agent is.
#[derive(Clone)]
pub struct Source {
    make: Arc<Make>,
    needs_port: bool,
    origin: Option<Origin>,
    /// Those of the sources that it is made of, with their names.
    parts: Vec<(String, Option<Origin>)>,
    warnings: Vec<Problem>,
}

/// Where a source asks, and as whom: for people, and never a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) place: String,
    pub(crate) account: Option<String>,
}

#[cfg(feature = "docker")]
impl Origin {
    pub(crate) fn new(place: String, account: Option<String>) -> Self {
        Self { place, account }
    }
}

type Make = dyn Fn(&mut Context<'_>) -> Box<dyn Watcher> + Send + Sync;

impl Source {
    /// A source whose watchers are made by `make`.
    pub fn new<W: Watcher + 'static>(make: impl Fn(&mut Context<'_>) -> W + Send + Sync + 'static) -> Self {
        let make = Arc::new(move |context: &mut Context<'_>| -> Box<dyn Watcher> { Box::new(make(context)) });
        Self { make, needs_port: false, origin: None, parts: Vec::new(), warnings: Vec::new() }
    }

    /// The same source, of the registry at `place`, which is asked as `account`, if as anybody: for
    /// [`Agent::examine`](crate::Agent::examine), which names both. Neither may be a secret. Services whose sources say the same here
    /// share a finding.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>, account: Option<String>) -> Self {
        self.origin = Some(Origin { place: place.into(), account });
        self
    }

    /// The same source, made of these.
    pub(crate) fn made_of(mut self, parts: Vec<(String, Option<Origin>)>) -> Self {
        self.parts = parts;
        self
    }

    /// Where it asks, if it says so.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Where the part of this name asks, if it says so.
    pub(crate) fn origin_of(&self, part: &str) -> Option<&Origin> {
        self.parts.iter().find(|(name, _)| name == part)?.1.as_ref()
    }

    /// The same source, of a registry that does not know the ports of its endpoints: a configuration that gives the service
    /// no port ([`Context::port`]) is refused.
    #[must_use]
    pub fn without_ports(mut self) -> Self {
        self.needs_port = true;
        self
    }

    /// The same source, and what its section has in it that works, but not as whoever wrote it may think: it becomes one of
    /// [`Config::warnings`](crate::Config::warnings).
    #[must_use]
    pub fn with_warning(mut self, warning: Problem) -> Self {
        self.warnings.push(warning);
        self
    }

    /// Whether its registry does not know the ports of its endpoints: see [`without_ports`](Self::without_ports).
    pub fn needs_port(&self) -> bool {
        self.needs_port
    }

    /// What was found with [`with_warning`](Self::with_warning).
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Makes a watcher: for a method that is made of others, of which each has a source ([`Registry::source`]).
    pub fn watcher(&self, context: &mut Context<'_>) -> Box<dyn Watcher> {
        (self.make)(context)
    }

    /// The same source with its warnings as `change` makes them.
    pub(crate) fn map_warnings(mut self, change: impl Fn(&mut Problem)) -> Self {
        self.warnings.iter_mut().for_each(change);
        self
    }

    /// The same source, of only the endpoints that meet these conditions.
    pub(crate) fn labelled(self, filters: Vec<LabelFilter>) -> Self {
        if filters.is_empty() {
            return self;
        }
        let (make, filters) = (self.make, Arc::<[_]>::from(filters));
        let make = Arc::new(move |context: &mut Context<'_>| -> Box<dyn Watcher> {
            Box::new(Labelled { watcher: make(context), filters: Arc::clone(&filters) })
        });
        Self { make, ..self }
    }
}

/// What a part of a service's source says, as far as the part wants it.
struct Labelled {
    watcher: Box<dyn Watcher>,
    filters: Arc<[LabelFilter]>,
}

#[async_trait]
impl Watcher for Labelled {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        Ok(labelled(&self.watcher.next().await?, &self.filters))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// What a [`Source`] makes its watcher with.
pub struct Context<'a> {
    pub(crate) service: &'a str,
    pub(crate) port: Option<NonZeroU16>,
    pub(crate) backoff: Backoff,
    pub(crate) connections: &'a mut Connections,
    /// What keeps the connections that the watcher uses.
    pub(crate) holds: Vec<Hold>,
    #[cfg_attr(not(feature = "zk"), expect(dead_code, reason = "only connections to ZooKeeper are counted"))]
    pub(crate) meter: &'a Meter,
    /// How the parts of the watcher can be looked at, if it has any.
    pub(crate) children: Option<View>,
}

impl Context<'_> {
    /// The name of the service that the watcher is for.
    pub fn service(&self) -> &str {
        self.service
    }

    /// The port that the service's endpoints are served on, whatever their registry says (`backend_port_override`).
    pub fn port(&self) -> Option<NonZeroU16> {
        self.port
    }

    /// How long to wait between attempts to reach a registry again.
    pub fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// Shows how the children of the watcher are doing in the [`Status`](crate::Status) of its service. Whoever says so last is
    /// heard: a method that is made of others, after it has made their watchers.
    pub fn show(&mut self, children: View) {
        self.children = Some(children);
    }

    /// A connection that several services share: the one made for an equal `key` before, if a service still uses it, or else a new one.
    ///
    /// `connect` returns the handle and the future that drives it. The agent runs that future beside its services, and holds the handle
    /// for as long as a watcher that asked for it is at work; the future should end when nobody holds the handle any more. One that has
    /// ended before that, unless it did so at once, is taken for broken: who asks next gets a new connection.
    pub fn shared<K, T, F>(&mut self, key: K, connect: impl FnOnce(K) -> (T, F)) -> T
    where
        K: Hash + Eq + Clone + Send + 'static,
        T: Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (handle, hold) = self.connections.shared(key, connect);
        self.holds.push(hold);
        handle
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("service", &self.service).finish_non_exhaustive()
    }
}

/// What is known of a method.
struct Method {
    read: Read,
    /// What may stand in its section.
    #[cfg(feature = "schema")]
    schema: Option<Arc<dyn Fn() -> serde_json::Value + Send + Sync>>,
}

type Read = Box<dyn Fn(&Section, &Registry) -> Result<Source, Vec<Problem>> + Send + Sync>;

/// The discovery methods that a configuration can name.
///
/// ```
/// use agent::{Registry, Source, config::Problem};
/// use discovery_core::{Endpoint, Fixed, Snapshot};
///
/// /// What stands in the section: serde's types do, whatever the file's format.
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Local {
///     port: u16,
/// }
///
/// let registry = Registry::builtin().with("local", |section| {
///     let Local { port } = section.parse()?;
///     let endpoint = Endpoint::new(std::net::IpAddr::from([127, 0, 0, 1]).try_into().unwrap(), port)
///         .map_err(|error| vec![section.problem_at("port", error.to_string())])?;
///     Ok(Source::new(move |_| Fixed::new(Snapshot::new([endpoint.clone()]))))
/// });
/// assert!(registry.methods().any(|method| method == "local"));
/// ```
pub struct Registry {
    methods: BTreeMap<String, Method>,
}

impl Registry {
    /// No methods at all.
    pub fn empty() -> Self {
        Self { methods: BTreeMap::new() }
    }

    /// The methods of this build: `base` and `file`, and those of the crate's features.
    pub fn builtin() -> Self {
        let registry = Self::empty()
            .with("base", crate::method::base)
            .with("file", crate::method::file)
            .with_composite("multi", crate::multi::multi);
        #[cfg(feature = "etcd")]
        let registry = registry.with("etcd", crate::method::etcd);
        #[cfg(feature = "dns")]
        let registry = registry.with("dns", crate::method::dns);
        #[cfg(feature = "docker")]
        let registry = registry.with("docker", crate::method::docker);
        #[cfg(feature = "ec2")]
        let registry = registry.with("ec2tag", crate::method::ec2tag);
        #[cfg(feature = "zk")]
        let registry = registry
            .with("zookeeper", crate::method::zookeeper)
            .with("zookeeper_poll", crate::method::zookeeper_poll);
        #[cfg(all(feature = "dns", feature = "zk"))]
        let registry = registry
            .with("zookeeper_dns", crate::method::zookeeper_dns)
            .with("zookeeper_dns_poll", crate::method::zookeeper_dns_poll);
        #[cfg(feature = "schema")]
        let registry = registry.with_builtin_schemas();
        registry
    }

    /// Adds a method, or replaces one. `read` gets the service's `discovery` section without the keys that all methods
    /// share; it checks everything that can be checked without touching the world.
    #[must_use]
    pub fn with(
        self,
        method: &str,
        read: impl Fn(&Section) -> Result<Source, Vec<Problem>> + Send + Sync + 'static,
    ) -> Self {
        self.with_composite(method, move |section, _| read(section))
    }

    /// As [`with`](Self::with), for a method that is made of others: `read` gets the registry, too, whose
    /// [`source`](Self::source) reads the `discovery` sections within its own.
    ///
    /// ```
    /// use agent::{Registry, Source, discovery::multi::Multi};
    ///
    /// // {method: either, of: {method: …}, or: {method: …}}
    /// let registry = Registry::builtin().with_composite("either", |section, registry| {
    ///     let part = |key| match section.section(key) {
    ///         Some(part) => registry.source(&part),
    ///         None => Err(vec![section.problem(format!("missing key `{key}`"))]),
    ///     };
    ///     let (of, or) = (part("of")?, part("or")?);
    ///     Ok(Source::new(move |context| {
    ///         let children = [("of", of.watcher(context)), ("or", or.watcher(context))];
    ///         let either = Multi::sequential(context.service(), children, context.backoff());
    ///         context.show(either.view());
    ///         either
    ///     }))
    /// });
    /// assert!(registry.methods().any(|method| method == "either"));
    /// ```
    #[must_use]
    pub fn with_composite(
        mut self,
        method: &str,
        read: impl Fn(&Section, &Registry) -> Result<Source, Vec<Problem>> + Send + Sync + 'static,
    ) -> Self {
        let method_of = Method {
            read: Box::new(read),
            #[cfg(feature = "schema")]
            schema: None,
        };
        self.methods.insert(method.to_owned(), method_of);
        self
    }

    /// Reads a whole `discovery` section: its method, its label filters, and what the method has to say of the rest.
    ///
    /// What comes of it says only what meets the filters. Warnings, and whether a port is needed, are for the caller to pass
    /// on.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the section, an unknown method included.
    pub fn source(&self, section: &Section) -> Result<Source, Vec<Problem>> {
        let mut problems = Vec::new();
        match read_discovery(section, self, &mut problems) {
            Some(found) if problems.is_empty() => Ok(found.source.labelled(found.filters)),
            _ => Err(problems),
        }
    }

    /// The names of the methods, sorted.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }

    pub(crate) fn read(&self, method: &str, section: &Section) -> Option<Result<Source, Vec<Problem>>> {
        self.methods.get(method).map(|method| (method.read)(section, self))
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::builtin()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.methods.keys()).finish()
    }
}
