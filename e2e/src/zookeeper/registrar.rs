//! A publisher, as nerve and go-nerve are.

use std::time::Duration;

use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use tokio::time::timeout;
use zookeeper_client::{
    Acl, Acls, Client, CreateMode, CreateOptions, Error, MultiWriteError, MultiWriteResult, MultiWriter,
    SessionState,
};

use super::{RegistrarOptions, Registration};
use crate::wait::Wait;

/// Longest wait for the answer to one request, one that comes after a reconnect included.
const ANSWER: Duration = Duration::from_secs(20);
/// Longest wait for many thousand nodes.
const MANY: Duration = Duration::from_mins(2);
/// How soon a server that says nothing is given up for another.
const SILENCE: Duration = Duration::from_secs(2);
/// Nodes in one transaction, and their data and paths in bytes: a request has to fit the megabyte that ZooKeeper takes.
const BATCH: (usize, usize) = (1_000, 256 * 1024);
/// Transactions under way at a time.
const PIPELINE: usize = 4;

/// Whether a node goes with its session, and whether ZooKeeper numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeKind {
    /// Stays until it is deleted.
    Persistent,
    /// Stays, and ten digits are appended to its name.
    PersistentSequential,
    /// Goes with the session.
    Ephemeral,
    /// Goes with the session, and ten digits are appended to its name.
    EphemeralSequential,
}

impl NodeKind {
    fn mode(self) -> CreateMode {
        match self {
            Self::Persistent => CreateMode::Persistent,
            Self::PersistentSequential => CreateMode::PersistentSequential,
            Self::Ephemeral => CreateMode::Ephemeral,
            Self::EphemeralSequential => CreateMode::EphemeralSequential,
        }
    }

    fn is_sequential(self) -> bool {
        matches!(self, Self::PersistentSequential | Self::EphemeralSequential)
    }
}

/// A publisher with a session of its own.
///
/// Each method panics when ZooKeeper refuses, or does not answer within 20 s: while it is connecting again, requests
/// wait. Dropping it closes the session, soon after, and its ephemeral nodes go with that; [`close`](Self::close) waits.
#[derive(Debug)]
pub struct Registrar {
    client: Client,
    hosts: String,
    acls: Vec<Acl>,
}

impl Registrar {
    /// Connects with default options to one of `hosts`, each `HOST:PORT`.
    pub async fn connect(hosts: &[String]) -> Self {
        Self::connect_with(hosts, RegistrarOptions::new()).await
    }

    /// Connects to one of `hosts`, each `HOST:PORT`.
    pub async fn connect_with(hosts: &[String], options: RegistrarOptions) -> Self {
        let mut connector = Client::connector()
            .with_session_timeout(options.session_timeout)
            .with_connection_timeout(SILENCE);
        if let Some(auth) = &options.auth {
            connector = connector.with_auth("digest", auth.as_bytes());
        }
        if options.abandoning {
            connector = connector.with_detached();
        }
        let hosts = hosts.join(",");
        let client = timeout(ANSWER, connector.connect(&hosts))
            .await
            .unwrap_or(Err(Error::Timeout))
            .unwrap_or_else(|error| panic!("connecting a publisher to {hosts}: {error}"));
        Self { client, hosts, acls: options.acls() }
    }

    /// The client, for what is to fail, and for what this type has no method for.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The session's id.
    pub fn session(&self) -> i64 {
        self.client.session_id().0
    }

    /// Creates a persistent node and what is missing above it; nothing happens if it exists.
    pub async fn create_path(&self, path: &str) {
        let options = self.options(NodeKind::Persistent);
        self.insist("creating", path, || self.client.mkdir(path, &options)).await;
    }

    /// Registers a server below `path`, as its publisher does: an ephemeral node with a number. Creates `path` if that is
    /// missing. Returns the node's path.
    pub async fn register(&self, path: &str, registration: &Registration) -> String {
        self.publish(path, &registration.node(), registration).await
    }

