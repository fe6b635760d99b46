//! A configuration as the rules look at it.

use haproxy_render::Line;

use super::super::{KeyPath, Node, Problem, Section, Value};

/// The whole.
pub(super) struct Site {
    pub(super) root: Section,
    /// The top-level `haproxy` section, empty if there is none.
    pub(super) haproxy: Section,
    /// The top-level `file_output` section.
    pub(super) files: Option<Section>,
    pub(super) services: Vec<Service>,
}

/// One service that HAProxy serves, or that has a file.
pub(super) struct Service {
    pub(super) section: Section,
    /// Whether HAProxy serves it.
    pub(super) served: bool,
    /// Whether it has a file of `file_output`.
    pub(super) has_file: bool,
    /// Its `haproxy` section, empty if there is none or HAProxy does not serve it.
    pub(super) haproxy: Section,
    /// Its `discovery`, and those of the watchers within it and within `discovery_multi`.
    pub(super) discoveries: Vec<Section>,
}

/// A line of HAProxy's, and where it stands.
pub(super) struct Placed {
    pub(super) line: Line,
    pub(super) place: Problem,
}

impl Site {
    pub(super) fn new(root: &Node) -> Self {
        let root = Section::new(root.clone(), KeyPath::root());
        let services = root.section("services");
        let entries = services.as_ref().map(|services| services.node().entries()).unwrap_or_default();
        let files = root.section("file_output").filter(|_| root.has("file_output"));
        let (haproxy, has_files) = (root.has("haproxy"), files.is_some());
        let of = |name: &str| Some(Service::new(services.as_ref()?.section(name)?, haproxy, has_files));
        let services = entries.iter().filter_map(|entry| of(&entry.key)).flatten().collect();
        Self { haproxy: part(&root, "haproxy"), files, services, root }
    }

    /// The services that HAProxy serves.
    pub(super) fn served(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| service.served)
    }

    /// The lines under a key of the top-level section.
    pub(super) fn lines(&self, key: &str) -> Vec<Placed> {
        lines(&self.haproxy, key)
    }

    /// `extra_sections`: each title, with the section that has it as a key.
    pub(super) fn extras(&self) -> Vec<(String, Section)> {
        let extras = part(&self.haproxy, "extra_sections");
        extras.node().entries().iter().map(|entry| (entry.key.clone(), extras.clone())).collect()
    }

    /// Whether a switch of the top-level section is on.
    pub(super) fn on(&self, key: &str, default: bool) -> bool {
        on(&self.haproxy, key).unwrap_or(default)
    }

    /// The places of the services of which this is true, of those that HAProxy serves.
    pub(super) fn services(&self, is: impl Fn(&Service) -> bool) -> Vec<Problem> {
        self.served().filter(|service| is(service)).map(|service| here(&service.section)).collect()
    }

    /// The place of a key of the top-level section, if it is there.
    pub(super) fn key(&self, key: &str) -> Vec<Problem> {
        at(&self.haproxy, key).into_iter().collect()
    }

    /// The places of a key in the `discovery` sections of which this is true.
    pub(super) fn discoveries(&self, is: impl Fn(&str, &Section) -> bool, key: Option<&str>) -> Vec<Problem> {
        let sections = self.services.iter().flat_map(|service| &service.discoveries);
        let wanted = sections.filter(|section| is(&method(section), section));
        wanted.filter_map(|section| key.map_or_else(|| Some(here(section)), |key| at(section, key))).collect()
    }

    /// The places of the `discovery` sections of which this is true, of services that HAProxy serves.
    pub(super) fn discoveries_for_haproxy(&self, is: impl Fn(&str, &Section) -> bool) -> Vec<Problem> {
        let sections = self.served().flat_map(|service| &service.discoveries);
        sections.filter(|section| is(&method(section), section)).map(here).collect()
    }

    /// Whether what a service's servers and backend inherit, or its own lines, have one that begins with this word.
    pub(super) fn has_line(&self, service: &Service, word: &str) -> bool {
        let own = ["listen", "backend"].iter().flat_map(|key| lines(&service.haproxy, key));
        own.chain(self.lines("defaults")).any(|placed| first(&placed.line) == word)
    }
}

impl Service {
    /// `None`: it is for nobody.
    fn new(section: Section, haproxy: bool, files: bool) -> Option<Self> {
        let own = part(&section, "haproxy");
        let off = |section: &Section| on(section, "disabled") == Some(true);
        let (served, has_file) = (haproxy && !off(&own), files && !off(&part(&section, "file_output")));
        if !served && !has_file {
            return None;
        }
        let haproxy = if served { own } else { Section::new(nothing(own.node()), own.path().clone()) };
        let mut discoveries = Vec::new();
        for key in ["discovery", "discovery_multi"] {
            let Some(one) = section.section(key) else { continue };
            let watchers = part(&one, "watchers");
            let names = watchers.node().entries().iter().map(|entry| entry.key.clone());
            let within: Vec<_> = names.filter_map(|name| watchers.section(&name)).collect();
            discoveries.push(one);
            discoveries.extend(within);
        }
        Some(Self { section, served, has_file, haproxy, discoveries })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.section.has(key)
    }

    /// Whether several sources are one.
    pub(super) fn is_multi(&self) -> bool {
        self.has("discovery_multi") || self.discoveries.iter().any(|one| method(one) == "multi")
    }

    /// Whether its servers are shuffled.
    pub(super) fn is_shuffled(&self) -> bool {
        !matches!(text(&self.haproxy, "backend_order").as_str(), "asc" | "desc" | "no_shuffle")
    }
}

/// What stands under a key, or nothing at all.
fn part(section: &Section, key: &str) -> Section {
    let absent = || Section::new(nothing(section.node()), section.path().key(key));
    section.section(key).unwrap_or_else(absent)
}

/// A map in that place, with nothing in it.
fn nothing(place: &Node) -> Node {
    Node::new(Value::Map(Vec::new()), place.line, place.column)
}

/// A text under a key; empty if there is none.
pub(super) fn text(section: &Section, key: &str) -> String {
    section.get(key).and_then(Node::text).unwrap_or_default().into_owned()
}

/// The method of a `discovery` section.
pub(super) fn method(section: &Section) -> String {
    text(section, "method").to_lowercase()
}

fn on(section: &Section, key: &str) -> Option<bool> {
    match text(section, key).to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The place of a section.
pub(super) fn here(section: &Section) -> Problem {
    section.problem("")
}

/// The place of a key that is there.
pub(super) fn at(section: &Section, key: &str) -> Option<Problem> {
    section.has(key).then(|| section.problem_at(key, ""))
}

/// The lines under a key, however they are written.
pub(super) fn lines(section: &Section, key: &str) -> Vec<Placed> {
    let Some(list) = section.section(key) else { return Vec::new() };
    let split = |node: &Node, path: &KeyPath| {
        let place = Problem::new(node.line, node.column, path, "");
        let text = node.text().unwrap_or_default().into_owned();
        let lines =
            text.lines().filter(|line| !line.trim().is_empty()).filter_map(|line| Line::parse(line).ok());
        lines.map(|line| Placed { line, place: place.clone() }).collect::<Vec<_>>()
    };
    match &list.node().value {
        Value::Seq(items) => {
            let each = items.iter().enumerate();
            each.flat_map(|(index, item)| split(item, &list.path().index(index))).collect()
        }
        _ => split(list.node(), list.path()),
    }
}

/// The first word of a line.
pub(super) fn first(line: &Line) -> &str {
    line.as_str().split_ascii_whitespace().next().unwrap_or_default()
}
