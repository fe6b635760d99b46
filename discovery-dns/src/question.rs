//! What is asked, and what was answered.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use discovery_core::Host;
use thiserror::Error;

/// One question, however many services have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Question {
    /// In small letters: for DNS there are no others. With a dot at the end if it was written so: then it is never completed.
    name: Arc<str>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A and AAAA.
    Addresses,
    /// SRV.
    Targets,
}

impl Question {
    /// Which addresses the host has.
    pub(crate) fn addresses(host: &Host) -> Self {
        Self { name: host.to_string().to_ascii_lowercase().into(), kind: Kind::Addresses }
    }

    /// Which targets the service of this name has.
    pub(crate) fn srv(name: &Host) -> Self {
        Self { name: name.to_string().to_ascii_lowercase().into(), kind: Kind::Targets }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.kind {
            Kind::Addresses => Ok(()),
            Kind::Targets => f.write_str(" (SRV)"),
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) found: Found,
    /// How much more there was than is used.
    pub(crate) omitted: usize,
    /// The name is known, whatever it has.
    pub(crate) exists: bool,
    /// For how long it is so: of an answer of "nobody" too. `None`: it was not said.
    pub(crate) ttl: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Sorted, each once.
    Addresses(Arc<[IpAddr]>),
    /// Sorted, each once.
    Targets(Arc<[Target]>),
}

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    /// As the record has it: whoever wrote that is a stranger.
    pub(crate) host: String,
}

impl Answer {
    /// The addresses, if it was them that were asked for.
    pub(crate) fn addresses(&self) -> &[IpAddr] {
        match &self.found {
            Found::Addresses(addresses) => addresses,
            Found::Targets(_) => &[],
        }
    }

    /// The targets, if it was them that were asked for.
    pub(crate) fn targets(&self) -> &[Target] {
        match &self.found {
            Found::Targets(targets) => targets,
            Found::Addresses(_) => &[],
        }
    }
}

/// Why there is no answer. An answer of "nobody" is one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Failure {
    /// What each of the nameservers said or did.
    #[error("{0}")]
    Unanswered(String),
    #[error("it leads from alias to alias, more than {0} of them")]
    Aliases(usize),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("reading {path}: {reason}")]
    System { path: String, reason: String },
    #[error("a name cannot be so long")]
    Name,
}
