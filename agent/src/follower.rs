//! An agent that follows its configuration's files.

use std::{fmt, future::pending, pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::Notify, task::spawn_blocking, time::sleep};
use tracing::{error, info, warn};

use crate::{
    config::{Config, Fingerprint, LoadError, Loaded, Loader},
    handle::{Handle, ReconfigureError},
    output::chain,
};

/// How often the files are asked whether they have changed.
const EVERY: Duration = Duration::from_secs(1);

/// Has a running agent take over what the files of its configuration say, when they have changed, or when it is told to.
///
/// Changes are looked for every second, unless the configuration in use says `watch_config: false` in its `agent` section. A change is
/// used when the files have not changed further for a second, so that one that is half written is not. When it is
/// [told to](Self::run), it does not wait.
///
/// A configuration that can't be used changes nothing; what is wrong is logged once, line by line, and in the
/// [`Status`](crate::Status). Files that say what is in use already are no reason to do anything, unless it is told to: then sources that
/// have ended are begun again.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use agent::{Agent, Follower, Loader, Registry};
/// use tokio::sync::Notify;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let loader = Loader::new("/etc/synapse.yaml", Registry::builtin());
/// let first = loader.load();
/// let agent = Agent::new(first.config.clone()?);
/// let follower = Follower::new(agent.handle(), loader, first);
/// // `reload.notify_one()` has the files read at once: at SIGHUP, say.
/// let reload = Arc::new(Notify::new());
/// tokio::join!(agent.run(std::future::pending()), follower.run(&reload));
/// # Ok(())
/// # }
/// ```
pub struct Follower {
    handle: Handle,
    loader: Arc<Loader>,
    /// What was read last, and used or refused.
    seen: Fingerprint,
    /// What was read for the configuration in use, or that which is on its way there.
    used: Fingerprint,
    watches: bool,
    /// What was read when a change was seen: to be used if it is still there at the next look.
    changed: Option<Loaded>,
    /// A configuration that the agent has been given and does not use yet.
    taking: Option<Taking>,
}

type Taking = Pin<Box<dyn Future<Output = Result<(), ReconfigureError>> + Send>>;

impl Follower {
    /// Follows the files of `loader` for the agent of `handle`, which was made from `first`. Does nothing yet.
    pub fn new(handle: Handle, loader: Loader, first: Loaded) -> Self {
        let Loaded { config, fingerprint, .. } = first;
        let watches = config.as_ref().is_ok_and(Config::watches_files);
        let (seen, used) = (fingerprint.clone(), fingerprint);
        Self { handle, loader: Arc::new(loader), seen, used, watches, changed: None, taking: None }
    }

    /// Follows until the agent has ended. `reload` has the files read at once, whether they seem to have changed or not.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends it: what the agent was given is in use, or not, as [`Handle::reconfigure`] says.
    pub async fn run(mut self, reload: &Notify) {
        let handle = self.handle.clone();
        tokio::select! {
            biased;
            // A disk that does not answer is not waited for.
            () = handle.stopped() => {}
            () = self.follow(reload) => {}
        }
    }

    /// Follows for ever, or until the runtime ends.
    async fn follow(&mut self, reload: &Notify) {
        loop {
            tokio::select! {
                biased;
                () = taken(self.taking.as_mut()) => self.taking = None,
                () = reload.notified() => {
                    info!("told to read the configuration again");
                    let Some(loaded) = load(&self.loader).await else { return };
                    self.take(loaded, true);
                }
                () = sleep(EVERY) => self.look().await,
            }
        }
    }

    /// Looks for a change, and uses one that has lasted.
    async fn look(&mut self) {
        if !self.watches {
            return;
        }
        let before = self.changed.as_ref().map_or(&self.seen, |changed| &changed.fingerprint).clone();
        let loader = Arc::clone(&self.loader);
        // What can't be found out now is found out later.
        let Ok(changed) = spawn_blocking(move || loader.changed(&before)).await else { return };
        if changed {
            self.changed = load(&self.loader).await;
        } else if let Some(loaded) = self.changed.take() {
            self.take(loaded, false);
        }
    }

    /// Uses what was read, if it is to be used. `told`: even if it is what is in use.
    fn take(&mut self, loaded: Loaded, told: bool) {
        let Loaded { config, fingerprint, .. } = loaded;
        self.changed = None;
        self.seen = fingerprint.clone();
        if fingerprint == self.used && !told {
            self.handle.accept();
            return;
        }
        match config {
            Ok(config) => {
                for warning in config.warnings().lines() {
                    warn!("{warning}");
                }
                (self.used, self.watches) = (fingerprint, config.watches_files());
                let handle = self.handle.clone();
                // Dropped, the one before it goes on being waited for by nobody.
                self.taking = Some(Box::pin(async move { handle.reconfigure(config).await.map(drop) }));
            }
            Err(error) => {
                let lines: Vec<_> = match &error {
                    LoadError::Wrong(report) => report.lines().collect(),
                    LoadError::Read { .. } => vec![chain(&error)],
                };
                error!(
                    file = %self.loader.file().display(),
                    problems = lines.len(),
                    "the configuration can't be used; going on with the one that is in use"
                );
                for problem in &lines {
                    error!("{problem}");
                }
                self.handle.refuse(lines.join("\n"));
            }
        }
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("loader", &self.loader).finish_non_exhaustive()
    }
}

/// `None`: the runtime ends.
async fn load(loader: &Arc<Loader>) -> Option<Loaded> {
    let loader = Arc::clone(loader);
    spawn_blocking(move || loader.load()).await.ok()
}

/// Waits until the agent has what it was given, or has not; for ever, if it was given nothing.
async fn taken(taking: Option<&mut Taking>) {
    match taking {
        // The agent says what was different, and whoever comes later is told that it has ended.
        Some(taking) => _ = taking.await,
        None => pending().await,
    }
}
