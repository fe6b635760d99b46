//! The service discovery agent for HAProxy, as a library: registries in, a running HAProxy configuration out.
//!
//! An [`Agent`] takes a [`Config`], finds the endpoints of every service in it, and keeps HAProxy's configuration file, and so
//! HAProxy, up to date with them. The program `synapse-rs` is a thin shell around it; any other program can embed it, with
//! discovery methods of its own:
//!
//! ```
//! use agent::{Agent, Config, Registry, Source};
//! use agent::discovery::{Endpoint, Fixed, Snapshot};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("haproxy.cfg");
//! // A discovery method of our own, beside `etcd`, `file` and `base`.
//! let here = Snapshot::new([Endpoint::new("127.0.0.1".parse()?, 8080)?]);
//! let registry = Registry::builtin().with("here", move |_section| {
//!     let here = here.clone();
//!     Ok(Source::new(move |_context| Fixed::new(here.clone())))
//! });
//!
//! let text = format!(
//!     "
//!     services:
//!       web:
//!         discovery: {{method: here}}
//!         haproxy: {{port: 8000, listen: [mode http, balance roundrobin]}}
//!     haproxy:
//!       config_file_path: {path}
//!       reload_command: echo this would reload HAProxy
//!       global: [maxconn 1000]
//!       defaults: [timeout connect 1s, timeout client 10s, timeout server 10s]
//!     ",
//!     path = path.display()
//! );
//! let config = Config::parse(&text, Some("embedded.yaml"), &registry)?;
//!
//! let agent = Agent::new(config);
//! let mut status = agent.status();
//! let stop = async move {
//!     // Stop after the first apply. A program would wait for its own end here.
//!     status.changed().await;
//! };
//! agent.run(stop).await;
//! assert!(std::fs::read_to_string(&path)?.contains("server 127.0.0.1:8080 127.0.0.1:8080 id 1"));
//! # Ok(())
//! # }
//! ```
//!
//! [`Loader`] loads a configuration from files, with values of the environment, and tells whether it has changed since.
//! [`Agent::handle`] gives a running agent another configuration, and a [`Follower`] does so when files change.
//! [`Agent::plan`] tells what a run would do now, without doing it; [`Agent::examine`] what stands in its way, and the remedies.
//!
//! # What it promises
//!
//! - A source that fails, in whole or in part, takes nothing away: what it said last stays in use, and the [`Status`] shows
//!   since when and why.
//! - Nothing is written while the file holds what it should, and HAProxy is not reloaded for nothing.
//! - Before the first write the first answers are waited for. A service without one is served as the state file knows it
//!   (`haproxy.state_file_path`), or else keeps the servers that HAProxy's file has for it.
//! - A failed check leaves the live file; a failed reload is tried again until it succeeds.
//! - Changes of servers alone are told to a HAProxy with a socket at once, and its file follows; [`OutputStatus::behind`] shows when it can't.
//! - Files of services (`file_output`) and metrics (`statsd`) are written and sent beside all that: what fails of them holds up nothing.
//! - Dropping the future of [`Agent::run`] stops everything that it started, and HAProxy goes on serving; ended by its `stop`, it waits until
//!   the file has followed.
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `etcd` | the discovery method `etcd` | yes |
//! | `docker` | the discovery method `docker` | no |
//! | `ec2` | the discovery method `ec2tag`; a build without it never compiles the AWS SDK | no |
//! | `status` | the status over HTTP, for people, programs and Prometheus: `status` in a configuration, and [`http`] | no |
//! | `zk` | the discovery methods `zookeeper` and `zookeeper_poll` | no |
//! | `dns` | the discovery method `dns`; with `zk` also `zookeeper_dns` and `zookeeper_dns_poll` | no |
//! | `zk-tls` | TLS and SASL for them, by a second client | no |
//! | `schema` | `Config::schema`: the JSON Schema of the configuration, for editors | no |

mod agent;
mod ago;
pub mod config;
mod connection;
mod desired;
mod doctor;
mod file_output;
mod fold;
mod follower;
mod generator;
mod handle;
#[cfg(feature = "status")]
pub mod http;
mod meter;
mod method;
mod model;
mod multi;
mod news;
mod output;
mod plan;
mod pulse;
mod registry;
mod sources;
mod state;
mod statsd;
mod status;
mod template;
mod window;

pub use agent::{Agent, AgentError};
pub use ago::Ago;
pub use config::{Config, Fingerprint, LoadError, Loaded, Loader};
pub use discovery_core as discovery;
pub use doctor::{Finding, Severity, Topic};
pub use file_output::FileOutputStatus;
pub use follower::Follower;
pub use handle::{ConfigurationFailure, Handle, ReconfigureError, Reconfigured};
pub use haproxy_runtime::Failure;
pub use plan::{Action, Kind, Planned, PlannedChange, PlannedFile, Unanswered};
pub use registry::{Context, Registry, Source};
pub use state::StateFileStatus;
pub use statsd::StatsdStatus;
pub use status::{
    ConfigurationStatus, HaproxyStatus, History, How, OutputStatus, PastChange, Pending, ServiceStatus,
    Status, WindowStatus,
};
