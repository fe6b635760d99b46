//! DogStatsD: Synapse's metrics, under its names and with its tags.
//!
//! [`Statsd`] makes a line of each event and queues it; [`Sending`] sends what is queued beside everything else. Nothing waits for it,
//! and nothing fails because of it: what can't be sent is dropped.

mod line;
mod queue;
mod sending;
#[cfg(test)]
mod tests;
#[cfg(feature = "zk")]
mod zookeeper;

pub use line::StatsdStatus;
pub(crate) use line::{METRICS, Statsd};
pub(crate) use sending::Sending;
#[cfg(feature = "zk")]
pub(crate) use zookeeper::cluster;
