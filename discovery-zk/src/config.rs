//! What a user can set.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use discovery_core::{Backoff, Secret};
use serde::Deserialize;
use thiserror::Error;

use crate::{address::Address, node::Node, path::InvalidPath, raw};

/// The section of a configuration that names a service in ZooKeeper.
///
/// | key | type | |
/// |---|---|---|
/// | `hosts` | list of [`Address`], or one connect string | required: the servers of the ensemble, with a chroot after the last of them or without |
/// | `path` | [`Path`](crate::Path) | required: the node whose children are the endpoints; below the chroot |
/// | `decode` | `nerve`, `serverset`, or a map of `method` (one of them) and `endpoint_name` (text, for `serverset`) | see [`Decode`](crate::Decode); `nerve` unless given |
/// | `generator_config_path` | [`Path`](crate::Path), or `disabled` | where the generator configuration stands; at `path` unless given |
/// | `retry_policy` | map of `base_interval`, `max_interval`, `max_delay` (seconds), `max_attempts` (number) | the pauses between attempts to connect: see [`EnsembleConfig::retry`]; the last two have no effect, for nothing gives up here |
/// | `discovery_jitter` | seconds | see [`Node::jitter`]; 0 unless given; [ignored](Self::ignored) unless from 0 to 120 |
/// | `user`, `password` | text | both or none: digest authentication |
/// | `tls` | map of `ca`, `certificate`, `key` (paths of PEM files) | see [`Tls`] |
/// | `sasl` | map of `mechanism` (`digest-md5`), `user`, `password` | see [`Sasl`] |
/// | `client` | `zookeeper-async` or `zookeeper-client` | see [`Client`] |
/// | `session_timeout`, `connect_timeout`, `request_timeout` | seconds | see [`Timeouts`] |
///
/// Seconds may have fractions. Other keys are errors. Nothing is connected to and no file is read here.
///
/// ```
/// use discovery_zk::ZkConfig;
///
/// let config: ZkConfig = serde_json::from_str(
///     r#"{"hosts": ["zk1:2181", "zk2:2181"], "path": "/nerve/services/web"}"#,
/// )?;
/// let (ensemble, node) = config.into_parts();
/// assert_eq!(ensemble.servers().len(), 2);
/// assert_eq!(node.path().to_string(), "/nerve/services/web");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "raw::Section")]
#[cfg_attr(feature = "schema", schemars(into = "raw::Section"))]
#[cfg_attr(feature = "schema", schemars(transform = raw::without_interval))]
pub struct ZkConfig {
    ensemble: EnsembleConfig,
    node: Node,
    ignored: Option<Ignored>,
}

/// What was written and has no effect. `Display` says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Ignored {
    /// A jitter that is out of range: Synapse ignores it, too.
    #[error("has no effect: it is not from 0 to 120 s")]
    Jitter,
}

impl Ignored {
    /// The key of the section that it stands under.
    pub fn key(self) -> &'static str {
        match self {
            Self::Jitter => "discovery_jitter",
        }
    }
}

/// A [`ZkConfig`] that lists the children at most once an interval, with one key more: `polling_interval_sec`, the interval in
/// seconds, from 0 to a day, 60 unless given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "raw::Section")]
#[cfg_attr(feature = "schema", schemars(into = "raw::Section"))]
pub struct ZkPollConfig(ZkConfig);

impl ZkConfig {
    pub(crate) fn new(ensemble: EnsembleConfig, node: Node, ignored: Option<Ignored>) -> Self {
        Self { ensemble, node, ignored }
    }

    /// How to reach the ensemble, which services can share, and what to watch there.
    pub fn into_parts(self) -> (EnsembleConfig, Node) {
        (self.ensemble, self.node)
    }

    /// How to reach the ensemble.
    pub fn ensemble(&self) -> &EnsembleConfig {
        &self.ensemble
    }

    /// What to watch there.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What was written and has no effect: something to warn of.
    pub fn ignored(&self) -> Option<Ignored> {
        self.ignored
    }
}

impl ZkPollConfig {
    pub(crate) fn new(config: ZkConfig) -> Self {
        Self(config)
    }

    /// How to reach the ensemble, which services can share, and what to watch there.
    pub fn into_parts(self) -> (EnsembleConfig, Node) {
        self.0.into_parts()
    }

