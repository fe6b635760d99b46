//! For tests of and with watchers: [`ScriptedWatcher`] plays what it is told, [`conformance`] has the checks that every
//! watcher must pass, ours and yours.

pub mod conformance;
mod listener;
mod script;

pub use script::{Calls, ScriptedWatcher, Step};
