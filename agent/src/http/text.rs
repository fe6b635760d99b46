//! Texts of others, and times, as they are shown.

use std::{fmt, time::Duration};

use discovery_core::printable;

/// How much of a text is shown, in characters.
const SHOWN: usize = 1000;

/// A text on one line, of bounded length, in which nothing moves a cursor or turns the direction of reading.
pub(super) fn line(text: &str) -> String {
    printable(text.trim_end(), SHOWN)
}

/// A duration for people: its greatest unit, and no fraction.
#[derive(Debug, Clone, Copy)]
pub struct Ago(pub Duration);

impl Ago {
    /// The same for seconds; what is no duration is none.
    pub fn seconds(seconds: f64) -> Self {
        Self(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
        let (length, unit) = units.into_iter().find(|(length, _)| seconds >= *length).unwrap_or((1, "s"));
        write!(f, "{} {unit}", seconds / length)
    }
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

    #[test]
    fn a_duration_has_one_unit() {
        let shown = |seconds: f64| Ago::seconds(seconds).to_string();
        assert_eq!(
            [shown(0.9), shown(59.9), shown(60.0), shown(7200.0), shown(200_000.0)],
            ["0 s", "59 s", "1 min", "2 h", "2 d"]
        );
        assert_eq!([shown(-1.0), shown(f64::NAN), shown(f64::INFINITY)], ["0 s"; 3]);
    }
}
