//! Puts an HAProxy configuration to work: writes the file, has it checked, has HAProxy reloaded.
//!
//! [`Applier`] composes the parts and is what most programs need; each part is usable alone:
//!
//! | part | does |
//! |---|---|
//! | [`ConfigFile`] | replaces a file in one step, by the only event that a watcher of its directory sees |
//! | [`Check`] | runs a command over the candidate before it goes live |
//! | [`Reload`], [`Pace`] | runs the command that reloads HAProxy; says when the next one may run |
//! | [`Command`] | a child process with a deadline, killed with everything it started |
//!
//! The crate knows bytes and commands, not HAProxy's syntax. It spawns no tasks of its own: dropping a future stops
//! what it was doing, at the points that each one documents. Unix only.
//!
//! ```
//! use haproxy_runtime::{Applied, Applier, Command, ConfigFile, Pace, Reload, Staging};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("haproxy.cfg");
//! let mut applier = Applier::new(Pace::default())
//!     .with_file(ConfigFile::open(path, Staging::Beside)?)
//!     .with_reload(Reload::new(Command::shell("true")?, Duration::from_secs(30)));
//! applier.prepare().await?;
//! match applier.apply("global\n    maxconn 100\n").await? {
//!     Applied::Changed(change) => println!("{change}"),
//!     Applied::Deferred { until } => println!("try again at {until:?}"),
//!     other => println!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```

mod apply;
mod check;
mod command;
mod error;
mod file;
mod reload;

pub use apply::{Applied, Applier, Change, Counters, Reloaded};
pub use check::Check;
pub use command::{Command, Output};
pub use error::{ApplyError, CommandError, InvalidCommand, InvalidPace, Step, WriteError};
pub use file::{ConfigFile, How, Prepared, Staged, Staging, Written};
pub use reload::{Attempt, Pace, Reload};
