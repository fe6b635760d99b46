//! Reads what the command line names.

use std::{
    io::{Error, ErrorKind, Read},
    path::Path,
};

use agent::{Config, Registry};
use tracing::warn;

use crate::failure::Failure;

/// The configuration, or everything that is wrong with it. Warnings are logged.
pub(crate) fn config(path: Option<&Path>) -> Result<Config, Failure> {
    let Some(path) = path else {
        let message = "synapse-rs: no configuration: name one with -c FILE, or set SYNAPSE_CONFIG";
        return Err(Failure::Usage(message.to_owned()));
    };
    let (name, text) = read(path)?;
    let config = Config::parse(&text, Some(&name), &Registry::builtin())
        .map_err(|report| Failure::Usage(report.to_string()))?;
    for warning in config.warnings().problems() {
        warn!("{name}:{warning}");
    }
    let host = rustix::system::uname();
    Ok(config.with_host_name(&host.nodename().to_string_lossy()))
}

/// What messages call a file, and its text; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<(String, String), Failure> {
    let stdin = path == Path::new("-");
    let name = if stdin { "<stdin>".to_owned() } else { path.display().to_string() };
    let bytes = if stdin {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    match bytes.and_then(text) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(Failure::Usage(format!("synapse-rs: reading {name}: {error}"))),
    }
}

fn text(bytes: Vec<u8>) -> std::io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = 1 + valid.matches('\n').count();
        Error::new(ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}
