//! Scenarios against real servers: etcd, ZooKeeper, Knot, HAProxy, and small HTTP servers behind them, on loopback.
//!
//! Everything here is a handle on something that runs: a child process ([`Etcd`], [`Zookeeper`], [`Knot`], [`Haproxy`]) or a task of the
//! test's own runtime ([`HttpBackend`], [`Proxy`], [`Nameserver`]). Dropping the handle ends it, in a test that panics too. Should
//! the test binary itself be killed, a guard in each child's process group ends the group.
//!
//! # Writing a scenario
//!
//! One scenario a file in `tests/`, each test a sentence. Start the servers, run the program under test, change
//! the world, then wait for the state that must follow with [`wait_until`]: never for an amount of time.
//!
//! ```no_run
//! # async fn scenario() {
//! use std::time::Duration;
//!
//! let etcd = e2e::Etcd::start().await;
//! let blue = e2e::HttpBackend::start("blue").await;
//! let front = e2e::Port::free();
//! let haproxy = e2e::Haproxy::start(&format!(
//!     "defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n\
//!      listen web\n  bind 127.0.0.1:{front}\n  server blue {}\n",
//!     blue.address(),
//! ))
//! .await;
//! haproxy.wait_serving(front.number(), Duration::from_secs(5)).await;
//!
//! // Here the program under test would start: it reads `etcd.endpoints()`, writes `haproxy.config()` and runs
//! // `haproxy.reload_command()`.
//! etcd.put("/services/web/blue", &format!(r#"{{"host":"127.0.0.1","port":{}}}"#, blue.port())).await;
//!
//! e2e::wait_until(Duration::from_secs(10), "blue to serve", async || {
//!     let spread = e2e::requests_over(front.address(), 4).await;
//!     if spread.count("blue") == 4 { Ok(()) } else { Err(format!("{spread:?}")) }
//! })
//! .await;
//! # }
//! ```
//!
//! # Rules
//!
//! - A missing binary is a panic that names the Debian package. Nothing is ever skipped.
//! - Methods that a scenario cannot go on without panic when they fail, and say what they were doing. What may
//!   legitimately fail (a request through HAProxy, a reload, a check) returns a `Result`.
//! - Ports come from [`Port`] and stay claimed while it lives, so a server can be stopped and started again on the
//!   same port while other tests run.
//! - Every wait has a deadline.
//! - Nothing here needs a runtime of several threads: `#[tokio::test]` as it comes will do, unless the program under
//!   test blocks its thread.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `E2E_KEEP` | when set, a failed test leaves its directories (data, configuration, logs) and prints their paths |
//! | `E2E_ETCD`, `E2E_ETCDCTL`, `E2E_HAPROXY`, `E2E_KNOTD`, `E2E_KNOTC` | the binary to use in place of the one found on the `PATH` |
//! | `E2E_HAPROXY_NEWER` | HAProxy for the second run of `scripts/test`, in place of that of Debian's trixie |
//! | `E2E_JAVA` | the `java` to use in place of the one found on the `PATH` |
//! | `E2E_ZOOKEEPER` | Java's class path with ZooKeeper and an SLF4J logger to stderr, in place of the Debian package's |
//! | `E2E_MOTO_SERVER` | moto's `moto_server`, in place of that of the virtual environment `.venv` |
//! | `RUST_LOG` | what [`show_logs`] shows |

#![allow(
    clippy::missing_panics_doc,
    reason = "a harness panics wherever a test must fail: the crate docs say so"
)]

mod agent_task;
mod binary;
mod certificate;
mod deploy;
mod directory;
mod ec2;
mod etcd;
mod etcd_cluster;
mod etcd_options;
mod gateway;
mod haproxy;
mod http;
mod http_backend;
mod keep_alive;
mod knot;
mod listener;
mod log;
mod master;
mod nameserver;
mod port;
mod process;
mod proxy;
mod script;
mod site;
mod spread;
mod traffic;
mod wait;
mod watching;
mod zookeeper;

pub use agent_task::AgentTask;
pub use certificate::Certificates;
pub use deploy::Deploy;
pub use directory::Dir;
pub use ec2::Ec2;
pub use etcd::Etcd;
pub use etcd_cluster::EtcdCluster;
pub use etcd_options::EtcdOptions;
pub use gateway::Gateway;
pub use haproxy::{Haproxy, Rejected};
pub use http::{Connection, Response, get};
pub use http_backend::HttpBackend;
pub use keep_alive::{KeepAlive, Kept};
pub use knot::Knot;
pub use log::show_logs;
pub use master::{Processes, ReloadError};
pub use nameserver::{Nameserver, Says};
pub use port::Port;
pub use proxy::Proxy;
pub use script::Script;
pub use site::Site;
pub use spread::{Spread, requests_over};
pub use traffic::Traffic;
pub use wait::wait_until;
pub use watching::Watching;
pub use zookeeper::{
    NodeKind, Registrar, RegistrarOptions, Registration, Zookeeper, ZookeeperConnection, ZookeeperCounters,
    ZookeeperEnsemble, ZookeeperOptions, ZookeeperRequest, ZookeeperStatus, ZookeeperWatches,
};
