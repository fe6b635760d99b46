//! One service of the configuration.

use std::{sync::Arc, time::Duration};

use discovery_core::{
    Endpoint, Snapshot,
    transform::{Condition, Defaults, LabelFilter, WhenEmpty},
};
use haproxy_render::Name;

use super::{
    Digest, KeyPath, Node, Port, Problem, Section, Value,
    de::nearest,
    haproxy::Haproxy,
    raw::{self, DISCOVERY_KEYS},
    report::quoted,
    several, shape, window,
};
use crate::{
    desired::Shape,
    fold::Rules,
    registry::{Registry, Source},
};

/// A service: where its endpoints come from, what becomes of them, and how HAProxy is to serve them.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) name: Name,
    pub(crate) method: String,
    pub(crate) source: Source,
    /// What `source` was made of, but for the port: services that agree in both have the same source.
    pub(crate) discovery: Digest,
    /// What all of it was made of.
    pub(crate) section: Digest,
    pub(crate) rules: Rules,
    /// How long its source may fail before the agent is not ready, if it says so itself.
    pub(crate) max_staleness: Option<Duration>,
    /// `None`: HAProxy does not serve it (`disabled`).
    pub(crate) shape: Option<Shape>,
    /// It has a file, where services have files at all.
    pub(crate) has_file: bool,
    /// The section that `shape` was made of: what a registry's is measured against.
    pub(super) own: Arc<raw::ServiceHaproxy>,
}

/// Discovery methods of Synapse that this build does not have, and what to do about it.
fn elsewhere(method: &str) -> Option<&'static str> {
    match method {
        "etcd" => Some("this build was made without the feature `etcd`"),
        "ec2tag" => Some("this build was made without the feature `ec2`"),
        "zookeeper" | "zookeeper_poll" => Some("this build was made without the feature `zk`"),
        "dns" => Some("this build was made without the feature `dns`"),
        "zookeeper_dns" | "zookeeper_dns_poll" => {
            Some("this build was made without the feature `dns`, or without `zk`")
        }
        "docker" => Some("this build was made without the feature `docker`"),
        "marathon" => Some(
            "Marathon is not asked: have its tasks written to a file and use the method `file`, or registered in a registry",
        ),
        _ => None,
    }
}

/// Where problems and warnings about one configuration are collected.
pub(super) struct Findings<'a> {
    pub(super) problems: &'a mut Vec<Problem>,
    pub(super) warnings: &'a mut Vec<Problem>,
}

impl Service {
    /// Reads the service called `name`. `haproxy` is what all services share. `None`: there were problems.
    pub(super) fn read(
        name: &str,
        section: &Section,
        registry: &Registry,
        haproxy: &Haproxy,
        found: &mut Findings<'_>,
    ) -> Option<Self> {
        let before = found.problems.len();
        let parsed =
            Name::parse(name).map_err(|error| found.problems.push(section.problem(error.to_string())));
        if !matches!(section.node().value, Value::Map(_)) {
            found.problems.push(section.problem("expected a map with `discovery` and `haproxy`"));
            return None;
        }
        let rest = section.without(&["discovery", "discovery_multi"]);
        let raw = rest.recover::<raw::Service>(found.problems);
        let discovery = discovery(section, registry, found);
        let raw = raw?;
        let rules =
            rules(section, &raw, discovery.as_ref().map(|found| found.filters.clone()), found.problems);
        let name = parsed.ok()?;
        let shape = shape::read(&name, section, &raw.haproxy, haproxy, found);
        let Discovery { method, source, .. } = discovery?;
        if method == "base" && rules.as_ref().is_some_and(|rules| rules.defaults.is_empty()) {
            let note = "the method `base` discovers nothing, and there are no `default_servers`: nobody will be served";
            found.warnings.push(section.problem_at("discovery", note));
        }
        let rules = rules?;
        if source.needs_port() && rules.port.is_none() {
            let message = format!(
                "missing key `backend_port_override`: the method `{method}` does not know which port endpoints listen on"
            );
            found.problems.push(section.problem(message));
        }
        let max_staleness = window::max_staleness(section, raw.max_staleness, found.problems);
        let (own, has_file) = (Arc::new(raw.haproxy), !raw.file_output.disabled);
        let (discovery, section) = (said_of_source(section), Digest::of([Some(section.node())]));
        (found.problems.len() == before).then_some(Self {
            name,
            method,
            source,
            discovery,
            section,
            rules,
            max_staleness,
            shape,
            has_file,
            own,
        })
    }
}

