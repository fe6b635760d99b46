//! What to ask HAProxy.

use std::fmt;

use super::revision::VARIABLE;
use crate::name::Name;

/// A command that changes nothing. `Display` is its text, without line feed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// Who answers: [`Process::parse`](super::Process::parse).
    Info,
    /// Its version alone: [`Version::parse`](super::Version::parse).
    Version,
    /// What `add server` takes: [`Capabilities::with_server_help`](super::Capabilities::with_server_help).
    ServerHelp,
    /// Which document it runs: [`Revision::read`](super::Revision::read).
    Revision,
    /// The servers of one backend, or of all: [`Running::parse`](super::Running::parse).
    Servers(Option<Name>),
    /// More about the servers of all backends: [`Running::parse`](super::Running::parse), if it is wanted. It can not be
    /// asked of one backend: of a frontend and a backend with one name, HAProxy finds the frontend, which has no servers.
    Stat,
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Info => f.write_str("show info"),
            Self::Version => f.write_str("show version"),
            Self::ServerHelp => f.write_str("add server help"),
            Self::Revision => write!(f, "get var {VARIABLE}"),
            Self::Servers(None) => f.write_str("show servers state"),
            Self::Servers(Some(backend)) => write!(f, "show servers state {backend}"),
            // Of all proxies (-1) the servers (4), all of them (-1). Other forms of this reply are fifteen times as long.
            Self::Stat => f.write_str("show stat -1 4 -1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_put_in_haproxys_words() {
        let web = || Some(Name::parse("web").unwrap());
        for (query, text) in [
            (Query::Info, "show info"),
            (Query::Version, "show version"),
            (Query::ServerHelp, "add server help"),
            (Query::Revision, "get var proc.synapse_rev"),
            (Query::Servers(None), "show servers state"),
            (Query::Servers(web()), "show servers state web"),
            (Query::Stat, "show stat -1 4 -1"),
        ] {
            assert_eq!(query.to_string(), text);
        }
    }
}