    /// As [`register`](Self::register), as nerve does with `use_path_encoding`: what the node holds is in its name as well.
    pub async fn register_encoded(&self, path: &str, registration: &Registration) -> String {
        self.publish(path, &registration.encoded_node(), registration).await
    }

    async fn publish(&self, path: &str, name: &str, registration: &Registration) -> String {
        self.create_missing(path).await;
        let path = format!("{path}/{name}");
        self.create_once(&path, registration.json().as_bytes(), NodeKind::EphemeralSequential).await
    }

    /// Registers many servers below `path` quickly; returns the nodes' paths, in the same order.
    pub async fn register_many(&self, path: &str, registrations: &[Registration]) -> Vec<String> {
        self.publish_many(path, registrations, Registration::node).await
    }

    /// As [`register_many`](Self::register_many), with the names of [`register_encoded`](Self::register_encoded).
    pub async fn register_many_encoded(&self, path: &str, registrations: &[Registration]) -> Vec<String> {
        self.publish_many(path, registrations, Registration::encoded_node).await
    }

    async fn publish_many(
        &self,
        path: &str,
        registrations: &[Registration],
        name: fn(&Registration) -> String,
    ) -> Vec<String> {
        self.create_missing(path).await;
        let nodes =
            registrations.iter().map(|one| (format!("{path}/{}", name(one)), one.json().into_bytes()));
        self.create_many(nodes, NodeKind::EphemeralSequential).await
    }

    async fn create_missing(&self, path: &str) {
        if !self.exists(path).await {
            self.create_path(path).await;
        }
    }

    /// Creates one node, whose parent must exist; returns its path, with the number that ZooKeeper gave it.
    pub async fn create(&self, path: &str, data: impl AsRef<[u8]>, kind: NodeKind) -> String {
        self.exists("/").await;
        self.create_once(path, data.as_ref(), kind).await
    }

    /// Creates a node on a connection that was proven just now: a second try, after the loss of an answer, may leave two.
    async fn create_once(&self, path: &str, data: &[u8], kind: NodeKind) -> String {
        let options = self.options(kind);
        let created = timeout(ANSWER, self.client.create(path, data, &options));
        match created.await.unwrap_or(Err(Error::Timeout)) {
            Ok((_, number)) if kind.is_sequential() => format!("{path}{number}"),
            Ok(_) => path.to_owned(),
            Err(error) => panic!("creating {path}: {error}"),
        }
    }

