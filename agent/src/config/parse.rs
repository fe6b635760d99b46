#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Spanned};

use super::blank::blank_out;
use super::node::{Entry, Node, Value};
use super::place::Places;

/// Text that is neither JSON nor YAML, and where that shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
#[non_exhaustive]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong: lower case, no full stop.
    pub message: String,
}

impl SyntaxError {
    /// An error at a byte offset of `text`.
    pub(super) fn at(text: &str, offset: usize, message: &str) -> Self {
        let before = &text[..offset];
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
        Self {
            line: count(before.matches('\n').count()),
            column: count(before.rsplit('\n').next().unwrap_or_default().chars().count()),
            message: message.to_owned(),
        }
    }
}

/// Largest text that is read: a hundred times what 10,000 services need.
pub(super) const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Deepest nesting. A configuration needs some ten levels; the reader spends kilobytes of stack on each, and
/// threads of an async runtime have two megabytes.
const MAX_DEPTH: usize = 32;
/// Values that aliases (`*name`) may add, all together: `<<: *defaults` in 20,000 services is fine, a document
/// that unfolds without bound is not.
const MAX_COPIES: usize = 500_000;
/// Values that anchors may hold, all together, those that aliases add to them included.
const MAX_ANCHORED: usize = 100_000;

/// Reads a configuration: JSON, JSON with comments and trailing commas, or YAML. The text decides which, not
/// the name of the file.
///
/// A byte order mark is skipped, CRLF is a line end, a no-break space outside quotes is a blank, tabs may indent
/// JSON. Anchors, aliases and merge keys work, within bounds.
///
/// Numbers: `0x1F` and `0o17` are whole numbers; `012` and `1_000` stay text, because readers of YAML disagree on
/// them; `yes`, `no`, `on`, `off` are text (who wants a boolean still takes them, see
/// [`from_node`](super::from_node)); `.inf` and `.nan` are text; a date is text.
///
/// # Errors
/// The first thing that is wrong: text that is no JSON or YAML, an empty document, more than one document, a key
/// that is null, a list or a map, a key given twice, more than 64 MiB, or more than 32 levels.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    parse_made(text, &Places::default())
}

/// As [`parse`], of a text that was made of another: places are those of the other.
pub(super) fn parse_made(text: &str, places: &Places) -> Result<Node, SyntaxError> {
    let tree = read(text).map_err(|error| {
        let (line, column) = places.of(error.line, error.column);
        SyntaxError { line, column, ..error }
    });
    let (tree, text) = tree?;
    node(tree, &text, places)
}

/// The reader's tree, and the text that its places are in.
fn read(text: &str) -> Result<(Spanned<Raw>, Cow<'_, str>), SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_BYTES {
        return Err(SyntaxError::at(text, 0, "the document is larger than 64 MiB"));
    }
    let text = blank_out(text)?;
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        // Found below, with both positions.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
        emit_comments: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_COPIES },
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            // The text is in memory and bounded, so what it holds is bounded too: a node takes a character.
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            // One alias in each of many services is ordinary; what bounds the harm is MAX_COPIES.
            max_recorded_anchor_events: MAX_ANCHORED,
            max_anchors: usize::MAX,
            max_aliases: usize::MAX,
            max_merge_keys: usize::MAX,
            enforce_alias_anchor_ratio: false,
        },
    };
    let tree: Spanned<Raw> =
        serde_saphyr::from_str_with_options(&text, options).map_err(|error| explain(&error))?;
    if matches!(tree.value, Raw::Null) && tree.defined.span().is_empty() {
        return Err(SyntaxError::at(&text, 0, "the document is empty"));
    }
    Ok((tree, text))
}

/// The reader's error in the words of this program.
fn explain(error: &Error) -> SyntaxError {
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    // An error inside of what an alias stands for: the place is where it is used, the words are the inner ones.
    let mut error = error;
    while let Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let full = error.to_string();
    let words = error.location().map_or(full.as_str(), |at| {
        full.strip_suffix(&format!(" at line {}, column {}", at.line(), at.column())).unwrap_or(&full)
    });
    let message = match error {
        Error::MultipleDocuments { .. } => "a second document begins here: a configuration is one document",
        Error::NullIntoString { .. } => "a key must be text, found null",
        Error::Unexpected { expected: "string scalar", .. } => "a key must be text, found a list or a map",
        Error::RecursiveReferencesRequireWeakTypes { .. } => "this alias stands inside what it refers to",
        Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } => {
            "aliases unfold to more than a configuration can need"
        }
        Error::Budget { breach: serde_saphyr::budget::BudgetBreach::Depth { .. }, .. } => {
            "nested deeper than 32 levels"
        }
        Error::Budget { .. } => "anchors hold more than a configuration can need",
        _ if full.starts_with("recursion limit exceeded") => "nested deeper than 32 levels",
        _ => plain(words),
    };
    SyntaxError {
        line: u32::try_from(line).unwrap_or(u32::MAX).max(1),
        column: u32::try_from(column).unwrap_or(u32::MAX).max(1),
        message: message.to_owned(),
    }
}

