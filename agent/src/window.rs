//! Where the status of a running agent can be seen from outside.

use std::net::SocketAddr;

use tokio::{sync::watch, task::JoinSet};

#[cfg(feature = "status")]
use crate::http::serve;
use crate::{
    Config, Status,
    config::{self, Staleness},
};

/// Serves the status as the configuration in use has it. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Window {
    wanted: watch::Sender<Option<config::Window>>,
    staleness: watch::Sender<Staleness>,
    shown: watch::Sender<Option<WindowStatus>>,
    /// At most one.
    tasks: JoinSet<()>,
}

/// Where the status is served.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowStatus {
    /// Where it is to be served.
    pub wanted: SocketAddr,
    /// Where it is, with the port that was found for port 0; `None`: nowhere yet.
    pub listening: Option<SocketAddr>,
    /// Why it is not, if it is not: that is tried again.
    pub error: Option<String>,
}

impl Window {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            wanted: watch::Sender::new(config.window.clone()),
            staleness: watch::Sender::new(config.staleness.clone()),
            shown: watch::Sender::default(),
            tasks: JoinSet::new(),
        }
    }

    pub(crate) fn status(&self) -> watch::Receiver<Option<WindowStatus>> {
        self.shown.subscribe()
    }

    /// Begins to serve what `view` shows.
    pub(crate) fn open(&mut self, view: Status) {
        let (wanted, settings) = (self.wanted.subscribe(), self.staleness.subscribe());
        self.tasks.spawn(serve(view, wanted, settings, self.shown.clone()));
    }

    /// Goes on as another configuration has it.
    pub(crate) fn reconfigure(&mut self, config: &Config) {
        self.staleness.send_replace(config.staleness.clone());
        self.wanted.send_if_modified(|wanted| {
            let is_another = *wanted != config.window;
            wanted.clone_from(&config.window);
            is_another
        });
    }
}

/// This build serves none.
#[cfg(not(feature = "status"))]
#[expect(clippy::unused_async, reason = "the other one has something to wait for")]
async fn serve(
    _: Status,
    _: watch::Receiver<Option<config::Window>>,
    _: watch::Receiver<Staleness>,
    _: watch::Sender<Option<WindowStatus>>,
) {
}
