//! Reading the configuration: text, tree with positions, typed values, and every mistake at once.

mod blank;
mod compare;
mod copies;
mod de;
mod digest;
mod draft;
mod erb;
mod explain;
mod file_output;
mod fingerprint;
mod haproxy;
mod lines;
mod load;
mod loader;
mod node;
mod origin;
mod overlay;
mod parse;
mod place;
mod port;
mod raw;
mod report;
#[cfg(feature = "schema")]
pub(crate) mod schema;
mod section;
mod service;
mod several;
mod shape;
mod socket;
mod split;
mod state;
mod statsd;
mod window;

pub use de::from_node;
pub use explain::{Difference, Explanation, explain};
pub use fingerprint::Fingerprint;
pub use load::Config;
pub use loader::{LoadError, Loaded, Loader};
pub use node::{Entry, Node, Value};
pub use parse::{SyntaxError, parse};
pub use port::Port;
pub use report::{KeyPath, Problem, Report, Step};
pub use section::Section;

pub(crate) use de::nearest;
pub(crate) use digest::Digest;
pub(crate) use haproxy::{Haproxy, Output};
pub(crate) use load::{Times, seconds};
pub(crate) use report::quoted;
pub(crate) use service::{Service, read_discovery};
pub(crate) use statsd::Statsd;
pub(crate) use window::{Staleness, Window};
