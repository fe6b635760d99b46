//! From the text of a configuration to what is true.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::PathBuf,
    time::Duration,
};

use discovery_core::Backoff;
use serde::{Deserialize, de::IgnoredAny};

use super::{
    KeyPath, Node, Problem, Report, Section, Value,
    copies::Copies,
    draft::Draft,
    file_output,
    haproxy::Haproxy,
    raw,
    service::{Findings, Service},
    split,
    statsd::{self, Statsd},
    window::{self, Staleness, Window},
};
use crate::{
    desired::{Order, order_seed},
    registry::Registry,
};

/// A configuration without a mistake: nothing in it is left to interpret.
///
/// Its keys are Synapse's, with a section `agent` that is ours. Reading it touches nothing and connects nowhere.
#[derive(Clone)]
pub struct Config {
    pub(crate) services: Vec<Service>,
    pub(crate) haproxy: Haproxy,
    pub(crate) times: Times,
    /// Where each service has a file; `None`: none has.
    pub(crate) file_output: Option<PathBuf>,
    /// Where metrics are sent; `None`: nowhere.
    pub(crate) statsd: Option<Statsd>,
    /// Where the status is served; `None`: nowhere.
    pub(crate) window: Option<Window>,
    pub(crate) staleness: Staleness,
    warnings: Report,
}

/// The `agent` section: how long things may take, and what is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// How long to wait for the first answers before anything is written.
    pub(crate) startup_wait: Duration,
    /// How long no news must come before what has come is applied.
    pub(crate) settle: Duration,
    /// How long news may be held back by further news.
    pub(crate) settle_max: Duration,
    pub(crate) backoff: Backoff,
    /// Whether changes of the configuration's files are looked for.
    pub(crate) watch_config: bool,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            startup_wait: Duration::from_secs(10),
            settle: Duration::from_millis(5),
            settle_max: Duration::from_millis(100),
            backoff: Backoff::default(),
            watch_config: true,
        }
    }
}

/// The keys at the top, but for `service_conf_dir`, which is gone when services are joined. Synapse takes any other for the name of a
/// plugin that writes another program's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Top {
    #[serde(default, rename = "services")]
    _services: IgnoredAny,
    #[serde(default, rename = "haproxy")]
    _haproxy: IgnoredAny,
    #[serde(default, rename = "file_output")]
    _file_output: IgnoredAny,
    #[serde(default, rename = "statsd")]
    _statsd: IgnoredAny,
    #[serde(default, rename = "agent")]
    _agent: IgnoredAny,
    #[serde(default, rename = "status")]
    _status: IgnoredAny,
}

impl Config {
    /// Reads a configuration: JSON, JSON with comments, or YAML, told apart by what it looks like.
    ///
    /// `file` is what messages call it. `registry` has the discovery methods that it may name. What needs the world is a mistake
    /// here: `service_conf_dir`, and values of the environment; [`Loader`](super::Loader) knows both.
    ///
    /// # Errors
    ///
    /// All mistakes at once, each with its line, column and key path.
    pub fn parse(text: &str, file: Option<&str>, registry: &Registry) -> Result<Self, Report> {
        let mut draft = Draft::new(file);
        let root = draft.tree(None, text, None);
        Self::of(root, draft, registry)
    }

    /// Reads the tree that was made of the texts of a draft; none if the main one can't be read.
    pub(super) fn of(root: Option<Node>, mut draft: Draft, registry: &Registry) -> Result<Self, Report> {
        let (mut problems, mut warnings) =
            (std::mem::take(&mut draft.problems), std::mem::take(&mut draft.warnings));
        let config = root.and_then(|root| {
            read(&Section::new(root, KeyPath::root()), registry, &mut problems, &mut warnings)
        });
        match config {
            Some(config) if problems.is_empty() => Ok(Self { warnings: draft.report(warnings), ..config }),
            _ => Err(draft.report(problems)),
        }
    }

    /// What is worth knowing and no mistake: keys without effect, lines that are written otherwise.
    pub fn warnings(&self) -> &Report {
        &self.warnings
    }

    /// Shuffles servers in an order of this host's own where the configuration has no `server_order_seed`, so that not all hosts
    /// begin with the same server. Without it they stand in the order of their names.
    #[must_use]
    pub fn with_host_name(mut self, name: &str) -> Self {
        let seed = *self.haproxy.order_seed.get_or_insert_with(|| order_seed(name));
        for shape in self.services.iter_mut().filter_map(|service| service.shape.as_mut()) {
            if let Order::Shuffled(own) = &mut shape.order {
                *own = Some(seed);
            }
        }
        self
    }

    /// Whether it is to be taken over when its files change (`watch_config`; true unless set): see [`Follower`](crate::Follower).
    pub fn watches_files(&self) -> bool {
        self.times.watch_config
    }

    /// The names of the services, in the order of the file.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|service| service.name.as_str())
    }
}

