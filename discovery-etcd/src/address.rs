//! Where one member of an etcd cluster listens.

use std::{fmt, num::NonZeroU16, str::FromStr};

use discovery_core::{Host, InvalidHost};
use serde::Deserialize;
use thiserror::Error;

/// The port that etcd serves clients on unless told otherwise.
const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(2379).expect("2379 is not zero");

/// Where one member of an etcd cluster listens: `host`, `host:port`, `http://host:port` or `https://host:port`.
///
/// The port is 2379 unless given. An IPv6 address stands in brackets. An address without a scheme is spoken to over TLS if the
/// configuration has a `tls` section, and in the clear otherwise.
///
/// `Display` shows `host:port`, with the scheme if one was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", schemars(into = "String"))]
pub struct Address {
    host: Host,
    port: NonZeroU16,
    scheme: Option<Scheme>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// Why a text is not an [`Address`]. None of these repeats the text: people put passwords into URLs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// The host is not one.
    #[error(transparent)]
    Host(#[from] InvalidHost),
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// Another scheme than http or https.
    #[error("the URL's scheme is neither http nor https")]
    Scheme,
    /// A user or a password in the URL.
    #[error("the URL has a user or a password in it: they belong under `user` and `password`")]
    Credentials,
    /// Something after host and port.
    #[error("there is something after host and port")]
    Path,
}

impl Address {
    /// An address without a scheme.
    pub fn new(host: Host, port: NonZeroU16) -> Self {
        Self { host, port, scheme: None }
    }

    pub(crate) fn at(host: Host, port: Option<NonZeroU16>) -> Self {
        Self::new(host, port.unwrap_or(DEFAULT_PORT))
    }

    pub(crate) fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// `host:port`.
    pub(crate) fn authority(&self) -> String {
        match self.host.ip() {
            Some(std::net::IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if text.contains('@') {
            return Err(InvalidAddress::Credentials);
        }
        let (scheme, rest) = match text.split_once("://") {
            None => (None, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(Scheme::Http), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(Scheme::Https), rest),
            Some(_) => return Err(InvalidAddress::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(InvalidAddress::Path);
        }
        let (host, port) = split(rest)?;
        Ok(Self { host, port: port.unwrap_or(DEFAULT_PORT), scheme })
    }
}

/// `host` or `host:port`; an IPv6 address stands in brackets.
pub(crate) fn split(text: &str) -> Result<(Host, Option<NonZeroU16>), InvalidAddress> {
    let after_brackets = text.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match text[after_brackets..].find(':') {
        None => (text, None),
        Some(colon) => {
            let (host, port) = text.split_at(after_brackets + colon);
            (host, Some(&port[1..]))
        }
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().map_err(|_| InvalidAddress::Port)?)
        }
        Some(_) => return Err(InvalidAddress::Port),
    };
    Ok((Host::parse(host)?, port))
}

impl TryFrom<String> for Address {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scheme {
            None => "",
            Some(Scheme::Http) => "http://",
            Some(Scheme::Https) => "https://",
        })?;
        f.write_str(&self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("etcd", "etcd:2379"),
            ("etcd:4001", "etcd:4001"),
            ("http://etcd:4001/", "http://etcd:4001"),
            ("HTTPS://etcd.example", "https://etcd.example:2379"),
            ("10.0.0.1:2379", "10.0.0.1:2379"),
            ("[::1]:4001", "[::1]:4001"),
            ("http://[::1]", "http://[::1]:2379"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", InvalidAddress::Host(InvalidHost::Empty)),
            ("etcd:", InvalidAddress::Port),
            ("etcd:0", InvalidAddress::Port),
            ("etcd:+1", InvalidAddress::Port),
            ("etcd:70000", InvalidAddress::Port),
            ("::1:2379", InvalidAddress::Port),
            ("ftp://etcd", InvalidAddress::Scheme),
            ("unix:///run/etcd.sock", InvalidAddress::Scheme),
            ("http://etcd/v2", InvalidAddress::Path),
            ("http://root:hunter2@etcd:2379", InvalidAddress::Credentials),
        ] {
            assert_eq!(text.parse::<Address>(), Err(reason), "{text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        let error = "http://root:hunter2@etcd".parse::<Address>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
