//! Documents that HAProxy takes, few enough in their parts that two of them often meet.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use haproxy_render::{
    Address, Backend, Cookie, Document, Line, Name, Server, ServerId, ServerOptions, Service, Weight,
    directive,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The backends that there are, but for their servers: lines of the defaults, lines of each backend.
#[derive(Clone, Debug)]
pub struct Frame {
    defaults: Vec<&'static str>,
    backends: Vec<Vec<&'static str>>,
}

/// A document, shown as its text.
#[derive(Clone)]
pub struct Shown(pub Document);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&haproxy_render::render(&self.0))
    }
}

impl std::ops::Deref for Shown {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.0
    }
}

#[derive(Clone, Debug)]
struct Blueprint {
    name: usize,
    id: u32,
    address: &'static str,
    port: u16,
    weight: Option<u32>,
    options: Vec<&'static str>,
}

/// `default-server` with any few of these.
fn default_server() -> impl Strategy<Value = &'static str> {
    let options = vec![
        "check",
        "no-check",
        "inter 3s",
        "fall 4",
        "rise \"5\"",
        "weight 0",
        "weight 9",
        "backup",
        "no-backup",
        "disabled",
        "enabled",
        "maxconn 8",
        "ssl verify none",
        "no-ssl",
        "send-proxy",
        "agent-check agent-port 9001",
        "slowstart 5s",
        "init-addr none",
        "pool-max-conn 3",
        "error-limit 7",
    ];
    // Leaked, as all other lines are constants: a few bytes a case.
    vec(select(options), 1..5)
        .prop_map(|options| &*Box::leak(format!("default-server {}", options.join(" ")).into_boxed_str()))
}

pub fn frame() -> impl Strategy<Value = Frame> {
    let line = prop_oneof![
        6 => default_server().prop_map(|line| vec![line]),
        2 => (default_server(), default_server()).prop_map(|(one, other)| vec![one, "balance first", other]),
        8 => Just(vec!["balance roundrobin"]),
        2 => Just(vec!["balance source", "hash-type consistent"]),
        1 => Just(vec!["balance source"]),
        1 => Just(vec!["mode http", "cookie S insert indirect"]),
        2 => Just(vec!["mode http", "cookie S insert dynamic", "dynamic-cookie-key k"]),
        2 => Just(vec!["default-server check inter 2s"]),
        1 => Just(vec!["default-server check maxconn 9 slowstart \"5s\" # slow", "balance leastconn"]),
        1 => Just(vec!["default-server weight 7", "default-server resolvers dns init-addr none"]),
        1 => Just(vec!["server own 10.9.9.9:80 id 900", "server \"other\" 10.9.9.8:80 id 901 check"]),
    ];
    let defaults = prop_oneof![
        4 => select(vec![
            vec![],
            vec!["mode http"],
            vec!["balance leastconn", "default-server backup"],
            vec!["default-server disabled ssl verify none"],
        ]),
        3 => default_server().prop_map(|line| vec![line]),
        1 => (default_server(), default_server()).prop_map(|(one, other)| vec![one, "mode http", other]),
    ];
    (defaults, vec(line, 1..4)).prop_map(|(defaults, backends)| Frame { defaults, backends })
}

/// A document in this frame. `written_out`: servers state what they inherit, and backends their algorithm.
pub fn document(frame: &Frame, written_out: bool) -> impl Strategy<Value = Shown> + use<> {
    let frame = frame.clone();
    let backends = vec(vec(blueprint(), 0..7), frame.backends.len());
    let present = vec(prop::bool::weighted(0.95), frame.backends.len());
    (backends, present).prop_map(move |(backends, present)| {
        let lines = |texts: &[&str]| texts.iter().map(|text| Line::parse(text).unwrap()).collect::<Vec<_>>();
        let mut document = Document::new(Vec::new(), lines(&frame.defaults));
        for (at, (texts, blueprints)) in frame.backends.iter().zip(backends).enumerate() {
            if !present[at] {
                continue;
            }
            let name = Name::parse(&format!("b{at}")).unwrap();
            let mut backend = Backend::new(name.clone(), lines(texts));
            if written_out && directive::lacks_balance(document.defaults.iter().chain(&backend.lines)) {
                backend.lines.insert(0, Line::parse(directive::BALANCE).unwrap());
            }
            let inherited =
                directive::default_server(document.defaults.iter().chain(&backend.lines)).unwrap();
            backend.servers = servers(&blueprints, &inherited, written_out);
            document.services.push(Arc::new(Service::new(name, backend)));
        }
        Shown(document)
    })
}

fn servers(blueprints: &[Blueprint], inherited: &ServerOptions, written_out: bool) -> Vec<Server> {
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let unique =
        blueprints.iter().filter(|blueprint| names.insert(blueprint.name) && ids.insert(blueprint.id));
    unique.map(|blueprint| server(blueprint, inherited, written_out)).collect()
}

fn server(blueprint: &Blueprint, inherited: &ServerOptions, written_out: bool) -> Server {
    let name = Name::parse(&["a", "b", "c", "d", "e", "f", "g"][blueprint.name].repeat(2)).unwrap();
    let builder = Server::builder(
        name.clone(),
        Address::parse(blueprint.address).unwrap(),
        NonZeroU16::new(blueprint.port).unwrap(),
        ServerId::new(blueprint.id).unwrap(),
    );
    let (cookie, options): (Vec<&str>, Vec<&str>) =
        blueprint.options.iter().partition(|option| option.starts_with("cookie"));
    let server = builder
        .weight(blueprint.weight.map(|weight| Weight::new(weight).unwrap()))
        .cookie((!cookie.is_empty()).then(|| Cookie::from(&name)))
        .options(ServerOptions::trusted(&options.join(" ")).unwrap())
        .build()
        .unwrap();
    if written_out { server.with_defaults(inherited).unwrap() } else { server }
}

fn blueprint() -> impl Strategy<Value = Blueprint> {
    let option = prop_oneof![
        6 => select(vec!["check", "check inter 5s", "check rise 3 fall 2", "no-check", "maxconn 5", "maxconn 6 check"]),
        3 => select(vec!["disabled", "enabled", "backup", "no-backup", "send-proxy", "ssl verify none", "no-ssl"]),
        2 => select(vec!["agent-check agent-port 9000", "check port 99", "sni \"str(a)\"", "maxconn 7 minconn 2"]),
        1 => select(vec!["resolvers dns", "max-reuse 4", "agent-send \"a b\"", "cookie", "source 10.0.0.9", "addr db.example"]),
    ];
    let address = prop_oneof![
        20 => select(vec!["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"]),
        1 => Just("db.example"),
    ];
    let weight = prop_oneof![6 => Just(None), 3 => (0..4_u32).prop_map(Some), 1 => Just(Some(256))];
    // Most of the time servers keep their ids.
    let id = (0..7_usize, prop::bool::weighted(0.15), 1..9_u32);
    (id, address, select(vec![80, 80, 80, 81]), weight, vec(option, 0..3)).prop_map(
        |((name, odd, other), address, port, weight, options)| {
            let id = if odd { other } else { u32::try_from(name).unwrap() + 1 };
            Blueprint { name, id, address, port, weight, options }
        },
    )
}
