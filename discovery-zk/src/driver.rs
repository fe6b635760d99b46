//! What keeps an ensemble connected.

use std::{net::SocketAddr, sync::Arc};

use discovery_core::{
    Backoff,
    shared::{Next, Rounds},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    address::Address,
    config::EnsembleConfig,
    deed::{Deed, Witness},
    failure::Failure,
    generation::{self, End},
    resolve::Resolve,
    roster::{Command, Roster},
    session::{Connect, Established},
};

/// Has a session with one server after the other, and lets the members live in it.
///
/// The clients can go from server to server by themselves, and lose watches and credentials on the way; so each session is one
/// with one address, and what follows it is another session in which all is read again.
pub(crate) struct Driver<R> {
    config: EnsembleConfig,
    backoff: Backoff,
    connector: Arc<dyn Connect>,
    resolver: R,
    commands: mpsc::UnboundedReceiver<Command>,
    roster: Roster,
}

impl<R: Resolve> Driver<R> {
    /// The same, with somebody who is told of what is done.
    pub(crate) fn witnessed(mut self, witness: Witness) -> Self {
        self.roster.witness = witness;
        self
    }

    pub(crate) fn new(
        config: EnsembleConfig,
        backoff: Backoff,
        connector: Arc<dyn Connect>,
        resolver: R,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        Self { config, backoff, connector, resolver, commands, roster: Roster::default() }
    }

    /// Runs until nobody can want anything any more.
    pub(crate) async fn run(mut self) {
        let mut servers: Vec<Address> = self.config.servers().iter().cloned().collect();
        // A thousand machines with one configuration are not to crowd onto its first line.
        fastrand::shuffle(&mut servers);
        let mut rounds = Rounds::new(servers.len());
        for server in servers.iter().cycle() {
            if !self.anybody().await {
                return;
            }
            let (config, connector) = (self.config.clone(), Arc::clone(&self.connector));
            let resolver = &self.resolver;
            let begun = Instant::now();
            let attempt = Box::pin(attempt(&config, server, &*connector, resolver));
            let attempt = meanwhile(&mut self.roster, &mut self.commands, attempt).await;
            let (lived, failure) = match attempt {
                None => continue,
                Some(Err(failure)) => {
                    debug!(source = "zookeeper", server = %server, error = failure.error().chain(), "no session");
                    (None, failure)
                }
                Some(Ok((address, established))) => {
                    let since = Instant::now();
                    info!(source = "zookeeper", server = %server, %address, "session established");
                    self.roster.witness.tell(Deed::Connected { took: begun.elapsed() });
                    let timeouts = config.timeouts();
                    match generation::run(&mut self.roster, &mut self.commands, established, timeouts).await {
                        End::Unused => continue,
                        End::Lost(failure) => {
                            let error = failure.error().chain();
                            warn!(source = "zookeeper", server = %server, error, "session lost");
                            self.roster.witness.tell(Deed::Lost);
                            // One in which nothing was heard is no better than none.
                            (self.roster.outage.heard().then(|| since.elapsed()), failure)
                        }
                    }
                }
            };
            if let Next::BackOff(failures) = rounds.ended(lived) {
                self.roster.fail(&failure);
                let pause = Box::pin(sleep(self.backoff.delay(failures)));
                meanwhile(&mut self.roster, &mut self.commands, pause).await;
            }
        }
    }

    /// Waits until somebody wants to know something; `false` when nobody ever will.
    async fn anybody(&mut self) -> bool {
        while self.roster.is_empty() {
            let Some(command) = self.commands.recv().await else { return false };
            self.roster.obey(command);
        }
        true
    }
}

/// Does something while members come and go; gives up when the last has gone.
async fn meanwhile<T>(
    roster: &mut Roster,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    work: impl Future<Output = T> + Unpin,
) -> Option<T> {
    let mut work = work;
    loop {
        let due = roster.outage.due();
        tokio::select! {
            done = &mut work => return Some(done),
            // Members hold senders, so there is always somebody who could still send.
            Some(command) = commands.recv() => {
                roster.obey(command);
                if roster.is_empty() {
                    return None;
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => roster.fail_overdue(),
        }
    }
}

/// Tries each address of a server, in an order of chance.
async fn attempt(
    config: &EnsembleConfig,
    server: &Address,
    connector: &dyn Connect,
    resolver: &impl Resolve,
) -> Result<(SocketAddr, Established), Failure> {
    let doing = || format!("connecting to {server}");
    let within = config.timeouts().connect;
    let Ok(found) = timeout(within, resolver.resolve(server)).await else {
        return Err(Failure::new(doing(), &format!("its name did not resolve within {within:?}")));
    };
    let mut addresses = found.map_err(|error| Failure::new(doing(), &error.to_string()))?;
    fastrand::shuffle(&mut addresses);
    let mut last = Failure::new(doing(), "its name has no address");
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        match connector.connect(&server.host().to_string(), address, config).await {
            Ok(established) => return Ok((address, established)),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// How many addresses of one name are tried before it is the next server's turn.
const MAX_ADDRESSES: usize = 8;

#[cfg(test)]
mod tests;
