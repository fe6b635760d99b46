//! How a publisher connects.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use zookeeper_client::{Acl, AuthId, Permission};

/// How a publisher connects; by default as nobody, with a session time-out of 30 s, and what it creates is everybody's.
#[derive(Clone)]
pub struct RegistrarOptions {
    pub(super) session_timeout: Duration,
    pub(super) abandoning: bool,
    /// As `digest` wants it: `USER:PASSWORD`.
    pub(super) auth: Option<String>,
    pub(super) readers: Vec<Acl>,
}

impl Default for RegistrarOptions {
    fn default() -> Self {
        Self { session_timeout: Duration::from_secs(30), abandoning: false, auth: None, readers: Vec::new() }
    }
}

/// Without the password.
impl fmt::Debug for RegistrarOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrarOptions")
            .field("session_timeout", &self.session_timeout)
            .field("abandoning", &self.abandoning)
            .field("readers", &self.readers.len())
            .finish_non_exhaustive()
    }
}

impl RegistrarOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time-out to ask for; the server has bounds for it.
    pub fn with_session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// Dropping it leaves the session, and so its ephemeral nodes, to expire: a publisher that was killed.
    pub fn abandoning(mut self) -> Self {
        self.abandoning = true;
        self
    }

    /// It is this user of the scheme `digest`, and what it creates is that user's alone.
    pub fn with_auth(mut self, user: &str, password: &str) -> Self {
        self.auth = Some(format!("{user}:{password}"));
        self
    }

    /// Another user of the scheme `digest` may read what it creates. Wants [`with_auth`](Self::with_auth).
    pub fn with_reader(self, user: &str, password: &str) -> Self {
        // How ZooKeeper writes such a user in a node's list: with SHA-1 since its beginnings.
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{user}:{password}").as_bytes());
        self.readable_by("digest", &format!("{user}:{}", STANDARD.encode(hash)))
    }

    /// A user who says by SASL who he is may read what it creates. Wants [`with_auth`](Self::with_auth).
    pub fn with_sasl_reader(self, user: &str) -> Self {
        self.readable_by("sasl", user)
    }

    fn readable_by(mut self, scheme: &str, id: &str) -> Self {
        self.readers.push(Acl::new(Permission::READ, AuthId::new(scheme, id)));
        self
    }

    /// Who may do what with a node that is created.
    pub(super) fn acls(&self) -> Vec<Acl> {
        if self.auth.is_none() {
            assert!(self.readers.is_empty(), "what is everybody's needs no readers: `with_auth` is missing");
            return vec![Acl::new(Permission::ALL, AuthId::anyone())];
        }
        let mut acls = self.readers.clone();
        acls.push(Acl::new(Permission::ALL, AuthId::authed()));
        acls
    }
}
