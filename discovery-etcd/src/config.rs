//! What a user can set.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use discovery_core::Secret;
use serde::Deserialize;
use thiserror::Error;

use crate::{
    address::{Address, Scheme},
    prefix::Prefix,
    raw,
};

/// The section of a configuration that names a service in etcd.
///
/// | key | type | |
/// |---|---|---|
/// | `endpoints`, or `hosts` | list of [`Address`] | the members of the cluster; at least one |
/// | `host`, `port` | text, 1 to 65535 | one member, instead of `endpoints`; the port is 2379 unless given |
/// | `prefix`, or `path` | [`Prefix`] | required: the directory that the endpoints are registered below |
/// | `user`, `password` | text | both or none |
/// | `tls` | map of `ca`, `certificate`, `key` (paths of PEM files), `server_name` (text) | see [`Tls`] |
/// | `connect_timeout`, `request_timeout`, `keep_alive_interval`, `keep_alive_timeout` | seconds, fractions too | see [`Timeouts`] |
///
/// Other keys are errors. Nothing is connected to and no file is read here.
///
/// ```
/// use discovery_etcd::EtcdConfig;
///
/// let config: EtcdConfig = serde_json::from_str(
///     r#"{"endpoints": ["etcd-1:2379", "etcd-2:2379"], "prefix": "/services/web"}"#,
/// )?;
/// let (cluster, prefix) = config.into_parts();
/// assert_eq!(prefix.to_string(), "/services/web/");
/// assert_eq!(cluster.endpoints().len(), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "raw::Section")]
#[cfg_attr(feature = "schema", schemars(into = "raw::Section"))]
pub struct EtcdConfig {
    cluster: ClusterConfig,
    prefix: Prefix,
}

impl EtcdConfig {
    pub(crate) fn new(cluster: ClusterConfig, prefix: Prefix) -> Self {
        Self { cluster, prefix }
    }

    /// How to reach the cluster, which services can share, and what to watch there.
    pub fn into_parts(self) -> (ClusterConfig, Prefix) {
        (self.cluster, self.prefix)
    }

    /// How to reach the cluster.
    pub fn cluster(&self) -> &ClusterConfig {
        &self.cluster
    }

    /// What to watch there.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }
}

/// How to reach a cluster. Services whose values are equal can share one [`Cluster`](crate::Cluster): it can be the key of a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterConfig {
    endpoints: BTreeSet<Address>,
    user: Option<(String, Secret)>,
    tls: Option<Tls>,
    timeouts: Timeouts,
}

/// TLS towards a cluster. The files are read by each attempt to connect, so certificates can be renewed in place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the authorities that servers' certificates are checked against; without it, those of the system.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// PEM file of the client's certificate and what it was signed by. Comes with `key`.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// PEM file of the client's private key. Comes with `certificate`.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// The name that servers' certificates must have; without it, the host that is connected to.
    #[serde(default)]
    pub server_name: Option<String>,
}

/// How long to wait for a server. Each is longer than 0 and at most an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// For a connection, TLS included. By default 3 s.
    pub connect: Duration,
    /// For the answer to one request. By default 5 s.
    pub request: Duration,
    /// A connection that was silent for this long is asked whether it lives. By default 6 s, at least 5 s: a server of etcd's
    /// hangs up on clients that ask more often (`--grpc-keepalive-min-time`).
    pub keep_alive_interval: Duration,
    /// How long it then has to answer. By default 4 s. A server that froze is noticed within the sum of this and
    /// `keep_alive_interval`.
    pub keep_alive_timeout: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            request: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(6),
            keep_alive_timeout: Duration::from_secs(4),
        }
    }
}

