//! A model of HAProxy: reads a file, carries out commands by HAProxy's rules, refuses what HAProxy refuses, and tells what
//! it runs. It knows files and commands as texts only, and takes no word for more than it is.
//!
//! Each test program uses a part of this.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // what is unwrapped is constant

mod backend;
pub mod document;

use std::collections::BTreeMap;
use std::fmt::Write;

pub use backend::{Backend, Server};

/// `server` keywords and, for each version, whether `add server` takes them and how many values follow.
const KEYWORDS: &str = include_str!("../../data/server-keywords.tsv");

/// A version of HAProxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V2_6,
    V2_8,
    V3_0,
    V3_2,
}

impl Version {
    pub fn text(self) -> &'static str {
        match self {
            Self::V2_6 => "2.6.12-1+deb12u4",
            Self::V2_8 => "2.8.0",
            Self::V3_0 => "3.0.11-1+deb13u3",
            Self::V3_2 => "3.2.26-1",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::V2_6 => "v2.6.0",
            Self::V2_8 => "v2.8.0",
            Self::V3_0 => "v3.0.0",
            Self::V3_2 => "v3.2.0",
        }
    }

    /// A server that is added gets a cookie that HAProxy computes, and an idle pool.
    fn is_3(self) -> bool {
        matches!(self, Self::V3_0 | Self::V3_2)
    }

    /// The table's cell for a keyword: `DR1`.
    fn cell(self, keyword: &str) -> Option<&'static str> {
        let at = KEYWORDS.lines().next()?.split('\t').position(|name| name == self.column())?;
        let row = KEYWORDS.lines().find(|row| row.split('\t').next() == Some(keyword))?;
        row.split('\t').nth(at).filter(|cell| !cell.is_empty())
    }
}

/// A process.
#[derive(Clone, Debug)]
pub struct Haproxy {
    version: Version,
    pub backends: BTreeMap<String, Backend>,
    pub revision: Option<String>,
    experimental: bool,
}

