//! `run`

use std::future::pending;

use agent::{Agent, Config, Follower};
use anyhow::Context as _;
use tokio::{
    sync::{Notify, oneshot, watch},
    time::Instant,
};
use tracing::warn;

use crate::{failure::Failure, load::Source, progress, signals, systemd::Systemd};

/// Runs until a signal, and takes over what its files say when they change, or at SIGHUP. A second signal to stop does not wait for an
/// apply that has begun.
pub(crate) async fn run(Source { config, files }: Source) -> Result<(), Failure> {
    let agent = Agent::new(config);
    let status = agent.status();
    let systemd = Systemd::from_environment();
    let reload = Notify::new();
    let follower = files.map(|(loader, loaded)| Follower::new(agent.handle(), loader, loaded));
    let follows = follower.is_some();
    let following = async {
        if let Some(follower) = follower {
            follower.run(&reload).await;
        }
        // It ends with the agent.
        pending::<()>().await;
    };
    let (asks, mut asked_at) = watch::channel(Instant::now());
    let hung_up = || {
        if follows {
            asks.send_replace(Instant::now());
            reload.notify_one();
        } else {
            warn!("SIGHUP is ignored: standard input can't be read again");
        }
    };
    let mut configured = status.clone();
    let announced = async {
        // The sender is here.
        while asked_at.changed().await.is_ok() {
            let asked = *asked_at.borrow_and_update();
            systemd.while_reloading(configured.reconfigured(asked)).await;
        }
    };
    let (told, stop) = oneshot::channel();
    let signalled = async {
        signals::stop(&hung_up).await.context("listening for signals")?;
        // First: the work may be done before another word is out.
        systemd.stopping().await;
        if told.send(()).is_err() {
            anyhow::bail!("stopped by a signal");
        }
        signals::stop(|| ()).await.context("listening for signals")?;
        anyhow::bail!("stopped by a second signal while a change was being applied")
    };
    tokio::select! {
        () = Box::pin(agent.run(async { _ = stop.await })) => Ok(()),
        stopped = signalled => stopped.map_err(Failure::Failed),
        () = following => Ok(()),
        () = announced => Ok(()),
        never = systemd.follow(status) => match never {},
    }
}

/// Runs once, or until a signal.
pub(crate) async fn once(config: Config) -> Result<(), Failure> {
    let agent = Agent::new(config);
    let status = agent.status();
    let hung_up = || warn!("SIGHUP is ignored: the configuration is used once");
    let signalled = async {
        signals::stop(hung_up).await.context("listening for signals")?;
        anyhow::bail!("stopped by a signal")
    };
    tokio::select! {
        done = progress::shown(&status, Box::pin(agent.once())) => {
            done.map_err(|error| Failure::Failed(anyhow::Error::new(error)))
        }
        stopped = signalled => stopped.map_err(Failure::Failed),
    }
}
