//! TLS towards Docker.

use std::{path::Path, sync::Arc};

use discovery_core::Host;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

use crate::{config::Tls, failure::Failure};

/// Speaks TLS over a connection to `host`.
pub(crate) async fn over(stream: TcpStream, host: &Host, tls: &Tls) -> Result<TlsStream<TcpStream>, Failure> {
    let name = tls.server_name.clone().unwrap_or_else(|| host.to_string());
    let name = ServerName::try_from(name).map_err(failed("the name of the server"))?;
    let connector = TlsConnector::from(Arc::new(config(tls).await?));
    connector.connect(name, stream).await.map_err(failed("the handshake"))
}

async fn config(tls: &Tls) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca).await? {
        roots.add(certificate).map_err(failed(&tls.ca.display()))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(failed("the versions"))?;
    let builder = builder.with_root_certificates(roots);
    let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate).await?;
    let pem = read(key).await?;
    let secret = PrivateKeyDer::from_pem_slice(&pem).map_err(failed(&key.display()))?;
    builder.with_client_auth_cert(chain, secret).map_err(failed(&key.display()))
}

/// All certificates of a file, at least one.
async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let pem = read(path).await?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(failed(&path.display()))?;
    if all.is_empty() {
        return Err(failed(&path.display())("no certificate in it"));
    }
    Ok(all)
}

async fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    tokio::fs::read(path).await.map_err(failed(&path.display()))
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    doing: &(impl ToString + ?Sized),
) -> impl Fn(E) -> Failure {
    let doing = doing.to_string();
    move |error| Failure::Tls { doing: doing.clone(), source: error.into() }
}
