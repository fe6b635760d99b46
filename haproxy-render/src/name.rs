//! Words that HAProxy itself bounds: names of sections and servers, and cookie values.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// Longest [`Name`] and [`Cookie`], in bytes.
const MAX_LEN: usize = 400;

/// The name of a section or of a server: 1 to 400 bytes of `[A-Za-z0-9_.:-]`.
///
/// That is exactly the set that HAProxy takes, in its file and on its socket. It has no blank, no quote, no `/` (which
/// separates backend from server on the socket) and no `#` (with which HAProxy 3.4 addresses a server by its id), so
/// a name can add neither a word nor a line. Cloning is cheap: the text is shared.
///
/// ```
/// use haproxy_render::Name;
///
/// assert_eq!(Name::parse("web-1_10.0.0.1:80").unwrap().as_str(), "web-1_10.0.0.1:80");
/// assert!(Name::parse("web\n\tserver evil 10.6.6.6:80").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// The value of a server's `cookie` word: 1 to 400 bytes of `[A-Za-z0-9_.:@/+=~!%*-]`, a part of what RFC 6265 allows.
///
/// HAProxy takes nearly any byte there and hands it to browsers as it is, so the bound is drawn here. Every [`Name`] is
/// a valid cookie value. HAProxy does not object to two servers with one value: keeping them apart is the caller's part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cookie(Arc<str>);

/// Why a text is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("name {0}")]
pub struct InvalidName(Defect);

/// Why a text is not a [`Cookie`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cookie value {0}")]
pub struct InvalidCookie(Defect);

/// What is wrong with a word; the text itself is not repeated beyond one character, so that errors stay short.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Defect {
    #[error("is empty")]
    Empty,
    #[error("has {0} bytes, more than {MAX_LEN}")]
    TooLong(usize),
    #[error("holds {0:?}, which HAProxy does not take there")]
    Character(char),
}

fn bounded(text: &str, allowed: fn(char) -> bool) -> Result<Arc<str>, Defect> {
    if text.is_empty() {
        return Err(Defect::Empty);
    }
    if text.len() > MAX_LEN {
        return Err(Defect::TooLong(text.len()));
    }
    match text.chars().find(|&char| !allowed(char)) {
        Some(char) => Err(Defect::Character(char)),
        None => Ok(text.into()),
    }
}

fn in_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | ':' | '-')
}

fn in_cookie(char: char) -> bool {
    in_name(char) || matches!(char, '@' | '/' | '+' | '=' | '~' | '!' | '%' | '*')
}

impl Name {
    /// Takes `text` as it is: nothing is trimmed or replaced.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        bounded(text, in_name).map(Self).map_err(InvalidName)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Cookie {
    /// Takes `text` as it is: nothing is trimmed or replaced.
    pub fn parse(text: &str) -> Result<Self, InvalidCookie> {
        bounded(text, in_cookie).map(Self).map_err(InvalidCookie)
    }

    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    /// Names compare and hash as their texts do.
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&Name> for Cookie {
    /// The usual choice: a server's name is its cookie value. Shares the text.
    fn from(name: &Name) -> Self {
        Self(Arc::clone(&name.0))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

impl FromStr for Cookie {
    type Err = InvalidCookie;

    fn from_str(text: &str) -> Result<Self, InvalidCookie> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_takes_exactly_the_bytes_that_haproxy_takes() {
        for byte in 0..=255_u8 {
            let allowed = byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
            assert_eq!(Name::parse(&char::from(byte).to_string()).is_ok(), allowed, "{byte}");
        }
    }

    #[test]
    fn length_is_bounded_on_both_sides() {
        assert!(Name::parse("").is_err());
        assert!(Name::parse(&"a".repeat(400)).is_ok());
        assert_eq!(
            Name::parse(&"a".repeat(401)).unwrap_err().to_string(),
            "name has 401 bytes, more than 400"
        );
    }

    #[test]
    fn a_cookie_value_can_not_end_a_header_or_a_word() {
        for bad in ["", "a b", "a;b", "a,b", "a\"b", "a\\b", "a#b", "a$b", "a\rb", "a\nb", "a\0b", "é"] {
            assert!(Cookie::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Cookie::parse("a/b+c==").unwrap().as_str(), "a/b+c==");
    }

    #[test]
    fn an_error_names_the_character_in_a_form_that_is_safe_to_log() {
        assert_eq!(
            Name::parse("a\nb").unwrap_err().to_string(),
            "name holds '\\n', which HAProxy does not take there"
        );
    }
}
