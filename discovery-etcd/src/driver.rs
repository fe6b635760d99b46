//! What keeps a cluster connected.

use std::sync::Arc;

use discovery_core::{
    Backoff,
    shared::{Next, Rounds},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, info, warn};

use crate::{
    address::Address,
    config::ClusterConfig,
    failure::{Failure, Kind},
    generation::{self, End},
    pace::Pace,
    roster::{Command, Roster},
    session,
};

/// Connects to one endpoint after the other, and lets the members live on the connection.
///
/// The client has a balancer over several endpoints of its own. It goes on using those that are dead, so each connection is
/// one to one endpoint.
pub(crate) struct Driver {
    config: Arc<ClusterConfig>,
    backoff: Backoff,
    commands: mpsc::UnboundedReceiver<Command>,
    roster: Roster,
}

impl Driver {
    pub(crate) fn new(
        config: ClusterConfig,
        backoff: Backoff,
        pace: Pace,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        Self { config: Arc::new(config), backoff, commands, roster: Roster::new(pace) }
    }

    /// Runs until nobody can want anything any more.
    pub(crate) async fn run(mut self) {
        let mut endpoints: Vec<Address> = self.config.endpoints().iter().cloned().collect();
        // A thousand machines with one configuration are not to crowd onto its first line.
        fastrand::shuffle(&mut endpoints);
        let mut rounds = Rounds::new(endpoints.len()).with_stable(self.roster.pace.stable);
        for address in endpoints.iter().cycle() {
            let Some(key) = self.anybody().await else { return };
            let config = Arc::clone(&self.config);
            // Boxed: all that gRPC and TLS keep while they connect is not to stay in the driver's own future.
            let connecting = Box::pin(session::establish(&config, address, &key));
            let established = self.meanwhile(connecting).await;
            let (lived, failure) = match established {
                None => continue,
                Some(Err(failure)) => {
                    debug!(source = "etcd", endpoint = %address, error = failure.chain(), "no connection");
                    (None, failure)
                }
                Some(Ok(session)) => {
                    let since = Instant::now();
                    info!(source = "etcd", endpoint = %address, "connected");
                    let request = config.timeouts().request;
                    match generation::run(&mut self.roster, &mut self.commands, session, request).await {
                        End::Unused => continue,
                        End::Lost(failure) => {
                            self.note(address, &failure);
                            self.roster.lose(&failure);
                            // One on which nothing was heard is no better than none.
                            (self.roster.outage.heard().then(|| since.elapsed()), failure)
                        }
                    }
                }
            };
            if let Next::BackOff(failures) = rounds.ended(lived) {
                self.roster.fail(&failure);
                self.meanwhile(sleep(self.backoff.delay(failures))).await;
            }
        }
    }

    /// Waits until somebody wants to know something, and says where: a key that can be read if any can be. `None` when nobody ever will.
    async fn anybody(&mut self) -> Option<String> {
        loop {
            if let Some(prefix) = self.roster.readable() {
                return Some(prefix.as_str().to_owned());
            }
            let command = self.commands.recv().await?;
            self.roster.obey(command);
        }
    }

    /// Does something while members come and go; gives up when the last has gone.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            let due = self.roster.outage.due();
            tokio::select! {
                done = &mut work => return Some(done),
                // Members hold senders, so there is always somebody who could still send.
                Some(command) = self.commands.recv() => {
                    self.roster.obey(command);
                    if self.roster.members.is_empty() {
                        return None;
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.roster.fail_overdue(),
            }
        }
    }

    /// A connection has ended.
    fn note(&mut self, address: &Address, failure: &Failure) {
        let error = failure.chain();
        match failure.kind() {
            Kind::Token => info!(source = "etcd", endpoint = %address, error, "authenticating again"),
            Kind::TooLong => {
                warn!(source = "etcd", endpoint = %address, error, "connection given up; listing every prefix again");
                self.roster.forget();
            }
            Kind::Prefix | Kind::Connection | Kind::Slow | Kind::Compacted => {
                warn!(source = "etcd", endpoint = %address, error, "connection lost");
            }
        }
    }
}
