//! What runs, as HAProxy tells it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::{Unreadable, columns::Columns, stat};
use crate::name::{Cookie, Name};
use crate::number::{ServerId, Weight, digits};

const REPLY: &str = "show servers state";

/// The format of the reply, on its first line.
const FORMAT: &str = "1";

/// Bits of `srv_admin_state`, as HAProxy's `server-t.h` has them. Two more tell where maintenance comes from, and are
/// nobody's order: it was said in the file (0x04), and that even after it was lifted.
const MAINTENANCE: u32 = 0x01;
const DRAIN: u32 = 0x08;
/// By a server that it tracks, or for want of an address.
const NOT_ITS_OWN: u32 = 0x02 | 0x10 | 0x20 | 0x40;

/// Bits of `srv_check_state` and `srv_agent_state`.
const CONFIGURED: u32 = 0x02;
const ENABLED: u32 = 0x04;

/// The servers of some backends, as a running process has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    backends: HashMap<Name, BTreeMap<Name, Found>>,
}

/// One server of a running process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Its id.
    pub id: ServerId,
    /// Its address; `None` for a path or a name that has not been resolved.
    pub address: Option<IpAddr>,
    /// Its port; 0 for a path.
    pub port: u16,
    /// The weight that it was given: by the file, on the socket, or by its agent.
    pub weight: Weight,
    /// The weight that it started with.
    pub initial_weight: Weight,
    /// Whether it is down: in maintenance, by its checks, or because somebody said so.
    pub stopped: bool,
    /// Whether it was put into maintenance.
    pub maintenance: bool,
    /// Whether it was told to drain, which no file can say.
    pub draining: bool,
    /// Whether it is out of use for the sake of a server that it tracks, or because it has no address.
    pub held_back: bool,
    /// Its health check.
    pub check: Probe,
    /// Its agent check.
    pub agent: Probe,
    /// More, if it was asked for.
    pub usage: Option<Usage>,
}

/// A check of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// Whether the server has it.
    pub configured: bool,
    /// Whether it runs.
    pub enabled: bool,
}

/// What only the statistics tell about a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// How many connections it may have at once; 0 for any number.
    pub maxconn: u32,
    /// Whether it is a backup.
    pub backup: bool,
    /// The value of its cookie: one that it was given, or a dynamic one. `None` also for one that is no [`Cookie`].
    pub cookie: Option<Cookie>,
    /// Checks in a row that make it up and down; `None` without a check.
    pub rise_and_fall: Option<(u32, u32)>,
    /// Sessions that it has now.
    pub sessions: u32,
}

impl Running {
    /// Reads what HAProxy answered to [`Query::Servers`](super::Query::Servers) and, if it was asked, to
    /// [`Query::Stat`](super::Query::Stat).
    ///
    /// `backends` are those that the replies cover and that matter; a reply to a question about all of them may cover any.
    /// Lines of other backends are not looked into. A backend without a line has no servers: HAProxy does not say whether
    /// it is there.
    ///
    /// Columns are found by their names. Anything that is not of the form that it should have is an error that names the
    /// line: half a picture would be taken for the whole.
    pub fn parse<'a>(
        servers: &str,
        stat: Option<&str>,
        backends: impl IntoIterator<Item = &'a Name>,
    ) -> Result<Self, Unreadable> {
        let covered = backends.into_iter().map(|name| (name.as_str(), (name, BTreeMap::new())));
        let mut covered: HashMap<&str, (&Name, BTreeMap<Name, Found>)> = covered.collect();
        let mut lines = Lines::default();
        for line in servers.lines() {
            let Some(row) = lines.read(line)? else { continue };
            let Some((_, servers)) = covered.get_mut(row.backend()) else { continue };
            row.add_to(servers)?;
        }
        lines.end()?;
        if let Some(stat) = stat {
            let mut lines = stat::Lines::default();
            for line in stat.lines() {
                let Some(row) = lines.read(line)? else { continue };
                let servers = covered.get_mut(row.backend()).map(|(_, servers)| servers);
                let Some(found) = servers.and_then(|servers| servers.get_mut(row.server())) else { continue };
                found.usage = Some(row.usage()?);
            }
            lines.end()?;
        }
        let backends = covered.into_values().map(|(name, servers)| (name.clone(), servers)).collect();
        Ok(Self { backends })
    }

    /// The servers of a backend by their names; `None` if it is not covered.
    pub fn backend(&self, name: &Name) -> Option<&BTreeMap<Name, Found>> {
        self.backends.get(name)
    }

    /// Takes in what was read of other backends, or of the same ones later.
    pub fn extend(&mut self, later: Self) {
        self.backends.extend(later.backends);
    }
}

