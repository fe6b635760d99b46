//! Signals as a future.

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// Becomes ready at SIGTERM or SIGINT. The ones after that end the process at once, as if nobody listened.
///
/// SIGHUP is no reason to stop: at each, `on_hang_up` is called.
pub(crate) async fn stop(on_hang_up: impl Fn()) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangs_up = signal(SignalKind::hangup())?;
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hangs_up.recv() => {
                on_hang_up();
                continue;
            }
        };
        info!(signal = name, "told to stop");
        return Ok(());
    }
}
