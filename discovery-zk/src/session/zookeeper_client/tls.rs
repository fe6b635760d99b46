//! TLS.

use std::{fs, path::Path};

use rustls::crypto::ring;
use tokio::runtime::Handle;
use zookeeper_client::TlsOptions;

use crate::config::Tls;

/// Reads the files, as they are now.
pub(super) async fn options(tls: &Tls, handle: &Handle) -> Result<TlsOptions, String> {
    // The crate takes what the process has, of which there is none where several could be. It may be there already.
    let _ = ring::default_provider().install_default();
    let tls = tls.clone();
    let read = handle.spawn_blocking(move || {
        let mut options = TlsOptions::new();
        options = in_file(&tls.ca, options.with_pem_ca(&text(&tls.ca)?))?;
        if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
            let both = options.with_pem_identity(&text(certificate)?, &text(key)?);
            options = in_file(certificate, both)?;
        }
        Ok(options)
    });
    read.await.unwrap_or_else(|_| Err("reading certificates".to_owned()))
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("reading {}: {error}", path.display()))
}

fn in_file<T>(path: &Path, read: Result<T, zookeeper_client::Error>) -> Result<T, String> {
    read.map_err(|error| format!("reading {}: {error}", path.display()))
}

/// Where to connect to. By name: the crate checks the certificate for the host that it is given, and finds its addresses itself.
pub(super) fn at(name: &str, port: u16) -> String {
    if name.contains(':') { format!("tcp+tls://[{name}]:{port}") } else { format!("tcp+tls://{name}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_version_6_stands_in_brackets() {
        assert_eq!(at("::1", 2281), "tcp+tls://[::1]:2281");
        assert_eq!(at("zk.example", 2281), "tcp+tls://zk.example:2281");
    }
}
