//! One service, as one Docker has it.

use std::fmt;

use async_trait::async_trait;
use discovery_core::{
    Snapshot, WatchError, Watcher,
    shared::{Slot, View},
};
use tokio::sync::{mpsc, watch};

use crate::{
    config::Server,
    driver::{Listener, Listing},
    selector::Selector,
};

/// The containers of a service on one server: made by [`Daemon::member`](crate::Daemon::member).
///
/// A service that has containers on several servers has a member for each, and is their
/// [union](discovery_core::multi::Multi::union): each fails for itself, and what it said last stays.
pub struct Member {
    view: View<Listing>,
    /// The driver goes on as long as somebody wants to know.
    _driver: mpsc::UnboundedSender<Listener>,
}

impl Member {
    pub(crate) fn new(
        server: Server,
        selector: Selector,
        daemon: &str,
        seen: watch::Receiver<Slot<Listing>>,
        driver: mpsc::UnboundedSender<Listener>,
    ) -> Self {
        let doing = format!("listing the containers of Docker at {daemon}");
        let view = View::new(doing, seen, move |entries: &Listing| selector.snapshot(&server, entries));
        Self { view, _driver: driver }
    }
}

#[async_trait]
impl Watcher for Member {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        self.view.next().await
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("view", &self.view).finish_non_exhaustive()
    }
}
