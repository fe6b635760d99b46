//! How an etcd is started.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Certificates, Etcd};

/// How an etcd is started; by default without fsync, without TLS and with etcd's own defaults for everything else.
#[derive(Debug, Clone, Default)]
pub struct EtcdOptions {
    pub(crate) fsync: bool,
    pub(crate) tls: Option<Tls>,
    pub(crate) flags: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
}

impl EtcdOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes to disk as in production: for benchmarks.
    pub fn with_fsync(mut self) -> Self {
        self.fsync = true;
        self
    }

    /// Serves clients over TLS. `certificates` must outlive the server. The harness itself uses a plain port of its own.
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

    /// Tokens end after `ttl`, whole seconds, instead of five minutes.
    pub fn with_auth_token_ttl(self, ttl: Duration) -> Self {
        self.with_flag(&format!("--auth-token-ttl={}", ttl.as_secs()))
    }

    /// One more flag, such as `--quota-backend-bytes=16777216`.
    pub fn with_flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Starts a server of one member, and waits until it serves.
    pub async fn start(self) -> Etcd {
        Etcd::start_with(self).await
    }
}
