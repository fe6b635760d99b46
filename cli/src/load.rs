//! Reads what the command line names.

use std::{io::Read, path::Path};

use agent::{Config, Registry};
use tracing::warn;

use crate::failure::Failure;

/// The configuration, or everything that is wrong with it. Warnings are logged.
pub(crate) fn config(path: Option<&Path>) -> Result<Config, Failure> {
    let Some(path) = path else {
        let message = "synapse-rs: no configuration: name one with -c FILE, or set SYNAPSE_CONFIG";
        return Err(Failure::Usage(message.to_owned()));
    };
    let name = path.display().to_string();
    let text = read(path).map_err(|error| Failure::Usage(format!("synapse-rs: reading {name}: {error}")))?;
    let config = Config::parse(&text, Some(&name), &Registry::builtin())
        .map_err(|report| Failure::Usage(report.to_string()))?;
    for warning in config.warnings().problems() {
        warn!("{name}:{warning}");
    }
    Ok(config)
}

/// A file's text; `-` is standard input.
pub(crate) fn read(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}
