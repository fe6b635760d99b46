//! Text that others wrote.

/// How much of an entry of a registry, or of what is wrong with it, is kept, in characters.
pub(crate) const SHOWN: usize = 200;

/// Text that a stranger wrote, fit for a log line or an error: control characters, and those that hide text or reverse its
/// direction, are escaped as Rust does (`\n`, `\u{1b}`), and of more than `most` characters only the first are kept, with `…`
/// behind them.
///
/// An escaped character counts as one, so what comes out can be some times longer than `most`.
///
/// ```
/// use discovery_core::printable;
///
/// assert_eq!(printable("web\n\u{1b}[31m", 200), r"web\n\u{1b}[31m");
/// assert_eq!(printable("abcdef", 3), "abc…");
/// ```
pub fn printable(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == most {
            shown.push('…');
            break;
        }
        if character.is_control() || is_invisible(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Zero-width characters, line separators and the marks that reverse the direction of text, the deprecated ones among them.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_as_it_is() {
        for text in ["", "abc", "ärger"] {
            assert_eq!(printable(text, 5), text);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(printable("éèê", 2), "éè…");
        assert_eq!(printable("a", 0), "…");
    }

    #[test]
    fn nothing_can_end_a_line_or_steer_a_terminal() {
        assert_eq!(printable("a\r\n\u{9b}b\0", 9), r"a\r\n\u{9b}b\u{0}");
        assert_eq!(printable("a\u{2028}\u{202e}b", 9), r"a\u{2028}\u{202e}b");
        assert_eq!(printable("\u{61c}a\u{206f}", 9), r"\u{61c}a\u{206f}");
    }
}
