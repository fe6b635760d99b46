//! By whose certificates servers are believed to be who they say.

use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

use crate::failure::{Failure, Kind};

/// Whether the operating system has any certificates to believe servers by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    System,
    /// A small container, most likely. What needs no TLS works.
    Nobody,
}

impl Trust {
    /// An HTTP client that believes whom the operating system believes.
    ///
    /// The SDK's client looks once in a process, and a debug build of it panics when it finds nothing. So it only looks when there is
    /// something, and whoever makes another client finds what was installed meanwhile.
    pub(crate) async fn client() -> Result<(SharedHttpClient, Self), Failure> {
        // Off the threads of the runtime: certificates are files. Who can't look finds none.
        let look = tokio::task::spawn_blocking(|| rustls_native_certs::load_native_certs().certs.is_empty());
        let none = look.await.unwrap_or(true);
        let trust = if none { Self::Nobody } else { Self::System };
        let store = TrustStore::empty().with_native_roots(trust == Self::System);
        let context = TlsContext::builder().with_trust_store(store).build();
        let context = context.map_err(|error| Failure::new(Kind::Refused, error))?;
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context);
        Ok((http.build_https(), trust))
    }

    /// What can be done about a failure that says this, if it is for want of certificates.
    pub(crate) fn advice(self, failure: &str) -> Option<&'static str> {
        let concerned = self == Self::Nobody && failure.contains("certificate");
        concerned.then_some(
            "this machine has no CA certificates to check anybody by: install them, in Debian the package ca-certificates",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_nobody_can_check_is_told_with_what_to_do() {
        let unknown = "client error (Connect): invalid peer certificate: UnknownIssuer";
        assert!(Trust::Nobody.advice(unknown).unwrap().contains("ca-certificates"));
        assert_eq!(Trust::System.advice(unknown), None);
        assert_eq!(Trust::Nobody.advice("tcp connect error: Connection refused"), None);
    }
}
