//! The status over HTTP: `/` for people, `/status` for programs, `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever decides
//! about this process or this host.
//!
//! An [`Agent`](crate::Agent) serves it while it [runs](crate::Agent::run), where its configuration has `status`. It is there to be
//! read: nothing can be changed. What it shows was made by others in part, so that all of it is escaped for where it goes, and
//! bounded: how many connections there are and how long each may take, how long a request is, how much of a long list is shown.
//! It costs the loop that applies nothing, and what becomes of it is of no effect on that.
//!
//! [`Report`] is what `/status` says, and [`ask`] asks for it.

mod answer;
mod client;
mod clock;
mod digest;
mod guests;
mod metrics;
mod page;
mod readiness;
mod report;
mod serving;
mod survey;
mod text;

pub use client::{AskError, ask};
pub use report::{
    Change, Child, Configuration, Endpoint, FileOutput, Haproxy, Output, Pending, Rejection, Report, Service,
    StateFile, Statsd,
};
pub(crate) use serving::serve;
