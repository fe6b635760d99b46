//! Texts of others, as they are shown.

use discovery_core::printable;

/// How much of a text is shown, in characters.
const SHOWN: usize = 1000;

/// A text on one line, of bounded length, in which nothing moves a cursor or turns the direction of reading.
pub(super) fn line(text: &str) -> String {
    printable(text.trim_end(), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_on_its_line_and_reads_as_it_is_written() {
        assert_eq!(line("no route\r\nto host\n"), "no route\\r\\nto host");
        assert_eq!(line("a\u{202e}b\u{1b}[31m\u{2028}c"), "a\\u{202e}b\\u{1b}[31m\\u{2028}c");
        assert_eq!(line("größe <b>"), "größe <b>");
        assert_eq!(line(&"ä".repeat(10_000)).chars().count(), SHOWN + 1);
    }
}
