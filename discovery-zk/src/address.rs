//! Where one server of a ZooKeeper ensemble listens.

use std::{fmt, num::NonZeroU16, str::FromStr};

use discovery_core::{Host, InvalidHost};
use thiserror::Error;

/// The port that ZooKeeper serves clients on unless told otherwise.
const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(2181).expect("2181 is not zero");

/// Where one server of an ensemble listens: `host` or `host:port`, as in a connect string.
///
/// The port is 2181 unless given. An IPv6 address stands in brackets. `Display` shows `host:port`.
///
/// ```
/// use discovery_zk::Address;
///
/// assert_eq!("zk1".parse::<Address>()?.to_string(), "zk1:2181");
/// assert_eq!("[::1]:2182".parse::<Address>()?.to_string(), "[::1]:2182");
/// # Ok::<(), discovery_zk::InvalidAddress>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: Host,
    port: NonZeroU16,
}

/// Why a text is not an [`Address`]. None of these repeats the text: people put passwords into addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// The host is not one.
    #[error(transparent)]
    Host(#[from] InvalidHost),
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A URL.
    #[error("a server is host:port, without a scheme before it: for TLS there is a `tls` section")]
    Scheme,
    /// A user or a password before the host.
    #[error("there is a user or a password before the host: they belong under `user` and `password`")]
    Credentials,
}

impl Address {
    /// A server at this host and port.
    pub fn new(host: Host, port: NonZeroU16) -> Self {
        Self { host, port }
    }

    /// The host as it was configured, not resolved.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> NonZeroU16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if text.contains('@') {
            return Err(InvalidAddress::Credentials);
        }
        if text.contains("://") {
            return Err(InvalidAddress::Scheme);
        }
        let after_brackets = text.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match text[after_brackets..].find(':') {
            None => (text, DEFAULT_PORT),
            Some(colon) => {
                let (host, port) = text.split_at(after_brackets + colon);
                // `parse` alone would take a sign.
                let digits = port[1..].bytes().all(|byte| byte.is_ascii_digit());
                (host, port[1..].parse().ok().filter(|_| digits).ok_or(InvalidAddress::Port)?)
            }
        };
        Ok(Self { host: Host::parse(host)?, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.ip() {
            Some(std::net::IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_connect_strings_have_them() {
        for (text, shown) in [
            ("zk1", "zk1:2181"),
            ("zk1.example.com:2182", "zk1.example.com:2182"),
            ("10.0.0.1:2181", "10.0.0.1:2181"),
            ("[::1]:2182", "[::1]:2182"),
            ("[2001:DB8::1]", "[2001:db8::1]:2181"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", InvalidAddress::Host(InvalidHost::Empty)),
            (":2181", InvalidAddress::Host(InvalidHost::Empty)),
            ("zk1:", InvalidAddress::Port),
            ("zk1:0", InvalidAddress::Port),
            ("zk1:+1", InvalidAddress::Port),
            ("zk1:70000", InvalidAddress::Port),
            ("zk1:2181:3888", InvalidAddress::Port),
            ("::1:2181", InvalidAddress::Port),
            ("zk1 :2181", InvalidAddress::Host(InvalidHost::Character)),
            ("zk://zk1:2181", InvalidAddress::Scheme),
            ("root:hunter2@zk1:2181", InvalidAddress::Credentials),
        ] {
            assert_eq!(text.parse::<Address>(), Err(reason), "{text}");
        }
    }

    #[test]
    fn a_password_before_a_host_is_not_repeated() {
        let error = "zk://root:hunter2@zk1".parse::<Address>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
