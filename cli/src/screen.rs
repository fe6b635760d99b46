//! What is printed, and how it is made fit for a terminal.

use std::io::{ErrorKind, Write};

use agent::discovery::printable;
use anyhow::Context as _;

use crate::failure::Failure;

/// How much of a line that others wrote is shown, in characters.
const SHOWN: usize = 2000;

/// Prints to standard output, byte for byte. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    told(std::io::stdout().lock(), text.as_bytes()).map(drop)
}

/// Prints a text with styles to standard output, without them where nobody sees them: no terminal, `NO_COLOR`. Whether somebody
/// reads on.
pub(crate) fn show(text: &[u8]) -> Result<bool, Failure> {
    told(anstream::stdout().lock(), text)
}

fn told(mut out: impl Write, text: &[u8]) -> Result<bool, Failure> {
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        result => Ok(result.map(|()| true).context("writing to standard output")?),
    }
}

/// What others wrote, in one line, without what a terminal takes for a command.
pub(crate) fn line(text: &str) -> String {
    printable(text.trim_end(), SHOWN)
}

/// The same in as many lines as it has, and all of it.
pub(crate) fn lines(text: &str) -> String {
    text.trim_end().lines().map(|line| printable(line, usize::MAX)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_commands_no_terminal_and_keeps_its_lines_where_it_may() {
        let text = "a\u{1b}[2J\nb\u{9b}31m\u{202e}\n";
        assert_eq!(line(text), r"a\u{1b}[2J\nb\u{9b}31m\u{202e}");
        assert_eq!(lines(text), "a\\u{1b}[2J\nb\\u{9b}31m\\u{202e}");
        assert!(line(&"x".repeat(100_000)).len() < SHOWN + 10);
    }
}
