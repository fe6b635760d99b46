//! Docker, or what answers as it does, on real sockets.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod changes;
mod conform;
mod fake;
mod several;
mod tls;
mod trouble;
mod watched;
