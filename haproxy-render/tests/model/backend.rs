//! A backend of the model, and its servers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Version;

type Answer = Result<&'static str, &'static str>;

/// A backend.
#[derive(Clone, Debug)]
pub struct Backend {
    version: Version,
    pub http: bool,
    balance: String,
    consistent: bool,
    pub dynamic_cookies: bool,
    inherited: Vec<String>,
    pub servers: BTreeMap<String, Server>,
    /// Servers of the file, in their order: static algorithms go by it.
    order: Vec<String>,
}

/// A server.
#[derive(Clone, Debug)]
pub struct Server {
    pub id: u32,
    pub address: String,
    pub port: u16,
    pub weight: u16,
    pub initial_weight: u16,
    pub maintenance: bool,
    pub draining: bool,
    pub said_disabled: bool,
    pub backup: bool,
    pub cookie: Option<String>,
    /// Whether a check is configured, and whether it runs.
    pub check: Option<bool>,
    pub agent: Option<bool>,
    /// Down, by its checks or because somebody said so.
    pub stopped: bool,
    pub connections: u32,
    /// All else that makes it what it is.
    options: BTreeMap<String, Vec<String>>,
    fully_down: bool,
    dynamic_lb: bool,
}

impl Backend {
    pub fn new(version: Version, defaults: &[String]) -> Self {
        let mut backend = Self {
            version,
            http: false,
            balance: "roundrobin".to_owned(),
            consistent: false,
            dynamic_cookies: false,
            inherited: Vec::new(),
            servers: BTreeMap::new(),
            order: Vec::new(),
        };
        for line in defaults {
            backend.read(line);
        }
        backend
    }