/// The reply, line by line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// How many there were.
    number: usize,
    columns: Option<Columns<{ NAMES.len() }>>,
}

/// One line of the reply: the fields that matter, in the order of [`NAMES`].
#[derive(Debug)]
pub(crate) struct Row<'l> {
    fields: [&'l str; NAMES.len()],
    line: &'l str,
    number: usize,
}

const NAMES: [&str; 11] = [
    "be_name",
    "srv_name",
    "srv_id",
    "srv_addr",
    "srv_port",
    "srv_uweight",
    "srv_iweight",
    "srv_op_state",
    "srv_admin_state",
    "srv_check_state",
    "srv_agent_state",
];

impl Lines {
    /// Takes the next line; `None` if it is not about a server.
    pub(crate) fn read<'l>(&mut self, line: &'l str) -> Result<Option<Row<'l>>, Unreadable> {
        self.number += 1;
        let number = self.number;
        let wrong = |problem| Err(Unreadable::new(REPLY, number, problem, line));
        let Some(columns) = &self.columns else {
            if number == 1 {
                return if line == FORMAT { Ok(None) } else { wrong("is not format 1") };
            }
            let names = line.strip_prefix("# ").map(|names| names.split(' '));
            self.columns = names.and_then(|names| Columns::find(names, NAMES));
            return if self.columns.is_some() { Ok(None) } else { wrong("lacks a column") };
        };
        if line.is_empty() {
            return Ok(None);
        }
        let (mut fields, mut count) = ([""; NAMES.len()], 0);
        for field in line.split(' ') {
            if let Some(place) = columns.place(count) {
                fields[place] = field;
            }
            count += 1;
        }
        if count != columns.count() {
            return wrong("has another number of fields than the header");
        }
        Ok(Some(Row { fields, line, number }))
    }

    /// The end of the reply.
    pub(crate) fn end(&self) -> Result<(), Unreadable> {
        match (&self.columns, self.number) {
            (Some(_), _) => Ok(()),
            (None, 0) => Err(Unreadable::new(REPLY, 1, "is not format 1", "")),
            (None, number) => Err(Unreadable::new(REPLY, number + 1, "is missing", "")),
        }
    }
}

