use std::borrow::Cow;

use super::parse::SyntaxError;

/// Turns what people write into what a YAML reader takes, one character for one character, so that every line
/// and column stays true: comments of JSON and tabs between its tokens become blanks, no-break spaces (they
/// come with text copied from web pages) become spaces. Quoted text is not touched.
///
/// Trailing commas need nothing: YAML allows them.
///
/// # Errors
/// A comment that never ends.
pub(super) fn blank_out(text: &str) -> Result<Cow<'_, str>, SyntaxError> {
    let json = looks_like_json(text);
    if !json && !text.contains(NO_BREAK_SPACE) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    // Whether a token may begin here: a quote or a comment sign inside a bare word is part of the word.
    let mut fresh = true;
    let mut word = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let comment = if json && (fresh || is_literal(&text[word..at])) {
            json_comment(rest).map_err(|message| SyntaxError::at(text, at, message))?
        } else if !json && c == '#' && (at == 0 || text[..at].ends_with(char::is_whitespace)) {
            Some(line_length(rest))
        } else {
            None
        };
        if let Some(length) = comment {
            out.extend(rest[..length].chars().map(|c| if matches!(c, '\n' | '\r') { c } else { ' ' }));
            at += length;
            fresh = true;
            continue;
        }
        if fresh && matches!(c, '"' | '\'') {
            let length = quoted_length(rest, c);
            out.push_str(&rest[..length]);
            at += length;
            continue;
        }
        out.push(if c == NO_BREAK_SPACE || (json && c == '\t') { ' ' } else { c });
        let was_fresh = fresh;
        // A colon ends a quoted key, but is part of `http://host`.
        fresh = c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}') || (c == ':' && was_fresh);
        if was_fresh && !fresh {
            word = at;
        }
        at += c.len_utf8();
    }
    Ok(Cow::Owned(out))
}

const NO_BREAK_SPACE: char = '\u{a0}';

/// Whether the first thing that is neither blank nor comment opens a map or a list, or there is no such thing.
fn looks_like_json(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        match json_comment(rest) {
            Ok(Some(length)) => rest = rest[length..].trim_start(),
            Ok(None) => return rest.is_empty() || rest.starts_with(['{', '[']),
            // Nothing but an unfinished comment: no YAML begins so.
            Err(_) => return true,
        }
    }
}

/// Length of the comment that `rest` begins with; `None` when it begins with none.
fn json_comment(rest: &str) -> Result<Option<usize>, &'static str> {
    if rest.starts_with("//") || rest.starts_with('#') {
        return Ok(Some(line_length(rest)));
    }
    let Some(inside) = rest.strip_prefix("/*") else { return Ok(None) };
    let end = inside.find("*/").ok_or("this comment has no end: `*/` is missing")?;
    Ok(Some("/*".len() + end + "*/".len()))
}

fn line_length(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

/// A comment may touch a literal of JSON (`80// the port`); any other bare word would be cut by it.
fn is_literal(word: &str) -> bool {
    matches!(word, "true" | "false" | "null") || word.parse::<f64>().is_ok()
}

/// Length of the quoted text that `rest` begins with, quotes included; all of `rest` when it has no end (the
/// YAML reader says so at the right place). A doubled `'` reads as two texts side by side, which is as good.
fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote == '"' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blanked(text: &str) -> String {
        blank_out(text).unwrap().into_owned()
    }

    #[test]
    fn comments_of_json_become_blanks_and_line_feeds_stay() {
        assert_eq!(blanked("{ // é\r\n/* a\n b **/\"k\": 1 # c\n}"), "{     \r\n    \n      \"k\": 1    \n}");
        assert_eq!(blanked("{\"k\": 80// port\n, \"l\": true/**/}"), "{\"k\": 80       \n, \"l\": true    }");
        assert_eq!(blanked("// one\n# two\n/* three */ {}"), "      \n     \n            {}");
    }

    #[test]
    fn what_looks_like_a_comment_inside_text_stays() {
        for text in [
            r#"{"a": "http://x # y /* z */", "b": "\"// c"}"#,
            "{a: 'it''s // not', b: http://host:2379/v2, c: x#y}",
        ] {
            assert_eq!(blanked(text), text);
        }
    }

    #[test]
    fn yaml_keeps_what_only_json_has_as_comments() {
        for text in ["a: // not a comment\n", "a: b//c # d\n", "- x: 'a'\n  y: /etc/*\n"] {
            assert!(matches!(blank_out(text).unwrap(), Cow::Borrowed(kept) if kept == text));
        }
    }

    #[test]
    fn no_break_spaces_are_blanks_outside_quotes_only() {
        assert_eq!(blanked("{\u{a0}\"a\u{a0}b\":\u{a0}1}"), "{ \"a\u{a0}b\": 1}");
        assert_eq!(
            blanked("a:\n\u{a0}\u{a0}b: \"\u{a0}\" # don't\n  c:\u{a0}1\n"),
            "a:\n  b: \"\u{a0}\"        \n  c: 1\n"
        );
    }

    #[test]
    fn tabs_between_tokens_of_json_are_blanks() {
        assert_eq!(blanked("{\n\t\"a\tb\":\t1\n}"), "{\n \"a\tb\": 1\n}");
    }

    #[test]
    fn a_comment_without_an_end_is_reported_where_it_begins() {
        let error = blank_out("{\n  \"é\": 1 /* oh").unwrap_err();
        assert_eq!(error.to_string(), "2:10: this comment has no end: `*/` is missing");
        assert!(blank_out("/* oh").is_err());
    }
}
