//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Service discovery for HAProxy: finds who serves what, and keeps HAProxy serving it.
///
/// Without a command, `run`: `synapse-rs -c FILE` works as `synapse -c FILE` did.
#[derive(Debug, Parser)]
#[command(name = "synapse-rs", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The configuration: JSON (with comments) or YAML; `-` reads standard input.
    #[arg(short, long, global = true, value_name = "FILE", env = "SYNAPSE_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) log: Log,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What is logged, and how. Logs go to standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// What to log: error, warn, info, debug, trace, or a filter such as `info,discovery_etcd=debug`.
    #[arg(long = "log", global = true, value_name = "FILTER", env = "SYNAPSE_LOG")]
    pub(crate) filter: Option<String>,

    /// Log as text for people, or as one JSON object a line.
    #[arg(
        long = "log-format",
        global = true,
        value_name = "FORMAT",
        env = "SYNAPSE_LOG_FORMAT",
        default_value = "human"
    )]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run until told to stop (SIGTERM, SIGINT); HAProxy goes on serving after that
    #[command(after_help = RUN_HELP)]
    Run(Run),
    /// Check the configuration; touch nothing, connect nowhere
    #[command(after_help = CHECK_HELP)]
    Check {
        /// Print what differs from Synapse for this configuration, and what to write for the old way
        #[arg(long)]
        explain: bool,
        /// The configuration, in place of that of `-c`
        file: Option<PathBuf>,
    },
    /// Say what this machine can and can't reach of what the configuration names, and what to do about it; change nothing
    #[command(after_help = DOCTOR_HELP)]
    Doctor {
        /// As one JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Print what a run would do now; write nothing, and tell HAProxy nothing
    #[command(after_help = PLAN_HELP)]
    Plan {
        /// As one JSON object, for programs
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the configuration, for editors
    #[command(after_help = SCHEMA_HELP)]
    Schema,
    /// Print HAProxy's configuration for what is discovered now; write nothing
    #[command(after_help = RENDER_HELP)]
    Render {
        /// Take the endpoints from this file (JSON or YAML, as `services --json` prints them) and connect nowhere
        #[arg(long, value_name = "FILE")]
        endpoints: Option<PathBuf>,
    },
    /// Print what is discovered now
    #[command(after_help = SERVICES_HELP)]
    Services {
        /// As JSON, in the format that `render --endpoints` and the discovery method `file` read; `as_of` marks what the state
        /// file has of services that do not answer
        #[arg(long)]
        json: bool,
    },
    /// Ask a running one for its status: what each registry said last, what HAProxy runs, and what stands between
    #[cfg(feature = "status")]
    #[command(after_help = STATUS_HELP)]
    Status {
        /// As one JSON object, as `/status` says it
        #[arg(long)]
        json: bool,
        /// Again every two seconds, until interrupted
        #[arg(long)]
        watch: bool,
        /// Where it is, in place of what the configuration says: `http://HOST:PORT`
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Print a script by which a shell completes this command line
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// Whose
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = MAN_HELP)]
    Man {
        /// Write it, and a page for each command, to this directory
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Run {
    /// Discover and apply once, then exit
    #[arg(long)]
    pub(crate) once: bool,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  success
  1  failure
  2  wrong command line or configuration
  3  `plan`: something is to do; `status`: it is not ready

Examples:
  synapse-rs check -c /etc/synapse.conf.json
  synapse-rs check --explain /etc/synapse.conf.json
  synapse-rs doctor -c /etc/synapse.conf.json
  synapse-rs plan -c /etc/synapse.conf.json
  synapse-rs -c /etc/synapse.conf.json
  synapse-rs services -c /etc/synapse.conf.json --json > endpoints.json
  synapse-rs render -c /etc/synapse.conf.json --endpoints endpoints.json
  synapse-rs schema > synapse.schema.json";

const RUN_HELP: &str = "\
Examples:
  synapse-rs run -c /etc/synapse-rs/synapse.yaml
  synapse-rs run -c /etc/synapse-rs/synapse.yaml --log info,discovery_etcd=debug
  synapse-rs run --once -c /etc/synapse-rs/synapse.yaml";

const CHECK_HELP: &str = "\
Examples:
  synapse-rs check -c /etc/synapse-rs/synapse.yaml
  synapse-rs check -c - < synapse.yaml";

const PLAN_HELP: &str = "\
Exit codes:
  0  nothing is to do
  1  failure, or sources that have not answered
  2  wrong command line or configuration
  3  something is to do

Examples:
  synapse-rs plan -c /etc/synapse-rs/synapse.yaml
  synapse-rs plan -c /etc/synapse-rs/synapse.yaml --json | jq .reasons";

const RENDER_HELP: &str = "\
Examples:
  synapse-rs render -c synapse.yaml > haproxy.cfg
  synapse-rs render -c synapse.yaml --endpoints endpoints.json | haproxy -c -f /dev/stdin";

const SERVICES_HELP: &str = "\
Examples:
  synapse-rs services -c /etc/synapse-rs/synapse.yaml
  synapse-rs services -c /etc/synapse-rs/synapse.yaml --json > endpoints.json";

const DOCTOR_HELP: &str = "\
Exit codes:
  0  nothing is in the way
  1  something is
  2  wrong command line or configuration

Examples:
  synapse-rs doctor -c /etc/synapse-rs/synapse.yaml
  synapse-rs doctor -c /etc/synapse-rs/synapse.yaml --json";

const SCHEMA_HELP: &str = "\
Examples:
  synapse-rs schema > synapse.schema.json";
#[cfg(feature = "status")]
const STATUS_HELP: &str = "\
Exit codes:
  0  it is ready
  1  it could not be asked
  2  wrong command line or configuration
  3  it is not ready

Examples:
  synapse-rs status -c /etc/synapse-rs/synapse.yaml
  synapse-rs status --url http://127.0.0.1:3455 --watch
  synapse-rs status --url http://127.0.0.1:3455 --json | jq .obstacles";

const COMPLETIONS_HELP: &str = "\
Examples:
  synapse-rs completions bash > ~/.local/share/bash-completion/completions/synapse-rs
  synapse-rs completions zsh > ~/.zfunc/_synapse-rs
  synapse-rs completions fish > ~/.config/fish/completions/synapse-rs.fish";

const MAN_HELP: &str = "\
Examples:
  synapse-rs man | man -l -
  synapse-rs man /usr/local/share/man/man1";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_help_of_each_command_shows_how_it_is_used() {
        for command in Args::command().get_subcommands_mut() {
            let name = command.get_name().to_owned();
            let help = command.render_help().to_string();
            assert!(help.contains(&format!("Examples:\n  synapse-rs {name}")), "{help}");
        }
    }

    #[test]
    fn a_bare_configuration_runs_it_as_synapse_did() {
        let args = Args::parse_from(["synapse-rs", "-c", "x.json"]);
        assert!(args.command.is_none());
        assert_eq!(args.config, Some(PathBuf::from("x.json")));
    }

    #[test]
    fn the_configuration_may_stand_behind_the_command() {
        let args = Args::parse_from(["synapse-rs", "run", "--once", "--config", "x.json"]);
        assert!(matches!(args.command, Some(Command::Run(Run { once: true }))));
        assert_eq!(args.config, Some(PathBuf::from("x.json")));
    }
}
