//! The agent through its public API, with sources that play a script. The clock is paused: files are real, time is not. Only where
//! an HAProxy answers on a socket, it runs.

mod alive;
mod clash;
mod commands;
#[path = "../../examples/embed.rs"]
#[allow(dead_code, reason = "its `main` is for cargo")]
mod embed;
mod empty;
mod example;
#[path = "../../../haproxy-runtime/tests/socket/fake.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with other tests, each of which needs some of it")]
mod fake;
mod file_output;
#[path = "../../examples/method.rs"]
#[allow(dead_code, reason = "its `main` is for cargo")]
mod method;
mod order;
mod outage;
mod pace;
mod plan;
mod reconfigure;
#[path = "../../examples/reconfigure.rs"]
#[allow(dead_code, reason = "its `main` is for cargo")]
mod reconfigured;
mod restart;
mod settings;
mod several;
mod site;
mod startup;
mod state;
mod statsd;
mod status;
