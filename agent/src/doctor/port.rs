//! The ports that HAProxy is to listen on.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use super::{Finding, Seen, Topic, count, process::directories};
use crate::config::Config;

/// Who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    port: u16,
    inode: u64,
}

/// Where a service is to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    service: String,
    written: String,
    /// `None`: a name that is not looked up here.
    addresses: Option<Vec<IpAddr>>,
    port: u16,
}

/// Looks who listens there now, as far as this network namespace knows.
pub(super) fn examine(config: &Config, seen: &Seen) -> Vec<Finding> {
    let binds = config.services.iter().filter_map(|service| {
        let bind = service.shape.as_ref()?.bind.as_ref()?;
        let port = bind.port?.get();
        let written = bind.address.as_str().to_owned();
        Some(Wanted { service: service.name.to_string(), addresses: addresses(&written), written, port })
    });
    let wanted: Vec<Wanted> = binds.collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let proc = Path::new("/proc");
    let read = |name: &str| fs::read_to_string(proc.join("net").join(name)).unwrap_or_default();
    let listeners: Vec<_> = listeners(&read("tcp")).chain(listeners(&read("tcp6"))).collect();
    let taken: Vec<(&Wanted, Listener)> = wanted
        .iter()
        .filter_map(|wanted| Some((wanted, *listeners.iter().find(|listener| wanted.meets(listener))?)))
        .collect();
    let owners = if taken.is_empty() { HashMap::new() } else { owners(proc) };
    judge(&wanted, &taken, &owners, !seen.processes.is_empty())
}

/// `running`: an HAProxy answers, so what nobody can tell the owner of may be its own.
fn judge(
    wanted: &[Wanted],
    taken: &[(&Wanted, Listener)],
    owners: &HashMap<u64, (u32, String)>,
    running: bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (wanted, listener) in taken {
        let place = format!("{}:{}", wanted.written, wanted.port);
        let remedy = format!("stop it, or give the service {} another port", wanted.service);
        match owners.get(&listener.inode) {
            Some((_, name)) if name == "haproxy" => {}
            Some((pid, name)) => {
                let text = format!("is taken by {} (process {pid})", super::line(name));
                findings.push(if wanted.addresses.is_some() {
                    Finding::error(Topic::Port, place, text, remedy)
                } else {
                    // The name may stand for another address.
                    Finding::warning(Topic::Port, place, text, remedy)
                });
            }
            None if running => {}
            None => {
                let text = "is taken, and this user may not see by whom; no HAProxy answers";
                findings.push(Finding::warning(
                    Topic::Port,
                    place,
                    text,
                    "see who it is: `ss -ltnp` as root",
                ));
            }
        }
    }
    if findings.is_empty() {
        let text = format!("{}: free, or HAProxy's", count(wanted.len(), "port"));
        findings.push(Finding::ok(Topic::Port, "services", text));
    }
    findings
}

impl Wanted {
    fn meets(&self, listener: &Listener) -> bool {
        let clash = |address: &IpAddr| {
            let families = address.is_ipv4() == listener.address.is_ipv4();
            // What listens everywhere by IPv6 may do so by IPv4, too.
            let everywhere = listener.address.is_unspecified() && (families || listener.address.is_ipv6());
            everywhere || (address.is_unspecified() && families) || *address == listener.address
        };
        self.port == listener.port
            && self.addresses.as_ref().is_none_or(|addresses| addresses.iter().any(clash))
    }
}

/// What HAProxy makes of an address; `None` for other names than `localhost`.
fn addresses(written: &str) -> Option<Vec<IpAddr>> {
    let bare = written.trim_start_matches('[').trim_end_matches(']');
    match bare {
        "" | "*" => Some(vec![Ipv4Addr::UNSPECIFIED.into()]),
        "localhost" => Some(vec![Ipv4Addr::LOCALHOST.into()]),
        _ => bare.parse().ok().map(|address| vec![address]),
    }
}

