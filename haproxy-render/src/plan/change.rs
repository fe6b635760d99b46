//! What becomes of servers, for people.

use std::fmt;
use std::num::NonZeroU16;

use crate::address::Address;
use crate::name::Name;
use crate::number::Weight;
use crate::server::Server;

/// What becomes of one server. `Display` says it in a few words: `+ web/a 10.0.0.1:80`, `- web/a`,
/// `~ web/a weight 1 -> 5, disabled`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The backend.
    pub backend: Name,
    /// The server.
    pub server: Name,
    /// What becomes of it.
    pub what: What,
}

/// What becomes of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// It comes.
    Added(Address, NonZeroU16),
    /// It goes.
    Removed,
    /// It stays, and is another than before: in which respects, in words.
    Altered(Vec<String>),
}

impl Change {
    pub(crate) fn added(backend: &Name, server: &Server) -> Self {
        let what = What::Added(server.address().clone(), server.port());
        Self { backend: backend.clone(), server: server.name().clone(), what }
    }

    pub(crate) fn removed(backend: &Name, server: &Name) -> Self {
        Self { backend: backend.clone(), server: server.clone(), what: What::Removed }
    }

    pub(crate) fn altered(backend: &Name, server: &Name, respects: Vec<String>) -> Self {
        Self { backend: backend.clone(), server: server.clone(), what: What::Altered(respects) }
    }

    /// What is different about two servers of one name.
    pub(crate) fn between(backend: &Name, old: &Server, new: &Server) -> Self {
        let mut respects = Vec::new();
        let mut note = |name: &str, old: String, new: String| {
            if old != new {
                respects.push(format!("{name} {old} -> {new}"));
            }
        };
        let target = |server: &Server| format!("{}:{}", server.address(), server.port());
        let weight = |server: &Server| server.weight().map_or(1, Weight::get).to_string();
        let cookie = |server: &Server| server.cookie().map_or_else(|| "none".to_owned(), ToString::to_string);
        note("address", target(old), target(new));
        note("id", old.id().to_string(), new.id().to_string());
        note("weight", weight(old), weight(new));
        note("cookie", cookie(old), cookie(new));
        note("options", format!("\"{}\"", old.options()), format!("\"{}\"", new.options()));
        for (was, is, yes, no) in [
            (old.backup(), new.backup(), "backup", "no backup"),
            (old.disabled(), new.disabled(), "disabled", "enabled"),
        ] {
            if was != is {
                respects.push(if is { yes } else { no }.to_owned());
            }
        }
        Self::altered(backend, new.name(), respects)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, server, what } = self;
        match what {
            What::Added(address, port) => write!(f, "+ {backend}/{server} {address}:{port}"),
            What::Removed => write!(f, "- {backend}/{server}"),
            What::Altered(respects) => write!(f, "~ {backend}/{server} {}", respects.join(", ")),
        }
    }
}
