//! One Docker, for all services that have containers there.

use std::{fmt, sync::Arc, time::Duration};

use discovery_core::{Backoff, shared::Slot};
use tokio::sync::{mpsc, watch};

use crate::{
    client::Client,
    config::{DaemonConfig, Server},
    driver::{Driver, Listener},
    member::Member,
    selector::Selector,
};

/// A handle on what is asked of one Docker. Cloning it costs two reference counts and asks nothing.
///
/// All services share its questions.
#[derive(Clone)]
pub struct Daemon {
    driver: mpsc::UnboundedSender<Listener>,
    /// For error messages.
    shown: Arc<str>,
}

impl Daemon {
    /// A handle, and the driver that does its work: spawn it, or poll it beside other things, on a Tokio runtime with time and I/O.
    /// It spawns a task for each connection that it has.
    ///
    /// Nothing is asked before the driver is polled and a [`Member`] was made. The driver ends when the last handle and the last
    /// member are gone; when it is dropped, members end.
    ///
    /// `backoff` says how long to wait after a failure; no longer than the interval of the members, though.
    pub fn new(config: DaemonConfig, backoff: Backoff) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (driver, commands) = mpsc::unbounded_channel();
        let shown = config.to_string().into();
        // Made when it is polled: only then is there a runtime that tells the time.
        let run = async move { Driver::new(Client::new(config), backoff, commands).run().await };
        (Self { driver, shown }, run)
    }

    /// Watches the containers that a selector wants, as endpoints of `server`, whose Docker this is. Beside what Docker tells by
    /// itself, it is asked at least so often, but at most once a second.
    pub fn member(&self, server: Server, selector: Selector, every: Duration) -> Member {
        let (slot, seen) = watch::channel(Slot::default());
        // Without a driver the slot is dropped here, which is how the member learns of it.
        let _ = self.driver.send(Listener { every, slot });
        Member::new(server, selector, &self.shown, seen, self.driver.clone())
    }
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon").field("at", &self.shown).finish_non_exhaustive()
    }
}
