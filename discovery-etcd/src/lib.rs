//! Service discovery from etcd v3: endpoints registered below a prefix, watched without a gap.
//!
//! A [`Cluster`] is one connection to one etcd cluster, however many services are watched on it; a [`Member`] is the
//! [`Watcher`](discovery_core::Watcher) of one prefix. Nothing is spawned: [`Cluster::new`] returns a future beside the handle,
//! and whoever embeds this decides where it runs.
//!
//! ```no_run
//! use discovery_core::{Backoff, Observed, supervise};
//! use discovery_etcd::{Cluster, ClusterConfig, Prefix};
//! use tokio::sync::watch;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ClusterConfig::new(["etcd-1:2379".parse()?, "etcd-2:2379".parse()?])?;
//! let (cluster, driver) = Cluster::new(config, Backoff::default());
//! tokio::spawn(driver);
//!
//! let web = cluster.member(Prefix::new("/services/web")?);
//! let (publish, mut observed) = watch::channel(Observed::default());
//! tokio::spawn(supervise("web", web, Backoff::default(), publish, std::future::pending()));
//!
//! while observed.changed().await.is_ok() {
//!     println!("{:?}", observed.borrow_and_update().snapshot);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is read
//!
//! Every key below the prefix, at any depth, is one endpoint. Its value is a registration in nerve's JSON
//! ([`Record`](discovery_core::Record)) or a bare `host:port`, with white space around it or not; an IPv6 address stands in
//! brackets. The endpoint's id is the registration's `id`, or else the last `_`- or `/`-separated part of the key, when that
//! is made of digits and fits 64 bits. A value that is neither is listed in
//! [`Snapshot::rejected`](discovery_core::Snapshot::rejected) and takes nothing else with it. A key that equals the prefix is a
//! directory's marker and is ignored. More than 100,000 keys below one
//! prefix are an error of that prefix; so are, when it is listed, more than 64 MiB of keys and values.
//!
//! # What happens when etcd is in trouble
//!
//! One member of the cluster is used at a time. When it fails, the next is tried at once; after a whole round of failures the
//! driver backs off, with jitter. Names are resolved again by each attempt, certificates are read again, and the user
//! authenticates again.
//!
//! | trouble | what follows |
//! |---|---|
//! | the connection breaks, etcd restarts, the leader is lost | the watches go on from the revision they had seen: no event is lost, and nothing is listed again |
//! | a server stops answering without closing the connection | noticed within `keep_alive_interval` + `keep_alive_timeout`: 10 s by default |
//! | no other server answers either, or connections are lost before anything is heard on them | each [`Member`] says so one second later at most, and again after each round of failures |
//! | the revision was compacted; the data was wiped or restored; another cluster answers | the prefixes are listed again |
//! | access to one prefix is denied | that one [`Member`] says so, and asks again when it is asked again; the others go on |
//! | a prefix cannot be listed: the network is too slow for it, a server has an error | it is listed in pages of 1,000 keys, or of fewer when that takes longer than `request_timeout`; when a single key does, or the whole takes longer than 60 times that, that one [`Member`] says so, and lists again when it is asked again; the others and the connection go on |
//! | a token expired, a user was added (`revision of auth store is old`) | a new connection, with a new token |
//!
//! Every thirty seconds the watch stream itself is asked whether it lives, by a watch that is made and cancelled again; when it
//! does not answer within `request_timeout`, the connection is given up. When it does, every [`Member`] says that what it said is
//! still so. (A progress request would not do: etcd answers none while its revision is below that of the newest watch, which
//! on a quiet cluster is always.)
//!
//! Each prefix is also listed every ten minutes or so, one after the other, as a check: what the watch missed is then seen, and
//! logged as a warning. With 1,000 prefixes of 100 endpoints that is less than two requests and some 40 kB a second, of the
//! connected server alone; at more than 4,800 prefixes each waits longer for its turn. A prefix that is changing when its turn comes
//! is left for the next one, and so is one that cannot be listed.
//!
//! Sixteen prefixes are listed and sixteen checked at a time, in answers of at most 8 MiB each, so that the answers under way take
//! no more than 256 MiB. A message of the watch stream has at most 64 MiB.
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `tls` | `https` endpoints and client certificates, by rustls on ring | yes |

mod address;
mod cluster;
mod config;
mod driver;
mod entry;
mod failure;
mod generation;
mod known;
mod listing;
mod member;
mod pace;
mod prefix;
mod raw;
mod request;
mod roster;
mod rota;
#[cfg(test)]
mod scripted;
mod session;
mod tracked;
mod watch;

pub use address::{Address, InvalidAddress};
pub use cluster::Cluster;
pub use config::{ClusterConfig, EtcdConfig, InvalidConfig, Timeouts, Tls};
pub use discovery_core::Secret;
pub use member::Member;
pub use prefix::{InvalidPrefix, Prefix};
