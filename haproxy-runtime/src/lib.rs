//! Puts an HAProxy configuration to work: writes the file, has it checked, has HAProxy reloaded.
//!
//! [`Live`] composes the parts and is what most programs need; [`Applier`] does where there is no socket, or the
//! configuration is a mere text. Each part is usable alone:
//!
//! | part | does |
//! |---|---|
//! | [`ConfigFile`] | replaces a file in one step, by the only event that a watcher of its directory sees |
//! | [`Check`] | runs a command over the candidate before it goes live |
//! | [`Reload`], [`Pace`] | reloads HAProxy, by a command or through its master's socket; says when the next one may run |
//! | [`Command`] | a child process with a deadline, killed with everything it started |
//! | [`Socket`] | tells a running HAProxy what to change, and asks what it runs |
//! | [`Master`], [`verify`] | asks HAProxy's master for its processes, and to reload; makes sure that the new configuration runs |
//!
//! All but [`Live`] know bytes, commands and replies, not HAProxy's configuration. But for the writes of a file that follows HAProxy
//! ([`Live::filed`]) and of a small note beside it, the crate spawns no tasks of its own: dropping a future stops what it was doing, at the points that each one documents. Unix only.
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

// For what tests of the inside share with those of the outside.
#[cfg(test)]
extern crate self as haproxy_runtime;

mod apply;
mod check;
mod command;
mod error;
mod file;
mod live;
mod reload;
mod socket;

pub use apply::{Applied, Applier, Change, Counters, Past, Reloaded};
pub use check::Check;
pub use command::{Command, Output};
pub use error::{ApplyError, CommandError, InvalidCommand, InvalidPace, ReloadError, Step, WriteError};
pub use file::{ConfigFile, Failure, How, Prepared, Staged, Staging, Text, Written};
pub use live::{
    Behind, Cause, Course, Deed, Filed, Live, LiveCounters, LiveError, LiveFault, Preview, Progress,
    ReloadDeed, Restored, Sight, Tended, Verification,
};
pub use reload::{Attempt, Pace, Reload};
pub use socket::{
    Answers, CommandLine, Expected, Identity, InvalidAddress, InvalidCommandLine, InvalidRevision, Judged,
    Level, Limits, Master, MasterError, MasterFault, MasterReload, Order, Outcome, Pattern, Process,
    Processes, Reply, Revision, Seen, Socket, SocketAddress, SocketError, SocketFault, Sockets, Survey,
    Unverified, Verdict, Verified, Worker, verify,
};
