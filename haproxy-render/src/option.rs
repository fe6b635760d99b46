//! The options at the end of a `server` line.

mod pool;

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::number::{ServerId, digits};
use crate::word::{groups, harmless, scan};
use crate::{policy, server_keyword};

pub use pool::OptionPool;

/// Most words in one set of options. HAProxy takes 64 words a line or command; the words that a server can have besides
/// its options are 13 (`add server B/S ADDR id N cookie C weight W init-addr LIST backup` and their like).
const MAX_WORDS: usize = 47;

/// Longest set of options, in bytes: it has to fit a command on HAProxy's socket together with names.
const MAX_BYTES: usize = 4096;

/// The options of a server, as `check inter 2s maxconn 100`: words, written with single blanks between them.
///
/// Where the text comes from decides how it is read: [`trusted`](Self::trusted) for the operator's own configuration,
/// [`untrusted`](Self::untrusted) for what a registry says. In neither can the text end the line, comment out what
/// follows, swallow the next word, or set the server's `id`, which is the renderer's. 47 words and 4096 bytes at most.
///
/// Cloning is cheap: the text is shared.
///
/// ```
/// use haproxy_render::ServerOptions;
///
/// assert_eq!(ServerOptions::trusted("check  sni \"str(a b)\" # comment")?.to_string(), "check sni \"str(a b)\"");
/// assert_eq!(ServerOptions::untrusted("check inter 2s")?.to_string(), "check inter 2s");
///
/// let refused = ServerOptions::untrusted("check ca-file /etc/shadow").unwrap_err();
/// assert_eq!(refused.to_string(), "server option \"ca-file\": a registry may not use it: it makes HAProxy read a file");
/// # Ok::<(), haproxy_render::InvalidOption>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerOptions {
    text: Arc<str>,
    /// Whether some of the words are a server's own fields (`weight`, `backup`, …): lets the rest skip a second look.
    fields: bool,
}

/// An option that was refused: which word, and why. Both are safe to log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("server option {word:?}: {problem}")]
pub struct InvalidOption {
    word: Box<str>,
    problem: OptionProblem,
}

