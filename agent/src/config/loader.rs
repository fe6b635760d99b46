//! A configuration from files.

#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Config, Explanation, Node, Report,
    draft::Draft,
    erb::Environment,
    explain::explain,
    fingerprint::{Allowed, Fingerprint},
    parse::MAX_BYTES,
    split,
};
use crate::registry::Registry;

/// Loads a configuration from a file, and from the directory that its `service_conf_dir` names.
///
/// It reads the file system and nothing else: the environment, whose values a configuration may have put into it by ERB
/// (`<%= ENV['NAME'] %>`), is what [`with_environment`](Self::with_environment) says. What it reads is bounded: 64 MiB in all.
/// All methods block on files; none waits for anybody.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("synapse.yaml");
/// # std::fs::write(&path, "haproxy: {global: [], defaults: [], do_writes: false, do_reloads: false, \
/// #     bind_address: \"<%= ENV['ADDRESS'] %>\"}")?;
/// use agent::{Loader, Registry};
///
/// let loader = Loader::new(&path, Registry::builtin())
///     .with_environment(|name| (name == "ADDRESS").then(|| "127.0.0.1".to_owned()));
/// let loaded = loader.load();
/// let config = loaded.config?;
/// assert!(!loader.changed(&loaded.fingerprint));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Loader {
    file: PathBuf,
    registry: Registry,
    environment: Arc<Environment>,
    host: Option<String>,
}

/// What came of loading: a configuration or what is wrong, and in either case what it was made of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The configuration, or what is wrong.
    pub config: Result<Config, LoadError>,
    /// What was read, for [`Loader::changed`]: a file that is wrong need not be read again before somebody has changed it.
    pub fingerprint: Fingerprint,
}

/// Why there is no configuration.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The main file can't be read.
    #[error("reading {file}")]
    #[non_exhaustive]
    Read {
        /// The file, as the user named it.
        file: String,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// There are mistakes in the files. One that `service_conf_dir` has and that can't be read is among them.
    #[error(transparent)]
    Wrong(Report),
}

/// So often a configuration is read whose files are replaced meanwhile.
const ATTEMPTS: usize = 3;

impl Loader {
    /// Loads from `file`, for the discovery methods of `registry`. No environment variable is set.
    pub fn new(file: impl Into<PathBuf>, registry: Registry) -> Self {
        Self { file: file.into(), registry, environment: Arc::new(|_: &str| None), host: None }
    }

    /// Looks environment variables up by `look_up`.
    #[must_use]
    pub fn with_environment(self, look_up: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { environment: Arc::new(look_up), ..self }
    }

    /// As [`Config::with_host_name`], for each configuration that is loaded.
    #[must_use]
    pub fn with_host_name(self, name: impl Into<String>) -> Self {
        Self { host: Some(name.into()), ..self }
    }

    /// The main file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the files. Ones that are replaced meanwhile are read again, a few times, so that what comes out is from one moment.
    ///
    /// A file that is being written in place may still be half of one, and half of a YAML file may be a configuration: whoever loads
    /// while the program runs asks once more, a moment later, whether it has [`changed`](Self::changed), before using it.
    pub fn load(&self) -> Loaded {
        let mut loaded = self.read();
        for _ in 1..ATTEMPTS {
            if !self.changed(&loaded.fingerprint) {
                break;
            }
            loaded = self.read();
        }
        loaded
    }

    /// Whether loading would read something else than what this is the fingerprint of.
    ///
    /// Files are asked for their times and numbers, and are read only if these differ or are too fresh to be trusted. Symbolic
    /// links are followed: it is what they lead to that counts. A pipe never changes.
    pub fn changed(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.changed()
    }

    /// Reads a main file that is not in the file system, standard input say. `name` is what messages call it. The directory of
    /// `service_conf_dir` is read as by [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn parse(&self, text: &str, name: &str) -> Result<Config, Report> {
        self.read_text(text, name, &mut Fingerprint::default())
    }

    /// What differs from Synapse for what is in the files: see [`explain`](fn@super::explain).
    ///
    /// # Errors
    ///
    /// There is nothing to explain if the main file can't be read, or is not what its notation asks for.
    pub fn explain(&self) -> Result<Explanation, LoadError> {
        let (name, text) = self.main(&mut Fingerprint::default())?;
        self.explain_text(&text, &name).map_err(LoadError::Wrong)
    }

    /// As [`explain`](Self::explain), of a main file that is not in the file system: see [`parse`](Self::parse).
    ///
    /// # Errors
    ///
    /// Why the text can't be read.
    pub fn explain_text(&self, text: &str, name: &str) -> Result<Explanation, Report> {
        let (draft, root) = self.tree(text, name, &mut Fingerprint::default());
        match root {
            Some(root) => Ok(explain(&root, Some(name)).placed(&draft)),
            None => Err(draft.report(draft.problems.clone())),
        }
    }

    fn read(&self) -> Loaded {
        let mut fingerprint = Fingerprint::default();
        let config = self.main(&mut fingerprint).and_then(|(name, text)| {
            self.read_text(&text, &name, &mut fingerprint).map_err(LoadError::Wrong)
        });
        Loaded { config, fingerprint }
    }

    /// What messages call the main file, and its text.
    fn main(&self, seen: &mut Fingerprint) -> Result<(String, String), LoadError> {
        let file = self.file.display().to_string();
        match seen.read(&self.file, Allowed::Anything, MAX_BYTES) {
            Ok(text) => Ok((file, text)),
            Err(error) => Err(LoadError::Read { file, source: Arc::new(error) }),
        }
    }

    /// The tree of all files.
    fn tree(&self, text: &str, name: &str, seen: &mut Fingerprint) -> (Draft, Option<Node>) {
        let mut draft = Draft::new(Some(name));
        let environment = &*self.environment;
        let mut root = draft.tree(None, text, Some(environment));
        if let Some(root) = &mut root {
            split::join(root, &mut draft, environment, seen);
        }
        (draft, root)
    }

    fn read_text(&self, text: &str, name: &str, seen: &mut Fingerprint) -> Result<Config, Report> {
        let (draft, root) = self.tree(text, name, seen);
        let config = Config::of(root, draft, &self.registry)?;
        Ok(match &self.host {
            Some(host) => config.with_host_name(host),
            None => config,
        })
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("file", &self.file).finish_non_exhaustive()
    }
}
