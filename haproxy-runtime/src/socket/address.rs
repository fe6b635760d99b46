//! Where a command line interface listens.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The longest path of a Unix socket, in bytes: the system's structure holds 108, the last of them a NUL.
const MAX_PATH: usize = 107;

/// Where one of HAProxy's command line interfaces listens: a `stats socket`, or the master's (`haproxy -S`).
///
/// As text: a path; an IP address and a port, such as `127.0.0.1:9999` or `[::1]:9999`; or either in HAProxy's own
/// words, with `unix@`, `ipv4@` or `ipv6@` before it. Names are not looked up. A path that is not absolute is taken
/// from the working directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketAddress(Place);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// A text that names no socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// Nothing but blanks.
    #[error("the address of the socket is empty")]
    Empty,
    /// A control character, such as a line feed.
    #[error("the address of the socket contains a control character")]
    Control,
    /// A path longer than the system takes.
    #[error("the path of the socket is {length} bytes long, the system takes {MAX_PATH}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Neither a path nor an IP address with a port, or a kind of address that can't be connected to.
    #[error("{text:?} is neither a path nor an IP address with a port")]
    Unknown {
        /// The text.
        text: String,
    },
}

impl SocketAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// Empty, a control character, a path above 107 bytes, a host name, or another kind of HAProxy's addresses.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidAddress::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidAddress::Control);
        }
        let unknown = || InvalidAddress::Unknown { text: text.to_owned() };
        let tcp = |text: &str| text.parse().map(|address| Self(Place::Tcp(address)));
        match text.split_once('@') {
            Some(("unix", path)) => return Self::unix(path),
            Some(("ipv4" | "ipv6", address)) => return tcp(address).map_err(|_| unknown()),
            // A path may have any character in it, but the other kinds that HAProxy knows have no slash before the `@`.
            Some((kind, _)) if !kind.contains('/') => return Err(unknown()),
            _ => {}
        }
        if let Ok(address) = tcp(text) {
            return Ok(address);
        }
        // `localhost:9999` is a mistake rather than a file's name.
        if text.contains(':') && !text.contains('/') { Err(unknown()) } else { Self::unix(text) }
    }

    /// The Unix socket at `path`.
    ///
    /// # Errors
    /// Empty, above 107 bytes, or a NUL byte in it.
    pub fn unix(path: impl Into<PathBuf>) -> Result<Self, InvalidAddress> {
        let path = path.into();
        match path.as_os_str().as_encoded_bytes() {
            [] => Err(InvalidAddress::Empty),
            bytes if bytes.contains(&0) => Err(InvalidAddress::Control),
            bytes if bytes.len() > MAX_PATH => Err(InvalidAddress::TooLong { length: bytes.len() }),
            _ => Ok(Self(Place::Unix(path))),
        }
    }

    /// The path, if it is a Unix socket.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Unix(path) => Some(path),
            Place::Tcp(_) => None,
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.0
    }
}

impl From<SocketAddr> for SocketAddress {
    fn from(address: SocketAddr) -> Self {
        Self(Place::Tcp(address))
    }
}

impl FromStr for SocketAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Unix(path) => path.display().fmt(f),
            Place::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        SocketAddress::parse(text).unwrap().to_string()
    }

    #[test]
    fn paths_and_ip_addresses_are_read_with_and_without_their_kind() {
        for (text, expected) in [
            ("/run/haproxy/admin.sock", "/run/haproxy/admin.sock"),
            ("  /run/haproxy/admin.sock ", "/run/haproxy/admin.sock"),
            ("unix@/run/a:b@c.sock", "/run/a:b@c.sock"),
            ("/run/a:1@c", "/run/a:1@c"),
            ("haproxy.sock", "haproxy.sock"),
            ("127.0.0.1:9999", "127.0.0.1:9999"),
            ("ipv4@127.0.0.1:9999", "127.0.0.1:9999"),
            ("[::1]:9999", "[::1]:9999"),
            ("ipv6@[::1]:9999", "[::1]:9999"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn only_a_unix_socket_has_a_path() {
        assert_eq!(SocketAddress::parse("unix@/a").unwrap().path(), Some(Path::new("/a")));
        assert_eq!(SocketAddress::parse("127.0.0.1:1").unwrap().path(), None);
    }

    #[test]
    fn what_names_no_socket_is_refused() {
        use InvalidAddress::{Control, Empty};
        assert_eq!(SocketAddress::parse(" \t"), Err(Empty));
        assert_eq!(SocketAddress::parse("unix@"), Err(Empty));
        for text in ["/run/a\nb", "/run/a\0b", "127.0.0.1:1\r2"] {
            assert_eq!(SocketAddress::parse(text), Err(Control), "{text:?}");
        }
        for text in ["localhost:9999", "127.0.0.1:70000", "abns@name", "fd@3", "ipv4@localhost:1", "::1"] {
            assert!(
                matches!(SocketAddress::parse(text), Err(InvalidAddress::Unknown { text: named }) if named == text),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_path_is_as_long_as_the_system_takes() {
        assert!(SocketAddress::parse(&"/".repeat(107)).is_ok());
        assert_eq!(SocketAddress::parse(&"/".repeat(108)), Err(InvalidAddress::TooLong { length: 108 }));
    }
}