/// Why an option was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OptionProblem {
    /// A carriage return, a line feed or NUL.
    #[error("it would end the line")]
    EndOfLine,
    /// A quote without its partner, or a backslash at the end: the words that follow would become part of this one.
    #[error("its quote or backslash would swallow what follows")]
    OpenQuote,
    /// `""`: HAProxy 2.6 drops all that follows it.
    #[error("an empty word would cut the line short")]
    EmptyWord,
    /// `id`: the renderer writes it. See [`ServerOptions::split_id`].
    #[error("the id of a server is not an option")]
    Id,
    /// A character outside of what is harmless in HAProxy's file and on its socket alike.
    #[error("only letters, digits and _ . : @ / + = ~ ! % * , ( ) [ ] {{ }} - may come from a registry")]
    Unsafe,
    /// No version of HAProxy from 2.6 on has this option.
    #[error("HAProxy has no such server option")]
    Unknown,
    /// An option that a registry may not use, because HAProxy 2.6 or another supported version does not have it.
    #[error("not every supported version of HAProxy has this option")]
    NotEverywhere,
    /// An option that a registry may not use, and what it would do.
    #[error("a registry may not use it: {0}")]
    Denied(&'static str),
    /// The option needs a value and has none.
    #[error("its value is missing")]
    NoValue,
    /// HAProxy refuses this option without another one.
    #[error("it needs {0} too")]
    Needs(&'static str),
    /// The option's value would make HAProxy refuse the whole file.
    #[error("its value has to be {0}")]
    Value(&'static str),
    /// More words than a line can take.
    #[error("more than {MAX_WORDS} words")]
    Words,
    /// More bytes than a command can take.
    #[error("more than {MAX_BYTES} bytes")]
    Bytes,
}

impl InvalidOption {
    pub(crate) fn new(word: &str, problem: OptionProblem) -> Self {
        Self { word: word.chars().take(64).collect(), problem }
    }

    /// The word, cut after 64 characters.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// What is wrong with it.
    pub fn problem(&self) -> OptionProblem {
        self.problem
    }
}

impl ServerOptions {
    /// Reads the operator's own options.
    ///
    /// Words are told apart as HAProxy does: quotes and backslashes keep blanks together and stay as they were written,
    /// an unquoted `#` starts a comment, which is dropped. Options that HAProxy does not know pass: it will say so.
    pub fn trusted(text: &str) -> Result<Self, InvalidOption> {
        let words = scan(text)?;
        let groups = groups(&words);
        if groups.iter().any(|group| group[0] == "id") {
            return Err(InvalidOption::new("id", OptionProblem::Id));
        }
        match groups.last() {
            // It would take the word that follows all options for its value.
            Some([keyword, values @ ..]) if values.len() < server_keyword::values(keyword).unwrap_or(0) => {
                Err(InvalidOption::new(keyword, OptionProblem::NoValue))
            }
            _ => Self::from_words(&words),
        }
    }

    /// Reads options that a registry gave: data of somebody who may announce servers, and may do nothing else.
    ///
    /// Each option has to be one that every HAProxy from 2.6 to 3.4 knows, followed by as many values as it takes; each value
    /// has to be of the form that HAProxy takes, as far as this can be told without the rest of the file; and every
    /// character has to be harmless. Refused altogether, with the reason in the error:
    ///
    /// - what reads files: `ca-file`, `crl-file`, `crt`;
    /// - what sends traffic or checks elsewhere than to the announced address: `addr`, `agent-addr`, `init-addr`,
    ///   `redir`, `resolvers` and `resolve-*`, `socks4`, `check-via-socks4`, `source`, `usesrc`, `namespace`;
    /// - what touches other servers, or fails the whole file when it clashes or names something that is not there:
    ///   `id`, `guid`, `cookie`, `track`, `healthcheck`, `on-marked-up`, `log-proto`, `log-bufsize`;
    /// - what says whether and how a server proves itself by TLS: `ssl`, `verify`, `sni`, `ciphers` and the rest.
    ///   `verify required` is what keeps a false announcement from taking traffic, so it can not be the announcer's to
    ///   undo: TLS belongs into trusted options;
    /// - what evaluates expressions, which can read files and variables: `pool-conn-name`, `set-proxy-v2-tlv-fmt`;
    /// - what depends on the backend's mode and checks: `proto`, `check-proto`;
    /// - what is the caller's to say: `enabled`, `disabled`.
    ///
    /// An `id N` or a `cookie` that the caller wants to honour has to be taken out first: [`split_id`](Self::split_id).
    pub fn untrusted(text: &str) -> Result<Self, InvalidOption> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if text.len() > MAX_BYTES {
            return Err(InvalidOption::new(words.last().unwrap_or(&""), OptionProblem::Bytes));
        }
        if let Some(word) = words.iter().find(|word| !word.bytes().all(harmless)) {
            return Err(InvalidOption::new(word, OptionProblem::Unsafe));
        }
        policy::check(&groups(&words)).map_err(|(word, problem)| InvalidOption::new(word, problem))?;
        Self::from_words(&words)
    }

    /// Takes `id N` out of a text of options, trusted or not: the last valid one, and the text without any valid one.
    ///
    /// An `id` whose value is not a [`ServerId`] stays, for [`trusted`](Self::trusted) or
    /// [`untrusted`](Self::untrusted) to complain of.
    ///
    /// ```
    /// use haproxy_render::ServerOptions;
    ///
    /// let (id, rest) = ServerOptions::split_id("check id 7 inter 2s");
    /// assert_eq!((id.unwrap().get(), rest.as_str()), (7, "check inter 2s"));
    /// ```
    pub fn split_id(text: &str) -> (Option<ServerId>, String) {
        let Ok(words) = scan(text) else { return (None, text.to_owned()) };
        let mut found = None;
        let mut rest = Vec::new();
        for group in groups(&words) {
            match group {
                ["id", value] if id(value).is_some() => found = id(value),
                _ => rest.extend_from_slice(group),
            }
        }
        if found.is_some() { (found, rest.join(" ")) } else { (None, text.to_owned()) }
    }

    /// No options at all.
    pub fn none() -> Self {
        Self { text: "".into(), fields: false }
    }

    /// The words, with single blanks between them; empty for no options.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there are no options.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether `keyword` is among the options: as an option, not as the value of one.
    pub fn contains(&self, keyword: &str) -> bool {
        let words = self.words();
        groups(&words).into_iter().any(|group| group[0] == keyword)
    }

    /// Whether the words mean the same in the file and on HAProxy's socket, which knows no quotes and no comments and
    /// ends a command at `;`.
    pub fn is_plain(&self) -> bool {
        self.text.bytes().all(|byte| byte == b' ' || harmless(byte))
    }

    /// These options, then those of `later`.
    pub(crate) fn join(&self, later: &Self) -> Result<Self, InvalidOption> {
        if later.is_empty() {
            return Ok(self.clone());
        }
        if self.is_empty() {
            return Ok(later.clone());
        }
        let mut words = self.words();
        words.extend(later.words());
        Self::from_words(&words)
    }

    pub(crate) fn has_fields(&self) -> bool {
        self.fields
    }

    pub(crate) fn words(&self) -> Vec<&str> {
        scan(&self.text).expect("words were scanned when these options were made, and joined by blanks since")
    }

    pub(crate) fn from_words(words: &[&str]) -> Result<Self, InvalidOption> {
        let text = words.join(" ");
        let last = words.last().copied().unwrap_or_default();
        if words.len() > MAX_WORDS {
            return Err(InvalidOption::new(last, OptionProblem::Words));
        }
        if text.len() > MAX_BYTES {
            return Err(InvalidOption::new(last, OptionProblem::Bytes));
        }
        let fields = groups(words).into_iter().any(|group| server_keyword::is_field(group[0]));
        Ok(Self { text: text.into(), fields })
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Display for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

fn id(word: &str) -> Option<ServerId> {
    digits(word).and_then(|id| ServerId::new(id).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(text: &str) -> Result<String, OptionProblem> {
        ServerOptions::trusted(text).map(|options| options.to_string()).map_err(|error| error.problem())
    }

    #[test]
    fn trusted_words_keep_their_quotes() {
        assert_eq!(trusted(" check\t inter  2s "), Ok("check inter 2s".to_owned()));
        let quoted = r#"sni "str(a b)" agent-send 'x\' source a\ b "$PORT""#;
        assert_eq!(trusted(quoted), Ok(quoted.to_owned()));
        assert_eq!(trusted(""), Ok(String::new()));
    }

    #[test]
    fn a_comment_can_not_hide_the_words_that_follow_the_options() {
        assert_eq!(trusted("check # inter 2s"), Ok("check".to_owned()));
        assert_eq!(trusted("check#inter"), Ok("check".to_owned()));
        assert_eq!(trusted(r#"agent-send "a#b" x\#y"#), Ok(r#"agent-send "a#b" x\#y"#.to_owned()));
    }

    #[test]
    fn trusted_words_can_not_reach_beyond_their_end() {
        for (text, problem) in [
            ("check \"", OptionProblem::OpenQuote),
            ("check '", OptionProblem::OpenQuote),
            ("check \\", OptionProblem::OpenQuote),
            ("check \"a\\\"", OptionProblem::OpenQuote),
            ("check \"\" inter 2s", OptionProblem::EmptyWord),
            ("check ''\"\"", OptionProblem::EmptyWord),
            ("check\ninter 2s", OptionProblem::EndOfLine),
            ("check\rinter 2s", OptionProblem::EndOfLine),
            ("check # \0", OptionProblem::EndOfLine),
            ("check id 5", OptionProblem::Id),
            ("check inter", OptionProblem::NoValue),
        ] {
            assert_eq!(trusted(text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn the_value_of_an_option_is_not_taken_for_an_option() {
        assert_eq!(trusted("agent-send id"), Ok("agent-send id".to_owned()));
        let options = ServerOptions::trusted("agent-send weight check").unwrap();
        assert!(!options.contains("weight"));
        assert!(options.contains("check"));
    }

    #[test]
    fn words_and_bytes_are_bounded() {
        assert!(ServerOptions::trusted(&"check ".repeat(47)).is_ok());
        let many = ServerOptions::trusted(&"check ".repeat(48)).unwrap_err();
        assert_eq!(many.to_string(), "server option \"check\": more than 47 words");
        let long = format!("agent-send {}", "a".repeat(5000));
        assert_eq!(trusted(&long), Err(OptionProblem::Bytes));
        assert_eq!(ServerOptions::untrusted(&long).unwrap_err().problem(), OptionProblem::Bytes);
        assert_eq!(
            ServerOptions::untrusted(&"check ".repeat(48)).unwrap_err().problem(),
            OptionProblem::Words
        );
    }

    #[test]
    fn only_a_valid_id_is_split_off() {
        let id = |id| ServerId::new(id).ok();
        assert_eq!(ServerOptions::split_id("id 5"), (id(5), String::new()));
        assert_eq!(ServerOptions::split_id("id 5 check id 6"), (id(6), "check".to_owned()));
        assert_eq!(ServerOptions::split_id("check id 0"), (None, "check id 0".to_owned()));
        assert_eq!(ServerOptions::split_id("check id"), (None, "check id".to_owned()));
        assert_eq!(ServerOptions::split_id("agent-send id 5"), (None, "agent-send id 5".to_owned()));
        assert_eq!(ServerOptions::split_id("\" id 5"), (None, "\" id 5".to_owned()));
    }

    #[test]
    fn quoted_words_are_not_for_the_socket() {
        assert!(ServerOptions::trusted("check inter 2s sni str(a)").unwrap().is_plain());
        for text in ["sni \"str(a)\"", "agent-send a\\nb", "agent-send a;b", "agent-send $A"] {
            assert!(!ServerOptions::trusted(text).unwrap().is_plain(), "{text:?}");
        }
    }
}
