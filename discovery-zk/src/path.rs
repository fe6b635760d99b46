//! Where a node stands in ZooKeeper.

use std::{fmt, str::FromStr, sync::Arc};

use serde::Deserialize;
use thiserror::Error;

/// The longest path, in bytes.
const MAX: usize = 1024;

/// The absolute path of a node in ZooKeeper, by ZooKeeper's own rules (`PathUtils.validatePath`).
///
/// It has no `/` at its end, except for the root, which is nothing else; one that was written there is left out, so that
/// `/services/web/` is `/services/web`.
///
/// ```
/// use discovery_zk::Path;
///
/// assert_eq!(Path::new("/services/web/")?.to_string(), "/services/web");
/// assert!(Path::new("services/web").is_err());
/// # Ok::<(), discovery_zk::InvalidPath>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", expecting = "the path of a node: \"/services/web\", say")]
#[cfg_attr(feature = "schema", schemars(into = "String"))]
pub struct Path(Arc<str>);

/// Why a text is not a [`Path`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidPath {
    /// It does not begin at the root, or there is nothing at all.
    #[error("invalid zookeeper path: it does not begin with /")]
    Relative,
    /// Two slashes with nothing between them.
    #[error("invalid zookeeper path: there is nothing between two slashes")]
    EmptyPart,
    /// `.` or `..` between two slashes.
    #[error("invalid zookeeper path: `.` and `..` cannot be names")]
    Dots,
    /// A character that ZooKeeper has in no path: a control character, one for private use, or one beyond U+FFEF.
    #[error("invalid zookeeper path: it has a character that ZooKeeper does not allow")]
    Character,
    /// Longer than 1,024 bytes.
    #[error("invalid zookeeper path: it is longer than {MAX} bytes")]
    TooLong,
}

impl Path {
    /// Takes a path with or without a `/` at its end.
    pub fn new(text: &str) -> Result<Self, InvalidPath> {
        if text.len() > MAX {
            return Err(InvalidPath::TooLong);
        }
        let names = text.strip_prefix('/').ok_or(InvalidPath::Relative)?;
        if names.is_empty() {
            return Ok(Self(text.into()));
        }
        let names = names.strip_suffix('/').unwrap_or(names);
        for name in names.split('/') {
            match name {
                "" => return Err(InvalidPath::EmptyPart),
                "." | ".." => return Err(InvalidPath::Dots),
                _ if !name.chars().all(allowed) => return Err(InvalidPath::Character),
                _ => {}
            }
        }
        Ok(Self(text[..=names.len()].into()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of a child of this node, whose name a server told.
    pub(crate) fn join(&self, child: &str) -> String {
        format!("{}/{child}", self.without_slash())
    }

    /// This path below another: seen from outside, what a client with that one as its chroot calls by this one.
    pub(crate) fn below(&self, chroot: &Self) -> Result<Self, InvalidPath> {
        Self::new(&format!("{}{}", chroot.without_slash(), self.0))
    }

    /// Nothing, for the root.
    fn without_slash(&self) -> &str {
        self.0.strip_suffix('/').unwrap_or(&self.0)
    }
}

/// Java's characters are of 16 bits: what needs two of them counts as two surrogates, which are not allowed.
fn allowed(character: char) -> bool {
    !matches!(character, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

impl TryFrom<String> for Path {
    type Error = InvalidPath;

    fn try_from(text: String) -> Result<Self, InvalidPath> {
        Self::new(&text)
    }
}

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        Self::new(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    #[test]
    fn a_slash_at_the_end_means_nothing() {
        for (text, shown) in [("/", "/"), ("/a", "/a"), ("/a/", "/a"), ("/a/b c/", "/a/b c"), ("/ä", "/ä")]
        {
            assert_eq!(path(text).to_string(), shown);
        }
    }

    #[test]
    fn what_zookeeper_would_refuse_is_refused_here_with_the_reason() {
        for (text, reason) in [
            ("", InvalidPath::Relative),
            ("a/b", InvalidPath::Relative),
            ("//", InvalidPath::EmptyPart),
            ("/a//b", InvalidPath::EmptyPart),
            ("/a//", InvalidPath::EmptyPart),
            ("/a/./b", InvalidPath::Dots),
            ("/..", InvalidPath::Dots),
            ("/a\0", InvalidPath::Character),
            ("/a\nb", InvalidPath::Character),
            ("/a\u{7f}", InvalidPath::Character),
            ("/\u{e000}", InvalidPath::Character),
            ("/\u{ffff}", InvalidPath::Character),
            ("/\u{1f600}", InvalidPath::Character),
            (&format!("/{}", "x".repeat(1024)), InvalidPath::TooLong),
        ] {
            assert_eq!(Path::new(text), Err(reason), "{text:?}");
        }
        assert!(Path::new("/.../..a/\u{a0}\u{d7ff}\u{f900}\u{ffef}").is_ok());
    }

    #[test]
    fn paths_and_children_are_put_together_with_one_slash() {
        assert_eq!(path("/a").join("b"), "/a/b");
        assert_eq!(path("/").join("b"), "/b");
        for (inner, chroot, whole) in
            [("/a", "/", "/a"), ("/", "/c", "/c"), ("/", "/", "/"), ("/a/b", "/c/d", "/c/d/a/b")]
        {
            assert_eq!(path(inner).below(&path(chroot)), Ok(path(whole)));
        }
        let long = path(&format!("/{}", "x".repeat(800)));
        assert_eq!(long.below(&long), Err(InvalidPath::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_absolute_and_stays_as_it_is(text in "/?[/.a\u{0}-\u{20}é\u{10000}]{0,12}") {
            if let Ok(path) = Path::new(&text) {
                prop_assert!(path.as_str().starts_with('/') && !path.as_str().contains("//"));
                prop_assert!(path.as_str() == "/" || !path.as_str().ends_with('/'));
                prop_assert_eq!(Path::new(path.as_str()), Ok(path));
            }
        }
    }
}
