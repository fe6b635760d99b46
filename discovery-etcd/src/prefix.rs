//! Below which key a service's endpoints are registered.

use std::{fmt, str::FromStr, sync::Arc};

use serde::Deserialize;
use thiserror::Error;

/// The longest prefix, in bytes.
const MAX: usize = 1024;

/// The directory that a service's endpoints are registered below.
///
/// It always ends with `/`, which is added where it is missing: etcd's prefixes are mere bytes, and `/services/web` alone would
/// match `/services/web2/a` as well. Everything else stays as written; in particular `services/web` and `/services/web` are
/// different.
///
/// ```
/// use discovery_etcd::Prefix;
///
/// assert_eq!(Prefix::new("/services/web")?.to_string(), "/services/web/");
/// assert_eq!(Prefix::new("/services/web/")?, Prefix::new("/services/web")?);
/// # Ok::<(), discovery_etcd::InvalidPrefix>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", schemars(into = "String"))]
pub struct Prefix(Arc<str>);

/// Why a text is not a [`Prefix`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidPrefix {
    /// Nothing, or nothing but slashes: that would be everything in etcd, whatever it is.
    #[error("the prefix names no directory: all of etcd is not one service")]
    Everything,
    /// Longer than 1,024 bytes.
    #[error("the prefix is longer than {MAX} bytes")]
    TooLong,
}

impl Prefix {
    /// Takes a prefix with or without its last `/`.
    pub fn new(text: &str) -> Result<Self, InvalidPrefix> {
        if text.bytes().all(|byte| byte == b'/') {
            return Err(InvalidPrefix::Everything);
        }
        if text.len() > MAX {
            return Err(InvalidPrefix::TooLong);
        }
        Ok(Self(if text.ends_with('/') { text.into() } else { format!("{text}/").into() }))
    }

    /// The prefix, with its last `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first key that is not below it: the same with `0`, which follows `/`, in place of the last `/`.
    pub(crate) fn end(&self) -> Vec<u8> {
        let mut end = self.0.as_bytes().to_vec();
        if let Some(last) = end.last_mut() {
            *last = b'0';
        }
        end
    }
}

impl TryFrom<String> for Prefix {
    type Error = InvalidPrefix;

    fn try_from(text: String) -> Result<Self, InvalidPrefix> {
        Self::new(&text)
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        Self::new(text)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_never_matches_a_longer_name() {
        let prefix = Prefix::new("/services/web").unwrap();
        let below =
            |key: &str| (prefix.as_str().as_bytes()..prefix.end().as_slice()).contains(&key.as_bytes());
        assert!(
            below("/services/web/a") && below("/services/web/a/b/c") && below("/services/web/\u{10ffff}")
        );
        assert!(!below("/services/web2/a") && !below("/services/web") && !below("/services/weba"));
    }

    #[test]
    fn all_of_etcd_is_no_service() {
        for text in ["", "/", "//"] {
            assert_eq!(Prefix::new(text), Err(InvalidPrefix::Everything));
        }
        assert_eq!(Prefix::new(&"x".repeat(1025)), Err(InvalidPrefix::TooLong));
    }
}
