//! Where a server is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// The host part of a server's address: an IP address or a DNS name.
///
/// HAProxy reads much more there: `unix@` paths, file descriptors, environment variables (`$HOME`, even without
/// quotes), `*`. None of it passes. Nor do the unspecified addresses `0.0.0.0` and `::`, by which HAProxy means
/// "wherever the client wanted to go", nor shortened numeric forms (`127.1`, `0x7f000001`), which resolvers expand.
///
/// ```
/// use haproxy_render::Address;
///
/// assert_eq!(Address::parse("2001:db8::1").unwrap().to_string(), "[2001:db8::1]");
/// assert!(Address::parse("db.example").unwrap().dns().is_some());
/// assert!(Address::parse("$HOME").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Inner);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Inner {
    Ip(IpAddr),
    Dns(DnsName),
}

/// A DNS name: labels of 1 to 63 bytes of `[A-Za-z0-9_-]`, separated by dots, 253 bytes at most, whose last label is
/// not a number. Case is kept; a final dot is not taken. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Arc<str>);

/// Why a text is not an [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidAddress {
    /// `0.0.0.0`, `::` or an IPv4-mapped form of them.
    #[error("the unspecified address is no server's address")]
    Unspecified,
    /// Neither an IP address nor a DNS name.
    #[error("neither an IP address nor a DNS name")]
    Name,
}

impl Address {
    /// Reads an IP address, IPv6 with or without brackets, or else a DNS name. No port.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match (bare, text.parse::<IpAddr>()) {
            (_, Ok(ip)) => Self::try_from(ip),
            (Some(bare), Err(_)) => {
                bare.parse().map(IpAddr::V6).map_err(|_| InvalidAddress::Name).and_then(Self::try_from)
            }
            (None, Err(_)) => DnsName::parse(text).map(Self::from),
        }
    }

    /// The IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.0 {
            Inner::Ip(ip) => Some(ip),
            Inner::Dns(_) => None,
        }
    }

    /// The DNS name, if it is one.
    pub fn dns(&self) -> Option<&DnsName> {
        match &self.0 {
            Inner::Ip(_) => None,
            Inner::Dns(name) => Some(name),
        }
    }
}

impl DnsName {
    /// Takes `text` as it is.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
        let last = text.rsplit('.').next().unwrap_or_default();
        let fits = text.len() <= 253 && text.split('.').all(label) && !numeric(last);
        if fits { Ok(Self(text.into())) } else { Err(InvalidAddress::Name) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the C library would read a name that ends in this label as a number: `1`, `0x7f`.
fn numeric(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    hex.map_or_else(
        || label.bytes().all(|byte| byte.is_ascii_digit()),
        |hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
    )
}

impl TryFrom<IpAddr> for Address {
    type Error = InvalidAddress;

    /// Refuses the unspecified addresses.
    fn try_from(ip: IpAddr) -> Result<Self, InvalidAddress> {
        if ip.to_canonical().is_unspecified() {
            Err(InvalidAddress::Unspecified)
        } else {
            Ok(Self(Inner::Ip(ip)))
        }
    }
}

impl From<DnsName> for Address {
    fn from(name: DnsName) -> Self {
        Self(Inner::Dns(name))
    }
}

impl fmt::Display for Address {
    /// As it stands before `:PORT`: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Inner::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Inner::Dns(name) => f.write_str(&name.0),
        }
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        Self::parse(text)
    }
}

impl FromStr for DnsName {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_haproxy_would_read_as_something_else_is_no_address() {
        let long = "a.".repeat(127) + "a";
        for bad in [
            "",
            " ",
            "*",
            "$HOME",
            "h$b",
            "unix@/tmp/x",
            "/tmp/x",
            "abns@x",
            "fd@3",
            "ipv4@1.2.3.4",
            "a b",
            "a\nb",
            "a:80",
            "1.2.3.4:80",
            "a..b",
            ".a",
            "a.",
            "1.2.3",
            "127.1",
            "0x7f000001",
            "a.0x1",
            "12345",
            "fe80::1%eth0",
            "[1.2.3.4]",
            "[a]",
            "[]",
            "é.example",
            &"a".repeat(64),
            &long,
        ] {
            assert_eq!(Address::parse(bad), Err(InvalidAddress::Name), "{bad:?}");
        }
    }

    #[test]
    fn the_unspecified_address_is_refused_in_every_form() {
        for bad in ["0.0.0.0", "::", "[::]", "::ffff:0.0.0.0"] {
            assert_eq!(Address::parse(bad), Err(InvalidAddress::Unspecified), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_written_in_one_form() {
        for (text, written) in [
            ("10.0.0.1", "10.0.0.1"),
            ("2001:DB8:0::1", "[2001:db8::1]"),
            ("[::1]", "[::1]"),
            ("localhost", "localhost"),
            ("Db_1.example-x.org", "Db_1.example-x.org"),
            ("3com.com", "3com.com"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), written);
        }
    }
}
