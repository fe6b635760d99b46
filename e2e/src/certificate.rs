//! Certificates for servers that live as long as a test.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::Dir;

/// An authority, a server's certificate for `127.0.0.1` and `localhost`, and a client's, as PEM files that go with
/// the value. Two values trust nothing of each other.
#[derive(Debug)]
pub struct Certificates {
    dir: Dir,
}

impl Certificates {
    /// Makes new ones.
    pub fn generate() -> Self {
        let dir = Dir::new("certificates");
        write(&dir).unwrap_or_else(|error| panic!("making certificates: {error}"));
        Self { dir }
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The server's certificate.
    pub fn server_certificate(&self) -> PathBuf {
        self.dir.join("server.pem")
    }

    /// The server's private key.
    pub fn server_key(&self) -> PathBuf {
        self.dir.join("server.key")
    }

    /// The client's certificate; its common name is `client`.
    pub fn client_certificate(&self) -> PathBuf {
        self.dir.join("client.pem")
    }

    /// The client's private key.
    pub fn client_key(&self) -> PathBuf {
        self.dir.join("client.key")
    }
}

fn write(dir: &Dir) -> Result<(), rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "e2e authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    dir.write("ca.pem", authority.pem());

    let server = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    // etcd's gateway is a client of its own server, with the server's certificate.
    let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    for (name, subjects, usages) in [("server", &server[..], &both[..]), ("client", &[], &both[1..])] {
        let mut params = CertificateParams::new(subjects)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        dir.write(&format!("{name}.pem"), params.signed_by(&key, &authority)?.pem());
        dir.write(&format!("{name}.key"), key.serialize_pem());
    }
    Ok(())
}
