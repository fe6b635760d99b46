//! A real HAProxy that is brought from document to document.
//!
//! It is the first `haproxy` on the `PATH` or in an `sbin` directory, or the one that `E2E_HAPROXY` names.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod awaiting;
mod behind;
mod change;
mod drain;
#[allow(dead_code, reason = "shared with other tests, each of which needs some of it")]
#[path = "../socket/fake.rs"]
mod fake;
mod fault;
#[allow(dead_code, reason = "shared with other tests, each of which needs some of it")]
#[path = "../socket/haproxy.rs"]
mod haproxy;
mod hopeless;
mod init_state;
mod many;
mod master;
mod parity;
mod preview;
mod reload;
mod repair;
mod seam;
mod site;
mod start;
mod stranger;
mod taken;
mod trouble;
