//! HAProxy's socket, over which it is told of servers that come and go.

use std::{path::Path, time::Duration};

use haproxy_render::{
    Line,
    plan::{InitState, Strangers},
};
use haproxy_runtime::{Limits, SocketAddress, Sockets};

use super::{Problem, Section, raw, seconds};

/// How a running HAProxy is changed.
#[derive(Clone, PartialEq)]
pub(crate) struct Socket {
    pub(crate) sockets: Sockets,
    pub(crate) drain_timeout: Duration,
    pub(crate) init_state: InitState,
    pub(crate) strangers: Strangers,
}

/// How long connections to a server that has left may go on, unless said otherwise.
const DRAIN_TIMEOUT: Duration = Duration::from_mins(5);

// By hand: it is made of the operator's lines.
impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket")
            .field("drain_timeout", &self.drain_timeout)
            .field("init_state", &self.init_state)
            .field("strangers", &self.strangers)
            .finish_non_exhaustive()
    }
}

/// Reads the keys about the socket. `None`: none is used. A `stats socket` line that `global` lacks is added to it.
pub(super) fn read(
    section: &Section,
    raw: &raw::Haproxy,
    global: &mut Vec<Line>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Socket> {
    let drain_timeout = raw.drain_timeout.map_or(Some(DRAIN_TIMEOUT), seconds);
    if drain_timeout.is_none() {
        problems.push(section.problem_at("drain_timeout", "expected seconds, 0 to a year"));
    }
    let init_state = match raw.init_state.as_deref() {
        None | Some("up") => Some(InitState::Up),
        Some("fully-down") => Some(InitState::FullyDown),
        Some(other) => {
            let message = format!("expected `up` or `fully-down`, not {other:?}");
            problems.push(section.problem_at("init_state", message));
            None
        }
    };
    let strangers = match raw.foreign_servers.as_deref() {
        None | Some("remove") => Some(Strangers::Remove),
        Some("report") => Some(Strangers::Report),
        Some(other) => {
            let message = format!("expected `remove` or `report`, not {other:?}");
            problems.push(section.problem_at("foreign_servers", message));
            None
        }
    };
    let paths = raw.socket_file_path.as_deref().unwrap_or_default();
    let of_paths =
        (!paths.is_empty()).then(|| Sockets::parse(paths.iter().map(String::as_str), Limits::default()));
    let of_paths = match of_paths.transpose() {
        Ok(sockets) => sockets,
        Err(error) => {
            problems.push(section.problem_at("socket_file_path", error.to_string()));
            return None;
        }
    };
    if raw.do_socket == Some(false) {
        return None;
    }
    if !raw.do_writes {
        if raw.do_socket == Some(true) || of_paths.is_some() {
            let key = if raw.do_socket.is_some() { "do_socket" } else { "socket_file_path" };
            let message =
                "has no effect while `do_writes` is false: what HAProxy is told has to be in its file, too";
            warnings.push(section.problem_at(key, message));
        }
        return None;
    }

    let lines: Vec<StatsSocket> = global.iter().filter_map(StatsSocket::read).collect();
    let sockets = match of_paths {
        Some(sockets) => {
            if lines.is_empty()
                && let Some(path) = sockets.iter().find_map(|socket| socket.address().path())
            {
                match added(path) {
                    Ok(line) => global.push(line),
                    Err(message) => problems.push(section.problem_at("socket_file_path", message)),
                }
            }
            sockets
        }
        None => match lines.iter().find(|line| line.admin).or(lines.first()) {
            Some(line) => Sockets::parse([line.address.as_str()], Limits::default()).ok()?,
            None if raw.do_socket == Some(true) && lines.is_empty() => {
                let message = "there is no socket to use: give `socket_file_path`, or a `stats socket` line in `global`";
                warnings.push(section.problem_at("do_socket", message));
                return None;
            }
            None => return None,
        },
    };
    let used = |line: &&StatsSocket| {
        let address = SocketAddress::parse(&line.address).ok();
        sockets.iter().any(|socket| Some(socket.address()) == address.as_ref())
    };
    if lines.iter().filter(used).any(|line| !line.admin) {
        let message =
            "the `stats socket` line has not `level admin`: every change of a service's servers is a reload";
        warnings.push(section.problem_at("global", message));
    }
    let (drain_timeout, init_state, strangers) = (drain_timeout?, init_state?, strangers?);
    Some(Socket { sockets, drain_timeout, init_state, strangers })
}

/// The line that makes HAProxy listen where it is looked for. HAProxy takes only what begins with a slash for a path, and looks for
/// any other in the directory that it was started in, which need not be ours.
fn added(path: &Path) -> Result<Line, String> {
    let text = path.to_str().unwrap_or_default();
    if !path.is_absolute() {
        return Err(format!(
            "{text:?} is relative, and HAProxy may be started in another directory: give the whole path"
        ));
    }
    let plain = |char: char| char.is_alphanumeric() || "/._-+:@%=~".contains(char);
    let refused = || {
        format!("{text:?} has characters that mean something else in HAProxy's file: give it another name")
    };
    if !text.chars().all(plain) {
        return Err(refused());
    }
    // A successor takes the listeners over by it: no connection is refused in a reload.
    Line::parse(&format!("stats socket {text} mode 600 level admin expose-fd listeners"))
        .map_err(|_| refused())
}

/// A `stats socket` line that names what can be connected to.
struct StatsSocket {
    address: String,
    admin: bool,
}

impl StatsSocket {
    fn read(line: &Line) -> Option<Self> {
        let text = line.as_str().split(" #").next().unwrap_or_default();
        let mut words = text.split_ascii_whitespace();
        if (words.next(), words.next()) != (Some("stats"), Some("socket")) {
            return None;
        }
        let address = words.next()?.trim_matches('"').to_owned();
        SocketAddress::parse(&address).ok()?;
        let level = words.skip_while(|word| *word != "level").nth(1);
        Some(Self { address, admin: level == Some("admin") })
    }
}

#[cfg(test)]
mod tests {
    use discovery_core::Catalog;
    use haproxy_render::plan::Strangers;

    use crate::{Config, Registry};

    /// The `haproxy` section with these lines more; `Err` is the first mistake.
    fn config(more: &str) -> Result<Config, String> {
        let text = format!(
            "services: {{}}\nhaproxy:\n  config_file_path: /etc/h.cfg\n  reload_command: 'true'\n  defaults: []\n{more}"
        );
        Config::parse(&text, None, &Registry::builtin())
            .map_err(|report| report.problems()[0].message.clone())
    }

    /// The socket's address, the lines of `global`, and the warnings.
    fn read(more: &str) -> (Option<String>, Vec<String>, Vec<String>) {
        let config = config(more).unwrap();
        let socket = config.haproxy.output.socket.as_ref();
        let address = socket.map(|socket| socket.sockets.iter().next().unwrap().address().to_string());
        let file = config.render(&Catalog::new(Vec::new()));
        let global = file.lines().skip_while(|line| *line != "global").skip(1);
        let global = global.take_while(|line| !line.is_empty()).map(|line| line.trim().to_owned()).collect();
        let warnings = config.warnings().problems().iter().map(|problem| problem.message.clone()).collect();
        (address, global, warnings)
    }

    #[test]
    fn a_socket_that_global_lacks_is_added() {
        let line = "stats socket /run/h.sock mode 600 level admin expose-fd listeners";
        for more in ["", "  do_socket: true\n"] {
            let more = format!("  global: [daemon]\n  socket_file_path: /run/h.sock\n{more}");
            let expected =
                (Some("/run/h.sock".to_owned()), vec!["daemon".to_owned(), line.to_owned()], vec![]);
            assert_eq!(read(&more), expected);
        }
    }

    #[test]
    fn a_socket_that_is_there_is_used_as_it_is() {
        let line = "stats socket unix@/run/h.sock mode 660 level admin";
        for more in ["", "  socket_file_path: [/run/h.sock]\n"] {
            let (address, global, warnings) = read(&format!("  global: ['{line}']\n{more}"));
            assert_eq!(
                (address.as_deref(), global, warnings),
                (Some("/run/h.sock"), vec![line.to_owned()], vec![])
            );
        }
    }

    #[test]
    fn a_socket_that_may_not_change_anything_is_warned_of() {
        let (address, _, warnings) = read("  global: [stats socket /run/h.sock]\n");
        assert_eq!(address.as_deref(), Some("/run/h.sock"));
        assert!(warnings[0].starts_with("the `stats socket` line has not `level admin`"), "{warnings:?}");
    }

    #[test]
    fn without_an_address_or_with_do_socket_false_none_is_used() {
        let (address, global, warnings) = read("  global: [daemon]\n");
        assert_eq!((address, global, warnings), (None, vec!["daemon".to_owned()], vec![]));
        let (address, global, _) =
            read("  global: []\n  do_socket: false\n  socket_file_path: /run/h.sock\n");
        assert_eq!((address, global), (None, vec![]));
        let (address, _, _) = read("  global: ['stats socket abns@x level admin']\n");
        assert_eq!(address, None);
        let (_, _, warnings) = read("  global: []\n  do_socket: true\n");
        assert!(warnings[0].starts_with("there is no socket to use"), "{warnings:?}");
    }

    #[test]
    fn what_can_not_be_is_a_problem() {
        let problem = |more: &str| config(&format!("  global: []\n{more}")).unwrap_err();
        assert_eq!(problem("  drain_timeout: -1\n"), "expected seconds, 0 to a year");
        assert_eq!(problem("  init_state: down\n"), "expected `up` or `fully-down`, not \"down\"");
        assert!(problem("  socket_file_path: 'localhost:1'\n").contains("neither a path"));
        assert!(problem("  socket_file_path: h.sock\n").starts_with("\"h.sock\" is relative"));
        for path in ["/run/h $X.sock", "/run/a,b.sock"] {
            let problem = problem(&format!("  socket_file_path: '{path}'\n"));
            assert!(problem.contains("mean something else in HAProxy's file"), "{problem}");
        }
        assert_eq!(problem("  foreign_servers: keep\n"), "expected `remove` or `report`, not \"keep\"");
        let all = "  drain_timeout: 0\n  init_state: fully-down\n  foreign_servers: remove\n";
        assert!(config(&format!("  global: []\n{all}")).is_ok());
    }

    #[test]
    fn servers_by_somebody_else_are_removed_unless_they_are_only_to_be_reported() {
        for (more, expected) in [
            ("", Strangers::Remove),
            ("  foreign_servers: remove\n", Strangers::Remove),
            ("  foreign_servers: report\n", Strangers::Report),
        ] {
            let config = config(&format!("  global: []\n  socket_file_path: /run/h.sock\n{more}")).unwrap();
            assert_eq!(config.haproxy.output.socket.unwrap().strangers, expected, "{more:?}");
        }
    }
}