impl fmt::Debug for Config {
    /// Names only: HAProxy's lines may hold passwords (`stats auth`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("services", &self.services().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

fn read(
    root: &Section,
    registry: &Registry,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Config> {
    let _ = root.without(&[split::KEY]).recover::<Top>(problems);
    top_level(root, problems);
    let haproxy = root
        .section("haproxy")
        .map_or_else(Haproxy::blank, |section| Haproxy::read(&section, problems, warnings));
    let times =
        root.section("agent").map_or_else(|| Some(Times::default()), |section| times(&section, problems));
    let services = services(root, registry, &haproxy, problems, warnings);
    let file_output = file_output::read(root, services.as_deref(), &haproxy, problems, warnings);
    let statsd = statsd::read(root, problems, warnings);
    let (window, staleness) = window::read(root, problems, warnings);
    let services = services?;
    Some(Config {
        staleness: staleness.with(&services),
        services,
        haproxy,
        times: times?,
        file_output,
        statsd,
        window,
        warnings: Report::new(None, Vec::new()),
    })
}

fn top_level(root: &Section, problems: &mut Vec<Problem>) {
    if root.has(split::KEY) {
        let message = "only a configuration that is loaded from files has it; this text was not";
        problems.push(root.problem_at(split::KEY, message));
    }
    let is_map = matches!(root.node().value, Value::Map(_));
    if is_map && root.get("haproxy").is_none() && !root.has("file_output") {
        problems.push(root.problem("no config generators supplied: missing key `haproxy` or `file_output`"));
    }
}

fn services(
    root: &Section,
    registry: &Registry,
    haproxy: &Haproxy,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Vec<Service>> {
    let Some(section) = root.section("services").filter(|_| root.has("services")) else {
        // As Synapse: the other sections alone are a configuration, and so is `services:` with nothing below it.
        return Some(Vec::new());
    };
    let Value::Map(entries) = &section.node().value else {
        problems.push(section.problem("expected a map from a service's name to the service"));
        return None;
    };
    let before = problems.len();
    let mut services = Vec::with_capacity(entries.len());
    let mut copies = Copies::new();
    for entry in entries {
        let service = Section::new(entry.value.clone(), section.path().key(&entry.key));
        for (name, service) in copies.of(&entry.key, service, problems, warnings) {
            let mut found = Findings { problems: &mut *problems, warnings: &mut *warnings };
            let Some(read) = Service::read(&name, &service, registry, haproxy, &mut found) else { break };
            services.push((service, read));
        }
    }
    clashes(&services, haproxy, problems);
    (problems.len() == before).then(|| services.into_iter().map(|(_, service)| service).collect())
}

/// Two services that HAProxy could not tell apart, or could not both listen for.
fn clashes(services: &[(Section, Service)], haproxy: &Haproxy, problems: &mut Vec<Problem>) {
    let (mut names, mut backends, mut binds) = (HashSet::new(), HashMap::new(), HashMap::new());
    let mut frontends = HashMap::new();
    for (section, service) in services {
        if !names.insert(&service.name) {
            problems.push(section.problem(format!("there is a service `{}` already", service.name)));
            continue;
        }
        let Some(shape) = &service.shape else { continue };
        if shape.has_frontend {
            let name = &shape.frontend_name;
            if name.as_str() == "shared-frontend" && haproxy.shared_frontend.is_some() {
                problems.push(section.problem("the frontend that all services share has this name"));
            }
            if let Some(first) = frontends.insert(name, &service.name) {
                problems.push(
                    section.problem(format!("service `{first}` already has a frontend called `{name}`")),
                );
            }
        }
        if let Some(first) = backends.insert(&shape.backend_name, &service.name) {
            let message = format!("service `{first}` already has a backend called `{}`", shape.backend_name);
            problems.push(section.problem(message));
        }
        if let Some(bind) = &shape.bind
            && let Some(port) = bind.port
            && let Some((first, place)) = binds.insert((&bind.address, port), (&service.name, section.path()))
            // Copies of one service share it.
            && place != section.path()
        {
            let message = format!("service `{first}` already listens at {}:{port}", bind.address);
            problems.push(section.problem(message));
        }
    }
}

fn times(section: &Section, problems: &mut Vec<Problem>) -> Option<Times> {
    let before = problems.len();
    let raw = section.recover::<raw::Agent>(problems)?;
    let mut time = |key: &str, given: Option<f64>, or: Duration| {
        given.map_or(Some(or), seconds).unwrap_or_else(|| {
            problems.push(section.problem_at(key, "expected seconds, 0 to a year"));
            or
        })
    };
    let or = Times::default();
    let startup_wait = time("startup_wait", raw.startup_wait, or.startup_wait);
    let settle = time("settle", raw.settle, or.settle);
    let settle_max = time("settle_max", raw.settle_max, or.settle_max.max(settle));
    let min = time("backoff_min", raw.backoff_min, Duration::from_millis(500));
    let max = time("backoff_max", raw.backoff_max, Duration::from_secs(30).max(min));
    if settle_max < settle {
        problems.push(section.problem_at("settle_max", "must not be shorter than `settle`"));
    }
    let backoff = Backoff::new(min, max).map_err(|error| {
        let key = if raw.backoff_max.is_some() { "backoff_max" } else { "backoff_min" };
        problems.push(section.problem_at(key, error.to_string()));
    });
    if problems.len() > before {
        return None;
    }
    let watch_config = raw.watch_config.unwrap_or(or.watch_config);
    Some(Times { startup_wait, settle, settle_max, backoff: backoff.ok()?, watch_config })
}

/// Seconds as they are written in a configuration; `None` for less than nothing and for more than a year.
pub(crate) fn seconds(written: f64) -> Option<Duration> {
    const YEAR: Duration = Duration::from_hours(366 * 24);
    Duration::try_from_secs_f64(written).ok().filter(|duration| *duration <= YEAR)
}
