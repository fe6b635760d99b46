use std::borrow::Cow;
use std::fmt;

/// One value of a configuration and the place where it was written.
///
/// `Debug` names the kind and the position, never the content: a tree may hold passwords.
#[derive(Clone)]
pub struct Node {
    /// What was written.
    pub value: Value,
    /// Line of the first character, from 1.
    pub line: u32,
    /// Column of the first character, in characters, from 1.
    pub column: u32,
    /// The digits as written, where printing the number would change them (`1.10`, `0x1F`, `1e3`): whoever
    /// wants a string gets these.
    pub(super) spelling: Option<Box<str>>,
    /// Whether it has something of the environment in it: no message shows it.
    pub(super) hidden: bool,
}

/// The content of a [`Node`]. `Debug` names the kind only.
#[derive(Clone)]
pub enum Value {
    /// Nothing: `null`, `~`, or a key without a value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number, never infinite, never NaN.
    Float(f64),
    /// Text.
    Str(String),
    /// A list.
    Seq(Vec<Node>),
    /// A map in the order of the file; [`parse`](crate::config::parse) lets no key appear twice.
    Map(Vec<Entry>),
}

/// One key of a map with its value. `Debug` shows the key, not the value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Line of the key, from 1.
    pub line: u32,
    /// Column of the key, in characters, from 1.
    pub column: u32,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A value at a position.
    pub fn new(value: Value, line: u32, column: u32) -> Self {
        Self { value, line, column, spelling: None, hidden: false }
    }

    /// Keeps the digits of a number when printing it would give others; empty digits are unknown ones.
    pub(super) fn spelled(mut self, digits: &str) -> Self {
        let printed = match self.value {
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Str(_) | Value::Seq(_) | Value::Map(_) => return self,
        };
        if !digits.is_empty() && printed != digits {
            self.spelling = Some(digits.into());
        }
        self
    }

    /// Moves it, and all that is in it, down by `lines`.
    pub(super) fn lower(&mut self, lines: u32) {
        self.line = self.line.saturating_add(lines);
        match &mut self.value {
            Value::Seq(items) => items.iter_mut().for_each(|item| item.lower(lines)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.line = entry.line.saturating_add(lines);
                    entry.value.lower(lines);
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {}
        }
    }

    /// The value under `key`; `None` when there is none or this is no map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The entries of a map in the order of the file; empty for everything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Seq(_) => &[],
        }
    }

    /// A text, number or boolean as text, with the digits that were written (`1.10` stays `1.10`).
    /// `None` for null, lists and maps.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match (&self.spelling, &self.value) {
            (Some(digits), _) => Some(Cow::Borrowed(digits)),
            (None, Value::Str(text)) => Some(Cow::Borrowed(text)),
            (None, Value::Bool(truth)) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
            (None, Value::Int(number)) => Some(Cow::Owned(number.to_string())),
            (None, Value::Float(number)) => Some(Cow::Owned(number.to_string())),
            (None, Value::Null | Value::Seq(_) | Value::Map(_)) => None,
        }
    }

    /// Equality that ignores where things stand: true when every reader would see the same. The order of keys
    /// counts (it is the order of the output), and so does the spelling of a number (`1.10` is not `1.1` to
    /// who reads a string).
    pub fn same_as(&self, other: &Self) -> bool {
        let same = match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Seq(a), Value::Seq(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_as(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|(a, b)| a.key == b.key && a.value.same_as(&b.value))
            }
            (
                Value::Null
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Str(_)
                | Value::Seq(_)
                | Value::Map(_),
                _,
            ) => false,
        };
        same && self.spelling == other.spelling
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}:{}", self.value, self.line, self.column)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(_) => f.write_str("boolean"),
            Self::Int(_) | Self::Float(_) => f.write_str("number"),
            Self::Str(_) => f.write_str("string"),
            Self::Seq(items) => write!(f, "list of {}", items.len()),
            Self::Map(entries) => write!(f, "map of {}", entries.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    fn same(a: &str, b: &str) -> bool {
        parse(a).unwrap().same_as(&parse(b).unwrap())
    }

    #[test]
    fn positions_and_notation_do_not_count() {
        assert!(same("a: [1, x]\nb: {c: null}\n", "// c\n{\"a\": [1,\n \"x\"],\n\n \"b\": {\"c\": null}}"));
    }

    #[test]
    fn content_order_and_spelling_count() {
        assert!(!same("a: 1", "a: 2"));
        assert!(!same("a: 1", "a: '1'"));
        assert!(!same("a: 1", "b: 1"));
        assert!(!same("a: 1\nb: 2", "b: 2\na: 1"));
        assert!(!same("a: [1]", "a: [1, 2]"));
        assert!(!same("a: 1.10", "a: 1.1"));
        assert!(!same("a: 1.5", "a: 1.25"));
        assert!(!same("a: {b: 1}", "a: {}"));
        assert!(!same("a: true", "a: false"));
    }

    #[test]
    fn a_number_as_text_keeps_the_digits_that_were_written() {
        let tree = parse("[1.10, 0x1F, 1e3, -0, 7, 120.0, True, x, ~]").unwrap();
        let super::Value::Seq(items) = &tree.value else { panic!("a list was written") };
        let texts: Vec<_> = items.iter().map(|item| item.text().map(String::from)).collect();
        let expected = ["1.10", "0x1F", "1e3", "-0", "7", "120.0", "true", "x"];
        assert_eq!(texts[..8], expected.map(|text| Some(text.to_owned())));
        assert_eq!(texts[8], None);
    }

    #[test]
    fn debug_shows_no_content() {
        let shown = format!("{:?}", parse("password: hunter2\nlist: [hunter2, 4711]").unwrap());
        assert_eq!(shown, "map of 2 at 1:1");
    }
}
