//! From what runs and what is wanted to what is to be done: nothing, commands on HAProxy's socket, or a reload with the
//! reasons why.
//!
//! Nothing here talks to anybody: texts that HAProxy answered go in, texts of commands come out, and what becomes of them
//! is told by [`Step::judge`]. Reading clocks and sockets is the caller's part.
//!
//! # How it goes
//!
//! 1. Ask the process who it is ([`Query::Info`], [`Process`]) and what it can do ([`Capabilities`]), once each.
//! 2. For each change, [`Planner::change`] compares the document that runs with the one that is wanted. It costs what has
//!    changed: a service that is the same [`Arc`](std::sync::Arc) in both is not looked at.
//! 3. Carry the plan out, have the process say the revision of what it runs now, and have the file follow: by the revision that both
//!    carry it is known, after a crash in between too, which of the two documents the process runs. For a reload the file goes first.
//! 4. A server that goes is put into maintenance by the plan, which takes it out of rotation at once, and is one of
//!    [`Leaving`] from then on. [`Departure::step`] deletes it when its connections have ended, or ends them.
//! 5. From time to time, read back what runs and find what somebody else has changed: with [`Planner::repair`] from whole answers
//!    ([`Running`]), or with [`Planner::audit`] while they come.
//!
//! Any reply that is not among those that a step expects means that the process is not what it was thought to be: see what it runs, or
//! write the file and reload.
//!
//! # What can be done by commands
//!
//! | difference | commands | a reload instead, when |
//! |---|---|---|
//! | new server | `add server`, `enable health` with `check`, `enable agent` with `agent-check`, `enable server` | the algorithm is static; this HAProxy does not take an option at run time; a value has blanks, quotes or the like; an address is a name; its id is that of a server that stays |
//! | new server with the id of one that goes, or whose name or id is that of one that left and is not deleted yet | that one is deleted first | the same; it can not be deleted; too few others serve |
//! | server back that left, otherwise the same | as after `disabled` | never |
//! | server gone | `disable agent`, `set server … state maint`; later `del server` | never |
//! | weight | `set server … weight` | the algorithm is static |
//! | `disabled` | `set server … state maint` | never |
//! | not `disabled` any more | `enable health`, `enable agent`, `enable server` | never |
//! | address, port | `set server … addr … port` | it becomes a name |
//! | `maxconn` | `set maxconn server` | never |
//! | id, any other option; address with a check elsewhere or a hash of it; weight with an agent; `maxconn` with `minconn` | `set server … state maint`, `del server`, `add server` and so on | as for a new server; it uses resolvers, so it is never deleted; more servers are swapped than others serve |
//! | options that make no difference, order of servers | none | order, when the algorithm is static |
//! | all else: `global`, `defaults`, sections, frontends, lines of a backend, services | none | always |
//!
//! Algorithms that are not static: `roundrobin`, `leastconn`, `random`, `first`, and those that hash with
//! `hash-type consistent`. What is not understood counts as static.
//!
//! Servers that wait for their checks ([`InitState::FullyDown`]) are added with `init-state` where HAProxy has it. Elsewhere, and
//! when they move or leave maintenance, they are enabled with a weight of zero, said to be down, and given their weight.
//!
//! # Servers by the operator
//!
//! `server` and `server-template` lines among a backend's own lines are the operator's. Those servers are never touched.

mod audit;
mod capability;
mod change;
mod columns;
mod leaving;
mod moves;
mod options;
mod outcome;
mod planner;
mod process;
mod query;
mod reason;
mod repair;
mod revision;
mod running;
mod setting;
mod stat;
mod step;
mod structure;
mod transition;
mod unreadable;
mod way;

pub use audit::Audit;
pub use capability::Capabilities;
pub use change::{Change, What};
pub use leaving::{Departure, Drain, Leaving, SHUTDOWN_PAUSE};
pub use outcome::{Commands, Meanwhile, Plan, Reload, Repair, Stranger};
pub use planner::{InitState, Planner, Strangers};
pub use process::{Process, Version};
pub use query::Query;
pub use reason::{Obstacle, Reason};
pub use revision::Revision;
pub use running::{Found, Probe, Running, Usage};
pub use step::{Step, Verdict};
pub use unreadable::Unreadable;
