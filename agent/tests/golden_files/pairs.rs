//! Which settings of a service stand together in which file, told from the files themselves.

use std::collections::BTreeSet;

use agent::config::{Node, Value};

/// Something that a service can have in one of several ways: the ways, and which of them a service has.
type Factor = (&'static str, &'static [&'static str], fn(&Site<'_>) -> &'static str);

/// One service, and what is around it.
struct Site<'a> {
    service: &'a Node,
    haproxy: &'a Node,
    /// What the source says of it.
    answer: Option<&'a Node>,
}

const FACTORS: [Factor; 21] = [
    ("listens", &["port", "address alone", "nowhere", "shared frontend"], |site| {
        let shared = site.haproxy.get("shared_frontend").is_some() && site.own("shared_frontend").is_some();
        match site.own("port") {
            Some(Node { value: Value::Null, .. }) => "address alone",
            Some(_) => "port",
            None if shared => "shared frontend",
            None => "nowhere",
        }
    }),
    ("mode", &["of the defaults", "tcp", "http"], |site| match site.line("mode ") {
        Some(line) if line.contains("tcp") => "tcp",
        Some(_) => "http",
        None => "of the defaults",
    }),
    ("cookie", &["none", "name", "hash", "dynamic"], |site| match site.line("cookie ") {
        None => "none",
        Some(line) if line.contains("dynamic") => "dynamic",
        Some(_) if site.own("cookie_value_method").and_then(text) == Some("hash") => "hash",
        Some(_) => "name",
    }),
    ("order", &["seed", "asc", "desc", "no_shuffle"], |site| {
        let order = site.own("backend_order").and_then(text);
        ["asc", "desc", "no_shuffle"].into_iter().find(|word| order == Some(word)).unwrap_or("seed")
    }),
    ("server_options", &["none", "plain", "template"], |site| {
        match site.own("server_options").and_then(text) {
            None => "none",
            Some(options) if options.contains('%') => "template",
            Some(_) => "plain",
        }
    }),
    ("registry's options", &["none", "plain", "id", "weight"], |site| {
        let options: Vec<&str> =
            site.endpoints().filter_map(|one| text(one.get("haproxy_server_options")?)).collect();
        let has = |word: &str| options.iter().any(|options| options.starts_with(word));
        match () {
            () if options.is_empty() => "none",
            () if has("id ") => "id",
            () if has("weight ") => "weight",
            () => "plain",
        }
    }),
    ("weights", &["not counted", "counted by all", "counted by one"], |site| {
        let says = |node: Option<&Node>| matches!(node, Some(Node { value: Value::Bool(true), .. }));
        match (says(site.haproxy.get("use_nerve_weights")), says(site.own("use_nerve_weights"))) {
            (_, true) => "counted by one",
            (true, false) => "counted by all",
            (false, false) => "not counted",
        }
    }),
    ("backups", &["none", "a port", "an endpoint"], |site| match () {
        () if site.own("server_backup_port").is_some() => "a port",
        () if site.endpoints().any(|one| one.get("backup").is_some()) => "an endpoint",
        () => "none",
    }),
    ("addresses", &["v4", "v6", "names"], |site| {
        match site.endpoints().next().and_then(|one| text(one.get("host")?)) {
            Some(host) if host.contains(':') => "v6",
            Some(host) if host.contains(".example.test") => "names",
            _ => "v4",
        }
    }),
    ("default_servers", &["none", "step in", "kept"], |site| match () {
        () if site.service.get("keep_default_servers").is_some() => "kept",
        () if site.service.get("default_servers").is_some() => "step in",
        () => "none",
    }),
    ("port override", &["none", "of the service", "of its haproxy"], |site| match () {
        () if site.service.get("backend_port_override").is_some() => "of the service",
        () if site.own("server_port_override").is_some() => "of its haproxy",
        () => "none",
    }),
    ("filters", &["none", "label_filters", "label_filter"], |site| {
        let has = |key| site.service.get("discovery").is_some_and(|discovery| discovery.get(key).is_some());
        match () {
            () if has("label_filters") => "label_filters",
            () if has("label_filter") => "label_filter",
            () => "none",
        }
    }),
    ("leader", &["no", "elected"], |site| {
        if site.service.get("leader_election").is_some() { "elected" } else { "no" }
    }),
    ("source", &["one", "several"], |site| {
        if site.service.get("discovery_multi").is_some() { "several" } else { "one" }
    }),
    ("socket", &["none", "added", "there"], |site| {
        let off = matches!(site.haproxy.get("do_socket"), Some(Node { value: Value::Bool(false), .. }));
        let there = strings(site.haproxy.get("global")).any(|line| line.starts_with("stats socket"));
        match () {
            () if off => "none",
            () if there => "there",
            () if site.haproxy.get("socket_file_path").is_some() => "added",
            () => "none",
        }
    }),
    ("lines", &["listen", "frontend and backend", "newer than Synapse"], |site| match () {
        () if site.line("retry-on").is_some() => "newer than Synapse",
        () if site.own("backend").is_some() && site.own("frontend").is_some() => "frontend and backend",
        () => "listen",
    }),
    ("extra_sections", &["none", "an old title", "several"], |site| {
        let entries = site.haproxy.get("extra_sections").map(Node::entries).unwrap_or_default();
        match entries.len() {
            0 => "none",
            1 => "an old title",
            _ => "several",
        }
    }),
    ("bind", &["where all do", "where its own says", "where the top says"], |site| match () {
        () if site.own("bind_address").is_some() => "where its own says",
        () if site.haproxy.get("bind_address").is_some() => "where the top says",
        () => "where all do",
    }),
    (
        "backend_name",
        &["no", "given"],
        |site| if site.own("backend_name").is_some() { "given" } else { "no" },
    ),
    ("servers inherit", &["nothing", "of the defaults", "of the backend"], |site| match () {
        () if site.line("default-server").is_some() => "of the backend",
        () if strings(site.haproxy.get("defaults")).any(|line| line.starts_with("default-server")) => {
            "of the defaults"
        }
        () => "nothing",
    }),
    ("settings of a registry", &["no", "there"], |site| {
        if site.answer.is_some_and(|answer| answer.get("generators").is_some()) { "there" } else { "no" }
    }),
];

