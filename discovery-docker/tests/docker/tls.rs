//! A daemon that is reached over TCP, with TLS and without.

use std::{path::Path, sync::Arc};

use discovery_docker::{Daemon, DockerConfig, Member};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{
    fake::{Fake, container},
    watched::{backoff, error, until_at},
};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The certificate and the key of a name, and both as PEM files.
fn signed(name: &str, issuer: &Issuer, dir: &Path) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    std::fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    (certificate, key)
}

/// Takes only those who show a certificate of the same issuer, as Docker does with `--tlsverify`.
fn verifying(issuer: &Issuer, dir: &Path) -> ServerConfig {
    let (certificate, key) = signed("localhost", issuer, dir);
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let builder = builder.with_client_cert_verifier(verifier.build().unwrap());
    builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()
}

fn member(server: &str) -> Member {
    let json = format!(r#"{{"servers": [{server}], "image_name": "app", "container_port": 80}}"#);
    let (servers, selector, every) = serde_json::from_str::<DockerConfig>(&json).unwrap().into_parts();
    let server = servers.into_iter().next().unwrap();
    let (daemon, driver) = Daemon::new(server.daemon().clone(), backoff());
    tokio::spawn(driver);
    daemon.member(server, selector, every)
}

#[tokio::test]
async fn a_daemon_on_a_port_is_asked_there_and_its_containers_are_at_its_host() {
    let mut fake = Fake::tcp().await;
    fake.run([container(1, "app:1", 80, 1001)]);
    let mut member = member(&format!(r#"{{"host": "127.0.0.1", "port": {}}}"#, fake.port()));
    let snapshot = crate::watched::until(&mut member, |now| !now.is_empty()).await;
    assert_eq!(format!("{snapshot:?}"), "[127.0.0.1:1001]");
    fake.until_heard(1).await;
    fake.stop().await;
    let told = error(&mut member).await;
    assert!(told.contains(&format!("connecting to 127.0.0.1:{}: Connection refused", fake.port())), "{told}");
}

#[tokio::test]
async fn tls_shows_who_asks_and_checks_who_answers() {
    let (dir, issuer) = (tempfile::tempdir().unwrap(), issuer());
    let (ours, foreign) = (dir.path(), tempfile::tempdir().unwrap());
    let fake = Fake::tls(verifying(&issuer, ours)).await;
    fake.run([container(1, "app:1", 80, 1001)]);
    signed("synapse", &issuer, ours);
    std::fs::write(ours.join("ca.pem"), issuer.pem()).unwrap();
    std::fs::write(foreign.path().join("ca.pem"), self::issuer().pem()).unwrap();
    std::fs::write(ours.join("empty.pem"), "").unwrap();
    let server = |ca: &Path, rest: &str| {
        let (ca, dir, port) = (ca.display(), ours.display(), fake.port());
        let own = format!(r#""certificate": "{dir}/cert.pem", "key": "{dir}/key.pem""#);
        let tls = rest.replace("OWN", &own);
        format!(r#"{{"host": "127.0.0.1", "port": {port}, "tls": {{"ca": "{ca}"{tls}}}}}"#)
    };
    let ca = ours.join("ca.pem");
    let mut good = member(&server(&ca, r#", OWN, "server_name": "localhost""#));
    let snapshot = crate::watched::until(&mut good, |now| !now.is_empty()).await;
    assert_eq!(snapshot.len(), 1);
    for (ca, rest, expected) in [
        (ca.clone(), ", OWN", "setting up TLS: the handshake: "),
        (
            foreign.path().join("ca.pem"),
            r#", OWN, "server_name": "localhost""#,
            "setting up TLS: the handshake: ",
        ),
        (ca.clone(), r#", "server_name": "localhost""#, "asking it by HTTP: "),
        (ours.join("none.pem"), "", "none.pem: No such file"),
        (ours.join("empty.pem"), "", "empty.pem: no certificate in it"),
    ] {
        let told = error(&mut member(&server(&ca, rest))).await;
        assert!(told.contains(expected), "{rest}: {told}");
    }
    fake.run([]);
    until_at(&mut good, &[]).await;
}
