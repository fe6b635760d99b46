//! What one service watches in ZooKeeper.

use std::time::Duration;

use crate::{decode::Decode, path::Path};

/// The longest pause there is: no clock can be asked for what comes after the end of all time.
const LONGEST: Duration = Duration::from_hours(24);

/// What one service watches in an ensemble: the children of one node, and how to read them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    path: Path,
    decode: Decode,
    settings: Option<Path>,
    jitter: Duration,
    every: Duration,
}

impl Node {
    /// The children of the node at `path`. Generator configuration is looked for in that node's own data; whatever changes is
    /// read at once.
    pub fn new(path: Path, decode: Decode) -> Self {
        Self { settings: Some(path.clone()), path, decode, jitter: Duration::ZERO, every: Duration::ZERO }
    }

    /// Looks for generator configuration in the data of another node; `None`: nowhere.
    #[must_use]
    pub fn with_settings(mut self, settings: Option<Path>) -> Self {
        self.settings = settings;
        self
    }

    /// After a watch has fired, waits for a random time of up to this, a day at most, before anything is read, so that not
    /// every machine asks at once.
    #[must_use]
    pub fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter.min(LONGEST);
        self
    }

    /// Leaves at least this long, a day at most, between two listings of the children.
    #[must_use]
    pub fn with_every(mut self, every: Duration) -> Self {
        self.every = every.min(LONGEST);
        self
    }

    /// The node whose children are the service's endpoints.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How a child is read.
    pub fn decode(&self) -> &Decode {
        &self.decode
    }

    /// The node whose data is the service's generator configuration; `None`: there is none.
    pub fn settings(&self) -> Option<&Path> {
        self.settings.as_ref()
    }

    /// The longest random pause between a watch that fires and what is read then.
    pub fn jitter(&self) -> Duration {
        self.jitter
    }

    /// The shortest time between two listings.
    pub fn every(&self) -> Duration {
        self.every
    }
}
