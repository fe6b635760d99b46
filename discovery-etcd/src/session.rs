//! One connection to one member of the cluster.

use std::time::Duration;

use etcd_client::{
    Client, ConnectOptions, GetOptions, KvClient, WatchOptions, WatchRequestSender, WatchResponseStream,
};
use tokio::time::timeout;
use tracing::info;

use crate::{
    address::Address,
    config::ClusterConfig,
    failure::{self, Failure, Kind},
};

/// The longest message that is read from the watch stream, in bytes: a watch that catches up gets a thousand revisions in one.
const LONGEST_MESSAGE: usize = 64 << 20;
/// The longest page of a listing that is read, in bytes: several are read at a time. A longer one is asked for again in parts.
const LONGEST_PAGE: usize = 8 << 20;

/// A connection whose watch stream is open.
pub(crate) struct Session {
    pub(crate) kv: KvClient,
    pub(crate) requests: WatchRequestSender,
    pub(crate) responses: WatchResponseStream,
    /// Under this id a first watch was asked for, to open the stream; its answer is the stream's first sign of life.
    pub(crate) first: i64,
    /// `None` when the server keeps it from us.
    pub(crate) identity: Option<Identity>,
    /// Keeps the connection open.
    pub(crate) _client: Client,
}

/// What tells one life of a cluster's data from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cluster: u64,
    /// Raft's term: it never becomes smaller as long as the data lives.
    pub(crate) term: u64,
    pub(crate) revision: i64,
}

impl Identity {
    /// Why revisions of the data's `known` life, the newest of them `newest`, mean nothing in this one, if so.
    ///
    /// The revision is that of a linearizable read, so it is not just a server that lags behind.
    pub(crate) fn contradicts(&self, known: &Self, newest: Option<i64>) -> Option<&'static str> {
        if self.cluster != known.cluster {
            Some("it is another cluster")
        } else if self.term < known.term {
            Some("its term went backwards")
        } else if newest.is_some_and(|newest| self.revision < newest) {
            Some("its revision went backwards")
        } else {
            None
        }
    }
}

/// Connects, authenticates, and opens the watch stream, in bounded time. `key` is one that can be read, if any can be; its value
/// is not looked at.
pub(crate) async fn establish(
    config: &ClusterConfig,
    address: &Address,
    key: &str,
) -> Result<Session, Failure> {
    let doing = || format!("connecting to {address}");
    let timeouts = config.timeouts();
    let all = timeouts.connect.saturating_add(timeouts.request);
    match timeout(all, attempt(config, address, key)).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(Trouble::Client(error))) => Err(Failure::from_client(doing(), &error).of_connection()),
        Ok(Err(Trouble::Tls(what))) => Err(Failure::new(Kind::Connection, doing(), what)),
        Err(_) => Err(Failure::new(Kind::Connection, doing(), format!("no answer within {all:?}"))),
    }
}

enum Trouble {
    Client(etcd_client::Error),
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "what TLS needs"))]
    Tls(String),
}

impl From<etcd_client::Error> for Trouble {
    fn from(error: etcd_client::Error) -> Self {
        Self::Client(error)
    }
}

async fn attempt(config: &ClusterConfig, address: &Address, key: &str) -> Result<Session, Trouble> {
    let mut client = connect(config, address).await?;
    let identity = identify(&mut client, key).await?;
    let kv = client.kv_client().max_decoding_message_size(LONGEST_PAGE);
    let mut watch = client.watch_client().max_decoding_message_size(LONGEST_MESSAGE);
    let first = 1;
    // Answered with the stream's head, or refused in a message of its own, which is a sign of life as well.
    let stream = watch.watch(key, Some(WatchOptions::new().with_watch_id(first))).await?;
    let (requests, responses) = stream.split();
    Ok(Session { kv, requests, responses, first, identity, _client: client })
}

async fn connect(config: &ClusterConfig, address: &Address) -> Result<Client, Trouble> {
    let timeouts = config.timeouts();
    let options = ConnectOptions::new()
        .with_connect_timeout(timeouts.connect)
        .with_keep_alive(timeouts.keep_alive_interval, timeouts.keep_alive_timeout)
        .with_keep_alive_while_idle(true)
        // Without a leader a server would stay silent instead of saying so.
        .with_require_leader(true);
    #[cfg(feature = "tls")]
    let options = match config.tls() {
        Some(tls) => options.with_tls(tls_options(tls).await?),
        None => options,
    };
    let url = config.url(address);
    let Some((user, password)) = config.user() else {
        return Ok(Client::connect([url], Some(options)).await?);
    };
    // The token is not refreshed in place: the watch stream would keep the old one. A new connection has a new one.
    let with_user = options.clone().with_user(user, password.reveal());
    match Client::connect([&url], Some(with_user)).await {
        Err(error) if failure::needs_no_user(&error) => {
            info!(source = "etcd", endpoint = %address, "authentication is off in etcd; going on without the user");
            Ok(Client::connect([&url], Some(options)).await?)
        }
        other => Ok(other?),
    }
}

/// Asks for nothing but what cluster this is and at which revision.
async fn identify(client: &mut Client, key: &str) -> Result<Option<Identity>, etcd_client::Error> {
    match client.get(key, Some(GetOptions::new().with_count_only())).await {
        Ok(answer) => Ok(answer.header().map(|header| Identity {
            cluster: header.cluster_id(),
            term: header.raft_term(),
            revision: header.revision(),
        })),
        // Then so is one prefix, which its member will be told; the others may be permitted.
        Err(error) if Failure::from_client("", &error).kind() == Kind::Prefix => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(feature = "tls")]
async fn tls_options(tls: &crate::config::Tls) -> Result<etcd_client::TlsOptions, Trouble> {
    use etcd_client::{Certificate, Identity, TlsOptions};

    async fn read(path: &std::path::Path) -> Result<Vec<u8>, Trouble> {
        let unread = |error| Trouble::Tls(format!("reading {}: {error}", path.display()));
        tokio::fs::read(path).await.map_err(unread)
    }

    let mut options = TlsOptions::new();
    options = match &tls.ca {
        Some(ca) => options.ca_certificate(Certificate::from_pem(read(ca).await?)),
        None => options.with_enabled_roots(),
    };
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        options = options.identity(Identity::from_pem(read(certificate).await?, read(key).await?));
    }
    if let Some(name) = &tls.server_name {
        options = options.domain_name(name);
    }
    Ok(options)
}

/// Waits for an answer at most this long.
pub(crate) async fn answer<T>(
    within: Duration,
    doing: &'static str,
    request: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, Failure> {
    match timeout(within, request).await {
        Ok(answer) => answer.map_err(|error| Failure::from_client(doing, &error)),
        Err(_) => Err(Failure::new(Kind::Slow, doing, format!("no answer within {within:?}"))),
    }
}
