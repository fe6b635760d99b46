//! One command, and nothing but one command.

use std::{borrow::Cow, fmt, str::FromStr};

/// A command for HAProxy's command line interface: one line that can't end early, be split, or become two.
///
/// It is made of printable ASCII characters. HAProxy splits it into words at blanks; `\` takes the next character
/// literally; quotes mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommandLine(Cow<'static, str>);

/// A text that is not exactly one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommandLine {
    /// No words.
    #[error("the command is empty")]
    Empty,
    /// A line feed, another control character, or one outside ASCII.
    #[error("the command contains the character {0:?}, which is not printable ASCII")]
    Unprintable(char),
    /// `;` separates commands; `\;` is the character.
    #[error("the command contains a `;` that is not escaped, which separates two commands")]
    Separator,
    /// `\` at the end takes the line feed along, and with it the next command.
    #[error("the command ends with a `\\`, which would take the end of the line along")]
    Escape,
    /// `<<` announces that the following lines are data.
    #[error("the command contains `<<`, which makes data of the following lines")]
    Payload,
    /// HAProxy puts variables of its environment in place of `$NAME` in addresses.
    #[error("the command contains a `$`, which HAProxy expands in addresses")]
    Variable,
    /// `prompt` and `quit` change how replies are told apart.
    #[error("the command belongs to the connection and can't be sent in a batch")]
    Reserved,
    /// HAProxy ignores the words that are too many, or refuses the command, depending on its version.
    #[error("the command has {0} words, HAProxy takes {max}", max = CommandLine::MAX_WORDS)]
    Words(usize),
    /// HAProxy closes the connection, or hangs, depending on its version.
    #[error("the command is {0} bytes long, the limit is {max}", max = CommandLine::MAX_LENGTH)]
    Length(usize),
}

impl CommandLine {
    /// The longest command, in bytes: half of HAProxy's buffer (`tune.bufsize`) if that has its usual size.
    pub const MAX_LENGTH: usize = 8_000;
    /// The most words in a command: versions up to 3.0 silently ignore the rest, from 3.2 on it is an error.
    pub const MAX_WORDS: usize = 64;

    /// Takes `text`, without the blanks around it, as one command.
    ///
    /// # Errors
    /// Anything that is not exactly one command on one line.
    pub fn parse(text: &str) -> Result<Self, InvalidCommandLine> {
        let trimmed = text.trim_matches(' ');
        check(trimmed)?;
        Ok(Self(Cow::Owned(trimmed.to_owned())))
    }

    /// `show info`: what the process is.
    pub fn info() -> Self {
        Self(Cow::Borrowed("show info"))
    }

    /// `show servers state`: every server of every backend, one line each.
    pub fn servers_state() -> Self {
        Self(Cow::Borrowed("show servers state"))
    }

    /// `show stat -1 4 -1`: the counters and settings of every server, as comma-separated values.
    pub fn server_stat() -> Self {
        Self(Cow::Borrowed("show stat -1 4 -1"))
    }

    /// Of this crate's own making.
    pub(super) const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// The command, without a line feed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CommandLine {
    type Err = InvalidCommandLine;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(text: &str) -> Result<(), InvalidCommandLine> {
    use InvalidCommandLine as Invalid;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ';' => return Err(Invalid::Separator),
            '$' => return Err(Invalid::Variable),
            ' '..='~' => {}
            other => return Err(Invalid::Unprintable(other)),
        }
        if character == '\\' {
            match characters.next() {
                // Addresses are expanded after the escapes are gone.
                Some('$') => return Err(Invalid::Variable),
                Some(' '..='~') => {}
                Some(other) => return Err(Invalid::Unprintable(other)),
                None => return Err(Invalid::Escape),
            }
        }
    }
    if text.contains("<<") {
        return Err(Invalid::Payload);
    }
    if text.len() > CommandLine::MAX_LENGTH {
        return Err(Invalid::Length(text.len()));
    }
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    match words.next() {
        None => return Err(Invalid::Empty),
        Some("prompt" | "quit") => return Err(Invalid::Reserved),
        Some(_) => {}
    }
    match words.count() + 1 {
        count if count > CommandLine::MAX_WORDS => Err(Invalid::Words(count)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_loses_only_the_blanks_around_it() {
        let command = CommandLine::parse("  add server b/s 127.0.0.1:80  id 7 ").unwrap();
        assert_eq!(command.as_str(), "add server b/s 127.0.0.1:80  id 7");
        assert_eq!("show info".parse(), Ok(CommandLine::info()));
    }

    #[test]
    fn escaped_characters_pass() {
        for text in [r"set x a\;b", r"set x a\ b", r"set x a\\", r"set x \<", r#"set x "quoted" 'too' #"#] {
            assert_eq!(CommandLine::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn nothing_can_end_or_split_a_command() {
        use InvalidCommandLine as Invalid;
        for (text, expected) in [
            ("", Invalid::Empty),
            ("   ", Invalid::Empty),
            ("show info\nquit", Invalid::Unprintable('\n')),
            ("show info\r", Invalid::Unprintable('\r')),
            ("show\tinfo", Invalid::Unprintable('\t')),
            ("show info\0", Invalid::Unprintable('\0')),
            ("show info \u{7f}", Invalid::Unprintable('\u{7f}')),
            ("show info é", Invalid::Unprintable('é')),
            ("set x \\\n", Invalid::Unprintable('\n')),
            ("show info;quit", Invalid::Separator),
            (r"show info\\;quit", Invalid::Separator),
            (r"show info \", Invalid::Escape),
            ("set map m <<", Invalid::Payload),
            ("set map m <<end", Invalid::Payload),
            ("add server b/s $HOME:80", Invalid::Variable),
            (r"add server b/s \$HOME:80", Invalid::Variable),
            ("prompt", Invalid::Reserved),
            (" quit ", Invalid::Reserved),
            ("prompt timed", Invalid::Reserved),
        ] {
            assert_eq!(CommandLine::parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn length_and_words_are_bounded() {
        assert!(CommandLine::parse(&"x".repeat(8_000)).is_ok());
        assert_eq!(CommandLine::parse(&"x".repeat(8_001)), Err(InvalidCommandLine::Length(8_001)));
        assert!(CommandLine::parse(&"x ".repeat(64)).is_ok());
        assert_eq!(CommandLine::parse(&"x ".repeat(65)), Err(InvalidCommandLine::Words(65)));
    }

    #[test]
    fn the_ready_made_commands_are_commands() {
        for command in [CommandLine::info(), CommandLine::servers_state(), CommandLine::server_stat()] {
            assert_eq!(CommandLine::parse(command.as_str()), Ok(command));
        }
    }
}
