//! Service discovery in whole snapshots.
//!
//! A [`Watcher`] is a source of truth about who serves one service: an etcd prefix, a ZooKeeper path, an EC2 tag, a file.
//! It always answers with a whole [`Snapshot`], never with an event, so whoever listens can be late, restart or skip answers
//! and still be right. [`supervise`] runs a watcher for as long as you like: it alone backs off after failures, and it alone
//! remembers the last good answer. What it publishes is [`Observed`]: the last good snapshot, and how healthy its source is.
//! What is done with the snapshots of several sources is a pure function over values: see [`transform`].
//!
//! ```
//! use discovery_core::{Backoff, Endpoint, Fixed, Observed, Snapshot, supervise};
//! use tokio::sync::watch;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = Fixed::new(Snapshot::new([Endpoint::new("10.0.0.7".parse()?, 8080)?]));
//! let (publish, mut observed) = watch::channel(Observed::default());
//! let stop = async { /* ctrl-c, say */ std::future::pending().await };
//! tokio::spawn(supervise("web", source, Backoff::default(), publish, stop));
//!
//! let now = observed.wait_for(|now| now.snapshot.is_some()).await?.clone();
//! assert_eq!(now.snapshot.map(|snapshot| snapshot.len()), Some(1));
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `serde` | [`Record`] and [`Catalog`]: endpoints as JSON or YAML, in nerve's field names; [`Seconds`], [`Interval`] and [`Secret`] for the sections of sources | with `file` |
//! | `file` | [`File`]: a catalog on disk as a source, read again when it changes | yes |
//! | `tower` | [`discover`]: a service as a stream of `tower::discover::Change` | no |
//! | `testing` | [`testing`]: a scripted watcher, and the checks that every watcher must pass | no |

mod backoff;
#[cfg(feature = "serde")]
mod catalog;
mod endpoint;
mod error;
#[cfg(feature = "file")]
mod file;
mod fixed;
mod host;
pub mod multi;
mod poll;
#[cfg(feature = "serde")]
mod record;
#[cfg(feature = "serde")]
mod seconds;
#[cfg(feature = "serde")]
mod secret;
mod settings;
pub mod shared;
mod snapshot;
mod supervisor;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
#[cfg(feature = "tower")]
mod tower;
pub mod transform;
mod watcher;

pub use backoff::{Backoff, InvalidBackoff};
#[cfg(feature = "serde")]
pub use catalog::{Catalog, InvalidCatalog};
pub use endpoint::{Endpoint, InvalidEndpoint, Key};
pub use error::{Retry, WatchError};
#[cfg(feature = "file")]
pub use file::File;
pub use fixed::Fixed;
pub use host::{Host, InvalidHost};
pub use poll::{Fetch, Polled};
#[cfg(feature = "serde")]
pub use record::{InvalidRecord, Record};
#[cfg(feature = "serde")]
pub use seconds::{Interval, Seconds};
#[cfg(feature = "serde")]
pub use secret::Secret;
#[cfg(feature = "serde")]
pub use settings::InvalidSettings;
pub use settings::Settings;
pub use snapshot::{Diff, Rejected, Rejection, Snapshot, diff};
pub use supervisor::{Health, Observed, supervise};
pub use text::printable;
#[cfg(feature = "tower")]
pub use tower::{Discover, discover};
pub use watcher::Watcher;
