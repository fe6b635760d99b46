//! HAProxy's stats sockets.

use haproxy_render::plan::{Capabilities, Version};
use haproxy_runtime::{CommandLine, Level, Process, Revision, Socket, SocketError, SocketFault, Sockets};
use tokio::task::JoinSet;

use super::{Finding, Topic, line};
use crate::output::chain;

/// Connections that HAProxy may have, and has: from its `show info`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    connections: Option<u64>,
    most: Option<u64>,
    descriptors: Option<u64>,
    needed: Option<u64>,
}

/// Looks at all sockets at a time. `held` is the revision of the file.
pub(super) async fn examine(sockets: &Sockets, held: Option<&str>) -> (Vec<Finding>, Vec<Process>) {
    let mut tasks = JoinSet::new();
    for (index, socket) in sockets.iter().cloned().enumerate() {
        tasks.spawn(async move { (index, socket.address().to_string(), ask(&socket).await) });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(index, ..)| *index);
    let (mut findings, mut processes) = (Vec::new(), Vec::<Process>::new());
    for (_, address, answer) in answers {
        match answer {
            Ok((process, load)) => {
                findings.extend(of_process(&address, &process, load, held));
                if !processes.iter().any(|known| known.identity == process.identity) {
                    processes.push(process);
                }
            }
            Err(error) => findings.push(unreachable(&address, &error)),
        }
    }
    (findings, processes)
}

async fn ask(socket: &Socket) -> Result<(Process, Load), SocketError> {
    let process = socket.process().await?;
    // Whoever has answered once and does not again is there all the same.
    let replies = match CommandLine::parse("show info") {
        Ok(info) => socket.ask(&[info]).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let load = replies.first().map(|reply| Load::read(reply.text())).unwrap_or_default();
    Ok((process, load))
}

impl Load {
    fn read(info: &str) -> Self {
        let value = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.trim().parse().ok()
        };
        Self {
            connections: value("CurrConns"),
            most: value("Maxconn"),
            descriptors: value("Ulimit-n"),
            needed: value("Maxsock"),
        }
    }
}

fn of_process(address: &str, process: &Process, load: Load, held: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let version = format!("HAProxy {}", line(&process.version));
    let connections = match load {
        Load { connections: Some(now), most: Some(most), .. } => {
            format!(", {now} of {most} connections in use")
        }
        _ => String::new(),
    };
    if process.level == Level::Admin {
        let text = format!("{version}, level admin, {}{connections}", abilities(&process.version));
        findings.push(Finding::ok(Topic::Haproxy, address, text));
    } else {
        let text = format!("{version} answers with level {}: every change would be a reload", process.level);
        let remedy = "write `level admin` on HAProxy's `stats socket` line, and restart or reload HAProxy";
        findings.push(Finding::error(Topic::Haproxy, address, text, remedy));
    }
    if process.stopping {
        let text = format!("{} is ending: it finishes its connections and no more", process.identity);
        let remedy = "start HAProxy, unless it is just being reloaded";
        findings.push(Finding::warning(Topic::Haproxy, address, text, remedy));
    }
    // A lower level hides it.
    if process.level == Level::Admin {
        findings.extend(runs(address, process.revision.as_ref().map(Revision::as_str), held));
    }
    if let Load { connections: Some(now), most: Some(most), .. } = load
        && most > 0
        && now.saturating_mul(10) >= most.saturating_mul(9)
    {
        let text = format!("{now} of {most} connections are in use");
        let remedy = "raise `maxconn` in `global`, or find out who holds them (`show sess`)";
        findings.push(Finding::warning(Topic::Haproxy, address, text, remedy));
    }
    if let Load { descriptors: Some(limit), needed: Some(needed), .. } = load
        && needed > limit
    {
        let text = format!("it may need {needed} file descriptors and has {limit}");
        let remedy = "raise the limit of open files (`LimitNOFILE=` of HAProxy's unit), or lower `maxconn`";
        findings.push(Finding::warning(Topic::Haproxy, address, text, remedy));
    }
    findings
}

/// What of a change takes no reload, by the version.
fn abilities(version: &str) -> &'static str {
    let capabilities = Version::parse(version).map_or_else(|_| Capabilities::none(), Capabilities::of);
    match (capabilities.adds_servers(), capabilities.waits_for_removable()) {
        (true, true) => "servers come and go by commands, and it says when one may go",
        (true, false) => "servers come and go by commands",
        (false, _) => "too old or unknown for servers to come and go by commands",
    }
}