    /// Reads a line of the file.
    pub fn read(&mut self, line: &str) {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["mode", mode] => self.http = mode == "http",
            ["balance", algorithm, ..] => algorithm.clone_into(&mut self.balance),
            ["hash-type", kind, ..] => self.consistent = kind == "consistent",
            ["cookie", _, ref options @ ..] => self.dynamic_cookies = options.contains(&"dynamic"),
            ["default-server", ref options @ ..] => {
                self.inherited.extend(options.iter().map(ToString::to_string));
            }
            ["server", name, target, ref options @ ..] => self.server(name, target, options),
            _ => {}
        }
    }

    fn server(&mut self, name: &str, target: &str, options: &[&str]) {
        let (address, port) = target.rsplit_once(':').expect("a server has a port");
        let mut server = Server::new(address, port.parse().expect("a port"), self.is_dynamic());
        let inherited: Vec<&str> = self.inherited.iter().map(String::as_str).collect();
        server.read(&inherited, self.version).expect("the file is right");
        server.read(options, self.version).expect("the file is right");
        server.options.entry("pool-max-conn".to_owned()).or_insert_with(|| vec!["-1".to_owned()]);
        server.options.entry("pool-purge-delay".to_owned()).or_insert_with(|| vec!["5s".to_owned()]);
        server.said_disabled = server.maintenance;
        server.check = server.options.remove("check").map(|_| true);
        server.agent = server.options.remove("agent-check").map(|_| true);
        server.initial_weight = server.weight;
        if self.dynamic_cookies && server.cookie.is_none() {
            server.cookie = Some("computed".to_owned());
        }
        assert!(self.servers.values().all(|other| other.id != server.id), "an id is there twice");
        assert!(self.servers.insert(name.to_owned(), server).is_none(), "a server is there twice");
        self.order.push(name.to_owned());
    }

    fn is_dynamic(&self) -> bool {
        match self.balance.split('(').next().unwrap_or_default() {
            "roundrobin" | "leastconn" | "random" | "first" => true,
            "source" | "uri" | "hdr" => self.consistent,
            _ => false,
        }
    }

    pub fn add(&mut self, name: &str, target: &str, options: &[&str]) -> Answer {
        if !self.is_dynamic() {
            return Err("Backend must use a dynamic load balancing to support dynamic servers.");
        }
        if self.servers.contains_key(name) {
            return Err("Already exists a server with the same name in backend.");
        }
        let (address, port) = target.rsplit_once(':').ok_or("no port")?;
        address.trim_matches(['[', ']']).parse::<IpAddr>().map_err(|_| "a name that is never resolved")?;
        let port: u16 = port.parse().map_err(|_| "a wrong port")?;
        let mut server = Server::new(address, port, true);
        for keyword in options.iter().take(1) {
            assert_eq!(*keyword, "id", "the id comes first");
        }
        server.read_at_run_time(options, self.version)?;
        if self.servers.values().any(|other| other.id == server.id) {
            return Err("'id' : custom id already used");
        }
        let pool = if self.version.is_3() { ("-1", "5s") } else { ("0", "0") };
        server.options.entry("pool-max-conn".to_owned()).or_insert_with(|| vec![pool.0.to_owned()]);
        server.options.entry("pool-purge-delay".to_owned()).or_insert_with(|| vec![pool.1.to_owned()]);
        server.maintenance = true;
        server.check = server.options.remove("check").map(|_| false);
        server.agent = server.options.remove("agent-check").map(|_| false);
        server.initial_weight = server.weight;
        server.fully_down = server.options.remove("init-state").is_some();
        if self.dynamic_cookies && server.cookie.is_none() {
            server.cookie = Some(if self.version.is_3() { "computed" } else { "" }.to_owned());
        }
        self.servers.insert(name.to_owned(), server);
        Ok("New server registered.")
    }

    pub fn delete(&mut self, name: &str) -> Answer {
        let server = self.servers.get(name).ok_or("No such server.")?;
        if server.options.contains_key("resolvers") {
            return Err(
                "This server cannot be removed at runtime due to other configuration elements pointing to it.",
            );
        }
        if !server.maintenance {
            return Err("Only servers in maintenance mode can be deleted.");
        }
        if server.connections > 0 {
            return Err("Server still has connections attached to it, cannot remove it.");
        }
        self.servers.remove(name);
        Ok("Server deleted.")
    }

    pub fn weigh(&mut self, name: &str, weight: &str) -> Answer {
        let dynamic = self.is_dynamic();
        let server = self.servers.get_mut(name).ok_or("No such server.")?;
        let weight = weight.parse().ok().filter(|weight| *weight <= 256);
        let weight = weight.ok_or("Absolute weight can only be between 0 and 256 inclusive.")?;
        if !dynamic && weight != 0 && weight != server.initial_weight {
            return Err("Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.");
        }
        server.weight = weight;
        Ok("")
    }

    pub fn compute_cookies(&mut self) {
        for server in self.servers.values_mut().filter(|server| server.cookie.as_deref() == Some("")) {
            server.cookie = Some("computed".to_owned());
        }
    }
}

impl Server {
    fn new(address: &str, port: u16, dynamic_lb: bool) -> Self {
        Self {
            id: 0,
            address: address.trim_matches(['[', ']']).to_owned(),
            port,
            weight: 1,
            initial_weight: 1,
            maintenance: false,
            draining: false,
            said_disabled: false,
            backup: false,
            cookie: None,
            check: None,
            agent: None,
            stopped: false,
            connections: 0,
            options: BTreeMap::new(),
            fully_down: false,
            dynamic_lb,
        }
    }

    /// Options as the file has them.
    fn read(&mut self, words: &[&str], version: Version) -> Answer {
        let mut rest = words.iter();
        while let Some(&keyword) = rest.next() {
            let mut value = || rest.next().map(ToString::to_string).ok_or("a value is missing");
            match keyword {
                "id" => self.id = value()?.parse().map_err(|_| "a wrong id")?,
                "weight" => self.weight = value()?.parse().map_err(|_| "a wrong weight")?,
                "cookie" => self.cookie = Some(value()?),
                "backup" => self.backup = true,
                "no-backup" => self.backup = false,
                "disabled" => self.maintenance = true,
                "enabled" => self.maintenance = false,
                "init-addr" => drop(value()?),
                // It makes no difference to a server with an address, but that it is never deleted at run time.
                "resolvers" => drop(self.options.insert(keyword.to_owned(), vec![value()?])),
                _ => {
                    let cell = version.cell(keyword).ok_or("unknown keyword")?;
                    let values = if cell.ends_with('0') { Vec::new() } else { vec![value()?] };
                    match keyword.strip_prefix("no-") {
                        Some(positive) => drop(self.options.remove(positive)),
                        None => drop(self.options.insert(keyword.to_owned(), values)),
                    }
                }
            }
        }
        Ok("")
    }

