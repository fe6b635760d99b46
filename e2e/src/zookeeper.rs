//! ZooKeeper: servers, what they say of themselves, and those who publish in them.

mod command;
mod ensemble;
mod java;
mod options;
mod registrar;
mod registrar_options;
mod registration;
mod request;
mod server;
mod session;
mod status;

pub use ensemble::ZookeeperEnsemble;
pub use options::ZookeeperOptions;
pub use registrar::{NodeKind, Registrar};
pub use registrar_options::RegistrarOptions;
pub use registration::Registration;
pub use request::ZookeeperRequest;
pub use server::Zookeeper;
pub use status::{ZookeeperConnection, ZookeeperCounters, ZookeeperStatus, ZookeeperWatches};
