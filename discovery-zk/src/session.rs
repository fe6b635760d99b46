//! One session with one server: the seam between what is read and the client crate that reads it.

#[cfg(test)]
mod contract;
mod ledger;
mod life;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod wire;
mod zookeeper_async;
#[cfg(feature = "zk-tls")]
mod zookeeper_client;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::{
    config::{Client, EnsembleConfig},
    failure::{Failure, reason},
};

/// How many requests of one session are best under way at a time: more would only wait for their turn, while their deadlines run.
pub(crate) const UNDER_WAY: usize = 48;

/// How long a session has to close.
const CLOSING: Duration = Duration::from_millis(500);

// What is told of what happened.
const LOST: &str = "the connection to the server was lost";
const UNREADABLE: &str = "the user may not read this node: grant `read` to it, or set `user` and `password`";
const UNTAKEN: &str = "the server does not take the credentials";
const UNUSABLE: &str = "the client has stopped at something that the server said";

/// What a watch is for: chosen by whoever arms it, given back when it fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Which member it belongs to.
    pub(crate) member: u64,
    /// What of the member's it watches.
    pub(crate) what: What,
}

/// What a watch is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// The names of a node's children.
    Children,
    /// Whether there is that node.
    Node,
    /// The node that holds a service's generator configuration.
    Settings,
    /// The data of one child.
    Child(Arc<str>),
}

/// What a session says without being asked.
#[derive(Debug)]
pub(crate) enum Event {
    /// A watch has fired. It is not armed any more.
    Fired {
        /// Which.
        mark: Mark,
        /// The node that was watched is deleted.
        gone: bool,
    },
    /// The session is of no use any more: no answer and no event can be relied on. Told once at least, with the reason.
    Ended(String),
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no such node. No watch is armed by [`Session::children`] and [`Session::data`] then.
    NoNode,
    /// The server refuses this request, as it will refuse the same again; the session is as good as before. What it says.
    Refused(String),
    /// The session is of no use any more. Why.
    Lost(String),
}

/// One session with one server. Requests may be made while others are under way, and are answered in the order they were
/// made in: whoever wants many answers asks for many at a time, but for no more than [`UNDER_WAY`].
///
/// Watches fire once, through the [`Established`] channel. A mark is armed at most once on one path: who asks with a mark has none
/// armed. An event may be received before the answer that armed its watch. It may even tell of a change before that answer, when there are
/// several marks on one path; it then never says that the node is gone. So whoever has an event asks again, in any case. The events of
/// one session come in the order in which the server made them, but for those of watches that were armed a moment before.
///
/// Any answer may take for ever: who asks sets the deadline. Dropping a request's future leaves the session in order.
#[async_trait]
pub(crate) trait Session: fmt::Debug + Send + Sync {
    /// The names of a node's children, in any order. With a mark: tells when one comes or goes, or the node itself goes.
    async fn children(&self, path: &str, watch: Option<Mark>) -> Result<Vec<String>, Fault>;

    /// What a node holds. With a mark: tells when it is written or deleted.
    async fn data(&self, path: &str, watch: Option<Mark>) -> Result<Vec<u8>, Fault>;

    /// Whether there is a node. With a mark: tells when it is made, written or deleted, whatever the answer is now.
    async fn exists(&self, path: &str, watch: Option<Mark>) -> Result<bool, Fault>;

    /// Lets go of whatever a member watches on a node and on its children. Nothing is told of it any more, but for what is under way
    /// already, and nothing is kept of it; the server may go on watching until something happens there.
    fn forget(&self, member: u64, path: &str);

    /// Ends the session politely, as far as that is possible within half a second. Dropping ends it too, but a server
    /// may then keep it until its time is up.
    async fn close(&self);
}

/// A session that a server has confirmed, with all credentials added.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) session: Arc<dyn Session>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
}

/// Makes sessions.
#[async_trait]
pub(crate) trait Connect: fmt::Debug + Send + Sync {
    /// Establishes a session with the server at one address, within the configuration's `connect` time. `name` is the host as it was configured,
    /// for certificates. What was begun when this future is dropped ends by itself.
    async fn connect(
        &self,
        name: &str,
        address: SocketAddr,
        config: &EnsembleConfig,
    ) -> Result<Established, Failure>;
}

/// What makes sessions under this configuration.
pub(crate) fn connector(config: &EnsembleConfig) -> Arc<dyn Connect> {
    match config.client() {
        Client::ZookeeperAsync => Arc::new(zookeeper_async::ZookeeperAsync),
        #[cfg(feature = "zk-tls")]
        Client::ZookeeperClient => Arc::new(zookeeper_client::ZookeeperClient),
        #[cfg(not(feature = "zk-tls"))]
        Client::ZookeeperClient => unreachable!("no configuration asks for what was not built"),
    }
}

fn connecting(name: &str, address: SocketAddr) -> String {
    if name == address.ip().to_string() {
        format!("connecting to {address}")
    } else {
        format!("connecting to {name} at {address}")
    }
}

fn late(within: Duration) -> String {
    format!("no session within {within:?}: the server does not answer, or has no quorum")
}

/// What is told of credentials that were not taken; never what they are.
fn denied(scheme: &str, fault: &Fault) -> String {
    format!("adding credentials of the scheme {scheme}: {}", reason(fault))
}
