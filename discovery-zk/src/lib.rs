//! Service discovery from ZooKeeper: what nerve, go-nerve and Finagle's server sets register below a node, watched across every
//! loss.
//!
//! An [`Ensemble`] is one session with one ensemble, however many services are watched in it; a [`Member`] is the
//! [`Watcher`](discovery_core::Watcher) of one [`Node`]. Nothing is spawned here: [`Ensemble::new`] returns a future beside the
//! handle, and whoever embeds this decides where it runs.
//!
//! ```no_run
//! use discovery_core::{Backoff, Observed, supervise};
//! use discovery_zk::{Decode, Ensemble, EnsembleConfig, Node, Path};
//! use tokio::sync::watch;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = EnsembleConfig::new(["zk-1:2181".parse()?, "zk-2:2181".parse()?])?;
//! let (ensemble, driver) = Ensemble::new(config, Backoff::default());
//! tokio::spawn(driver);
//!
//! let web = ensemble.member(Node::new(Path::new("/services/web")?, Decode::Nerve));
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
//! Every child of the node is one endpoint: see [`Decode`]. What a child says is read once, and again when it is written; a child
//! that says it in its name (`base64_…`) is not read at all. A child that makes no sense is listed in
//! [`Snapshot::rejected`](discovery_core::Snapshot::rejected) and takes nothing else with it; a child that may not be *read* fails
//! the service, whose last good set then stands until that child can be read or has gone; what was read of the others is kept, and not
//! asked for again. More than 100,000 children are an error of that service.
//!
//! A change costs what changed: a new child one list of names and one read, a deleted one the list, a written one the
//! read. Nothing is told before all of a list was read. After a list that took long, the next waits for twice that time (5 s at most),
//! so that a large node that changes all the time is not read all the time.
//!
//! # What happens when ZooKeeper is in trouble
//!
//! One server is used at a time, in a session that lasts as long as its connection: neither client crate's own reconnecting is
//! used, see `ARCHITECTURE.md`. When a session is lost, the next server is tried at once; after a whole round of failures the
//! driver backs off, with jitter. Names are resolved again by each attempt, and credentials are sent again.
//!
//! | trouble | what follows |
//! |---|---|
//! | the connection breaks, a server stops, a leader is elected, the session expires | another session, in which every node is listed and read once, spread over a second (or `discovery_jitter`, if that is longer) |
//! | a server stops answering without closing the connection | noticed within five sixths of the session's time-out (8.3 s by default) when nothing is being asked, and within `request_timeout` of silence when something is |
//! | no other server answers either | each [`Member`] says so one second later at most, or one second after the first question to a server that takes sessions and does not answer, and again after each round of failures; what was known stands |
//! | a name does not resolve | the next server's turn; it is resolved again with the next attempt |
//! | a node does not exist | an empty answer, and a watch for the day that it does; nothing is ever created |
//! | a node or a child may not be read | that one [`Member`] says so, and asks again when it is asked again; the others go on |
//! | the node of the generator configuration cannot be read, or holds something else | it is listed in [`Snapshot::rejected`](discovery_core::Snapshot::rejected), and the service goes on without it |
//!
//! A server that has said nothing for a third of the session's time-out is asked for the root, which any user may. Every thirty
//! seconds an answer, to this or anything else, makes each [`Member`] for which nothing waits to be read say that what it said is still so. Every ten minutes or so each node is listed though
//! no watch has fired, as a check.

mod address;
mod config;
mod decode;
mod deed;
mod driver;
mod ensemble;
mod failure;
mod generation;
mod hosts;
mod known;
mod member;
mod node;
mod path;
mod question;
mod raw;
mod resolve;
mod roster;
mod session;
mod tracked;

pub use address::{Address, InvalidAddress};
pub use config::{
    Auth, Client, EnsembleConfig, Ignored, InvalidConfig, Sasl, Timeouts, Tls, ZkConfig, ZkPollConfig,
};
pub use decode::Decode;
pub use deed::Deed;
pub use discovery_core::Secret;
pub use ensemble::Ensemble;
pub use member::Member;
pub use node::Node;
pub use path::{InvalidPath, Path};
