//! What is wanted, and how it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use fastrand::Rng;
use haproxy_render::{Backend, Document, Frontend, ServerId, Service};
use haproxy_runtime::Live;

use crate::{
    site::{document, line, name},
    spec::{Make, Spec},
};

/// The backend that connections lead to. Each of its servers has a port, and a letter, of its own.
const CONNECTED: &str = "web";
/// What those who listen say first.
pub(crate) const LETTERS: std::ops::RangeInclusive<u8> = b'A'..=b'z';

/// Each backend, and its lines.
const BACKENDS: [(&str, &[&str]); 4] = [
    (CONNECTED, &["balance leastconn"]),
    ("sticky", &["mode http", "balance roundrobin", "cookie SRV insert indirect nocache"]),
    ("hashed", &["balance source", "hash-type consistent"]),
    ("by-uri", &["mode http", "balance uri", "hash-type consistent"]),
];
/// Servers of each backend that always serve, and are never replaced, so that others can be.
const ANCHORS: usize = 3;
const FEWEST: usize = 5;
const MOST: usize = 40;

/// Several backends and their servers.
pub(crate) struct World {
    groups: Vec<Group>,
    /// Where somebody listens.
    ports: Vec<u16>,
    takes_cookies: bool,
}

struct Group {
    name: &'static str,
    lines: &'static [&'static str],
    servers: Vec<Spec>,
    /// How many there were.
    count: u32,
    /// Ids that new servers don't get: those of the servers that there were before this step, and of those that leave.
    taken: BTreeSet<u32>,
    /// Those that have left.
    gone: BTreeMap<String, Spec>,
    /// The same value as long as nothing has changed.
    service: Option<Arc<Service>>,
}

/// What a step does.
pub(crate) struct Step {
    what: Vec<String>,
    /// Whether HAProxy has to be reloaded for it.
    pub(crate) reloads: bool,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what.join(", "))
    }
}

impl World {
    pub(crate) fn new(ports: Vec<u16>, takes_cookies: bool) -> Self {
        let groups = BACKENDS.map(|(name, lines)| Group {
            name,
            lines,
            servers: Vec::new(),
            count: 0,
            taken: BTreeSet::new(),
            gone: BTreeMap::new(),
            service: None,
        });
        let mut world = Self { groups: groups.into(), ports, takes_cookies };
        for group in 0..world.groups.len() {
            for _ in 0..FEWEST {
                let mut anchor = world.new_server(&mut Rng::with_seed(0), group);
                (anchor.make, anchor.disabled, anchor.weight) = (Make::default(), false, None);
                world.groups[group].servers.push(anchor);
            }
        }
        world
    }