/// Why a configuration makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// No member of the cluster is named.
    #[error("no member of the cluster is named: set `endpoints`, or `host`")]
    NoEndpoints,
    /// Both `endpoints` and `host` or `port`.
    #[error("`endpoints` and `host` exclude each other")]
    TwiceEndpoints,
    /// `port` without `host`.
    #[error("`port` needs `host`; the ports of `endpoints` are written there")]
    PortAlone,
    /// A user without a password, or the other way round.
    #[error("`user` and `password` go together")]
    HalfUser,
    /// A certificate without its key, or the other way round.
    #[error("`certificate` and `key` go together")]
    HalfCertificate,
    /// `http://` and a `tls` section.
    #[error("an endpoint says http:// and there is a `tls` section: https:// is meant, or no scheme at all")]
    PlainWithTls,
    /// Some endpoints say `https://`, the others speak in the clear.
    #[error("some endpoints are https:// and some are not")]
    Mixed,
    /// TLS is wanted of a build that has none.
    #[error("this build has no TLS: the feature `tls` is off")]
    NoTls,
    /// A time-out of nothing, or of more than an hour.
    #[error("`{0}` is not longer than 0 s and at most 3600 s")]
    Timeout(&'static str),
    /// Asking more often than a server accepts.
    #[error("`keep_alive_interval` is shorter than 5 s: servers hang up on clients that ask more often")]
    KeepAlive,
}

impl ClusterConfig {
    /// A cluster of these members, spoken to without user and with the default time-outs; over TLS when they say `https://`.
    pub fn new(endpoints: impl IntoIterator<Item = Address>) -> Result<Self, InvalidConfig> {
        let endpoints: BTreeSet<_> = endpoints.into_iter().collect();
        let secure = endpoints.iter().filter(|endpoint| endpoint.scheme() == Some(Scheme::Https)).count();
        if endpoints.is_empty() {
            Err(InvalidConfig::NoEndpoints)
        } else if secure == 0 {
            Ok(Self { endpoints, user: None, tls: None, timeouts: Timeouts::default() })
        } else if secure < endpoints.len() {
            Err(InvalidConfig::Mixed)
        } else {
            let plain = Self { endpoints, user: None, tls: None, timeouts: Timeouts::default() };
            plain.with_tls(Tls::default())
        }
    }

    /// Authenticates as this user. A cluster whose authentication is off is used without.
    #[must_use]
    pub fn with_user(mut self, name: impl Into<String>, password: Secret) -> Self {
        self.user = Some((name.into(), password));
        self
    }

    /// Speaks TLS.
    pub fn with_tls(mut self, tls: Tls) -> Result<Self, InvalidConfig> {
        if cfg!(not(feature = "tls")) {
            Err(InvalidConfig::NoTls)
        } else if self.endpoints.iter().any(|endpoint| endpoint.scheme() == Some(Scheme::Http)) {
            Err(InvalidConfig::PlainWithTls)
        } else if tls.certificate.is_some() != tls.key.is_some() {
            Err(InvalidConfig::HalfCertificate)
        } else {
            self.tls = Some(tls);
            Ok(self)
        }
    }

    /// Waits for as long as this.
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Result<Self, InvalidConfig> {
        let Timeouts { connect, request, keep_alive_interval, keep_alive_timeout } = timeouts;
        for (name, value) in [
            ("connect_timeout", connect),
            ("request_timeout", request),
            ("keep_alive_interval", keep_alive_interval),
            ("keep_alive_timeout", keep_alive_timeout),
        ] {
            if value.is_zero() || value > Duration::from_hours(1) {
                return Err(InvalidConfig::Timeout(name));
            }
        }
        if keep_alive_interval < Duration::from_secs(5) {
            return Err(InvalidConfig::KeepAlive);
        }
        self.timeouts = timeouts;
        Ok(self)
    }

    /// The members of the cluster, sorted; at least one.
    pub fn endpoints(&self) -> &BTreeSet<Address> {
        &self.endpoints
    }

    /// Who is authenticated as, if anybody.
    pub fn user_name(&self) -> Option<&str> {
        self.user().map(|(name, _)| name)
    }

    pub(crate) fn user(&self) -> Option<(&str, &Secret)> {
        self.user.as_ref().map(|(name, password)| (name.as_str(), password))
    }

    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "what TLS needs"))]
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The URL of one member.
    pub(crate) fn url(&self, address: &Address) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", address.authority())
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }
}
