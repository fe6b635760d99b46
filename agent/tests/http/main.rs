//! The status over HTTP, asked for over TCP as anybody may: well, badly, slowly, and by very many.

mod abuse;
mod documented;
#[path = "../../../haproxy-runtime/tests/socket/fake.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with other tests, each of which needs some of it")]
mod fake;
mod hostile;
mod listening;
mod metrics;
mod ready;
mod shown;
#[path = "../scripted/site.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which needs some of it")]
mod site;
mod socket;
mod visit;
