//! What HAProxy said to one command.

use std::fmt;

/// Characters of a reply that errors and logs show.
const SHOWN: usize = 200;

/// The reply to one command: lines of text, without the blank lines at its end.
///
/// Bytes that are not UTF-8 are replaced by U+FFFD. A reply that is longer than asked for is cut, see [`Reply::is_cut`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    text: String,
    cut: bool,
}

impl Reply {
    /// A reply of `text`.
    pub fn new(text: impl Into<String>) -> Self {
        let mut reply = Self { text: text.into(), cut: false };
        reply.finish();
        reply
    }

    /// The lines, as HAProxy wrote them: they may hold anything that is configured or announced. Empty when HAProxy said
    /// nothing.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether its end was thrown away, as it was longer than was asked for.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The first lines, escaped and bounded: fit for a log.
    pub fn shown(&self) -> impl fmt::Display {
        fmt::from_fn(|f| f.write_str(&shown(&self.text)))
    }

    /// Adds a line, up to `keep` bytes in all.
    pub(super) fn push(&mut self, line: &str, keep: usize) {
        let left = keep.saturating_sub(self.text.len());
        if line.len() < left {
            self.text.push_str(line);
            self.text.push('\n');
        } else {
            self.cut |= !line.is_empty();
        }
    }

    pub(super) fn finish(&mut self) {
        self.text.truncate(self.text.trim_end_matches(['\n', ' ']).len());
    }
}

/// One line of `text` without anything that moves a terminal's cursor, hides text or reorders it.
pub(super) fn shown(text: &str) -> String {
    let text = text.trim();
    let mut shown = String::new();
    for character in text.chars().take(SHOWN) {
        match character {
            '\n' => shown.push_str(" | "),
            '"' | '\'' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_at_the_end_are_not_part_of_a_reply() {
        assert_eq!(Reply::new("\n").text(), "");
        assert_eq!(Reply::new("a\n\nb\n\n").text(), "a\n\nb");
    }

    #[test]
    fn a_reply_is_cut_at_a_line() {
        let mut reply = Reply::default();
        for line in ["one", "two", "three", ""] {
            reply.push(line, 8);
        }
        reply.finish();
        assert_eq!((reply.text(), reply.is_cut()), ("one\ntwo", true));
    }

    #[test]
    fn what_is_shown_is_one_harmless_line() {
        let reply = Reply::new("it's \"a\"\n\x1b[2J\u{202e}\\".to_owned() + &"x".repeat(1_000));
        let shown = reply.shown().to_string();
        assert!(shown.starts_with("it's \"a\" | \\u{1b}[2J\\u{202e}\\\\xxx"), "{shown}");
        assert!(shown.ends_with("x…") && shown.len() < 300, "{shown}");
    }
}
