//! Words of a line, as HAProxy tells them apart.

use std::borrow::Cow;

use crate::option::{InvalidOption, OptionProblem};
use crate::server_keyword;

/// Words as HAProxy's file parser tells them apart, each as it was written.
pub(crate) fn scan(text: &str) -> Result<Vec<&str>, InvalidOption> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if blank(bytes[at]) {
            at += 1;
            continue;
        }
        if bytes[at] == b'#' {
            break;
        }
        let start = at;
        let mut content = false;
        let mut quote = None;
        while let Some(&byte) = bytes.get(at) {
            match (quote, byte) {
                (_, b'\r' | b'\n' | b'\0') => {
                    return Err(InvalidOption::new(&text[start..at], OptionProblem::EndOfLine));
                }
                (None, byte) if blank(byte) || byte == b'#' => break,
                (None, b'"' | b'\'') => quote = Some(byte),
                (Some(open), byte) if open == byte => quote = None,
                // Within single quotes a backslash is a character like any other.
                (None | Some(b'"'), b'\\') => {
                    content = true;
                    at += 1;
                    if matches!(bytes.get(at), None | Some(b'\r' | b'\n' | b'\0')) {
                        return Err(InvalidOption::new(&text[start..at], OptionProblem::OpenQuote));
                    }
                }
                _ => content = true,
            }
            at += 1;
        }
        let word = &text[start..at];
        if quote.is_some() {
            return Err(InvalidOption::new(word, OptionProblem::OpenQuote));
        }
        if !content {
            return Err(InvalidOption::new(word, OptionProblem::EmptyWord));
        }
        words.push(word);
    }
    // What follows a comment's `#` is dropped, but nothing may be hidden in it.
    match text[at..].find(['\r', '\n', '\0']) {
        Some(end) => Err(InvalidOption::new(&text[at..at + end], OptionProblem::EndOfLine)),
        None => Ok(words),
    }
}

fn blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c)
}

/// Options as HAProxy groups words: a keyword and its values. A keyword at the end may lack values; one that is not
/// known is taken to have none.
pub(crate) fn groups<'a, 'w>(words: &'a [&'w str]) -> Vec<&'a [&'w str]> {
    let mut rest = words;
    let mut groups = Vec::new();
    while let Some(keyword) = rest.first() {
        let mut length = 1 + server_keyword::values(keyword).unwrap_or(0);
        if *keyword == "source" {
            // Two more options that HAProxy only takes here.
            while matches!(rest.get(length..), Some(["usesrc" | "interface", _, ..])) {
                length += 2;
            }
        }
        let (group, after) = rest.split_at(length.min(rest.len()));
        groups.push(group);
        rest = after;
    }
    groups
}

/// What HAProxy makes of a word in its file: without its quotes. `None` where that takes more than looking: backslashes,
/// and variables in double quotes.
pub(crate) fn unquoted(word: &str) -> Option<Cow<'_, str>> {
    if !word.contains(['"', '\'', '\\']) {
        return Some(Cow::Borrowed(word));
    }
    let mut text = String::with_capacity(word.len());
    let mut quote = None;
    for char in word.chars() {
        match (quote, char) {
            (None | Some('"'), '\\') | (Some('"'), '$') => return None,
            (None, '"' | '\'') => quote = Some(char),
            (Some(open), char) if open == char => quote = None,
            _ => text.push(char),
        }
    }
    quote.is_none().then_some(Cow::Owned(text))
}

/// Bytes that mean nothing but themselves in the file and on the socket.
pub(crate) fn harmless(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.:@/+=~!%*,()[]{}-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_loses_its_quotes_and_nothing_else() {
        for (word, expected) in [
            ("check", Some("check")),
            ("\"str(a)\"", Some("str(a)")),
            ("st'r(\"a'\")b\"", Some("str(\"a)b")),
            ("'$A'", Some("$A")),
            ("$A", Some("$A")),
            ("\"$A\"", None),
            ("a\\ b", None),
            ("\"a\\\"\"", None),
            ("'a\\b'", Some("a\\b")),
            ("\"a", None),
        ] {
            assert_eq!(unquoted(word).as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn the_options_of_a_source_address_go_with_it() {
        let words =
            ["source", "10.0.0.1", "usesrc", "clientip", "interface", "lo", "check", "source", "a", "usesrc"];
        let groups = groups(&words);
        assert_eq!(groups, [&words[..6], &words[6..7], &words[7..9], &words[9..]]);
    }
}
