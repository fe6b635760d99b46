//! The top-level `haproxy` section.

use std::{path::PathBuf, time::Duration};

use haproxy_render::{Line, Section as Extra, ServerId};
use haproxy_runtime::{
    Check, Command, ConfigFile, InvalidPace, Master, Pace, Reload, SocketAddress, Staging,
};

use super::{
    Problem, Section,
    lines::Lines,
    raw, seconds,
    service::Findings,
    socket::{self, Socket},
    state,
};
use crate::{output::chain, state::StateFile};

/// What all services share in HAProxy, and how HAProxy is told.
#[derive(Debug, Clone)]
pub(crate) struct Haproxy {
    /// There is such a section. Without it no service is served by HAProxy.
    pub(crate) present: bool,
    pub(crate) global: Vec<Line>,
    pub(crate) defaults: Vec<Line>,
    pub(crate) extra_sections: Vec<Extra>,
    pub(crate) shared_frontend: Option<Vec<Line>>,
    pub(crate) bind_address: String,
    /// With `%{name}` for the service's.
    pub(crate) frontend_name: String,
    pub(crate) use_nerve_weights: bool,
    pub(crate) max_server_id: ServerId,
    /// What servers are shuffled by.
    pub(crate) order_seed: Option<u64>,
    pub(crate) output: Output,
    /// `None`: what is known of services is kept in HAProxy's file alone.
    pub(crate) state: Option<StateFile>,
}

/// Where the text goes and what happens then.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// `None`: nothing is written.
    pub(crate) file: Option<ConfigFile>,
    pub(crate) check: Option<Check>,
    pub(crate) reload: Option<Reload>,
    pub(crate) pace: Pace,
    /// `None`: each change is a reload.
    pub(crate) socket: Option<Socket>,
}

/// How long a reload or a check may take, unless said otherwise.
const DEADLINE: Duration = Duration::from_secs(30);
/// Synapse's `restart_interval`, in seconds.
const RESTART_INTERVAL: f64 = 2.0;
/// What stands for a service's name in `frontend_name`.
pub(super) const SERVICE_NAME: &str = "%{name}";

impl Haproxy {
    /// Reads the section. What is wrong goes to `problems`, what is worth knowing to `warnings`. With problems, what it
    /// returns is good for finding those of the services, and for nothing else.
    pub(super) fn read(section: &Section, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) -> Self {
        let Some(raw) = section.recover::<raw::Haproxy>(problems) else {
            return Self { present: true, ..Self::blank() };
        };
        let mut found = Findings { problems: &mut *problems, warnings: &mut *warnings };
        let mut list =
            |key, texts: &[String], title| Lines::new(section, key).under(title).parse(texts, &mut found);
        let mut global = list("global", &raw.global, "global");
        let defaults = list("defaults", &raw.defaults, "defaults");
        let shared_frontend =
            raw.shared_frontend.as_deref().map(|lines| list("shared_frontend", lines, "frontend"));
        let extra_sections = extra_sections(section, &raw, problems, warnings);
        let socket = socket::read(section, &raw, &mut global, problems, warnings);
        let output = output(section, &raw, socket, problems, warnings);
        let state = state::read(section, &raw, problems, warnings);
        let max_server_id = raw.max_server_id.map_or(Ok(ServerId::DEFAULT_MAX), ServerId::new);
        let max_server_id = max_server_id
            .map_err(|error| problems.push(section.problem_at("max_server_id", error.to_string())));
        if raw.frontend_name.as_ref().is_some_and(|text| !text.contains(SERVICE_NAME)) {
            let message = "`%{name}` has to be in it, or all services had one frontend";
            problems.push(section.problem_at("frontend_name", message));
        }
        let blank = Self::blank();
        Self {
            present: true,
            global,
            defaults,
            extra_sections,
            shared_frontend,
            bind_address: raw.bind_address.unwrap_or(blank.bind_address),
            frontend_name: raw.frontend_name.unwrap_or(blank.frontend_name),
            use_nerve_weights: raw.use_nerve_weights,
            max_server_id: max_server_id.unwrap_or(blank.max_server_id),
            order_seed: raw.server_order_seed.map(i64::cast_unsigned),
            output: output.unwrap_or(blank.output),
            state,
        }
    }

