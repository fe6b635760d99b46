//! Service discovery from Docker: the running containers of an image, seen as they come and go.
//!
//! A [`Daemon`] is one Docker, reached through its socket or over TCP, and asked for all services at once; a [`Member`] is the
//! [`Watcher`](discovery_core::Watcher) of one service's containers there. A service that has containers on several hosts has a
//! member for each, and is their [union](discovery_core::multi::Multi::union): one host that is down neither hides the news of the
//! others nor loses its own containers. Podman answers the same questions.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use discovery_core::{Backoff, Observed, Watcher, multi::Multi, supervise};
//! use discovery_docker::{Daemon, DaemonConfig, Selector, Server};
//! use tokio::sync::watch;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let here = Server::new(DaemonConfig::Socket("/var/run/docker.sock".into()), None);
//! let there = DaemonConfig::Tcp { host: "10.0.0.5".parse()?, port: 4243.try_into()?, tls: None };
//! let there = Server::new(there, Some("10.0.0.5".parse()?)).with_name("docker-5")?;
//! let app = Selector::new(["registry:5000/app".parse()?], 8080.try_into()?);
//!
//! let mut members: Vec<(String, Box<dyn Watcher>)> = Vec::new();
//! for server in [here, there] {
//!     let (daemon, driver) = Daemon::new(server.daemon().clone(), Backoff::default());
//!     tokio::spawn(driver);
//!     let name = server.to_string();
//!     members.push((name, Box::new(daemon.member(server, app.clone(), Duration::from_secs(15)))));
//! }
//! let web = Multi::union("web", members, Backoff::default());
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
//! # When Docker is asked
//!
//! When an event says that a container or its networks have changed, at once, and every `check_interval` besides: events are a
//! hint, and no answer depends on them. Between two questions there is a pause of a tenth of a second, or four times as long as the
//! last answer took, and never longer than the interval. A stream of events that ends is asked for again after a back-off; one that
//! says nothing while something has changed, at once.
//!
//! # What is used
//!
//! `GET /version`, `GET /containers/json`, `GET /events`, and `GET /containers/ID/json` for containers whose image Docker shows by
//! its identifier, because its name has gone to a newer one: they are still containers of that name. Versions 1.24 to 1.53 of the API
//! are spoken; the newest that both sides know is named in each request.
//!
//! # Bounds
//!
//! 5 s for a connection, 10 s and 64 MiB for an answer, 15 s for all of a turn, 10,000 endpoints of a server. A failure (what cannot
//! be read, a refusal, an answer that is cut off) is an error, and what was known stands. A container that cannot be understood, or
//! is wanted and has no address, is listed in [`Snapshot::rejected`](discovery_core::Snapshot::rejected).

mod api_version;
mod client;
mod config;
mod container;
mod daemon;
mod driver;
mod failure;
mod image;
mod member;
mod owner;
mod raw;
mod selector;
mod tls;
mod wire;

pub use config::{DaemonConfig, DockerConfig, InvalidConfig, Server, Tls};
pub use daemon::Daemon;
pub use image::{ImageName, InvalidImageName};
pub use member::Member;
pub use selector::{Place, Selector};
