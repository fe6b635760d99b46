//! The program's own log, in a test's captured output.

use tracing_subscriber::EnvFilter;

/// Sends what the code under test logs to the test's output, which `cargo test` shows for tests that fail.
///
/// `RUST_LOG` says what is shown; by default `info`. May be called by every test: the first call counts.
pub fn show_logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Fails only when some test of this process was first, which is as good.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}
