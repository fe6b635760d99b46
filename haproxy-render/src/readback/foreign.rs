//! Reading the files of others.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use super::ReadBack;
use crate::address::Address;
use crate::document::Backend;
use crate::name::Name;
use crate::number::{ServerId, digits};
use crate::option::ServerOptions;
use crate::server::{Server, ServerBuilder};
use crate::word::scan;

/// The words that begin a section, of HAProxy 2.6 to 3.4. Indents mean nothing to HAProxy.
const SECTIONS: [&str; 21] = [
    "acme",
    "backend",
    "cache",
    "crt-store",
    "defaults",
    "fcgi-app",
    "frontend",
    "global",
    "healthcheck",
    "http-errors",
    "listen",
    "log-forward",
    "log-profile",
    "mailers",
    "namespace_list",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
    "userlist",
];

impl ReadBack {
    /// Reads the servers of a file that somebody else wrote (Synapse, a template, a person), so that a first start serves
    /// what was served before while a registry is down.
    ///
    /// Of each `backend` section, the lines `server NAME ADDRESS:PORT …` that say what a [`Server`] can: an address that
    /// is an [`Address`], a port that is a number. The words that follow are read as
    /// [trusted](ServerOptions::trusted) options, `disabled`, `weight` and the like included. A server without `id` gets
    /// the one by which HAProxy knows it: it counts the servers of a backend from 1 and steps over the ids that are
    /// taken. A DNS name without `init-addr` gets one, as a server of ours does.
    ///
    /// All else is left out: the other lines of a backend ([`Backend::lines`] is empty), `default-server` among them, and
    /// the servers of `listen` sections. Server lines and backends that can't be read are counted in
    /// [`skipped`](Self::skipped): variables, sockets, ports relative to the client's, `server-template`, names and ids
    /// that were there before, and a last line without line feed, which may have been cut off.
    ///
    /// Reads our own files too, though less exactly than [`parse`](Self::parse). Never fails.
    ///
    /// ```
    /// use haproxy_render::{Name, ReadBack};
    ///
    /// let read = ReadBack::parse_foreign("backend web\n  mode http\n  server a 10.0.0.1:80 cookie a check\n");
    /// let web = read.backend(&Name::parse("web")?).unwrap();
    /// assert_eq!(web.servers[0].line().to_string(), "server a 10.0.0.1:80 id 1 cookie a check");
    /// # Ok::<(), haproxy_render::InvalidName>(())
    /// ```
    pub fn parse_foreign(text: &str) -> Self {
        let (whole, rest) = text.rsplit_once('\n').unwrap_or(("", text));
        let mut read = Self { backends: BTreeMap::new(), skipped: usize::from(!rest.trim().is_empty()) };
        let mut current: Option<Reading> = None;
        for line in whole.split('\n') {
            // HAProxy drops what follows a carriage return.
            let line = line.split('\r').next().unwrap_or_default();
            let scanned = scan(line);
            let first = match &scanned {
                Ok(words) => words.first().copied(),
                // Good enough to tell whether it matters.
                Err(_) => line.split_ascii_whitespace().next(),
            };
            match first {
                Some(section) if SECTIONS.contains(&section) => {
                    read.finish_foreign(current.take());
                    if section == "backend" {
                        let name = scanned.ok().and_then(|words| Name::parse(words.get(1)?).ok());
                        read.skipped += usize::from(name.is_none());
                        current = name.map(Reading::new);
                    }
                }
                Some("server") => {
                    if let Some(reading) = &mut current {
                        reading
                            .lines
                            .push(scanned.map_or_else(|_| Entry::default(), |words| Entry::read(&words)));
                    }
                }
                Some("server-template") => read.skipped += usize::from(current.is_some()),
                _ => {}
            }
        }
        read.finish_foreign(current);
        read
    }

    fn finish_foreign(&mut self, reading: Option<Reading>) {
        let Some(Reading { name, lines }) = reading else { return };
        // HAProxy refuses a second section of one name.
        if self.backends.contains_key(&name) {
            self.skipped += 1;
            return;
        }
        let count = lines.len();
        let mut backend = Backend::new(name.clone(), Vec::new());
        backend.servers = servers(lines);
        self.skipped += count - backend.servers.len();
        self.backends.insert(name, backend);
    }
}

/// A backend of which more lines may follow.
struct Reading {
    name: Name,
    lines: Vec<Entry>,
}

impl Reading {
    fn new(name: Name) -> Self {
        Self { name, lines: Vec::new() }
    }
}

/// One `server` line. HAProxy counts those too that can't be read here.
#[derive(Default)]
struct Entry {
    id: Option<ServerId>,
    server: Option<(Name, ServerBuilder)>,
}

impl Entry {
    fn read(words: &[&str]) -> Self {
        let options = words.get(3..).unwrap_or_default().join(" ");
        let (id, options) = ServerOptions::split_id(&options);
        let server = || {
            let name = Name::parse(words.get(1)?).ok()?;
            let (address, port) = words.get(2)?.rsplit_once(':')?;
            let port = NonZeroU16::new(digits(port)?.try_into().ok()?)?;
            let options = ServerOptions::trusted(&options).ok()?;
            // The id is not known before all lines are.
            let builder = Server::builder(name.clone(), Address::parse(address).ok()?, port, ServerId::MIN);
            Some((name, builder.options(options)))
        };
        Self { id, server: server() }
    }
}

