//! What a user can set.

use std::{num::NonZeroU16, time::Duration};

use discovery_core::{InvalidEndpoint, InvalidHost};
use serde::Deserialize;
use thiserror::Error;

use crate::{nameserver::Nameservers, raw, server::Server};

/// The section of a configuration that names a service in DNS.
///
/// | key | type | |
/// |---|---|---|
/// | `servers` | list of maps, at least one | required: `host` (an IP address or a name) and `port`, or `srv` (a name that has SRV records); `name` and `labels` are those of its endpoints |
/// | `nameserver` | [`Nameserver`](crate::Nameserver), or a list of them | who is asked, in this order; those of `/etc/resolv.conf` unless given |
/// | `check_interval` | seconds, more than 0 and at most a day | the longest time between two questions; 30 unless given |
///
/// Seconds may have fractions. Other keys are errors. Nobody is asked anything here. A `port` can be left out if the service says
/// which: see [`Server::or_port`].
///
/// ```
/// use discovery_dns::DnsConfig;
///
/// let config: DnsConfig = serde_json::from_str(
///     r#"{"servers": [{"host": "web.internal", "port": 8080}, {"srv": "_http._tcp.web.internal"}], "nameserver": "10.0.0.2"}"#,
/// )?;
/// let (_nameservers, servers, every) = config.into_parts();
/// assert_eq!((servers.len(), every.as_secs()), (2, 30));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "raw::Section")]
#[cfg_attr(feature = "schema", schemars(into = "raw::Section"))]
pub struct DnsConfig {
    pub(crate) names: NamesConfig,
    pub(crate) servers: Vec<Server>,
}

impl DnsConfig {
    /// Whom to ask, which services can share; what; and how often.
    pub fn into_parts(self) -> (Nameservers, Vec<Server>, Duration) {
        let (nameservers, every) = self.names.into_parts();
        (nameservers, self.servers, every)
    }

    /// Whether the service has to say which port one of the servers listens on.
    pub fn needs_port(&self) -> bool {
        !self.servers.iter().all(Server::has_port)
    }

    /// Gives the servers that have no port this one.
    #[must_use]
    pub fn or_port(mut self, port: NonZeroU16) -> Self {
        self.servers = self.servers.into_iter().map(|server| server.or_port(port)).collect();
        self
    }
}

/// The part of a section that says how names of another source's endpoints are resolved: `nameserver` and `check_interval`, as
/// [`DnsConfig`] has them. Other keys are errors.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "raw::Names")]
#[cfg_attr(feature = "schema", schemars(into = "raw::Names"))]
pub struct NamesConfig {
    pub(crate) nameservers: Nameservers,
    pub(crate) every: Duration,
}

impl NamesConfig {
    /// Whom to ask, which services can share; and how often.
    pub fn into_parts(self) -> (Nameservers, Duration) {
        (self.nameservers, self.every)
    }
}

/// Why a configuration makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// No servers.
    #[error("a non-empty list of servers is required: name them under `servers`")]
    NoServers,
    /// A server without a name.
    #[error("a server has a `host`, or an `srv`")]
    NoHost,
    /// A server that is both.
    #[error("a server has either a `host` or an `srv`, not both")]
    Both,
    /// A port where SRV records have it.
    #[error("`port` goes with `host`; SRV records have their own")]
    SrvPort,
    /// An address where SRV records are.
    #[error("`srv` is the name of SRV records (`_http._tcp.web.example`), not an address")]
    SrvAddress,
    /// A host that is none.
    #[error(transparent)]
    Host(#[from] InvalidHost),
    /// A name, labels or a port that cannot be.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// An empty list of nameservers.
    #[error("name a nameserver, or leave the key out to use the system's")]
    NoNameservers,
}