    /// How many servers there are.
    pub(crate) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.servers.len()).sum()
    }

    /// The server of [`CONNECTED`] behind which somebody says this letter.
    pub(crate) fn called(&self, letter: char) -> Option<String> {
        let at = LETTERS.into_iter().position(|other| char::from(other) == letter)?;
        let servers = &self.groups[0].servers;
        servers.iter().find(|server| server.port == self.ports[at]).map(|server| server.name.clone())
    }

    pub(crate) fn document(&mut self) -> Document {
        let mut document = document(Vec::new());
        document.services = self.groups.iter_mut().map(Group::service).collect();
        document
    }

    /// Something changes. Those `touched` may have connections: they are not replaced, which would have to wait.
    pub(crate) fn step(&mut self, rng: &mut Rng, touched: &BTreeSet<String>, live: &Live) -> Step {
        let mut step = Step { what: Vec::new(), reloads: false };
        let times = if rng.u8(..8) == 0 { rng.usize(5..25) } else { 1 };
        let before: Vec<_> = self.groups.iter().map(|group| group.servers.clone()).collect();
        for group in &mut self.groups {
            let backend = name(group.name);
            let leaving = live.leaving().into_iter().flat_map(|leaving| leaving.ids(&backend));
            group.taken =
                leaving.map(ServerId::get).chain(group.servers.iter().map(|server| server.id)).collect();
        }
        let mut replaced = vec![BTreeSet::new(); self.groups.len()];
        while step.what.len() < times
            || self.groups.iter().zip(&before).all(|(group, before)| group.servers == *before)
        {
            let group = rng.usize(..self.groups.len());
            let what = match rng.u8(..12) {
                0..=2 => self.add(rng, group),
                3 | 4 => self.remove(rng, group, touched),
                5 => self.bring_back(group, live),
                6 | 7 => self.replace(rng, group, touched, &mut replaced[group]),
                _ => Some(self.tell(rng, group)),
            };
            self.groups[group].service = None;
            step.what.extend(what.map(|what| format!("{} {what}", self.groups[group].name)));
        }
        for (group, before) in self.groups.iter_mut().zip(&before) {
            for old in before.iter().filter(|old| !group.servers.iter().any(|new| new.name == old.name)) {
                group.gone.insert(old.name.clone(), old.clone());
            }
            for new in &group.servers {
                let was = before.iter().find(|old| old.name == new.name);
                step.reloads |= new.takes_reload(was, self.takes_cookies);
            }
        }
        step
    }

    fn add(&mut self, rng: &mut Rng, group: usize) -> Option<String> {
        if self.groups[group].servers.len() >= MOST {
            return None;
        }
        let new = self.new_server(rng, group);
        let what = format!("+ {}", new.server().line());
        self.groups[group].servers.push(new);
        Some(what)
    }

    fn remove(&mut self, rng: &mut Rng, group: usize, touched: &BTreeSet<String>) -> Option<String> {
        let servers = &mut self.groups[group].servers;
        if servers.len() <= FEWEST {
            return None;
        }
        let busy = |server: &Spec| touched.contains(&server.name);
        // Rather one with connections.
        let at = servers[ANCHORS..]
            .iter()
            .position(busy)
            .map_or_else(|| rng.usize(ANCHORS..servers.len()), |at| at + ANCHORS);
        Some(format!("- {}", servers.remove(at).name))
    }

    /// One that is leaving is wanted again, as it was.
    fn bring_back(&mut self, group: usize, live: &Live) -> Option<String> {
        let Group { name: backend, servers, gone, .. } = &mut self.groups[group];
        if servers.len() >= MOST {
            return None;
        }
        let leaving: Vec<_> = live.leaving().map(|leaving| leaving.iter().collect()).unwrap_or_default();
        let mut names =
            leaving.iter().filter(|one| one.backend().as_str() == *backend).map(|one| one.server().as_str());
        let free = |spec: &&Spec| {
            // It may be deleted in the meantime, and then has to be added.
            !spec.takes_reload(None, self.takes_cookies)
                && servers
                    .iter()
                    .all(|other| other.name != spec.name && other.id != spec.id && other.port != spec.port)
        };
        let spec = names.find_map(|name| gone.get(name).filter(free))?.clone();
        let what = format!("+ {} again", spec.name);
        servers.push(spec);
        Some(what)
    }

    /// What takes another server of the same name.
    fn replace(
        &mut self,
        rng: &mut Rng,
        group: usize,
        touched: &BTreeSet<String>,
        replaced: &mut BTreeSet<String>,
    ) -> Option<String> {
        let cookies = self.cookies(group);
        let servers = &mut self.groups[group].servers;
        let at = rng.usize(ANCHORS..servers.len());
        let server = &mut servers[at];
        // As many have to serve meanwhile.
        if touched.contains(&server.name) || (replaced.len() == ANCHORS && !replaced.contains(&server.name)) {
            return None;
        }
        replaced.insert(server.name.clone());
        server.make = Make::random(rng, &server.name, cookies);
        Some(format!("! {}", server.server().line()))
    }

    /// What a server can be told while it serves.
    fn tell(&mut self, rng: &mut Rng, group: usize) -> String {
        let at = rng.usize(..self.groups[group].servers.len());
        let port = self.free_port(rng, group);
        let server = &mut self.groups[group].servers[at];
        match rng.u8(..5) {
            0 | 1 => server.weight = Some(rng.u32(u32::from(at < ANCHORS)..=256)),
            // Newer versions change it a moment later: a connection would tell nothing of its server.
            2 if group > 0 => server.port = port,
            3 if at >= ANCHORS => server.disabled = !server.disabled,
            _ => server.maxconn = server.maxconn.map(|_| rng.u32(1..1_000)),
        }
        format!("~ {}", server.server().line())
    }

    fn new_server(&mut self, rng: &mut Rng, group: usize) -> Spec {
        let (port, cookies) = (self.free_port(rng, group), self.cookies(group));
        let Group { name, servers, count, taken, .. } = &mut self.groups[group];
        let server = format!("s{count}");
        *count += 1;
        let free = |id: &u32| !taken.contains(id) && servers.iter().all(|server| server.id != *id);
        let id = (1..=u32::MAX).find(free).unwrap();
        let host = if *name == CONNECTED { 1 } else { rng.u8(1..=3) };
        let make = Make::random(rng, &server, cookies);
        let (weight, maxconn) = (rng.u32(..=256), rng.u32(1..1_000));
        Spec {
            name: server,
            id,
            host,
            port,
            weight: rng.bool().then_some(weight),
            disabled: rng.u8(..5) == 0,
            maxconn: rng.bool().then_some(maxconn),
            make,
        }
    }

    /// One server of so many has a cookie, none at zero. Few where each takes a reload: most changes should do without.
    fn cookies(&self, group: usize) -> u8 {
        match self.groups[group].lines.iter().any(|line| line.starts_with("cookie")) {
            true if self.takes_cookies => 3,
            true => 20,
            false => 0,
        }
    }

    fn free_port(&self, rng: &mut Rng, group: usize) -> u16 {
        loop {
            let port = self.ports[rng.usize(..self.ports.len())];
            if self.groups[group].servers.iter().all(|server| server.port != port) {
                return port;
            }
        }
    }
}

impl Group {
    fn service(&mut self) -> Arc<Service> {
        let make = || {
            let mut backend =
                Backend::new(name(self.name), self.lines.iter().map(|text| line(text)).collect());
            backend.servers = self.servers.iter().map(Spec::server).collect();
            let mut service = Service::new(name(self.name), backend);
            let mut frontend = Frontend::new(name(self.name), name(self.name));
            frontend.lines = vec![line(&format!("bind unix@{}.sock", self.name))];
            if self.lines.contains(&"mode http") {
                frontend.lines.push(line("mode http"));
            }
            service.frontend = Some(frontend);
            Arc::new(service)
        };
        Arc::clone(self.service.get_or_insert_with(make))
    }
}
