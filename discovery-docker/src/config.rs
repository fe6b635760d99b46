//! What a user can set.

use std::{fmt, path::PathBuf, time::Duration};

use discovery_core::{Host, InvalidEndpoint, InvalidHost};
use serde::Deserialize;
use thiserror::Error;

use crate::{image::InvalidImageName, raw, selector::Selector};

/// The section of a configuration that names the containers of a service.
///
/// | key | type | |
/// |---|---|---|
/// | `servers` | list of maps, at least one | required: where Docker is, see [`Server`] |
/// | `image_name` | text, or a list | required: [`ImageName`](crate::ImageName) of the containers |
/// | `container_port` | 1 to 65535 | required: the TCP port that the containers listen on |
/// | `address` | `published` or `container` | where the endpoints are, see [`Place`](crate::Place); `published` unless given |
/// | `network` | text | with `address: container`: in which network the address is |
/// | `labels` | map of texts | what labels a container must have, and their values |
/// | `ignore_health` | boolean | whether a container whose health check does not pass takes traffic; `false` unless given |
/// | `check_interval` | seconds, more than 0 and at most a day | how often Docker is asked, beside its events; 15 unless given |
///
/// Seconds may have fractions. Other keys are errors. Nobody is asked anything here.
///
/// ```
/// use discovery_docker::DockerConfig;
///
/// let config: DockerConfig = serde_json::from_str(
///     r#"{"servers": [{"name": "one", "host": "10.0.0.5"}], "image_name": "app", "container_port": 80}"#,
/// )?;
/// let (servers, _selector, every) = config.into_parts();
/// assert_eq!((servers.len(), every.as_secs()), (1, 15));
/// assert_eq!(servers[0].daemon().to_string(), "10.0.0.5:4243");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "raw::Section")]
#[cfg_attr(feature = "schema", schemars(into = "raw::Section"))]
pub struct DockerConfig {
    pub(crate) servers: Vec<Server>,
    pub(crate) selector: Selector,
    pub(crate) every: Duration,
}

impl DockerConfig {
    /// Where Docker is, which containers are wanted there, and how often to ask.
    pub fn into_parts(self) -> (Vec<Server>, Selector, Duration) {
        (self.servers, self.selector, self.every)
    }
}

/// One of `servers`: where its Docker is reached, and where its containers are.
///
/// | key | type | |
/// |---|---|---|
/// | `name` | text | what the endpoints of this server call themselves; nothing unless given |
/// | `host` | IP address or name | where Docker is, unless there is a `socket`; and where published ports are |
/// | `port` | 1 to 65535 | where Docker listens on `host`; 4243 unless given |
/// | `socket` | path, absolute | Docker's socket on this machine, instead of `port`. Without a `host`, published ports are where Docker says that they are |
/// | `tls` | map | for `port`: see [`Tls`] |
///
/// `Display` is its name, or else where its Docker is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub(crate) name: Option<String>,
    pub(crate) host: Option<Host>,
    pub(crate) daemon: DaemonConfig,
}

impl Server {
    /// A server that is reached so, whose ports are published on `host`: where Docker says unless that is given.
    pub fn new(daemon: DaemonConfig, host: Option<Host>) -> Self {
        Self { name: None, host, daemon }
    }

    /// Names its endpoints, at most 128 bytes; an empty name is none.
    pub fn with_name(mut self, name: &str) -> Result<Self, InvalidEndpoint> {
        // Any endpoint will do to learn whether one can have it.
        let host = Host::parse("localhost")?;
        let named = discovery_core::Endpoint::new(host, 1)?.with_name(name)?;
        self.name = named.name().map(str::to_owned);
        Ok(self)
    }

    /// How its Docker is reached, which services can share.
    pub fn daemon(&self) -> &DaemonConfig {
        &self.daemon
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => self.daemon.fmt(f),
        }
    }
}

/// How one Docker is reached. `Display` is its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DaemonConfig {
    /// Through its socket on this machine.
    Socket(PathBuf),
    /// Over TCP.
    Tcp {
        /// Where it is.
        host: Host,
        /// Where it listens.
        port: std::num::NonZeroU16,
        /// Plain HTTP without.
        tls: Option<Tls>,
    },
}

impl fmt::Display for DaemonConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Tcp { host, port, .. } if matches!(host.ip(), Some(ip) if ip.is_ipv6()) => {
                write!(f, "[{host}]:{port}")
            }
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
        }
    }
}

/// TLS towards Docker. The files are read whenever a connection is made, so they may be renewed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the certificates that Docker's must be signed by.
    pub ca: PathBuf,
    /// PEM file of the certificate that this program shows, its issuers behind it. Goes with `key`.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// The name or address that Docker's certificate must have; the host unless given.
    #[serde(default)]
    pub server_name: Option<String>,
}

/// Why a configuration makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// No servers.
    #[error("a non-empty list of servers is required: say under `servers` where Docker is")]
    NoServers,
    /// No image.
    #[error("non-empty image_name required")]
    NoImage,
    /// No port.
    #[error("container_port required")]
    NoPort,
    /// Port 0.
    #[error("the {0} is 0")]
    PortZero(&'static str),
    /// A server that is nowhere.
    #[error("a server has a `host`, or a `socket`")]
    Nowhere,
    /// A server with a socket, and what belongs to a port.
    #[error("`{0}` goes with a `host` that Docker is asked at; here it is asked through its `socket`")]
    NotForSockets(&'static str),
    /// A path that depends on where the program was started.
    #[error("the path of `socket` does not begin with /")]
    RelativeSocket,
    /// A certificate without its key, or the reverse.
    #[error("`certificate` and `key` go together")]
    HalfCertificate,
    /// What is no name in a certificate.
    #[error("`server_name` is neither a name nor an IP address")]
    ServerName,
    /// A network where it means nothing.
    #[error("`network` goes with `address: container`")]
    Network,
    /// A host that is none.
    #[error(transparent)]
    Host(#[from] InvalidHost),
    /// A name that an endpoint cannot have.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// A name that no image has.
    #[error(transparent)]
    Image(#[from] InvalidImageName),
}
