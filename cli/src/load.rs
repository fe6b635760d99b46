//! Reads what the command line names.

use std::{
    io::{Error, ErrorKind, Read},
    path::Path,
};

use agent::{Config, LoadError, Loaded, Loader, Registry, config::Explanation};
use tracing::warn;

use crate::failure::Failure;

/// A configuration, and the files that it can be read from again; those of standard input can't.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) config: Config,
    pub(crate) files: Option<(Loader, Loaded)>,
}

/// The configuration, or everything that is wrong with it. Warnings are logged.
pub(crate) fn config(path: Option<&Path>) -> Result<Config, Failure> {
    source(path).map(|source| source.config)
}

/// The configuration and where it is from, or everything that is wrong with it. Warnings are logged.
pub(crate) fn source(path: Option<&Path>) -> Result<Source, Failure> {
    let path = named(path)?;
    let loader = loader(path);
    let (outcome, files) = if path == Path::new(STDIN) {
        let (name, text) = read(path)?;
        (loader.parse(&text, &name).map_err(LoadError::Wrong), None)
    } else {
        let first = loader.load();
        (first.config.clone(), Some((loader, first)))
    };
    let config = outcome.map_err(|error| refused(&error))?;
    for warning in config.warnings().lines() {
        warn!("{warning}");
    }
    Ok(Source { config, files })
}

/// What differs from Synapse for the configuration, if there is enough of it to tell, and what is wrong with it.
pub(crate) fn explained(path: Option<&Path>) -> Result<(Option<Explanation>, Option<Failure>), Failure> {
    let path = named(path)?;
    let loader = loader(path);
    let (explained, config) = if path == Path::new(STDIN) {
        let (name, text) = read(path)?;
        let config = loader.parse(&text, &name).map_err(LoadError::Wrong);
        (loader.explain_text(&text, &name).ok(), config)
    } else {
        (loader.explain().ok(), loader.load().config)
    };
    Ok((explained, config.err().map(|error| refused(&error))))
}

/// A configuration that can't be used.
fn refused(error: &LoadError) -> Failure {
    Failure::Usage(match error {
        LoadError::Read { source, .. } => format!("synapse-rs: {error}: {source}"),
        _ => error.to_string(),
    })
}

/// The path of the configuration, which has to be named somewhere.
fn named(path: Option<&Path>) -> Result<&Path, Failure> {
    let message = "synapse-rs: no configuration: name one with -c FILE, or set SYNAPSE_CONFIG";
    path.ok_or_else(|| Failure::Usage(message.to_owned()))
}

/// What loads the configuration in the file at `path`, for this host and with its environment.
#[expect(
    clippy::disallowed_methods,
    reason = "a configuration may ask for variables that nobody knows beforehand"
)]
pub(crate) fn loader(path: &Path) -> Loader {
    let host = rustix::system::uname();
    Loader::new(path, Registry::builtin())
        .with_environment(|name| std::env::var(name).ok())
        .with_host_name(host.nodename().to_string_lossy())
}

/// What names standard input.
const STDIN: &str = "-";

/// What messages call a file, and its text; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<(String, String), Failure> {
    let stdin = path == Path::new(STDIN);
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
