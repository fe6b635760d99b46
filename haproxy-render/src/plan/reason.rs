//! Why a reload is needed, in words.

use thiserror::Error;

use crate::name::Name;
use crate::number::ServerId;

/// Something that commands can not bring about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Reason {
    /// This version, or one that is not known, does not change servers at run time.
    #[error("HAProxy {version} can't add and delete servers at run time")]
    Unsupported {
        /// `unknown`, if it is.
        version: Box<str>,
    },
    /// Nobody knows what the process runs: it was started from another file, or did not answer as it should.
    #[error("what HAProxy runs is not known")]
    Unknown,
    /// Lines of `global` differ.
    #[error("section global changed")]
    Global,
    /// Lines of `defaults` differ.
    #[error("section defaults changed")]
    Defaults,
    /// Sections of the user's own differ.
    #[error("section \"{title}\" changed")]
    Section {
        /// The first line of the first section that differs.
        title: Box<str>,
    },
    /// The frontend that services share differs.
    #[error("frontend shared-frontend changed")]
    SharedFrontend,
    /// A service's frontend differs, came or went.
    #[error("frontend of service {service} changed")]
    Frontend {
        /// The service.
        service: Name,
    },
    /// Lines of a backend differ.
    #[error("backend {backend}: its lines changed")]
    Lines {
        /// The backend.
        backend: Name,
    },
    /// A backend that was not there.
    #[error("backend {backend} is new")]
    NewBackend {
        /// The backend.
        backend: Name,
    },
    /// A backend that is not wanted any more.
    #[error("backend {backend} is gone")]
    GoneBackend {
        /// The backend.
        backend: Name,
    },
    /// An algorithm with which servers can neither come nor change their weight at run time.
    #[error("backend {backend}: {balance} is static")]
    Static {
        /// The backend.
        backend: Name,
        /// The lines that say so.
        balance: Box<str>,
    },
    /// A static algorithm goes by the order of servers.
    #[error("backend {backend}: the order of its servers changed")]
    Order {
        /// The backend.
        backend: Name,
    },
    /// What servers inherit can not be read.
    #[error("backend {backend}: what its servers inherit is not understood: {problem}")]
    Inherited {
        /// The backend.
        backend: Name,
        /// What is wrong with it.
        problem: Box<str>,
    },
    /// The server can't be added as it should be.
    #[error("server {backend}/{server}: {obstacle}")]
    Server {
        /// The backend.
        backend: Name,
        /// The server.
        server: Name,
        /// What stands in the way.
        obstacle: Obstacle,
    },
    /// Servers that would have to be replaced one after the other, and not enough others to serve meanwhile.
    #[error(
        "backend {backend}: {count} of its servers would be out of service for a moment, and too few others serve"
    )]
    Outage {
        /// The backend.
        backend: Name,
        /// How many.
        count: usize,
    },
    /// More commands than a reload is worth.
    #[error("it would take {count} commands")]
    Many {
        /// How many.
        count: usize,
    },
}

/// Most reasons that one backend is worth.
const MAX: usize = 16;

impl Reason {
    /// Adds a reason to those of a backend, once, unless there are plenty.
    pub(crate) fn note(self, reasons: &mut Vec<Self>) {
        if reasons.len() < MAX && !reasons.contains(&self) {
            reasons.push(self);
        }
    }
}

/// What keeps one server from being what it should be by commands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// HAProxy takes names at run time, and never resolves them.
    #[error("its address {0:?} is a name, which is not resolved at run time")]
    Name(Box<str>),
    /// An option that has a name where an address may stand.
    #[error("option {0:?} has a name, which is not resolved at run time")]
    Resolves(Box<str>),
    /// An option that `add server` does not take, and the version that does not.
    #[error("HAProxy {1} does not take option {0:?} at run time")]
    Option(Box<str>, Box<str>),
    /// Quotes, blanks and the like: the socket knows no quotes.
    #[error("the value of option {0:?} has characters that a command can not carry")]
    Characters(Box<str>),
    /// Longer than a command may be.
    #[error("its options are more words than a command can carry")]
    Words,
    /// Its id belongs to a server that stays.
    #[error("its id {0} belongs to another server")]
    Id(ServerId),
    /// It has to be deleted first, and HAProxy does not delete a server that uses resolvers.
    #[error("a server that uses resolvers can not be deleted at run time")]
    Pinned,
}