impl<'l> Row<'l> {
    pub(crate) fn backend(&self) -> &'l str {
        self.fields[0]
    }

    pub(crate) fn wrong(&self, problem: &'static str) -> Unreadable {
        Unreadable::new(REPLY, self.number, problem, self.line)
    }

    /// Adds the server to those of its backend.
    pub(crate) fn add_to(&self, servers: &mut BTreeMap<Name, Found>) -> Result<(), Unreadable> {
        let (name, found) = self.server().map_err(|problem| self.wrong(problem))?;
        match servers.insert(name, found) {
            None => Ok(()),
            Some(_) => Err(self.wrong("has a server that was there before")),
        }
    }

    fn server(&self) -> Result<(Name, Found), &'static str> {
        let [_, name, id, address, port, weight, initial, operation, admin, check, agent] = self.fields;
        let number = |text, problem| digits(text).ok_or(problem);
        let weigh =
            |text| digits(text).and_then(|weight| Weight::new(weight).ok()).ok_or("has a wrong weight");
        let probe = |text| {
            let bits = number(text, "has a wrong state of its check")?;
            Ok(Probe { configured: bits & CONFIGURED != 0, enabled: bits & ENABLED != 0 })
        };
        let admin = number(admin, "has a wrong administrative state")?;
        let found = Found {
            id: digits(id).and_then(|id| ServerId::new(id).ok()).ok_or("has a wrong id")?,
            address: match address {
                "-" => None,
                _ => Some(address.parse().map_err(|_| "has a wrong address")?),
            },
            port: digits(port).and_then(|port| port.try_into().ok()).ok_or("has a wrong port")?,
            weight: weigh(weight)?,
            initial_weight: weigh(initial)?,
            stopped: number(operation, "has a wrong operational state")? == 0,
            maintenance: admin & MAINTENANCE != 0,
            draining: admin & DRAIN != 0,
            held_back: admin & NOT_ITS_OWN != 0,
            check: probe(check)?,
            agent: probe(agent)?,
            usage: None,
        };
        Ok((Name::parse(name).map_err(|_| "has a name that is none")?, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
        srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
        srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port \
        srv_check_addr srv_agent_addr srv_agent_port\n";

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn read(lines: &str) -> Result<Running, Unreadable> {
        Running::parse(&format!("{HEADER}{lines}"), None, [&name("web"), &name("empty")])
    }

    fn found(line: &str) -> Found {
        read(line).unwrap().backend(&name("web")).unwrap().values().next().unwrap().clone()
    }

    #[test]
    fn a_line_of_haproxy_2_6_is_a_server() {
        let a = found("3 web 7 a 127.0.0.1 2 0 5 10 391 8 2 0 6 22 0 1 - 24811 - 0 24899 127.0.0.2 - 0\n");
        assert_eq!((a.id.get(), a.address, a.port), (7, Some([127, 0, 0, 1].into()), 24811));
        assert_eq!((a.weight.get(), a.initial_weight.get()), (5, 10));
        assert!(!a.stopped && !a.maintenance && !a.draining && !a.held_back && a.usage.is_none());
        assert_eq!(
            (a.check, a.agent),
            (Probe { configured: true, enabled: true }, Probe { configured: true, enabled: true })
        );
        let b = found("3 web 1 b ::1 0 5 1 1 391 1 0 0 8 18 0 1 - 0 - 0 0 - - 0");
        assert_eq!((b.address, b.port), (Some(std::net::Ipv6Addr::LOCALHOST.into()), 0));
        assert!(b.stopped && b.maintenance && !b.held_back);
        assert_eq!((b.check, b.agent), (Probe::default(), Probe { configured: true, enabled: false }));
        let c = found("3 web 1 c - 2 8 1 1 391 1 0 0 2 0 0 1 db.invalid 80 - 0 0 - - 0");
        assert!(c.address.is_none() && c.draining && !c.maintenance);
        assert_eq!(c.check, Probe { configured: true, enabled: false });
        for admin in [2, 16, 32, 64] {
            let d = found(&format!("3 web 1 d - 0 {admin} 1 1 391 1 0 0 0 0 0 1 - 80 - 0 0 - - 0"));
            assert!(d.held_back && !d.maintenance && !d.draining, "{admin}");
        }
        let e = found("3 web 1 e - 2 4 1 1 391 1 0 0 0 0 0 1 - 80 - 0 0 - - 0");
        assert!(!e.maintenance && !e.held_back && !e.draining);
    }

    #[test]
    fn only_the_backends_that_are_covered_count() {
        let running = read("4 other 1 <?> x y z 1 1 391 1 0 0 0 0 0 1 - 80 - 0 0 - - 0\n\n").unwrap();
        assert_eq!(running.backend(&name("web")), Some(&BTreeMap::new()));
        assert_eq!(running.backend(&name("empty")), Some(&BTreeMap::new()));
        assert_eq!(running.backend(&name("other")), None);
    }

    #[test]
    fn what_is_read_later_replaces_what_was_read_before() {
        let line = |id: u32| format!("3 web {id} a - 2 0 1 1 391 1 0 0 0 0 0 1 - 80 - 0 0 - - 0");
        let mut running = read(&line(1)).unwrap();
        running.extend(read(&line(2)).unwrap());
        assert_eq!(running.backend(&name("web")).unwrap()[&name("a")].id.get(), 2);
    }

    #[test]
    fn a_column_may_be_elsewhere() {
        let header = "1\n# srv_agent_state be_name srv_id srv_addr srv_name srv_port srv_new srv_op_state srv_admin_state \
                      srv_uweight srv_iweight srv_check_state\n";
        let text = format!("{header}0 web 3 10.0.0.1 a 80 - 2 0 7 7 0\n");
        let running = Running::parse(&text, None, [&name("web")]).unwrap();
        let a = &running.backend(&name("web")).unwrap()[&name("a")];
        assert_eq!((a.id.get(), a.port, a.weight.get()), (3, 80, 7));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let good = "3 web 7 a 127.0.0.1 2 0 5 10 391 8 2 0 6 22 0 1 - 24811 - 0 24899 127.0.0.2 - 0";
        for (from, to, problem) in [
            (" 7 ", " 0 ", "id"),
            (" a ", " a/b ", "name"),
            ("127.0.0.1", "127.0.0", "address"),
            (" 2 0 5 ", " x 0 5 ", "operational state"),
            (" 2 0 5 ", " 2 - 5 ", "administrative state"),
            (" 5 10 ", " 257 10 ", "weight"),
            (" 5 10 ", " 5 +1 ", "weight"),
            (" 6 22 ", " 6 ", "number of fields"),
            (" 6 22 ", " 6  22 ", "number of fields"),
            (" 6 22 ", " x 22 ", "check"),
            (" 6 22 ", " 6 x ", "check"),
            ("24811", "65536", "port"),
        ] {
            let line = good.replacen(from, to, 1);
            let error = read(&format!("{good}\n{line}")).unwrap_err();
            assert!(error.to_string().contains(problem), "{line}: {error}");
            assert_eq!(
                (error.line(), error.text()),
                (4, line.chars().take(120).collect::<String>().as_str())
            );
        }
        assert!(read(&format!("{good}\n{good}")).unwrap_err().to_string().contains("there before"));
        for text in [
            "",
            "2\n",
            "1\n",
            "Can't find backend.\n",
            "1\n# be_name srv_name\n",
            "1\nbe_id be_name\n",
            "\n1\n",
        ] {
            assert!(Running::parse(text, None, []).is_err(), "{text:?}");
        }
    }

    #[test]
    fn statistics_complete_a_server() {
        let state = format!(
            "{HEADER}3 web 7 a 127.0.0.1 2 0 5 10 391 8 2 0 6 22 0 1 - 24811 - 0 24899 127.0.0.2 - 0"
        );
        let stat = "# pxname,svname,scur,slim,act,bck,check_rise,check_fall,last_chk,cookie,\n\
                    web,b,0,0,0,0,,,,,\nother,a,0,0,0,0,,,,,\nweb,a,3,7,0,1,2,3,\"a, \"\"b\"\"\",c,\n";
        let running = Running::parse(&state, Some(stat), [&name("web")]).unwrap();
        let usage = running.backend(&name("web")).unwrap()[&name("a")].usage.clone();
        let expected = Usage {
            maxconn: 7,
            backup: true,
            cookie: Cookie::parse("c").ok(),
            rise_and_fall: Some((2, 3)),
            sessions: 3,
        };
        assert_eq!(usage, Some(expected));
    }
}