/// The reader's words, where they speak of YAML's grammar, for people who may be writing JSON.
fn plain(words: &str) -> &str {
    match words {
        "while parsing a flow mapping, did not find expected ',' or '}'" => "expected `,` or `}` before this",
        "while parsing a flow sequence, expected ',' or ']'" => "expected `,` or `]` before this",
        "while parsing a block mapping, did not find expected key" => {
            "expected a key here: does the indentation match the lines above?"
        }
        "mapping values are not allowed in this context" => {
            "a second `:` in one line: text that has one is to be quoted"
        }
        "invalid trailing content after double-quoted scalar" => {
            "something follows a quoted text: is a quote or a comma missing?"
        }
        "tabs disallowed within this context (block indentation)" => {
            "YAML is indented with spaces, not with tabs"
        }
        "unclosed bracket '{'" => "this `{` is never closed",
        "unclosed bracket '['" => "this `[` is never closed",
        "misplaced bracket" => "this bracket closes nothing",
        "unclosed quote" => "this quote is never closed",
        _ => words,
    }
}

/// What the YAML reader hands over, before it is checked.
enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Seq(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw::Int(number))
    }

    // What no i64 holds is kept as its digits: whoever wants a string (an account number) gets them unharmed.
    fn visit_u64<E>(self, number: u64) -> Result<Raw, E> {
        Ok(i64::try_from(number).map_or_else(|_| Raw::Str(number.to_string()), Raw::Int))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Raw, E> {
        Ok(i64::try_from(number).map_or_else(|_| Raw::Str(number.to_string()), Raw::Int))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Raw, E> {
        Ok(i64::try_from(number).map_or_else(|_| Raw::Str(number.to_string()), Raw::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Raw, E> {
        Ok(Raw::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Str(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Str(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Recursion is bounded by `MAX_DEPTH`.
fn node(raw: Spanned<Raw>, text: &str, places: &Places) -> Result<Node, SyntaxError> {
    // Where it is used, not where its anchor is: that is the place whose meaning is in question.
    let (line, column) = position(raw.referenced, places);
    let hidden = hidden(raw.defined, places);
    let written = slice(text, raw.defined);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(truth) => Value::Bool(truth),
        Raw::Int(number) => Value::Int(number),
        Raw::Float(number) => Value::Float(number),
        Raw::Str(text) => Value::Str(text),
        Raw::Seq(items) => {
            Value::Seq(items.into_iter().map(|item| node(item, text, places)).collect::<Result<_, _>>()?)
        }
        Raw::Map(entries) => Value::Map(map(entries, text, places)?),
    };
    Ok(Node { hidden, ..Node::new(value, line, column) }.spelled(written))
}

fn map(
    raw: Vec<(Spanned<String>, Spanned<Raw>)>,
    text: &str,
    places: &Places,
) -> Result<Vec<Entry>, SyntaxError> {
    let mut seen: HashMap<String, u32> = HashMap::with_capacity(raw.len());
    let mut entries = Vec::with_capacity(raw.len());
    for (key, value) in raw {
        let (line, column) = position(key.referenced, places);
        if let Some(first) = seen.insert(key.value.clone(), line) {
            let hidden = hidden(key.defined, places);
            let key = if hidden { "…".to_owned() } else { super::report::quoted(&key.value) };
            let message = format!("the key {key} is given twice in this map, first on line {first}");
            return Err(SyntaxError { line, column, message });
        }
        entries.push(Entry { key: key.value, line, column, value: node(value, text, places)? });
    }
    Ok(entries)
}

fn position(at: serde_saphyr::Location, places: &Places) -> (u32, u32) {
    let part = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    places.of(part(at.line()), part(at.column()))
}

fn hidden(at: serde_saphyr::Location, places: &Places) -> bool {
    places.hides(at.span().offset(), at.span().len())
}

/// The characters of a scalar as written, without quotes (`!!int "7"`); empty when the reader does not know.
fn slice(text: &str, at: serde_saphyr::Location) -> &str {
    let span = at.span();
    let bounds = span.byte_offset().zip(span.byte_len()).and_then(|(offset, length)| {
        let offset = usize::try_from(offset).ok()?;
        Some(offset..offset.checked_add(usize::try_from(length).ok()?)?)
    });
    bounds.and_then(|range| text.get(range)).unwrap_or_default().trim_matches(['"', '\'', ' '])
}
