//! Who is asked.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use serde::Deserialize;
use thiserror::Error;

/// The port that nameservers listen on unless told otherwise.
const DEFAULT_PORT: u16 = 53;

/// Where one nameserver listens, on UDP and TCP: an IP address, or one with a port.
///
/// The port is 53 unless given. An IPv6 address with a port stands in brackets. `Display` shows `address:port`.
///
/// ```
/// use discovery_dns::Nameserver;
///
/// assert_eq!("10.0.0.2".parse::<Nameserver>()?.to_string(), "10.0.0.2:53");
/// assert_eq!("[::1]:5353".parse::<Nameserver>()?.to_string(), "[::1]:5353");
/// # Ok::<(), discovery_dns::InvalidNameserver>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Nameserver(SocketAddr);

/// Why a text is not a [`Nameserver`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidNameserver {
    /// Not an IP address, with a port or without. A name would need a nameserver to be found with.
    #[error("a nameserver is an IP address, or one with a port: `10.0.0.2`, `10.0.0.2:5353`, `[::1]:5353`")]
    Address,
    /// Port 0.
    #[error("the port of the nameserver is 0")]
    Port,
    /// `0.0.0.0` or `::`.
    #[error("the nameserver is the unspecified address")]
    Unspecified,
}

impl Nameserver {
    /// A nameserver at this address and port.
    pub fn new(address: SocketAddr) -> Result<Self, InvalidNameserver> {
        if address.port() == 0 {
            Err(InvalidNameserver::Port)
        } else if address.ip().is_unspecified() {
            Err(InvalidNameserver::Unspecified)
        } else {
            Ok(Self(address))
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Nameserver {
    type Err = InvalidNameserver;

    fn from_str(text: &str) -> Result<Self, InvalidNameserver> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Self::new(address);
        }
        let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let ip: IpAddr = unbracketed.unwrap_or(text).parse().map_err(|_| InvalidNameserver::Address)?;
        Self::new(SocketAddr::new(ip, DEFAULT_PORT))
    }
}

impl TryFrom<String> for Nameserver {
    type Error = InvalidNameserver;

    fn try_from(text: String) -> Result<Self, InvalidNameserver> {
        text.parse()
    }
}

impl fmt::Display for Nameserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The nameservers that are asked, in this order, and how names are completed. Services whose values are equal can share one
/// [`Resolver`](crate::Resolver): it can be the key of a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Nameservers {
    /// These. Names are taken as they are written, without any search list.
    Listed(Vec<Nameserver>),
    /// Those of a file in the form of `resolv.conf(5)`, with its `search`, `domain`, `ndots` and `timeout`. It is read again at most
    /// every five seconds, so a change of it needs no restart; while it cannot be read, what it said last stands.
    File(PathBuf),
}

impl Nameservers {
    /// The system's: those of `/etc/resolv.conf`.
    pub fn system() -> Self {
        Self::File(PathBuf::from("/etc/resolv.conf"))
    }
}

impl Default for Nameservers {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Display for Nameservers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Listed(list) => {
                for (index, nameserver) in list.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    nameserver.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameserver_is_an_address_with_a_port_or_without() {
        for (text, shown) in [
            ("10.0.0.2", "10.0.0.2:53"),
            ("10.0.0.2:5353", "10.0.0.2:5353"),
            ("2001:DB8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]", "[2001:db8::1]:53"),
            ("[::1]:5353", "[::1]:5353"),
        ] {
            assert_eq!(text.parse::<Nameserver>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", InvalidNameserver::Address),
            ("ns1.example", InvalidNameserver::Address),
            ("10.0.0.2:", InvalidNameserver::Address),
            ("10.0.0.2:+53", InvalidNameserver::Address),
            ("10.0.0.2:65536", InvalidNameserver::Address),
            ("10.0.0.2:0", InvalidNameserver::Port),
            ("0.0.0.0", InvalidNameserver::Unspecified),
            ("[::]:53", InvalidNameserver::Unspecified),
        ] {
            assert_eq!(text.parse::<Nameserver>(), Err(reason), "{text}");
        }
    }
}