    /// What was written and has no effect: something to warn of.
    pub fn ignored(&self) -> Option<Ignored> {
        self.0.ignored()
    }
}

/// How to reach an ensemble. Services whose values are equal can share one [`Ensemble`](crate::Ensemble), and with it one session: it
/// can be the key of a map. In which order the servers were named, and below which chroot, makes no difference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnsembleConfig {
    servers: BTreeSet<Address>,
    auth: Option<Auth>,
    tls: Option<Tls>,
    sasl: Option<Sasl>,
    timeouts: Timeouts,
    retry: Option<Backoff>,
    client: Option<Client>,
}

/// Credentials that are added to each session once it is established (`addauth`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Auth {
    /// ZooKeeper's name for the kind of credentials: `digest`.
    pub scheme: String,
    /// For `digest`: user, colon, password.
    pub credentials: Secret,
}

/// TLS towards an ensemble. The files are read by each attempt to connect, so certificates can be renewed in place. Servers'
/// certificates must name the host as it was configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a map with `ca`")]
pub struct Tls {
    /// PEM file of the authorities that servers' certificates are checked against.
    pub ca: PathBuf,
    /// PEM file of the client's certificate and what it was signed by. Comes with `key`.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// PEM file of the client's private key. Comes with `certificate`.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// SASL by DIGEST-MD5, in the realm that the server names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sasl {
    /// Who logs in.
    pub user: String,
    /// With which password.
    pub password: Secret,
}

/// How long to wait for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// After how long without a word from us a server ends the session, and after how long without a word from it we give it up. A
    /// server may insist on another value. By default 10 s; from 2 s to 10 minutes.
    pub session: Duration,
    /// For an established session: name, connection, TLS and credentials included. By default 3 s; longer than 0, at most an
    /// hour.
    pub connect: Duration,
    /// For the answer to one request. By default 10 s; longer than 0, at most an hour.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            session: Duration::from_secs(10),
            connect: Duration::from_secs(3),
            request: Duration::from_secs(10),
        }
    }
}

/// The crate that speaks with the servers. What is discovered is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Client {
    /// The default. It can do neither TLS nor SASL.
    ZookeeperAsync,
    /// What TLS and SASL need; in builds with the feature `zk-tls`.
    ZookeeperClient,
}

/// Why a configuration makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// No server is named.
    #[error("missing or invalid zookeeper host: name the servers under `hosts`")]
    NoHosts,
    /// No path.
    #[error("invalid zookeeper path: name the node whose children are the servers under `path`")]
    NoPath,
    /// Chroot and path make no path together.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// An interval for a service that is not polled.
    #[error("`polling_interval_sec` is for the method `zookeeper_poll`; here changes are seen at once")]
    NotPolled,
    /// An interval of more than a day.
    #[error("zookeeper poll watcher expects polling_interval_sec >= 0, and at most 86400 s")]
    Interval,
    /// A user without a password, or the other way round.
    #[error("`user` and `password` go together")]
    HalfUser,
    /// An empty user, or one with a colon, where digest authentication ends it.
    #[error("`user` is empty or has a colon in it")]
    User,
    /// A certificate without its key, or the other way round.
    #[error("`certificate` and `key` go together")]
    HalfCertificate,
    /// A client that cannot do what is asked for.
    #[error("`tls` and `sasl` need the client `zookeeper-client`: leave `client` out")]
    Client,
    /// What is wanted of a build that cannot do it.
    #[error("`{0}` needs a build with the feature `zk-tls`, and this one is without")]
    NotBuilt(&'static str),
    /// A time-out out of its range.
    #[error("`session_timeout` is not from 2 s to 600 s")]
    Session,
    /// A time-out of nothing, or of more than an hour.
    #[error("`{0}` is not longer than 0 s and at most 3600 s")]
    Timeout(&'static str),
    /// Attempts that are none.
    #[error("`max_attempts` must be greater than 0; it has no effect, for nothing gives up here")]
    Attempts,
    /// A time to give up after that makes no sense.
    #[error("`max_delay` is not longer than 0 s; it has no effect, for nothing gives up here")]
    Delay,
    /// Pauses that make no sense.
    #[error(
        "`base_interval` is not longer than 0 s, or longer than `max_interval` (0.5 s and 60 s unless given), or that one is longer than 3600 s"
    )]
    Pauses,
}

