//! What was last known of each service, kept on disk beyond the life of this program.
//!
//! [`StateFile`] is the file, [`Remembered`] what it says, [`Memory`] what this run knows, and [`Keeper`] writes the one into the
//! other. The file is no part of the way from a registry to HAProxy: what goes wrong with it is a warning, and costs at most what
//! is known of a service whose source does not answer at the next start.

mod file;
mod format;
mod keeper;
mod memory;
mod synapse;
#[cfg(test)]
mod tests;

pub(crate) use file::StateFile;
pub(crate) use format::Entry;
pub(crate) use keeper::{Keeper, recall};
pub use memory::StateFileStatus;
pub(crate) use memory::{Memory, Restored};
