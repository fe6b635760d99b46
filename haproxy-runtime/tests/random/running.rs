//! What an HAProxy says of its servers.

use std::collections::BTreeMap;

use haproxy_runtime::CommandLine;

use crate::haproxy::Haproxy;

/// Bits of the administrative state that mean maintenance, whoever asked for it.
const MAINTENANCE: u32 = 0x01 | 0x02 | 0x20;
/// What is compared of `show stat`, by its heading.
const COLUMNS: [&str; 5] = ["bck", "slim", "cookie", "check_rise", "check_fall"];

/// Each server, as `backend/server`, and all that has to be equal.
#[derive(Debug)]
pub(crate) struct Running(BTreeMap<String, Vec<String>>);

impl Running {
    pub(crate) async fn of(haproxy: &Haproxy) -> Self {
        let mut servers = BTreeMap::new();
        let mut headings: Vec<String> = Vec::new();
        let commands =
            ["show servers state", "show stat -1 4 -1"].map(|text| CommandLine::parse(text).unwrap());
        haproxy
            .socket()
            .read(&commands, |command, line| {
                if command == 0 {
                    state(line, &mut servers);
                } else if let Some(line) = line.strip_prefix("# ") {
                    headings = line.split(',').map(str::to_owned).collect();
                } else if !line.is_empty() {
                    stat(&headings, line, &mut servers);
                }
            })
            .await
            .unwrap();
        Self(servers)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn remove(&mut self, backend: &str, server: &str) {
        let found = self.0.remove(&format!("{backend}/{server}"));
        assert!(found.is_some(), "{backend}/{server} is said to be leaving");
    }

    /// Servers that are not the same, or not there, in `other`.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for name in self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name))) {
            let [this, that] = [self, other].map(|running| running.0.get(name));
            if this != that {
                found.push(format!("{name}: {this:?} runs, {that:?} in a new process"));
            }
        }
        found
    }
}

/// A line of `show servers state`: id, address, port, weight and maintenance.
fn state(line: &str, servers: &mut BTreeMap<String, Vec<String>>) {
    let words: Vec<&str> = line.split(' ').collect();
    if line.starts_with('#') || words.len() < 19 {
        return;
    }
    let maintenance = words[6].parse::<u32>().unwrap() & MAINTENANCE != 0;
    let seen = [
        format!("id {}", words[2]),
        format!("{}:{}", words[4], words[18]),
        format!("weight {}", words[7]),
        format!("maintenance {maintenance}"),
    ];
    servers.insert(format!("{}/{}", words[1], words[3]), seen.into());
}

fn stat(headings: &[String], line: &str, servers: &mut BTreeMap<String, Vec<String>>) {
    let fields: Vec<&str> = line.split(',').collect();
    let field = |wanted: &str| fields[headings.iter().position(|heading| heading == wanted).unwrap()];
    let server = servers.get_mut(&format!("{}/{}", field("pxname"), field("svname"))).unwrap();
    server.extend(COLUMNS.map(|column| format!("{column} {}", field(column))));
}
