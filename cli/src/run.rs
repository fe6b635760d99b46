//! `run`

use agent::{Agent, Config};
use anyhow::Context as _;

use crate::{failure::Failure, progress, signals, systemd::Systemd};

/// Runs until a signal, or once. A second signal does not wait for an apply that has begun.
pub(crate) async fn run(config: Config, once: bool) -> Result<(), Failure> {
    let agent = Agent::new(config);
    let status = agent.status();
    let systemd = Systemd::from_environment();
    let (told, stop) = tokio::sync::oneshot::channel();
    let work = async {
        if once {
            return progress::shown(&status, Box::pin(agent.once())).await;
        }
        Box::pin(agent.run(async { _ = stop.await })).await;
        Ok(())
    };
    let signalled = async {
        signals::stop().await.context("listening for signals")?;
        if once {
            anyhow::bail!("stopped by a signal");
        }
        // First: the work may be done before another word is out.
        systemd.stopping().await;
        if told.send(()).is_err() {
            anyhow::bail!("stopped by a signal");
        }
        signals::stop().await.context("listening for signals")?;
        anyhow::bail!("stopped by a second signal while a change was being applied")
    };
    tokio::select! {
        done = work => done.map_err(|error| Failure::Failed(anyhow::Error::new(error))),
        stopped = signalled => stopped.map_err(Failure::Failed),
        never = systemd.follow(status.clone()), if !once => match never {},
    }
}