    fn read_at_run_time(&mut self, words: &[&str], version: Version) -> Answer {
        let mut rest = words.iter();
        while let Some(keyword) = rest.next() {
            let cell = version.cell(keyword).ok_or("unknown keyword")?;
            if !cell.contains('R') || *keyword == "enabled" {
                return Err("option is not accepted for dynamic server");
            }
            if !cell.ends_with('0') {
                rest.next();
            }
        }
        self.read(words, version)
    }

    pub fn enable(&mut self) {
        self.draining = false;
        if std::mem::take(&mut self.maintenance) {
            self.stopped = self.fully_down;
        }
    }

    pub fn maintain(&mut self) {
        self.maintenance = true;
        self.draining = false;
    }

    pub fn drain(&mut self) {
        self.draining = true;
        self.maintenance = false;
    }

    pub fn enable_health(&mut self) -> Answer {
        self.check
            .as_mut()
            .map(|enabled| *enabled = true)
            .ok_or("Health check was not configured on this server")?;
        Ok("")
    }

    pub fn disable_health(&mut self) {
        self.check = self.check.map(|_| false);
    }

    pub fn enable_agent(&mut self) -> Answer {
        self.agent
            .as_mut()
            .map(|enabled| *enabled = true)
            .ok_or("Agent was not configured on this server")?;
        Ok("")
    }

    pub fn disable_agent(&mut self) {
        self.agent = self.agent.map(|_| false);
    }

    pub fn down(&mut self) {
        // Lost in maintenance: enabling it makes it healthy.
        self.stopped = true;
    }

    pub fn up(&mut self) {
        self.stopped = false;
    }

    pub fn move_to(&mut self, ip: &str, port: &str) -> Answer {
        ip.parse::<IpAddr>().map_err(|_| "Invalid addr")?;
        ip.clone_into(&mut self.address);
        self.port = port.parse().ok().filter(|port| *port > 0).ok_or("a port that HAProxy would truncate")?;
        Ok("IP changed from 'a' to 'b', port changed from '1' to '2' by 'stats socket command'")
    }

    pub fn limit(&mut self, limit: &str) -> Answer {
        limit.parse::<u32>().map_err(|_| "a wrong limit")?;
        assert!(!self.options.contains_key("minconn"), "HAProxy may change `minconn` too");
        self.options.insert("maxconn".to_owned(), vec![limit.to_owned()]);
        Ok("")
    }

    pub fn option(&self, keyword: &str) -> Option<&str> {
        self.options.get(keyword)?.first().map(String::as_str)
    }

    /// Whether it can be put to use: it ties no client to nobody, and its check runs.
    pub fn is_ready(&self) -> bool {
        self.cookie.as_deref() != Some("") && self.check != Some(false) && self.agent != Some(false)
    }

    pub fn serves(&self) -> bool {
        !self.maintenance && !self.draining && !self.stopped && self.weight > 0
    }

    /// What has to be the same in a process that was started from the file.
    pub fn lasting(&self) -> String {
        let mut options = self.options.clone();
        options.remove("resolvers");
        if options.get("maxconn").is_some_and(|limit| limit[0] == "0") {
            options.remove("maxconn");
        }
        // In maintenance nothing is checked.
        let runs = |probe: Option<bool>| probe.map(|runs| runs || self.maintenance);
        format!(
            "{}:{} id {} weight {} backup {} cookie {:?} maintenance {} draining {} check {:?} agent {:?} {options:?}",
            self.address,
            self.port,
            self.id,
            self.weight,
            self.backup,
            self.cookie,
            self.maintenance,
            self.draining,
            runs(self.check),
            runs(self.agent),
        )
    }
}

/// Words of the file's language, without quotes and comments.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for char in line.chars() {
        match char {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' if !quoted && word.is_none() => break,
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}