    /// Creates many nodes, whose parents must exist, in transactions of up to a thousand; returns their paths, in the same
    /// order. Those who watch the parent hear of each transaction once.
    pub async fn create_many(
        &self,
        nodes: impl IntoIterator<Item = (String, Vec<u8>)>,
        kind: NodeKind,
    ) -> Vec<String> {
        let options = self.options(kind);
        let size = |(path, data): &(String, Vec<u8>)| path.len() + data.len();
        let add = |writer: &mut MultiWriter<'_>, (path, data): &(String, Vec<u8>)| {
            writer.add_create(path, data, &options)
        };
        let results = self.transactions("creating", nodes, size, add).await;
        results
            .into_iter()
            .map(|result| match result {
                MultiWriteResult::Create { path, .. } => path,
                other => panic!("creating many nodes: an unexpected answer, {other:?}"),
            })
            .collect()
    }

    /// Deletes many nodes, which must exist, in transactions of up to a thousand.
    pub async fn delete_many(&self, paths: &[String]) {
        let add = |writer: &mut MultiWriter<'_>, path: &&String| writer.add_delete(path, None);
        self.transactions("deleting", paths, |path| path.len(), add).await;
    }

    async fn transactions<T>(
        &self,
        doing: &str,
        items: impl IntoIterator<Item = T>,
        size: impl Fn(&T) -> usize,
        add: impl Fn(&mut MultiWriter<'_>, &T) -> Result<(), Error>,
    ) -> Vec<MultiWriteResult> {
        // As for a single one: these cannot be tried twice.
        self.exists("/").await;
        let mut items = items.into_iter().peekable();
        let transactions = std::iter::from_fn(|| {
            let (mut writer, mut count, mut bytes) = (self.client.new_multi_writer(), 0, 0);
            while let Some(item) =
                items.next_if(|item| count == 0 || count < BATCH.0 && bytes + size(item) <= BATCH.1)
            {
                add(&mut writer, &item).unwrap_or_else(|error| panic!("{doing} many nodes: {error}"));
                count += 1;
                bytes += size(&item);
            }
            // Committing sends; the future is only the answer.
            (count > 0).then(|| writer.commit())
        });
        let answers: Result<Vec<Vec<MultiWriteResult>>, MultiWriteError> =
            timeout(MANY, iter(transactions).buffered(PIPELINE).try_collect())
                .await
                .unwrap_or(Err(Error::Timeout.into()));
        let answers = answers.unwrap_or_else(|error| panic!("{doing} many nodes: {error}"));
        answers.into_iter().flatten().collect()
    }

    /// Writes a node's data. The node must exist.
    pub async fn set(&self, path: &str, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        self.insist("writing", path, || self.client.set_data(path, data, None)).await;
    }

    /// A node's data; `None` if there is no such node.
    pub async fn data(&self, path: &str) -> Option<Vec<u8>> {
        let read = || async {
            match self.client.get_data(path).await {
                Ok((data, _)) => Ok(Some(data)),
                Err(Error::NoNode) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.insist("reading", path, read).await
    }

    /// Whether there is such a node.
    pub async fn exists(&self, path: &str) -> bool {
        self.insist("looking for", path, || self.client.check_stat(path)).await.is_some()
    }

    /// The names of a node's children, in order. The node must exist.
    pub async fn children(&self, path: &str) -> Vec<String> {
        let mut children = self.insist("listing", path, || self.client.list_children(path)).await;
        children.sort_unstable();
        children
    }

    /// Deletes a node, which must exist and have no children.
    pub async fn delete(&self, path: &str) {
        let mut tries = 0;
        let delete = || {
            tries += 1;
            let repeated = tries > 1;
            async move {
                match self.client.delete(path, None).await {
                    // The answer to an earlier try was lost.
                    Err(Error::NoNode) if repeated => Ok(()),
                    result => result,
                }
            }
        };
        self.insist("deleting", path, delete).await;
    }

    /// Closes the session; on return it and its ephemeral nodes are gone at the server that it was connected to. An
    /// [abandoning](RegistrarOptions::abandoning) one only closes its connection.
    pub async fn close(self) {
        let (session, hosts) = (self.session(), self.hosts.clone());
        let mut states = self.client.state_watcher();
        drop(self);
        let closed = async {
            loop {
                match states.changed().await {
                    SessionState::Closed => return Ok(()),
                    // The connection was given up before the answer came, and ZooKeeper is about to end the session, or has. The
                    // next session is opened after that.
                    SessionState::Expired => return Client::connect(&hosts).await.map(drop),
                    SessionState::Disconnected | SessionState::SyncConnected => {}
                    other => panic!("closing the session {session:#x}: it is {other}"),
                }
            }
        };
        let closed = timeout(ANSWER, closed).await.unwrap_or(Err(Error::Timeout));
        closed.unwrap_or_else(|error| panic!("closing the session {session:#x}: {error}"));
    }

    fn options(&self, kind: NodeKind) -> CreateOptions<'_> {
        kind.mode().with_acls(Acls::new(&self.acls))
    }

    /// Does what can be done twice, again whenever the connection was lost meanwhile.
    async fn insist<T, F>(&self, doing: &str, path: &str, mut request: impl FnMut() -> F) -> T
    where
        F: Future<Output = Result<T, Error>>,
    {
        let what = format!("{doing} {path}");
        let mut wait = Wait::new(ANSWER, &what);
        loop {
            let answer = request();
            let attempt = async {
                match answer.await {
                    // The second is what the client makes of a connection that is silent, or breaks.
                    Err(error @ (Error::ConnectionLoss | Error::Custom(_))) => Err(error.to_string()),
                    result => Ok(result),
                }
            };
            if let Some(result) = wait.look(attempt).await {
                return result.unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}
