//! The agent through its public API, with sources that play a script. The clock is paused: files are real, time is not.

mod clash;
#[path = "../../examples/embed.rs"]
#[allow(dead_code, reason = "its `main` is for cargo")]
mod embed;
mod empty;
mod example;
#[path = "../../examples/method.rs"]
#[allow(dead_code, reason = "its `main` is for cargo")]
mod method;
mod order;
mod outage;
mod pace;
mod plan;
mod restart;
mod settings;
mod several;
mod site;
mod startup;
mod status;