/// What a service's section says of its source. Filters for what the source says as a whole are rules of the service.
fn said_of_source(service: &Section) -> Digest {
    const FILTERS: [&str; 2] = ["label_filter", "label_filters"];
    let (one, several) = (service.section("discovery"), service.section("discovery_multi"));
    let unfiltered = |section: &Option<Section>| section.as_ref().map(|section| section.without(&FILTERS));
    if service.has("discovery_multi") {
        let several = unfiltered(&several);
        return Digest::of([one.as_ref().map(Section::node), several.as_ref().map(Section::node)]);
    }
    Digest::of([unfiltered(&one).as_ref().map(Section::node), None])
}

/// A `discovery` section: where endpoints come from, and which of them are wanted.
pub(crate) struct Discovery {
    pub(crate) method: String,
    pub(crate) source: Source,
    pub(crate) filters: Vec<LabelFilter>,
}

fn discovery(section: &Section, registry: &Registry, found: &mut Findings<'_>) -> Option<Discovery> {
    let Some(one) = section.section("discovery") else {
        found.problems.push(section.problem("missing key `discovery`"));
        return None;
    };
    let read = if section.has("discovery_multi") {
        several::read(section, &one, registry, found)?
    } else {
        read_discovery(&one, registry, found.problems)?
    };
    found.warnings.extend_from_slice(read.source.warnings());
    Some(read)
}

/// Reads a `discovery` section. `None`: there were problems.
pub(crate) fn read_discovery(
    section: &Section,
    registry: &Registry,
    problems: &mut Vec<Problem>,
) -> Option<Discovery> {
    let filters = filters(section, problems);
    let method = match section.get("method") {
        Some(Node { value: Value::Str(method), .. }) => method.to_lowercase(),
        Some(_) => {
            problems.push(section.problem_at("method", "expected the name of a discovery method"));
            return None;
        }
        None => {
            problems.push(section.problem("missing key `method`"));
            return None;
        }
    };
    match registry.read(&method, &section.without(&DISCOVERY_KEYS)) {
        Some(Ok(source)) => Some(Discovery { method, source, filters: filters? }),
        Some(Err(found)) => {
            problems.extend(found);
            None
        }
        None => {
            let known: Vec<_> = registry.methods().map(|method| format!("`{method}`")).collect();
            let hint = match (elsewhere(&method), nearest(&method, registry.methods())) {
                (Some(why), _) => why.to_owned(),
                (None, Some(meant)) => format!("did you mean `{meant}`?"),
                (None, None) => format!("known are {}", known.join(", ")),
            };
            let message = format!("unknown discovery method {}; {hint}", quoted(&method));
            problems.push(section.problem_at("method", message));
            None
        }
    }
}

/// `label_filters`, with the deprecated `label_filter` in front.
fn filters(section: &Section, problems: &mut Vec<Problem>) -> Option<Vec<LabelFilter>> {
    let mut filters = Vec::new();
    let mut complete = true;
    for key in ["label_filter", "label_filters"] {
        let Some(list) = section.section(key) else { continue };
        match list.parse::<Vec<raw::LabelFilter>>() {
            Ok(list) => filters.extend(list.into_iter().map(|filter| LabelFilter {
                label: filter.label,
                value: filter.value,
                condition: match filter.condition {
                    raw::Condition::Equals => Condition::Equals,
                    raw::Condition::NotEquals => Condition::NotEquals,
                },
            })),
            Err(found) => {
                problems.extend(found);
                complete = false;
            }
        }
    }
    complete.then_some(filters)
}

fn rules(
    section: &Section,
    raw: &raw::Service,
    filters: Option<Vec<LabelFilter>>,
    problems: &mut Vec<Problem>,
) -> Option<Rules> {
    let before = problems.len();
    let mut defaults = Vec::new();
    for (index, record) in raw.default_servers.iter().enumerate() {
        match Endpoint::try_from(record.clone()) {
            Ok(endpoint) => defaults.push(endpoint),
            Err(error) => {
                problems.push(problem_in_list(section, "default_servers", index, error.to_string()));
            }
        }
    }
    if problems.len() > before {
        return None;
    }
    Some(Rules {
        defaults: Snapshot::new(defaults),
        when_defaults: if raw.keep_default_servers { Defaults::Always } else { Defaults::WhenEmpty },
        port: raw.backend_port_override.or(raw.haproxy.server_port_override).map(|Port(port)| port),
        backup_port: raw.haproxy.server_backup_port.map(|Port(port)| port),
        filters: filters?,
        elect_leader: raw.leader_election,
        when_empty: if raw.use_previous_backends.unwrap_or(true) {
            WhenEmpty::Keep
        } else {
            WhenEmpty::Accept
        },
    })
}

fn problem_in_list(section: &Section, key: &str, index: usize, message: String) -> Problem {
    let path: KeyPath = section.path().key(key).index(index);
    match section.get(key) {
        Some(Node { value: Value::Seq(items), .. }) if index < items.len() => {
            Problem::new(items[index].line, items[index].column, &path, message)
        }
        _ => section.problem_at(key, message),
    }
}
