//! The top-level `haproxy` section.

use std::{path::PathBuf, time::Duration};

use haproxy_render::{Line, Section as Extra, ServerId};
use haproxy_runtime::{Check, Command, ConfigFile, InvalidPace, Pace, Reload, Staging};

use super::{
    Problem, Section,
    lines::Lines,
    raw, seconds,
    socket::{self, Socket},
};
use crate::output::chain;

/// What all services share in HAProxy, and how HAProxy is told.
#[derive(Debug, Clone)]
pub(crate) struct Haproxy {
    pub(crate) global: Vec<Line>,
    pub(crate) defaults: Vec<Line>,
    pub(crate) extra_sections: Vec<Extra>,
    pub(crate) shared_frontend: Option<Vec<Line>>,
    pub(crate) bind_address: String,
    pub(crate) use_nerve_weights: bool,
    pub(crate) max_server_id: ServerId,
    /// What servers are shuffled by.
    pub(crate) order_seed: Option<u64>,
    pub(crate) output: Output,
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

/// How long a reload or check command may take, unless said otherwise.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);
/// Synapse's `restart_interval`, in seconds.
const RESTART_INTERVAL: f64 = 2.0;

impl Haproxy {
    /// Reads the section. What is wrong goes to `problems`, what is worth knowing to `warnings`. With problems, what it
    /// returns is good for finding those of the services, and for nothing else.
    pub(super) fn read(section: &Section, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) -> Self {
        let Some(raw) = section.recover::<raw::Haproxy>(problems) else { return Self::blank() };
        let mut list = |key, texts: &[String]| Lines::new(section, key).parse(texts, problems);
        let mut global = list("global", &raw.global);
        let defaults = list("defaults", &raw.defaults);
        let shared_frontend = raw.shared_frontend.as_deref().map(|lines| list("shared_frontend", lines));
        let extra_sections = extra_sections(section, &raw, problems, warnings);
        let socket = socket::read(section, &raw, &mut global, problems, warnings);
        let output = output(section, &raw, socket, problems);
        without_effect(section, &raw, warnings);
        let max_server_id = raw.max_server_id.map_or(Ok(ServerId::DEFAULT_MAX), ServerId::new);
        let max_server_id = max_server_id
            .map_err(|error| problems.push(section.problem_at("max_server_id", error.to_string())));
        let blank = Self::blank();
        Self {
            global,
            defaults,
            extra_sections,
            shared_frontend,
            bind_address: raw.bind_address.unwrap_or(blank.bind_address),
            use_nerve_weights: raw.use_nerve_weights,
            max_server_id: max_server_id.unwrap_or(blank.max_server_id),
            order_seed: raw.server_order_seed.map(i64::cast_unsigned),
            output: output.unwrap_or(blank.output),
        }
    }

    /// What there is without the section: Synapse's defaults, and no output.
    pub(super) fn blank() -> Self {
        Self {
            global: Vec::new(),
            defaults: Vec::new(),
            extra_sections: Vec::new(),
            shared_frontend: None,
            bind_address: "localhost".to_owned(),
            use_nerve_weights: false,
            max_server_id: ServerId::DEFAULT_MAX,
            order_seed: None,
            output: Output { file: None, check: None, reload: None, pace: Pace::default(), socket: None },
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
        let lines = Lines::new(inner, title).parse(texts, problems);
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
) -> Option<Output> {
    let before = problems.len();
    for (switch, on, default, keys) in [
        ("do_writes", raw.do_writes, " (the default)", &["config_file_path"][..]),
        ("do_reloads", raw.do_reloads, " (the default)", &["reload_command"]),
        ("do_checks", raw.do_checks, "", &["check_command", "candidate_config_file_path"]),
    ] {
        let default = if section.has(switch) { "" } else { default };
        for key in keys.iter().filter(|key| on && !section.has(key)) {
            let message = format!("missing key `{key}`: it is required while `{switch}` is true{default}");
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
    let mut command =
        |key: &str, deadline_key: &str, command: Option<&raw::Command>, deadline: Option<f64>| {
            let deadline = deadline
                .map_or(Some(COMMAND_DEADLINE), |deadline| seconds(deadline).filter(|d| !d.is_zero()));
            if deadline.is_none() {
                problems.push(section.problem_at(deadline_key, "expected seconds, more than 0"));
            }
            let command = match command? {
                raw::Command::Shell(line) => Command::shell(line.clone()),
                raw::Command::Program(words) => Command::argv(words.iter().cloned()),
            };
            let command =
                command.map_err(|error| problems.push(section.problem_at(key, error.to_string()))).ok()?;
            Some((command, deadline?))
        };
    let check = command("check_command", "check_timeout", raw.check_command.as_ref(), raw.check_timeout)
        .filter(|_| raw.do_checks)
        .map(|(command, deadline)| Check::new(command, deadline));
    let reload = command("reload_command", "reload_timeout", raw.reload_command.as_ref(), raw.reload_timeout)
        .filter(|_| raw.do_reloads)
        .map(|(command, deadline)| Reload::new(command, deadline));

    let interval = seconds(raw.restart_interval.unwrap_or(RESTART_INTERVAL));
    if interval.is_none() {
        problems.push(section.problem_at("restart_interval", "expected seconds, 0 or more"));
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

/// Names the keys that Synapse acts on and this version does not.
fn without_effect(section: &Section, raw: &raw::Haproxy, warnings: &mut Vec<Problem>) {
    let mut note = |key: &str, given: bool, instead: &str| {
        if given {
            warnings.push(section.problem_at(key, format!("has no effect in this version: {instead}")));
        }
    };
    let file = "ids and the servers last known are read back from the configuration file itself";
    note("state_file_path", raw.state_file_path.is_some(), file);
    note("state_file_ttl", raw.state_file_ttl.is_some(), file);
}