impl Haproxy {
    /// Starts from a file, as this project writes it.
    pub fn start(version: Version, file: &str) -> Self {
        let mut haproxy = Self { version, backends: BTreeMap::new(), revision: None, experimental: false };
        let mut defaults = Vec::new();
        let mut section = "";
        for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some(line) = line.strip_prefix('\t') else {
                section = line;
                if let Some(name) = section.strip_prefix("backend ") {
                    let backend = Backend::new(version, &defaults);
                    let double = haproxy.backends.insert(name.to_owned(), backend);
                    assert!(double.is_none(), "backend {name} is there twice");
                }
                continue;
            };
            match section.split_once(' ') {
                None if section == "defaults" => defaults.push(line.to_owned()),
                None if section == "global" => {
                    if let Some(value) = line.strip_prefix("set-var proc.synapse_rev str(") {
                        haproxy.revision = value.strip_suffix(')').map(str::to_owned);
                    }
                }
                Some(("backend", name)) => {
                    haproxy.backends.get_mut(name).expect("it was just made").read(line);
                }
                _ => {}
            }
        }
        haproxy
    }

    /// Carries out a command and returns what HAProxy answers.
    pub fn execute(&mut self, command: &str) -> String {
        assert!(command.len() <= 8192, "the command is too long: {command}");
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b" _.:@/+=~!%*,()[]{}-".contains(&byte);
        assert!(command.bytes().all(harmless), "the command has a byte with a meaning: {command:?}");
        let words: Vec<&str> = command.split(' ').collect();
        assert!(words.iter().all(|word| !word.is_empty()), "an empty word: {command:?}");
        assert!(words.len() <= 64, "HAProxy ignores words from the 65th on: {command}");
        let answer = match words[..] {
            ["experimental-mode", "on"] => {
                self.experimental = true;
                Ok("")
            }
            ["set", "var", "proc.synapse_rev", value] if self.experimental => {
                let value = value.strip_prefix("str(").and_then(|value| value.strip_suffix(')'));
                self.revision = value.map(str::to_owned);
                Ok("")
            }
            ["enable", "dynamic-cookie", "backend", name] => match self.backends.get_mut(name) {
                Some(backend) => {
                    backend.compute_cookies();
                    Ok("")
                }
                None => Err("No such backend."),
            },
            ["add", "server", target, address, ref options @ ..] => {
                self.on_backend(target, |backend, server| backend.add(server, address, options))
            }
            ["del", "server", target] => self.on_backend(target, Backend::delete),
            ["enable", "server", target] | ["set", "server", target, "state", "ready"] => {
                self.tell(target, Server::enable)
            }
            ["enable", "health", target] => self.on_server(target, Server::enable_health),
            ["enable", "agent", target] => self.on_server(target, Server::enable_agent),
            ["disable", "health", target] => self.tell(target, Server::disable_health),
            ["disable", "agent", target] => self.tell(target, Server::disable_agent),
            ["set", "server", target, "state", "maint"] => self.tell(target, Server::maintain),
            ["set", "server", target, "state", "drain"] => self.tell(target, Server::drain),
            ["set", "server", target, "health", "down"] => self.tell(target, Server::down),
            ["set", "server", target, "health", "up"] => self.tell(target, Server::up),
            ["set", "server", target, "weight", weight] => {
                self.on_backend(target, |backend, server| backend.weigh(server, weight))
            }
            ["set", "server", target, "addr", ip, "port", port] => {
                self.on_server(target, |server| server.move_to(ip, port))
            }
            ["set", "maxconn", "server", target, limit] => {
                self.on_server(target, |server| server.limit(limit))
            }
            ["shutdown", "sessions", "server", target] => self.tell(target, |server| server.connections = 0),
            _ => Err("Unknown command."),
        };
        match answer {
            Ok(text) | Err(text) => format!("{text}\n"),
        }
    }

    fn on_backend(
        &mut self,
        target: &str,
        act: impl FnOnce(&mut Backend, &str) -> Result<&'static str, &'static str>,
    ) -> Result<&'static str, &'static str> {
        let (backend, server) = target.split_once('/').ok_or("Require 'backend/server'.")?;
        act(self.backends.get_mut(backend).ok_or("No such backend.")?, server)
    }

    fn on_server(
        &mut self,
        target: &str,
        act: impl FnOnce(&mut Server) -> Result<&'static str, &'static str>,
    ) -> Result<&'static str, &'static str> {
        self.on_backend(target, |backend, server| {
            act(backend.servers.get_mut(server).ok_or("No such server.")?)
        })
    }

    fn tell(&mut self, target: &str, act: impl FnOnce(&mut Server)) -> Result<&'static str, &'static str> {
        self.on_server(target, |server| {
            act(server);
            Ok("")
        })
    }

    /// What it answers to `show servers state`.
    pub fn show_servers_state(&self) -> String {
        let mut text = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
            srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health \
            srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl \
            srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"
            .to_owned();
        for (number, (name, backend)) in self.backends.iter().enumerate() {
            for (server, s) in &backend.servers {
                let probe = |probe: Option<bool>, bits: u8| {
                    probe.map_or(0, |enabled| 2 + 4 * u8::from(enabled) + 8 * u8::from(s.maintenance) + bits)
                };
                let admin =
                    u8::from(s.maintenance) + 4 * u8::from(s.said_disabled) + 8 * u8::from(s.draining);
                writeln!(
                    text,
                    "{number} {name} {} {server} {} {} {admin} {} {} 5 1 0 2 {} {} 0 1 - {} - 0 0 - - 0",
                    s.id,
                    if s.address.parse::<std::net::IpAddr>().is_ok() { &s.address } else { "-" },
                    if s.maintenance || s.stopped { 0 } else { 2 },
                    s.weight,
                    s.initial_weight,
                    probe(s.check, 0),
                    probe(s.agent, 16),
                    s.port,
                )
                .expect("a `String` takes any text");
            }
        }
        text.push('\n');
        text
    }

    /// What it answers to `show stat -1 4 -1`, with some of its columns.
    pub fn show_stat(&self) -> String {
        let mut text =
            "# pxname,svname,scur,slim,status,act,bck,check_rise,check_fall,last_chk,cookie,\n".to_owned();
        for (name, backend) in &self.backends {
            for (server, s) in &backend.servers {
                let limit = s.option("maxconn").filter(|limit| *limit != "0").unwrap_or_default();
                let (rise, fall) = match s.check {
                    Some(_) => (s.option("rise").unwrap_or("2"), s.option("fall").unwrap_or("3")),
                    None => ("", ""),
                };
                let cookie = s.cookie.as_deref().filter(|_| backend.http).unwrap_or_default();
                let backup = u8::from(s.backup);
                writeln!(
                    text,
                    "{name},{server},{},{limit},UP,{},{backup},{rise},{fall},\"a, \"\"b\"\"\",{cookie},",
                    s.connections,
                    1 - backup,
                )
                .expect("a `String` takes any text");
            }
        }
        text
    }

    /// The servers that are not in `leaving`, as far as they make a difference: what has to be the same in a process that
    /// was started from the file.
    pub fn lasting(&self, leaving: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let backends = self.backends.iter().flat_map(|(name, backend)| {
            let servers = backend.servers.iter().filter(|(server, _)| !leaving(name, server));
            servers.map(|(server, s)| format!("{name}/{server}: {}", s.lasting())).collect::<Vec<_>>()
        });
        backends.collect()
    }

    /// How many servers of a backend take traffic.
    pub fn serving(&self, backend: &str) -> usize {
        self.backends[backend].servers.values().filter(|server| server.serves()).count()
    }
}
