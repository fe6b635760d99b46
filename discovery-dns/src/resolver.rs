//! A set of nameservers, and all that is asked of them.

use std::{fmt, sync::Arc, time::Duration};

use discovery_core::{Backoff, Watcher};
use tokio::sync::mpsc;

use crate::{
    board::Board,
    driver::{Driver, Listener},
    exchange::Exchange,
    hickory::Hickory,
    member::Member,
    nameserver::Nameservers,
    resolving::Resolving,
    server::Server,
    system::System,
};

/// A handle on the questions to one set of nameservers. Cloning it costs two reference counts and asks nothing.
///
/// A question that several services have is asked once for all of them.
#[derive(Clone)]
pub struct Resolver {
    driver: mpsc::UnboundedSender<Listener>,
    /// For error messages.
    nameservers: Arc<str>,
}

impl Resolver {
    /// A handle, and the driver that does its work: spawn it, or poll it beside other things, on a Tokio runtime with time and I/O.
    ///
    /// Nothing is asked before the driver is polled and a watcher was made. The driver ends when the last handle and the last
    /// watcher are gone; when it is dropped, watchers end.
    ///
    /// `backoff` says how long to wait after a question has failed; no longer than the interval of the watchers, though.
    pub fn new(
        nameservers: Nameservers,
        backoff: Backoff,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        Self::through(nameservers, backoff, Arc::new(Hickory::default()))
    }

    /// The same, through an exchange of choice.
    pub(crate) fn through(
        nameservers: Nameservers,
        backoff: Backoff,
        exchange: Arc<dyn Exchange>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (driver, commands) = mpsc::unbounded_channel();
        let shown = nameservers.to_string().into();
        let run = Driver::new(System::new(nameservers), exchange, backoff, commands).run();
        (Self { driver, nameservers: shown }, run)
    }

    /// Watches the addresses of these servers. They are asked for when their TTL is over, but at least every so often, and at most
    /// every second.
    pub fn member(&self, servers: impl IntoIterator<Item = Server>, every: Duration) -> Member {
        Member::new(servers.into_iter().collect(), self.board(every))
    }

    /// Resolves the names in what `watcher` says, as often as [`member`](Self::member) does.
    pub fn resolving<W: Watcher>(&self, watcher: W, every: Duration) -> Resolving<W> {
        Resolving::new(watcher, self.board(every))
    }

    fn board(&self, every: Duration) -> Board {
        Board::new(self.driver.clone(), Arc::clone(&self.nameservers), every)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("nameservers", &self.nameservers).finish_non_exhaustive()
    }
}
