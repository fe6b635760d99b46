//! Signals as a future.

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

/// Becomes ready at SIGTERM or SIGINT. The ones after that end the process at once, as if nobody listened.
///
/// SIGHUP is no reason to stop: it is logged and ignored.
pub(crate) async fn stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hang_up.recv() => {
                warn!("SIGHUP is ignored: restart to read the configuration again");
                continue;
            }
        };
        info!(signal = name, "told to stop");
        return Ok(());
    }
}
