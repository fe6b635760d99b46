//! One service as a source.

use std::fmt;

use async_trait::async_trait;
use discovery_core::{
    Snapshot, WatchError, Watcher,
    shared::{Slot, View},
};
use tokio::sync::{mpsc, watch};

use crate::{
    known::Known,
    node::Node,
    roster::{Command, MemberId},
};

/// The endpoints that are registered below one node, as a [`Watcher`].
///
/// Made by [`Ensemble::member`](crate::Ensemble::member); answers for as long as the ensemble's driver runs. Dropping it ends
/// the watches.
///
/// A node that does not exist is a service that nobody serves yet: an empty answer, and another once it exists. An equal
/// answer about every thirty seconds says that the server was heard of and nothing has changed.
///
/// # Errors
///
/// [`Retry::After`](discovery_core::Retry::After) zero when no server of the ensemble could be reached: once after each round of
/// attempts, which the driver paces. [`Retry::Backoff`](discovery_core::Retry::Backoff) when this node or one of its children
/// cannot be read, for want of permission, say: it is tried again when `next` is called again.
/// [`Retry::Never`](discovery_core::Retry::Never) when the driver was dropped.
pub struct Member {
    id: MemberId,
    node: Node,
    view: View<Known>,
    driver: mpsc::UnboundedSender<Command>,
    /// The last answer was an error. Whether the driver will try again by itself depends on what happened before and since;
    /// it knows, so it is asked each time.
    ask_again: bool,
}

impl Member {
    pub(crate) fn new(
        id: MemberId,
        node: Node,
        servers: &str,
        slot: watch::Receiver<Slot<Known>>,
        driver: mpsc::UnboundedSender<Command>,
    ) -> Self {
        let doing = format!("watching {} in ZooKeeper ({servers})", node.path());
        let read = node.clone();
        let view = View::new(doing, slot, move |known: &Known| known.snapshot(&read));
        Self { id, node, view, driver, ask_again: false }
    }

    /// What it watches.
    pub fn node(&self) -> &Node {
        &self.node
    }
}

#[async_trait]
impl Watcher for Member {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        if std::mem::take(&mut self.ask_again) {
            // Without a driver there is nobody to ask, as the view finds.
            let _ = self.driver.send(Command::Retry(self.id));
        }
        let answer = self.view.next().await;
        self.ask_again = answer.is_err();
        answer
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A driver that has ended watches nothing any more.
        let _ = self.driver.send(Command::Leave(self.id));
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("node", &self.node).finish_non_exhaustive()
    }
}