/// Whether what runs is what the file has.
fn runs(address: &str, runs: Option<&str>, held: Option<&str>) -> Option<Finding> {
    match (runs, held) {
        (Some(runs), Some(held)) if runs == held => {
            Some(Finding::ok(Topic::Haproxy, address, format!("it runs what its file has (revision {held})")))
        }
        (_, Some(held)) => {
            let runs = runs.map_or_else(|| "no revision".to_owned(), |runs| format!("revision {runs}"));
            let text = format!("it runs {runs}, its file has {held}");
            let remedy = "a run brings the two together; without one, reload HAProxy";
            Some(Finding::warning(Topic::Haproxy, address, text, remedy))
        }
        // Not our file, or none yet.
        (_, None) => None,
    }
}

fn unreachable(address: &str, error: &SocketError) -> Finding {
    let (text, remedy) = match error.fault() {
        SocketFault::Missing => (
            "there is no socket".to_owned(),
            "start HAProxy with the file at `config_file_path`, or correct `socket_file_path` or the `stats socket` line: they must name one path",
        ),
        SocketFault::Refused => (
            "nobody listens on the socket".to_owned(),
            "start HAProxy: it has ended, or the path is no socket",
        ),
        SocketFault::Denied => (
            "this user may not use the socket".to_owned(),
            "set `user`, `group` or `mode` on HAProxy's `stats socket` line, or run this program as its user",
        ),
        SocketFault::Full => (
            "the queue of connections is full".to_owned(),
            "raise `stats maxconn` (10 by default), or find who holds the sessions",
        ),
        SocketFault::Silent { deadline } => (
            format!("not a word within {deadline:?}"),
            "restart HAProxy if it hangs; raise `stats maxconn` (10 by default) if all its sessions are taken",
        ),
        SocketFault::Master => (
            "this is the socket of HAProxy's master".to_owned(),
            "name the socket of a `stats socket` line in `socket_file_path`, and this one in `master_socket_path`",
        ),
        SocketFault::Garbage { .. } => {
            (line(&chain(error)), "correct `socket_file_path`: who answers there is not HAProxy")
        }
        _ => (line(&chain(error)), "see HAProxy's log"),
    };
    Finding::error(Topic::Haproxy, address, text, remedy)
}

/// The revision that a file of HAProxy says it has.
pub(super) fn revision(file: &[u8]) -> Option<String> {
    let start = format!("set-var {} str(", Revision::VARIABLE);
    let text = file
        .split(|byte| *byte == b'\n')
        .find_map(|line| std::str::from_utf8(line).ok()?.trim().strip_prefix(&start)?.strip_suffix(')'))?;
    Revision::parse(text).ok().map(|revision| revision.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn the_file_says_its_revision() {
        let file = b"global\n\tset-var proc.synapse_rev str(abc.1)\ndefaults\n";
        assert_eq!(revision(file).as_deref(), Some("abc.1"));
        for other in [&b"global\n"[..], b"set-var proc.synapse_rev str(a b)\n", b"\xff\n", b""] {
            assert_eq!(revision(other), None);
        }
    }

    #[test]
    fn what_runs_is_compared_with_what_the_file_has() {
        let found = |running: Option<&str>, held: Option<&str>| {
            runs("s", running, held).map(|finding| (finding.severity, finding.text))
        };
        let same = "it runs what its file has (revision a)".to_owned();
        assert_eq!(found(Some("a"), Some("a")), Some((Severity::Ok, same)));
        let other = "it runs revision a, its file has b".to_owned();
        assert_eq!(found(Some("a"), Some("b")), Some((Severity::Warning, other)));
        let none = "it runs no revision, its file has b".to_owned();
        assert_eq!(found(None, Some("b")), Some((Severity::Warning, none)));
        assert_eq!(found(None, None), None);
    }

    #[test]
    fn what_haproxy_carries_is_read_from_what_it_says() {
        let load =
            Load::read("Name: HAProxy\nUlimit-n: 8038\nMaxsock: 8038\nMaxconn: 4000\nCurrConns: 12\nx\n");
        let expected =
            Load { connections: Some(12), most: Some(4000), descriptors: Some(8038), needed: Some(8038) };
        assert_eq!(load, expected);
        assert_eq!(Load::read("CurrConns: many\n"), Load::default());
    }

    #[test]
    fn a_version_says_what_goes_by_commands() {
        assert_eq!(abilities("2.6.12-1"), "servers come and go by commands");
        assert!(abilities("3.2.1").contains("says when"));
        assert!(abilities("1.8.0").starts_with("too old"));
    }
}
