//! Service discovery from DNS: addresses (A, AAAA) and services (SRV), asked for again when they expire.
//!
//! A [`Resolver`] has one set of [`Nameservers`], however many services are watched through it; a [`Member`] is the
//! [`Watcher`](discovery_core::Watcher) of the servers of one service, and [`Resolving`] makes a watcher of addresses of any watcher
//! whose endpoints have names. Nothing is spawned here but what sockets need: [`Resolver::new`] returns a future beside the handle,
//! and whoever embeds this decides where it runs.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use discovery_core::{Backoff, Endpoint, Observed, supervise};
//! use discovery_dns::{Nameservers, Resolver, Server};
//! use tokio::sync::watch;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (resolver, driver) = Resolver::new(Nameservers::system(), Backoff::default());
//! tokio::spawn(driver);
//!
//! let servers = [
//!     Server::at(Endpoint::new("web.internal".parse()?, 8080)?),
//!     Server::srv(&"_http._tcp.web.internal".parse()?),
//! ];
//! let web = resolver.member(servers, Duration::from_secs(30));
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
//! # When a name is asked for again
//!
//! When the TTL of its records is over (the shortest of them, aliases included; of an answer of "nobody" the negative TTL), but after
//! `check_interval` at the latest, and after a second at the earliest; then up to a tenth later, by chance, a second at most. Nothing
//! is cached beyond that. A question that several services have is asked once. What failed is asked for again after a back-off.
//!
//! # What an answer is
//!
//! | what a nameserver does | what follows |
//! |---|---|
//! | it sends records | they are used, whole; if UDP cut them, those that TCP sends |
//! | NXDOMAIN, or no records (NODATA) | the name stands for nobody |
//! | SERVFAIL, REFUSED, any other code; something that cannot be read, or was not asked | the next nameserver's turn |
//! | it refers to other nameservers, and has no answer | the next nameserver's turn: nothing is resolved from the root here |
//! | it does not answer in time, or cannot be reached | the next nameserver's turn, and for half a minute it is asked after the others |
//! | all of them fail | the question has failed: what was known stands |
//! | the name leads through more than 16 aliases (CNAME), or in a circle | the question has failed |
//!
//! A [`Member`] fails if one of its questions does. [`Resolving`] keeps the last addresses of that name.
//!
//! The one nameserver first in the list is asked first each time; UDP packets are sent again until its time (2 s, or what
//! `resolv.conf` says) is over. One question takes ten seconds at most.
//!
//! # Bounds
//!
//! 1,000 addresses of a name and 1,000 records of a service, the first in order; 10,000 endpoints of a [`Member`]; 64 questions at a
//! time. What is left out is listed in [`Snapshot::rejected`](discovery_core::Snapshot::rejected), and so are targets that are no
//! hosts, and the unspecified address. Names in answers are only ever asked for: none gets into a snapshot.

mod board;
mod config;
mod driver;
mod exchange;
mod hickory;
mod lookup;
mod member;
mod nameserver;
mod question;
mod raw;
mod resolver;
mod resolving;
#[cfg(test)]
mod scripted;
mod server;
mod system;
mod weight;

pub use config::{DnsConfig, InvalidConfig, NamesConfig};
pub use member::Member;
pub use nameserver::{InvalidNameserver, Nameserver, Nameservers};
pub use resolver::Resolver;
pub use resolving::Resolving;
pub use server::Server;
