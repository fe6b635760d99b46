//! Logging, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::{
    args::{Format, Log},
    progress::Lines,
};

/// Starts logging. A filter that can't be read logs everything from `info` up, and says so.
pub(crate) fn start(log: &Log) {
    let (filter, wrong) = match log.filter.as_deref().map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new("info"), Some(error)),
        // As Synapse: any value of DEBUG, even an empty one.
        None if set("DEBUG") => (EnvFilter::new("debug"), None),
        None => (EnvFilter::new("info"), None),
    };
    let start = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines::new);
    match log.format {
        Format::Human => {
            let colours = std::io::stderr().is_terminal() && !set("NO_COLOR");
            start.with_ansi(colours).with_target(false).init();
        }
        Format::Json => start.json().flatten_event(true).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "the log filter can't be read: logging from info up");
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the command line")]
fn set(name: &str) -> bool {
    std::env::var_os(name).is_some()
}
