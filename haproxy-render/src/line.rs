//! Lines and titles that the user wrote.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// One line of the user's own, trusted configuration, as `mode http` or `acl api path_beg /api`.
///
/// Anything but carriage return, line feed and NUL: those would end the line early (HAProxy drops what follows a
/// carriage return without a word) or end the file. Surrounding blanks are trimmed, but for one at the end that a backslash makes
/// a part of the last word; the rest stays as it was written, quotes, comments and variables included, for HAProxy to read. An
/// empty line is a line. Cloning is cheap.
///
/// Never build one from what a registry says: whoever writes a line can write any directive.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(Arc<str>);

/// A text that holds a character which ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a configuration line holds {0:?} at byte {1}")]
pub struct InvalidLine(char, usize);

impl Line {
    /// Trims `text` and takes the rest as it is.
    pub fn parse(text: &str) -> Result<Self, InvalidLine> {
        // Only the trimmed part counts: a final line feed, as block texts of YAML have, is no harm.
        let line = trimmed(text);
        match line.char_indices().find(|(_, char)| matches!(char, '\r' | '\n' | '\0')) {
            Some((at, char)) => Err(InvalidLine(char, at)),
            None => Ok(Self(line.into())),
        }
    }

    /// The empty line.
    pub fn empty() -> Self {
        Self("".into())
    }

    /// The line as text, without line feed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn trimmed(text: &str) -> &str {
    let text = text.trim_start();
    let line = text.trim_end();
    let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
    let escapes = backslashes % 2 == 1 && text[line.len()..].starts_with([' ', '\t']);
    &text[..line.len() + usize::from(escapes)]
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for Line {
    type Err = InvalidLine;

    fn from_str(text: &str) -> Result<Self, InvalidLine> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        for bad in ["a\nb", "a\rb", "a\0b", "\0"] {
            assert!(Line::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Line::parse("a\rb").unwrap_err().to_string(),
            "a configuration line holds '\\r' at byte 1"
        );
    }

    #[test]
    fn a_blank_that_belongs_to_the_last_word_stays() {
        for (text, line) in [
            (r" set-header X a\  ", r"set-header X a\ "),
            ("a\\\t\n", "a\\\t"),
            ("a\\\\  ", "a\\\\"),
            ("a\\\n", "a\\"),
            (" \\ ", "\\ "),
        ] {
            assert_eq!(Line::parse(text).unwrap().as_str(), line, "{text:?}");
        }
    }

    #[test]
    fn blanks_around_go_and_blanks_within_stay() {
        assert_eq!(Line::parse("\tlog            global\n").unwrap().as_str(), "log            global");
        assert_eq!(Line::parse("  ").unwrap().as_str(), "");
    }
}
