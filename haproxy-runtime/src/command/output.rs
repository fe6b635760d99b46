//! What a command printed, bounded and safe to log.

use std::{borrow::Cow, fmt, time::Duration};

use crate::error::CommandError;

/// The most that is kept of what a command prints.
const KEPT: usize = 64 * 1024;
/// Lines shown in an error.
const SHOWN_LINES: usize = 5;
/// Lines logged.
const LOGGED_LINES: usize = 50;
/// Characters shown of a line.
const SHOWN_CHARS: usize = 300;

/// What a command printed on its two streams, in order, and how long it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    text: String,
    discarded: u64,
    took: Duration,
}

impl Output {
    /// The last 64 KiB, as printed: it may hold control characters. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many bytes were printed before [`Output::text`] and thrown away.
    pub fn discarded(&self) -> u64 {
        self.discarded
    }

    /// How long the command ran.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The last lines, for the end of an error: empty when nothing was printed.
    pub(crate) fn tail(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            let lines = self.last_lines(SHOWN_LINES);
            if lines.is_empty() {
                return Ok(());
            }
            write!(f, "; it printed last: {}", lines.join(" | "))
        })
    }

    /// One event a line: `debug` for a success, `warn` for a failure, with the same bounds for both.
    pub(crate) fn log(command: &'static str, result: &Result<Self, CommandError>) {
        let Some(output) = result.as_ref().map_or_else(CommandError::output, Some) else { return };
        if output.discarded > 0 {
            tracing::debug!(
                command,
                discarded = output.discarded,
                "the command printed a lot; its end was kept"
            );
        }
        log_lines(command, &output.text, result.is_err());
    }

    fn last_lines(&self, count: usize) -> Vec<String> {
        last_lines(&self.text, count)
    }
}

/// Logs the last lines that `command` has printed or was answered, escaped and cut: one event a line, `debug` for a success,
/// `warn` for a failure.
pub(crate) fn log_lines(command: &'static str, text: &str, failed: bool) {
    for line in last_lines(text, LOGGED_LINES) {
        if failed {
            tracing::warn!(command, line, "the command printed");
        } else {
            tracing::debug!(command, line, "the command printed");
        }
    }
}

/// The last `count` lines that are not blank, escaped and cut.
fn last_lines(text: &str, count: usize) -> Vec<String> {
    let mut lines: Vec<_> = text
        .lines()
        .rev()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .take(count)
        .map(escaped)
        .collect();
    lines.reverse();
    lines
}

/// One line without anything that moves a terminal's cursor, hides text or reorders it.
fn escaped(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line.chars();
    for char in rest.by_ref().take(SHOWN_CHARS) {
        if char.is_control() || is_invisible(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    if rest.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Zero-width characters, line separators and the marks that reverse the direction of text, the deprecated ones among them.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// Keeps the end of a stream: that is where commands say why they failed.
#[derive(Default)]
pub(super) struct Capture {
    bytes: Vec<u8>,
    discarded: u64,
}

impl Capture {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        // Cut only at twice the size: moving the rest costs then one copy a byte.
        if self.bytes.len() > 2 * KEPT {
            self.cut();
        }
    }

    pub(super) fn finish(mut self, took: Duration) -> Output {
        self.cut();
        let text = match String::from_utf8_lossy(&self.bytes) {
            Cow::Borrowed(text) => text.to_owned(),
            Cow::Owned(text) => text,
        };
        Output { text, discarded: self.discarded, took }
    }

    fn cut(&mut self) {
        let excess = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..excess);
        self.discarded += excess as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &[u8]) -> Output {
        let mut capture = Capture::default();
        capture.push(text);
        capture.finish(Duration::ZERO)
    }

    #[test]
    fn a_silent_command_has_no_tail() {
        assert_eq!(output(b"").tail().to_string(), "");
        assert_eq!(output(b"\n  \n").tail().to_string(), "");
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        let tail = output(b"1\n2\n3\n\n4\n5\n6\n").tail().to_string();
        assert_eq!(tail, "; it printed last: 2 | 3 | 4 | 5 | 6");
    }

    #[test]
    fn the_tail_cannot_move_a_cursor_or_reorder_text() {
        let tail = output("a\x1b[2Jb\r\u{7}c\u{202e}d\u{9b}\u{feff}".as_bytes()).tail().to_string();
        assert_eq!(tail, "; it printed last: a\\u{1b}[2Jb\\r\\u{7}c\\u{202e}d\\u{9b}\\u{feff}");
    }

    #[test]
    fn the_tail_is_bounded_whatever_was_printed() {
        let tail = output(&vec![7; 1_000_000]).tail().to_string();
        assert!(tail.len() < 4000, "{}", tail.len());
        assert!(tail.ends_with('…'));
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        assert_eq!(output(b"a\xffb").text(), "a\u{fffd}b");
    }

    #[test]
    fn the_end_of_a_long_output_is_kept_and_the_rest_counted() {
        let mut capture = Capture::default();
        for _ in 0..1000 {
            capture.push(&[b'x'; 1000]);
        }
        capture.push(b"end");
        let output = capture.finish(Duration::ZERO);
        assert_eq!(output.text().len(), KEPT);
        assert!(output.text().ends_with("xend"));
        assert_eq!(output.discarded(), 1_000_003 - KEPT as u64);
    }
}
