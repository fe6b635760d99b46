//! Talking to running HAProxies: to some that say what a test wants, and, in the tests named `live_`, to real ones.
//!
//! The real ones run the first `haproxy` on the `PATH` or in an `sbin` directory, or the one that `E2E_HAPROXY` names.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod batch;
mod fake;
mod haproxy;
mod live_batch;
mod live_master;
mod live_trouble;
mod master;
mod question;
mod trouble;
mod verify;