/// What can't be together: without a port, an address has to be given, and cookies are HTTP's.
fn impossible(one: (&str, &str), other: (&str, &str)) -> bool {
    let both = |a, b| (one == a && other == b) || (one == b && other == a);
    let cookie = [one, other].iter().any(|(factor, way)| *factor == "cookie" && *way != "none");
    both(("listens", "address alone"), ("bind", "where all do"))
        || (cookie && [one, other].contains(&("mode", "tcp")))
}

/// The pairs of settings that no service of these configurations has. A configuration comes with its endpoints.
pub(crate) fn missing(trees: &[(Node, Node)]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    for (config, catalog) in trees {
        let services = config.get("services").map(Node::entries).unwrap_or_default();
        for entry in services {
            let (service, answer) = (&entry.value, catalog.get(&entry.key));
            let site = Site { service, haproxy: config.get("haproxy").unwrap(), answer };
            let ways: Vec<_> = FACTORS.iter().map(|(factor, _, way)| (*factor, way(&site))).collect();
            seen.extend(ways.iter().flat_map(|one| ways.iter().map(move |other| (*one, *other))));
        }
    }
    let mut missing = Vec::new();
    for (at, (factor, ways, _)) in FACTORS.iter().enumerate() {
        for (other, others, _) in &FACTORS[at + 1..] {
            for (one, two) in ways.iter().flat_map(|one| others.iter().map(move |two| (*one, *two))) {
                let pair = ((*factor, one), (*other, two));
                if !impossible(pair.0, pair.1) && !seen.contains(&pair) {
                    missing.push(format!("{factor}: {one}, {other}: {two}"));
                }
            }
        }
    }
    missing
}

impl<'a> Site<'a> {
    fn own(&self, key: &str) -> Option<&'a Node> {
        self.service.get("haproxy")?.get(key)
    }

    /// The first of the service's own lines that begins so.
    fn line(&self, start: &str) -> Option<&'a str> {
        let lists = ["listen", "frontend", "backend"].map(|key| self.own(key));
        lists.into_iter().flat_map(strings).find(|line| line.starts_with(start))
    }

    /// The endpoints of its source, or else its default servers.
    fn endpoints(&self) -> impl Iterator<Item = &'a Node> {
        let said = self.answer.map(|answer| answer.get("endpoints").unwrap_or(answer)).map(items);
        let said = said.filter(|said| !said.is_empty());
        said.or_else(|| self.service.get("default_servers").map(items)).unwrap_or_default().iter()
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::Seq(items) => items,
        _ => &[],
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Str(text) => Some(text),
        _ => None,
    }
}

fn strings(node: Option<&Node>) -> impl Iterator<Item = &str> {
    node.map(items).unwrap_or_default().iter().filter_map(text)
}