/// The servers of one backend, with ids as HAProxy gives them.
fn servers(lines: Vec<Entry>) -> Vec<Server> {
    let mut names = BTreeSet::new();
    let explicit: BTreeSet<u32> = lines.iter().filter_map(|entry| entry.id).map(ServerId::get).collect();
    let mut used = BTreeSet::new();
    let mut next: u32 = 1;
    let mut servers = Vec::new();
    for Entry { id, server } in lines {
        let id = id.or_else(|| {
            while explicit.contains(&next) {
                next = next.saturating_add(1);
            }
            ServerId::new(next).ok()
        });
        // A line with an id of its own moves the count on as well.
        next = next.saturating_add(1);
        let server = || {
            let (name, builder) = server?;
            let server = builder.build().ok()?.with_id(id?);
            (names.insert(name) & used.insert(server.id())).then_some(server)
        };
        servers.extend(server());
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers_of(read: &ReadBack, backend: &str) -> Vec<String> {
        let backend = read.backend(&Name::parse(backend).unwrap());
        let servers = backend.map(|backend| backend.servers.as_slice()).unwrap_or_default();
        servers.iter().map(|server| server.line().to_string()).collect()
    }

    fn web(lines: &str) -> (Vec<String>, usize) {
        let read = ReadBack::parse_foreign(&format!("backend web\n{lines}\n"));
        (servers_of(&read, "web"), read.skipped())
    }

    #[test]
    fn a_file_of_synapse_is_read() {
        let read = ReadBack::parse_foreign(concat!(
            "# auto-generated by synapse at 2016-01-01\n\nglobal\n  daemon\n\ndefaults\n  mode http\n\n",
            "frontend web\n\tbind localhost:3213\n\tdefault_backend web\n\n",
            "backend web\n\tmode http\n\tserver 10.0.0.1:80_a 10.0.0.1:80 id 7 cookie a check inter 2s\n",
            "\tserver 10.0.0.2:80_b 10.0.0.2:80 cookie b check weight 3 disabled\n\n",
            "backend empty\n\tmode tcp\n\nlisten stats\n\tserver x 10.0.0.9:80\n",
        ));
        assert_eq!(
            servers_of(&read, "web"),
            [
                "server 10.0.0.1:80_a 10.0.0.1:80 id 7 cookie a check inter 2s",
                "server 10.0.0.2:80_b 10.0.0.2:80 id 2 cookie b check weight 3 disabled",
            ]
        );
        assert_eq!((read.backends().count(), read.skipped()), (2, 0));
        assert!(read.backends().all(|backend| backend.lines.is_empty()));
    }

    #[test]
    fn ids_are_those_that_haproxy_counts() {
        let (servers, skipped) = web(concat!(
            "server a 10.0.0.1:1\nserver b 10.0.0.1:2 id 1\nserver c 10.0.0.1:3\n",
            "server d $HOST:4 id 5\nserver e 10.0.0.1:5\nserver f 10.0.0.1:+6\nserver g 10.0.0.1:7",
        ));
        let ids: Vec<&str> = servers.iter().filter_map(|line| line.split(" id ").nth(1)).collect();
        assert_eq!((ids, skipped), (vec!["2", "1", "4", "6", "8"], 2));
    }

    #[test]
    fn layout_and_quotes_are_haproxys() {
        for (text, expected) in [
            ("   server   a\t10.0.0.1:080   check # the first", "server a 10.0.0.1:80 id 1 check"),
            ("server a 10.0.0.1:80 sni \"str(a b)\"", "server a 10.0.0.1:80 id 1 sni \"str(a b)\""),
            ("server a 10.0.0.1:80 check\r", "server a 10.0.0.1:80 id 1 check"),
            ("server a [::1]:80", "server a [::1]:80 id 1"),
            ("server a ::1:80", "server a [::1]:80 id 1"),
            ("server a db.example:80", "server a db.example:80 id 1 init-addr last,libc,none"),
        ] {
            assert_eq!(web(text), (vec![expected.to_owned()], 0), "{text:?}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_counted() {
        for line in [
            "server",
            "server a",
            "server a 10.0.0.1",
            "server a 10.0.0.1:0",
            "server a 10.0.0.1:+1",
            "server a unix@/run/a",
            "server a *:80",
            "server \"${NAME}\" 10.0.0.1:80",
            "server a 10.0.0.1:80 \"check",
            "server a 10.0.0.1:80 id 0",
            "server a 10.0.0.1:80 inter",
            "server-template a 1-5 a.example:80",
        ] {
            assert_eq!(web(line), (vec![], 1), "{line}");
        }
        let twice =
            "server a 10.0.0.1:1\nserver a 10.0.0.1:2\nserver b 10.0.0.1:3 id 9\nserver c 10.0.0.1:4 id 9";
        let (servers, skipped) = web(twice);
        assert_eq!((servers.len(), skipped), (2, 2));
    }

    #[test]
    fn only_backends_count_and_only_the_first_of_a_name() {
        let read = ReadBack::parse_foreign(concat!(
            "server x 10.0.0.1:1\nbackend web from base\nserver a 10.0.0.1:1\nring r\nserver r 10.0.0.1:2\n",
            "backend web\nserver b 10.0.0.1:3\nbackend $X\nserver c 10.0.0.1:4\nbackend\n",
        ));
        assert_eq!(servers_of(&read, "web"), ["server a 10.0.0.1:1 id 1"]);
        assert_eq!((read.backends().count(), read.skipped()), (1, 3));
    }

    #[test]
    fn a_line_that_was_cut_off_is_not_believed() {
        let read = ReadBack::parse_foreign("backend web\nserver a 10.0.0.1:80\nserver b 10.0.0.1:8");
        assert_eq!((servers_of(&read, "web").len(), read.skipped()), (1, 1));
        assert_eq!(ReadBack::parse_foreign("").skipped(), 0);
    }
}
