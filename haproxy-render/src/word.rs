//! Words of a line, as HAProxy tells them apart.

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
        let values = server_keyword::values(keyword).unwrap_or(0);
        let (group, after) = rest.split_at((1 + values).min(rest.len()));
        groups.push(group);
        rest = after;
    }
    groups
}

/// Bytes that mean nothing but themselves in the file and on the socket.
pub(crate) fn harmless(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.:@/+=~!%*,()[]{}-".contains(&byte)
}
