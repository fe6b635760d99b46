//! One ZooKeeper ensemble.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use discovery_core::{Backoff, shared::Slot};
use tokio::sync::{mpsc, watch};

use crate::{
    config::EnsembleConfig,
    deed::{Deed, Witness},
    driver::Driver,
    member::Member,
    node::Node,
    resolve::{Hosts, Resolve},
    roster::{Command, MemberId},
    session::{self, Connect},
};

/// A handle on one session with one ensemble. Cloning it costs two reference counts and opens nothing.
///
/// All services that are watched through one ensemble share one session.
#[derive(Clone)]
pub struct Ensemble {
    driver: mpsc::UnboundedSender<Command>,
    shared: Arc<Shared>,
}

struct Shared {
    /// For error messages.
    servers: String,
    next: AtomicU64,
}

impl Ensemble {
    /// A handle, and the driver that does its work: spawn it, or poll it beside other things, on a Tokio runtime with time and I/O.
    ///
    /// Nothing is connected to before the driver is polled and a [`Member`] was made. The driver ends when the last
    /// handle and the last member are gone; dropping it ends the session, and members then end.
    ///
    /// `backoff` says how long to wait after every server has failed, unless the configuration does
    /// ([`EnsembleConfig::retry`]).
    pub fn new(config: EnsembleConfig, backoff: Backoff) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let connector = session::connector(&config);
        Self::through(config, backoff, connector, Hosts)
    }

    /// As [`new`](Self::new); `see` is told what the driver does, as it does it, on the driver's own thread: it must not block.
    pub fn witnessed<F: Fn(Deed<'_>) + Send + Sync + 'static>(
        config: EnsembleConfig,
        backoff: Backoff,
        see: F,
    ) -> (Self, impl Future<Output = ()> + Send + use<F>) {
        let connector = session::connector(&config);
        Self::made(config, backoff, connector, Hosts, Witness::new(see))
    }

    /// The same, through clients and a resolver of choice.
    pub(crate) fn through<R: Resolve>(
        config: EnsembleConfig,
        backoff: Backoff,
        connector: Arc<dyn Connect>,
        resolver: R,
    ) -> (Self, impl Future<Output = ()> + Send + use<R>) {
        Self::made(config, backoff, connector, resolver, Witness::default())
    }

    /// The same, with somebody who is told of what is done, or nobody.
    pub(crate) fn made<R: Resolve>(
        config: EnsembleConfig,
        backoff: Backoff,
        connector: Arc<dyn Connect>,
        resolver: R,
        witness: Witness,
    ) -> (Self, impl Future<Output = ()> + Send + use<R>) {
        let (driver, commands) = mpsc::unbounded_channel();
        let servers: Vec<_> = config.servers().iter().map(ToString::to_string).collect();
        let shared = Shared { servers: servers.join(", "), next: AtomicU64::new(0) };
        let backoff = config.retry().unwrap_or(backoff);
        let run = Driver::new(config, backoff, connector, resolver, commands).witnessed(witness).run();
        (Self { driver, shared: Arc::new(shared) }, run)
    }

    /// Watches what is registered below a node. Each call makes watches of its own, which begin when the driver next runs.
    pub fn member(&self, node: Node) -> Member {
        let id = MemberId(self.shared.next.fetch_add(1, Ordering::Relaxed));
        let (slot, seen) = watch::channel(Slot::default());
        // Without a driver the slot is dropped here, which is how the member learns of it.
        let _ = self.driver.send(Command::Join { id, node: node.clone(), slot });
        Member::new(id, node, &self.shared.servers, seen, self.driver.clone())
    }
}

impl fmt::Debug for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ensemble").field("servers", &self.shared.servers).finish_non_exhaustive()
    }
}
