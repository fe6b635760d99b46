//! What is served, as a JSON file for each service: Synapse's `file_output`.
//!
//! [`Board`] has what the files are to hold, and shows how they are doing; [`Files`] keeps them so while an agent runs, beside the
//! way from a registry to HAProxy: a disk that is full or hangs holds up nothing else. The [`Directory`](directory::Directory) knows
//! which files in it are ours, for others may have theirs there.

mod backend;
mod board;
mod directory;
mod files;
mod manifest;
mod preview;
#[cfg(test)]
mod tests;

pub(crate) use board::Board;
pub use board::FileOutputStatus;
pub(crate) use files::Files;
pub(crate) use preview::{Fate, preview};

/// What the file of a service is called.
pub(crate) fn file_name(service: &str) -> String {
    format!("{service}.json")
}

/// The longest name of a file, in bytes, on any file system that Linux has.
pub(crate) const LONGEST: usize = 255;
