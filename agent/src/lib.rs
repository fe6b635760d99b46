//! The agent as a library.

mod agent;
pub mod config;
mod desired;
mod fold;
mod method;
mod model;
mod news;
mod output;
mod registry;
mod sources;
mod status;
mod template;

pub use agent::{Agent, AgentError};
pub use config::Config;
pub use discovery_core as discovery;
pub use registry::{Context, Registry, Source};
pub use status::{OutputStatus, ServiceStatus, Status};
