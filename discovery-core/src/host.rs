//! Where an endpoint can be reached.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use thiserror::Error;

/// An IP address or a DNS name, parsed.
///
/// What registries hold is written by others. A `Host` cannot contain white space, a line end, a quote or anything else
/// that could end a word or a line in a file it is written to: a name is made of letters, digits, `-`, `_` and `.` alone.
///
/// IPv6 addresses are accepted with and without brackets, and displayed without: `2001:db8::1`. Names keep the case they
/// were written in.
///
/// ```
/// use discovery_core::Host;
///
/// assert!("10.0.0.7".parse::<Host>().is_ok());
/// assert!("[2001:db8::1]".parse::<Host>().is_ok());
/// assert!("db-1.internal".parse::<Host>().is_ok());
/// assert!("db-1\n server evil".parse::<Host>().is_err());
/// assert!("10.0.0.256".parse::<Host>().is_err()); // neither an address nor a name
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Inner);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Inner {
    Ip(IpAddr),
    Name(Arc<str>),
}

/// Why a text is not a [`Host`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidHost {
    /// The text is empty.
    #[error("the host is empty")]
    Empty,
    /// The text is longer than a DNS name may be: 253 bytes (RFC 1035, section 2.3.4).
    #[error("the host is longer than 253 bytes")]
    TooLong,
    /// A part between two dots is empty, longer than 63 bytes, or begins or ends with `-`.
    #[error("the host has an empty or malformed part between its dots")]
    Part,
    /// A byte that stands in neither an IP address nor a DNS name.
    #[error("the host has a character that neither an IP address nor a DNS name may have")]
    Character,
    /// The last part is a number, so it must be an IPv4 address, and is not one.
    #[error("the host ends in a number but is not an IPv4 address")]
    NotAnAddress,
    /// `0.0.0.0` or `::`, which nothing can connect to.
    #[error("the host is the unspecified address")]
    Unspecified,
}

impl Host {
    /// Parses an address or a name. See [`Host`] for what is accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        if text.is_empty() {
            return Err(InvalidHost::Empty);
        }
        let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(ip) = unbracketed.unwrap_or(text).parse::<IpAddr>() {
            return Self::try_from(ip);
        }
        if text.len() > 253 {
            return Err(InvalidHost::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(InvalidHost::Character);
        }
        // A trailing dot makes a name absolute; it is part of no label.
        let labels = text.strip_suffix('.').unwrap_or(text);
        let well_formed =
            |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        if !labels.split('.').all(well_formed) {
            return Err(InvalidHost::Part);
        }
        // The rule of URLs: resolvers take such names for addresses, each in its own way.
        let last = labels.rsplit('.').next().unwrap_or(labels);
        let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
        let number = hexadecimal.map_or_else(
            || last.bytes().all(|byte| byte.is_ascii_digit()),
            |digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        );
        if number {
            return Err(InvalidHost::NotAnAddress);
        }
        Ok(Self(Inner::Name(text.into())))
    }

    /// The IP address, unless this is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.0 {
            Inner::Ip(ip) => Some(ip),
            Inner::Name(_) => None,
        }
    }

    /// The DNS name, unless this is an address.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Inner::Ip(_) => None,
            Inner::Name(name) => Some(name),
        }
    }
}

impl TryFrom<IpAddr> for Host {
    type Error = InvalidHost;

    fn try_from(ip: IpAddr) -> Result<Self, InvalidHost> {
        if ip.is_unspecified() { Err(InvalidHost::Unspecified) } else { Ok(Self(Inner::Ip(ip))) }
    }
}

impl FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        Self::parse(text)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Ip(ip) => ip.fmt(f),
            Inner::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_kept_in_one_spelling() {
        assert_eq!(Host::parse("[2001:DB8:0::1]").unwrap().to_string(), "2001:db8::1");
        assert_eq!(Host::parse("2001:db8::1").unwrap(), Host::parse("[2001:db8::1]").unwrap());
    }

    #[test]
    fn names_are_accepted_as_people_write_them() {
        for name in ["localhost", "db-1.internal", "a_b.example.com.", "xn--bcher-kva.example", "1a"] {
            assert_eq!(Host::parse(name).unwrap().name(), Some(name));
        }
    }

    #[test]
    fn what_cannot_be_a_host_is_refused_with_the_reason() {
        let long = "a".repeat(64);
        let longer = "a.".repeat(200);
        for (text, reason) in [
            ("", InvalidHost::Empty),
            ("a b", InvalidHost::Character),
            ("a\nb", InvalidHost::Character),
            ("a#b", InvalidHost::Character),
            ("$HOME", InvalidHost::Character),
            ("fe80::1%eth0", InvalidHost::Character),
            ("büro", InvalidHost::Character),
            ("/var/run/x.sock", InvalidHost::Character),
            ("a..b", InvalidHost::Part),
            (".", InvalidHost::Part),
            ("-a", InvalidHost::Part),
            (&long, InvalidHost::Part),
            (&longer, InvalidHost::TooLong),
            ("10.0.0.256", InvalidHost::NotAnAddress),
            ("80", InvalidHost::NotAnAddress),
            ("0x7f000001", InvalidHost::NotAnAddress),
            ("127.0X1", InvalidHost::NotAnAddress),
            ("0.0.0.0", InvalidHost::Unspecified),
            ("[::]", InvalidHost::Unspecified),
        ] {
            assert_eq!(Host::parse(text), Err(reason), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_accepted_text_can_end_a_word_or_a_line(text in ".{0,40}") {
            if let Ok(host) = Host::parse(&text) {
                let shown = host.to_string();
                prop_assert!(shown.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)));
                prop_assert_eq!(Host::parse(&shown), Ok(host));
            }
        }
    }
}