impl EnsembleConfig {
    /// An ensemble of these servers, spoken to without credentials and with the default time-outs.
    pub fn new(servers: impl IntoIterator<Item = Address>) -> Result<Self, InvalidConfig> {
        let servers: BTreeSet<_> = servers.into_iter().collect();
        if servers.is_empty() {
            return Err(InvalidConfig::NoHosts);
        }
        let timeouts = Timeouts::default();
        Ok(Self { servers, auth: None, tls: None, sasl: None, timeouts, retry: None, client: None })
    }

    /// Authenticates each session as this user (`digest`).
    pub fn with_user(mut self, user: &str, password: &Secret) -> Result<Self, InvalidConfig> {
        if user.is_empty() || user.contains(':') {
            return Err(InvalidConfig::User);
        }
        let credentials = Secret::new(format!("{user}:{}", password.reveal()));
        self.auth = Some(Auth { scheme: "digest".to_owned(), credentials });
        Ok(self)
    }

    /// Speaks TLS.
    pub fn with_tls(mut self, tls: Tls) -> Result<Self, InvalidConfig> {
        if tls.certificate.is_some() != tls.key.is_some() {
            return Err(InvalidConfig::HalfCertificate);
        }
        self.tls = Some(tls);
        self.buildable("tls")
    }

    /// Logs each session in by SASL.
    pub fn with_sasl(mut self, sasl: Sasl) -> Result<Self, InvalidConfig> {
        self.sasl = Some(sasl);
        self.buildable("sasl")
    }

    /// Waits for as long as this.
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Result<Self, InvalidConfig> {
        let Timeouts { session, connect, request } = timeouts;
        if !(Duration::from_secs(2)..=Duration::from_mins(10)).contains(&session) {
            return Err(InvalidConfig::Session);
        }
        for (name, value) in [("connect_timeout", connect), ("request_timeout", request)] {
            if value.is_zero() || value > Duration::from_hours(1) {
                return Err(InvalidConfig::Timeout(name));
            }
        }
        self.timeouts = timeouts;
        Ok(self)
    }

    /// Pauses like this between attempts to connect, instead of as whoever makes the [`Ensemble`](crate::Ensemble) says.
    #[must_use]
    pub fn with_retry(mut self, retry: Backoff) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Speaks through this crate.
    pub fn with_client(mut self, client: Client) -> Result<Self, InvalidConfig> {
        self.client = Some(client);
        self.buildable("client: zookeeper-client")
    }

    /// Whether the client that is needed can do it, and is there.
    fn buildable(self, wanted: &'static str) -> Result<Self, InvalidConfig> {
        let demanding = self.tls.is_some() || self.sasl.is_some();
        if demanding && self.client == Some(Client::ZookeeperAsync) {
            Err(InvalidConfig::Client)
        } else if cfg!(not(feature = "zk-tls")) && self.client() == Client::ZookeeperClient {
            Err(InvalidConfig::NotBuilt(wanted))
        } else {
            Ok(self)
        }
    }

    /// The servers of the ensemble, sorted; at least one.
    pub fn servers(&self) -> &BTreeSet<Address> {
        &self.servers
    }

    /// What each session is given once it is established.
    pub fn auth(&self) -> &[Auth] {
        self.auth.as_slice()
    }

    /// How TLS is spoken; `None`: it is not.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// How sessions log in by SASL; `None`: they do not.
    pub fn sasl(&self) -> Option<&Sasl> {
        self.sasl.as_ref()
    }

    /// How long to wait for a server.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The pauses between attempts to connect, if the section says anything about them; of `base_interval` (0.5 s) and
    /// `max_interval` (60 s) one may be missing.
    pub fn retry(&self) -> Option<Backoff> {
        self.retry
    }

    /// The crate that speaks with the servers: what was asked for, or else [`Client::ZookeeperClient`] for TLS and SASL and
    /// [`Client::ZookeeperAsync`] for everything else.
    pub fn client(&self) -> Client {
        let demanding = self.tls.is_some() || self.sasl.is_some();
        let fitting = if demanding { Client::ZookeeperClient } else { Client::ZookeeperAsync };
        self.client.unwrap_or(fitting)
    }
}
