//! How a ZooKeeper is started.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Certificates, Zookeeper};

/// How a ZooKeeper is started; by default without fsync, with ticks of 500 ms, session time-outs from 1 s to 60 s, any number
/// of connections, and ZooKeeper's own defaults for everything else.
#[derive(Debug, Clone)]
pub struct ZookeeperOptions {
    pub(super) fsync: bool,
    pub(super) request_log: bool,
    pub(super) heap: u32,
    pub(super) tick: Duration,
    pub(super) session_timeouts: (Duration, Duration),
    pub(super) tls: Option<Tls>,
    pub(super) sasl: Option<Sasl>,
    /// Lines of `zoo.cfg`; of two with one key the later counts.
    pub(super) settings: Vec<String>,
    /// As Java's `-D` takes them.
    pub(super) properties: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Tls {
    pub(super) ca: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_certificate: Option<(PathBuf, PathBuf)>,
}

#[derive(Clone)]
pub(super) struct Sasl {
    pub(super) user: String,
    pub(super) password: String,
}

/// Without the password.
impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Default for ZookeeperOptions {
    fn default() -> Self {
        Self {
            fsync: false,
            request_log: false,
            heap: 256,
            tick: Duration::from_millis(500),
            session_timeouts: (Duration::from_secs(1), Duration::from_mins(1)),
            tls: None,
            sasl: None,
            settings: Vec::new(),
            properties: Vec::new(),
        }
    }
}

impl ZookeeperOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sessions get what their client asks for, but no less than `min` and no more than `max`.
    pub fn with_session_timeouts(mut self, min: Duration, max: Duration) -> Self {
        self.session_timeouts = (min, max);
        self
    }

    /// ZooKeeper's unit of time: sessions expire on a tick, and a member that is silent for four is given up.
    pub fn with_tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// At most so many connections from one address.
    pub fn with_max_client_connections(self, max: u32) -> Self {
        self.with_setting(&format!("maxClientCnxns={max}"))
    }

    /// Longest request that the server takes, in bytes, instead of 1 MiB less one byte: data, path and a few bytes more.
    pub fn with_jute_max_buffer(self, bytes: usize) -> Self {
        self.with_property(&format!("jute.maxbuffer={bytes}"))
    }

    /// Java's heap, in MiB, instead of 256: ZooKeeper keeps all nodes in it.
    pub fn with_heap(mut self, mebibytes: u32) -> Self {
        self.heap = mebibytes;
        self
    }

    /// Knows a user by SASL's DIGEST-MD5, and nodes may belong to him (`sasl:USER`). Those who don't say who they are
    /// are served all the same.
    pub fn with_sasl(mut self, user: &str, password: &str) -> Self {
        self.sasl = Some(Sasl { user: user.to_owned(), password: password.to_owned() });
        self
    }

    /// Serves clients over TLS on a port of its own, beside the plain one. `certificates` must outlive the server.
    pub fn with_tls(mut self, certificates: &Certificates) -> Self {
        self.tls = Some(Tls {
            ca: certificates.ca(),
            certificate: certificates.server_certificate(),
            key: certificates.server_key(),
            client_certificate: None,
        });
        self
    }

    /// As [`with_tls`](Self::with_tls), and clients must show a certificate of the same authority.
    pub fn with_mutual_tls(self, certificates: &Certificates) -> Self {
        let mut options = self.with_tls(certificates);
        if let Some(tls) = &mut options.tls {
            tls.client_certificate = Some((certificates.client_certificate(), certificates.client_key()));
        }
        options
    }

    /// Logs each request, for [`Zookeeper::requests`]. That makes it slower.
    pub fn with_request_log(mut self) -> Self {
        self.request_log = true;
        self
    }

    /// Writes to disk as in production: for benchmarks.
    pub fn with_fsync(mut self) -> Self {
        self.fsync = true;
        self
    }

    /// One more line of `zoo.cfg`, such as `globalOutstandingLimit=10`.
    pub fn with_setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// One more property of Java, such as `zookeeper.digest.enabled=false`.
    pub fn with_property(mut self, property: &str) -> Self {
        self.properties.push(property.to_owned());
        self
    }

    /// Starts a server, and waits until it serves.
    pub async fn start(self) -> Zookeeper {
        Zookeeper::start_with(self).await
    }
}