    /// What there is without the section: Synapse's defaults, and no output.
    pub(super) fn blank() -> Self {
        Self {
            present: false,
            global: Vec::new(),
            defaults: Vec::new(),
            extra_sections: Vec::new(),
            shared_frontend: None,
            bind_address: "localhost".to_owned(),
            frontend_name: SERVICE_NAME.to_owned(),
            use_nerve_weights: false,
            max_server_id: ServerId::DEFAULT_MAX,
            order_seed: None,
            output: Output { file: None, check: None, reload: None, pace: Pace::default(), socket: None },
            state: None,
        }
    }
}

fn extra_sections(
    section: &Section,
    raw: &raw::Haproxy,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Vec<Extra> {
    let mut extras = Vec::new();
    let nested = section.section("extra_sections");
    for (title, texts) in &raw.extra_sections.0 {
        let inner = nested.as_ref().unwrap_or(section);
        let mut found = Findings { problems: &mut *problems, warnings: &mut *warnings };
        let lines = Lines::new(inner, title).under(title).parse(texts, &mut found);
        match Line::parse(title) {
            Ok(parsed) => {
                let (extra, rewritten) = Extra::new(parsed, lines).modernised();
                if rewritten {
                    let advice = format!(
                        "HAProxy takes no address in the title of a section any more: written as `{}` with a `bind` line",
                        extra.title
                    );
                    warnings.push(inner.problem_at(title, advice));
                }
                extras.push(extra);
            }
            Err(error) => problems.push(inner.problem_at(title, error.to_string())),
        }
    }
    extras
}

fn output(
    section: &Section,
    raw: &raw::Haproxy,
    socket: Option<Socket>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Output> {
    let before = problems.len();
    for (switch, on, default, any_of) in [
        ("do_writes", raw.do_writes, " (the default)", &["config_file_path"][..]),
        ("do_reloads", raw.do_reloads, " (the default)", &["reload_command", "master_socket_path"]),
        ("do_checks", raw.do_checks, "", &["check_command"]),
        ("do_checks", raw.do_checks, "", &["candidate_config_file_path"]),
    ] {
        if on && !any_of.iter().any(|key| section.has(key)) {
            let default = if section.has(switch) { "" } else { default };
            let keys = any_of.join("` or `");
            let message = format!("missing key `{keys}`: it is required while `{switch}` is true{default}");
            problems.push(section.problem(message));
        }
    }

    let file = raw.config_file_path.as_ref().filter(|_| raw.do_writes).map(|path| {
        let staging = match &raw.candidate_config_file_path {
            // Only a check command needs to know where the candidate is. Without one it is staged where no watcher of the
            // directory sees it.
            Some(candidate) if raw.do_checks => Staging::At(PathBuf::from(candidate)),
            _ => Staging::Beside,
        };
        ConfigFile::open(path, staging)
    });
    let file = file
        .transpose()
        .map_err(|error| problems.push(section.problem_at("config_file_path", chain(&error))));
    let deadline_of_check = deadline(section, "check_timeout", raw.check_timeout, problems);
    let check = command(section, "check_command", raw.check_command.as_ref(), problems);
    let check = check.filter(|_| raw.do_checks).map(|command| Check::new(command, deadline_of_check));
    let reload = reload(section, raw, socket.as_ref(), problems, warnings).filter(|_| raw.do_reloads);

    let interval = seconds(raw.restart_interval.unwrap_or(RESTART_INTERVAL));
    if interval.is_none() {
        problems.push(section.problem_at("restart_interval", "expected seconds, 0 to a year"));
    }
    let pace = Pace::new(interval.unwrap_or_default(), raw.restart_jitter.unwrap_or(0.0));
    let pace = pace.map_err(|error| {
        let key = match error {
            InvalidPace::Gap(_) => "restart_interval",
            _ => "restart_jitter",
        };
        problems.push(section.problem_at(key, error.to_string()));
    });
    if problems.len() > before {
        return None;
    }
    Some(Output { file: file.ok()?, check, reload, pace: pace.ok()?, socket })
}

/// What reloads HAProxy, if anything is said about it.
fn reload(
    section: &Section,
    raw: &raw::Haproxy,
    socket: Option<&Socket>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Reload> {
    let deadline = deadline(section, "reload_timeout", raw.reload_timeout, problems);
    let command = command(section, "reload_command", raw.reload_command.as_ref(), problems);
    let Some(text) = &raw.master_socket_path else {
        return command.map(|command| Reload::new(command, deadline));
    };
    let mut problem = |message: String| problems.push(section.problem_at("master_socket_path", message));
    let address = SocketAddress::parse(text).map_err(|error| problem(error.to_string())).ok()?;
    if socket.is_some_and(|socket| socket.sockets.iter().any(|worker| *worker.address() == address)) {
        problem(
            "this is the socket of a worker, which can't reload: give the one that HAProxy is started with (`haproxy -W -S`)"
                .to_owned(),
        );
    }
    // One configuration may serve this program and Synapse, which knows the command alone and requires it.
    if raw.do_reloads && raw.reload_command.is_some() {
        let message = "is not run: HAProxy is reloaded through the socket at `master_socket_path`";
        warnings.push(section.problem_at("reload_command", message));
    }
    Some(Reload::by_master(Master::new(address), deadline))
}

fn command(
    section: &Section,
    key: &str,
    raw: Option<&raw::Command>,
    problems: &mut Vec<Problem>,
) -> Option<Command> {
    let command = match raw? {
        raw::Command::Shell(line) => Command::shell(line.clone()),
        raw::Command::Program(words) => Command::argv(words.iter().cloned()),
    };
    command.map_err(|error| problems.push(section.problem_at(key, error.to_string()))).ok()
}

/// How long a command or the master may take.
fn deadline(section: &Section, key: &str, raw: Option<f64>, problems: &mut Vec<Problem>) -> Duration {
    let deadline = raw.map_or(Some(DEADLINE), |raw| seconds(raw).filter(|deadline| !deadline.is_zero()));
    deadline.unwrap_or_else(|| {
        problems.push(section.problem_at(key, "expected seconds, more than 0"));
        DEADLINE
    })
}

#[cfg(test)]
mod tests {
    use crate::{Config, Registry};

    /// The way to reload in words, and the warnings; `Err` are the mistakes.
    fn read(more: &str) -> Result<(String, Vec<String>), Vec<String>> {
        let text = format!(
            "services: {{}}\nhaproxy:\n  config_file_path: /etc/h.cfg\n  global: []\n  defaults: []\n{more}"
        );
        let said = |report: &crate::config::Report| {
            report.problems().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
        };
        let config = Config::parse(&text, None, &Registry::builtin()).map_err(|report| said(&report))?;
        Ok((format!("{:?}", config.haproxy.output.reload), said(config.warnings())))
    }

    #[test]
    fn a_master_reloads_instead_of_a_command() {
        for path in ["/run/master.sock", "unix@/run/master.sock", "127.0.0.1:9999"] {
            let (reload, warnings) =
                read(&format!("  master_socket_path: '{path}'\n  reload_timeout: 7\n")).unwrap();
            assert!(reload.contains("Master") && reload.contains("deadline: 7s"), "{reload}");
            assert_eq!(warnings, Vec::<String>::new());
        }
    }

    #[test]
    fn a_command_beside_a_master_is_warned_of() {
        let both = "  master_socket_path: /run/master.sock\n  reload_command: 'true'\n";
        let (reload, warnings) = read(both).unwrap();
        assert!(reload.contains("Master"), "{reload}");
        assert_eq!(warnings, ["is not run: HAProxy is reloaded through the socket at `master_socket_path`"]);
        let (reload, warnings) = read(&format!("{both}  do_reloads: false\n")).unwrap();
        assert_eq!((reload.as_str(), warnings.len()), ("None", 0));
    }

    #[test]
    fn reloads_need_a_command_or_a_master() {
        let message =
            "missing key `reload_command` or `master_socket_path`: it is required while `do_reloads` is true";
        assert_eq!(read("").unwrap_err(), [format!("{message} (the default)")]);
        assert_eq!(read("  do_reloads: true\n").unwrap_err(), [message]);
        assert_eq!(read("  do_reloads: false\n").unwrap().0, "None");
    }

    #[test]
    fn what_is_no_masters_socket_is_a_problem() {
        let problem = |more: &str| read(more).unwrap_err()[0].clone();
        assert!(problem("  master_socket_path: 'localhost:1'\n").contains("neither a path"));
        assert!(problem("  master_socket_path: ''\n").contains("is empty"));
        let same = "  socket_file_path: /run/h.sock\n  master_socket_path: unix@/run/h.sock\n";
        assert!(problem(same).starts_with("this is the socket of a worker"));
        let timeout = "  master_socket_path: /run/m.sock\n  reload_timeout: 0\n";
        assert_eq!(problem(timeout), "expected seconds, more than 0");
    }
}
