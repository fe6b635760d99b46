//! Where the status of a running agent can be seen from outside.

use std::net::SocketAddr;

use tokio::{sync::watch, task::JoinSet};

use crate::{
    Config, Status,
    config::{self, Staleness},
};

/// Serves the status as the configuration in use has it. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Window {
    /// What it shows, once it is open.
    view: Option<Status>,
    wanted: Option<config::Window>,
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
            view: None,
            wanted: config.window.clone(),
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
        self.view = Some(view);
        self.serve();
    }

    /// Goes on as another configuration has it.
    pub(crate) fn reconfigure(&mut self, config: &Config) {
        self.staleness.send_replace(config.staleness.clone());
        if self.wanted != config.window {
            self.wanted.clone_from(&config.window);
            self.tasks.abort_all();
            self.serve();
        }
    }

    fn serve(&mut self) {
        self.shown.send_replace(None);
        #[cfg(feature = "status")]
        if let (Some(view), Some(wanted)) = (&self.view, &self.wanted) {
            let (settings, shown) = (self.staleness.subscribe(), self.shown.clone());
            self.tasks.spawn(crate::http::serve(view.clone(), wanted.listen, settings, shown));
        }
    }
}