/// Reads `/proc/net/tcp` or `tcp6`: addresses as words in the order of the machine, in hexadecimal.
fn listeners(text: &str) -> impl Iterator<Item = Listener> {
    text.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, _, "0A", ..] = fields[..] else { return None };
        let (address, port) = local.split_once(':')?;
        let mut bytes = Vec::with_capacity(16);
        for at in (0..address.len()).step_by(8) {
            bytes.extend(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
        }
        let address = match bytes.len() {
            4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
            16 => {
                let address = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
                address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
            }
            _ => return None,
        };
        Some(Listener {
            address,
            port: u16::from_str_radix(port, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    })
}

/// Whose each socket is, as far as this user may see: its process and that one's name.
fn owners(proc: &Path) -> HashMap<u64, (u32, String)> {
    let mut owners = HashMap::new();
    for directory in directories(proc) {
        let Some(pid) = directory.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        let sockets = fs::read_dir(directory.join("fd")).into_iter().flatten().filter_map(|entry| {
            let link = fs::read_link(entry.ok()?.path()).ok()?;
            link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
        });
        let mut name = None;
        for inode in sockets {
            let name = name.get_or_insert_with(|| {
                fs::read_to_string(directory.join("comm")).unwrap_or_default().trim().to_owned()
            });
            owners.insert(inode, (pid, name.clone()));
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::{Registry, doctor::Severity};

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0\n\
        \x20  1: 0100007F:1F91 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 100 0 0 10 0\n";

    #[cfg(target_endian = "little")]
    #[test]
    fn listeners_are_read_and_connections_are_none() {
        let found: Vec<_> = listeners(TCP).collect();
        let expected = Listener { address: Ipv4Addr::LOCALHOST.into(), port: 8080, inode: 4242 };
        assert_eq!(found, [expected]);
        assert_eq!(listeners("\nx\n 0: 01:zz 0 0A\n").count(), 0);
    }

    fn wanted(written: &str, port: u16) -> Wanted {
        Wanted { service: "web".to_owned(), addresses: addresses(written), written: written.to_owned(), port }
    }

    #[test]
    fn an_address_clashes_with_itself_and_with_all_addresses() {
        let on = |address: &str| Listener { address: address.parse().unwrap(), port: 80, inode: 1 };
        for (written, listening, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("localhost", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("*", "10.0.0.1", true),
            ("10.0.0.1", "0.0.0.0", true),
            ("10.0.0.1", "::", true),
            ("::1", "0.0.0.0", false),
            ("[::1]", "::1", true),
            ("host.example", "10.0.0.1", true),
        ] {
            assert_eq!(wanted(written, 80).meets(&on(listening)), expected, "{written} {listening}");
        }
        assert!(!wanted("*", 81).meets(&on("0.0.0.0")));
    }

    #[test]
    fn who_is_not_haproxy_is_named_and_who_can_not_be_told_is_warned_of() {
        let web = wanted("127.0.0.1", 80);
        let taken = [(&web, Listener { address: Ipv4Addr::LOCALHOST.into(), port: 80, inode: 7 })];
        let found = |owner: Option<&str>, running| {
            let owners = owner.map(|name| (7, (42, name.to_owned()))).into_iter().collect();
            let findings = judge(std::slice::from_ref(&web), &taken, &owners, running);
            (findings[0].severity, findings[0].to_string())
        };
        let ok = (Severity::Ok, "services: 1 port: free, or HAProxy's".to_owned());
        assert_eq!(found(Some("haproxy"), false), ok);
        assert_eq!(found(None, true), ok);
        let error = "127.0.0.1:80: is taken by nginx (process 42)".to_owned();
        assert_eq!(found(Some("nginx"), true), (Severity::Error, error));
        assert_eq!(found(None, false).0, Severity::Warning);
    }

    #[test]
    fn a_port_that_this_process_holds_is_found_to_be_taken() {
        let held = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let text = format!(
            "services: {{web: {{discovery: {{method: base}}, haproxy: {{port: {port}, bind_address: 127.0.0.1}}}}}}\n\
             haproxy: {{do_writes: false, do_reloads: false, global: [], defaults: []}}\n"
        );
        let config = Config::parse(&text, None, &Registry::builtin()).unwrap();
        let found = examine(&config, &Seen::default()).remove(0);
        assert_eq!((found.severity, found.subject), (Severity::Error, format!("127.0.0.1:{port}")));
        assert!(found.text.contains(&format!("process {}", std::process::id())), "{}", found.text);
    }
}
