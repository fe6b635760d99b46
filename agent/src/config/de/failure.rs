use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use crate::config::node::{Entry, Node, Value};
use crate::config::report::{KeyPath, Problem, Step, quoted};

/// A mistake, first without a place (serde's types make it), then with one (the readers around add it).
#[derive(Debug)]
pub(super) struct Failure<'n>(Box<Inner<'n>>);

#[derive(Debug)]
struct Inner<'n> {
    kind: Kind,
    site: Option<Site<'n>>,
    /// From the site outwards.
    steps: Vec<Step>,
    /// The maps and lists around the site, innermost first.
    above: Vec<&'n Node>,
}

/// Where a mistake is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'n> {
    /// The value concerned; for a mistake in a key, the key's value.
    pub(super) node: &'n Node,
    line: u32,
    column: u32,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// The value is not what is expected here.
    Invalid { expected: String },
    /// A list has too many or too few items.
    Length { found: usize, expected: String },
    /// The type's own words.
    Custom(String),
    /// A key that the map may not have.
    UnknownKey { key: String, known: &'static [&'static str] },
    /// A value that is none of the possible ones.
    UnknownVariant { name: String, known: &'static [&'static str] },
    /// A key that the map must have.
    Missing(&'static str),
    /// One setting under two of its names.
    Repeated(&'static str),
    /// Not the user's mistake: a stand-in did not fit.
    Consequence,
}

impl<'n> Failure<'n> {
    fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, site: None, steps: Vec::new(), above: Vec::new() }))
    }

    pub(super) fn invalid(expected: String) -> Self {
        Self::new(Kind::Invalid { expected })
    }

    pub(super) fn length(found: usize, wanted: usize) -> Self {
        Self::new(Kind::Length { found, expected: format!("a list of {wanted}") })
    }

    pub(super) fn consequence() -> Self {
        Self::new(Kind::Consequence)
    }

    /// Says that a list would do too, where the value stands for a list of one and is itself what is wrong.
    pub(super) fn or_a_list(mut self) -> Self {
        if let Kind::Invalid { expected } = &mut self.0.kind
            && self.0.steps.is_empty()
        {
            let one = plain(expected);
            *expected = if one.starts_with("a list") { one } else { format!("{one}, or a list of them") };
        }
        self
    }

    /// Gives the failure a place, unless it has one further in.
    pub(super) fn found_at(mut self, node: &'n Node) -> Self {
        self.0.site.get_or_insert(Site { node, line: node.line, column: node.column });
        self
    }

    /// As [`found_at`](Self::found_at), for a mistake in a key of `map`.
    pub(super) fn found_at_key(mut self, entry: &'n Entry, map: &'n Node) -> Self {
        if self.0.site.is_none() {
            self.0.site = Some(Site { node: &entry.value, line: entry.line, column: entry.column });
            self = self.inside(Step::Key(entry.key.clone()), map);
        }
        self
    }

    /// Adds the step from `parent` to where the failure is.
    pub(super) fn inside(mut self, step: Step, parent: &'n Node) -> Self {
        self.0.steps.push(step);
        self.0.above.push(parent);
        self
    }

    /// Frees a failure from the temporary value that a key was read from.
    pub(super) fn into_key_failure<'m>(self) -> Failure<'m> {
        Failure::new(match self.0.kind {
            Kind::Invalid { expected } => Kind::Custom(format!("a key here must be {}", plain(&expected))),
            other => other,
        })
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    pub(super) fn site(&self) -> Option<Site<'n>> {
        self.0.site
    }

    /// The maps and lists around the site, innermost first.
    pub(super) fn above(&self) -> &[&'n Node] {
        &self.0.above
    }

    /// The key under which the site stands; `None` in a list and at the root.
    pub(super) fn key(&self) -> Option<&str> {
        match self.0.steps.first()? {
            Step::Key(key) => Some(key),
            Step::Index(_) => None,
        }
    }

    /// The known key that an unknown one was probably meant to be.
    pub(super) fn suggestion<'a>(&'a self, also: &'a [String]) -> Option<&'a str> {
        match &self.0.kind {
            Kind::UnknownKey { key, known } => {
                nearest(key, known.iter().copied().chain(also.iter().map(String::as_str)))
            }
            Kind::Invalid { .. }
            | Kind::Length { .. }
            | Kind::Custom(_)
            | Kind::UnknownVariant { .. }
            | Kind::Missing(_)
            | Kind::Repeated(_)
            | Kind::Consequence => None,
        }
    }

    /// What to tell the user. `base` is the path of the outermost value.
    pub(super) fn problem(&self, base: &KeyPath, also: &[String]) -> Problem {
        let path = base.then(self.0.steps.iter().rev().cloned());
        let (line, column) = self.0.site.map_or((1, 1), |site| (site.line, site.column));
        let secret = path.looks_secret() || self.0.site.is_some_and(|site| site.node.hidden);
        Problem::new(line, column, &path, self.message(secret, also))
    }

    fn message(&self, secret: bool, also: &[String]) -> String {
        let node = self.0.site.map(|site| site.node);
        match &self.0.kind {
            Kind::Invalid { expected } => match node {
                Some(node) => format!("expected {}, found {}", plain(expected), found(node, secret)),
                None => format!("expected {}", plain(expected)),
            },
            Kind::Length { found: 1, expected } => format!("expected {}, found 1 item", plain(expected)),
            Kind::Length { found, expected } => format!("expected {}, found {found} items", plain(expected)),
            Kind::Custom(message) => {
                let leaks =
                    secret && node.and_then(Node::text).is_some_and(|text| message.contains(text.as_ref()));
                if leaks { "invalid value".to_owned() } else { message.clone() }
            }
            Kind::UnknownKey { known, .. } => match self.suggestion(also) {
                Some(meant) => format!("unknown key; did you mean `{meant}`?"),
                None if known.is_empty() || known.len() > FEW => "unknown key".to_owned(),
                None if known.len() == 1 => format!("unknown key; known key is {}", ticked(known)),
                None => format!("unknown key; known keys are {}", ticked(known)),
            },
            Kind::UnknownVariant { name, known } => {
                let shown = if secret { "something else".to_owned() } else { quoted(name) };
                match nearest(name, known.iter().copied()) {
                    Some(meant) if !secret => format!("unknown value {shown}; did you mean `{meant}`?"),
                    Some(_) | None => format!("expected {}, found {shown}", one_of(known)),
                }
            }
            Kind::Missing(key) => format!("missing key `{key}`"),
            Kind::Repeated(key) => format!("sets `{key}` a second time, under another name"),
            Kind::Consequence => "cannot be read".to_owned(),
        }
    }
}

impl Error for Failure<'_> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::Custom(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid(expected.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid(expected.to_string())
    }

    fn invalid_length(found: usize, expected: &dyn Expected) -> Self {
        Self::new(Kind::Length { found, expected: expected.to_string() })
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownVariant { name: name.to_owned(), known })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey { key: key.to_owned(), known })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(Kind::Missing(key))
    }

    fn duplicate_field(key: &'static str) -> Self {
        Self::new(Kind::Repeated(key))
    }
}

impl std::error::Error for Failure<'_> {}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(true, &[]))
    }
}

/// So many known keys are listed; more would hide the message.
const FEW: usize = 12;

fn ticked(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// "`a`", or "one of `a`, `b`".
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [_] => ticked(names),
        _ => format!("one of {}", ticked(names)),
    }
}

/// What stands there, for people; of a secret only its kind.
fn found(node: &Node, secret: bool) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Seq(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
        Value::Str(_) if secret => "a string".to_owned(),
        Value::Bool(_) if secret => "a boolean".to_owned(),
        Value::Int(_) | Value::Float(_) if secret => "a number".to_owned(),
        Value::Str(text) => quoted(text),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => node.text().unwrap_or_default().into_owned(),
    }
}

/// serde's names of what it expects, for people who write configurations, not Rust.
fn plain(expected: &str) -> String {
    match expected {
        "a boolean" | "bool" => return "true or false".to_owned(),
        "a sequence" => return "a list".to_owned(),
        "a character" => return "a single character".to_owned(),
        "unit" => return "null".to_owned(),
        "f32" | "f64" => return "a number".to_owned(),
        "usize" => return plain("u64"),
        "isize" => return plain("i64"),
        "a nonzero usize" => return plain("a nonzero u64"),
        _ => {}
    }
    if expected.starts_with("struct ") {
        return "a map".to_owned();
    }
    let (name, least) = match expected.strip_prefix("a nonzero ") {
        Some(name) => (name, 1),
        None => (expected, 0),
    };
    match name {
        "u8" => format!("an integer from {least} to {}", u8::MAX),
        "u16" => format!("an integer from {least} to {}", u16::MAX),
        "u32" => format!("an integer from {least} to {}", u32::MAX),
        "u64" | "u128" => format!("an integer, {least} or more"),
        "i8" => format!("an integer from {} to {}", i8::MIN, i8::MAX),
        "i16" => format!("an integer from {} to {}", i16::MIN, i16::MAX),
        "i32" => format!("an integer from {} to {}", i32::MIN, i32::MAX),
        "i64" | "i128" => "an integer".to_owned(),
        _ => expected.to_owned(),
    }
}

/// The name most like `word`, if any is so alike that it was probably meant.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Edit distance takes time by the product of the lengths; no name is so long.
    if word.chars().count() > 64 {
        return None;
    }
    let bare = |text: &str| text.to_lowercase().replace('-', "_");
    let word = bare(word);
    let alike = |name: &str| {
        let distance = strsim::damerau_levenshtein(&word, &bare(name));
        let length = word.chars().count().max(name.chars().count());
        let likeness = strsim::jaro_winkler(&word, &bare(name));
        let close = distance == 0 || (length > 2 && distance <= (length / 4).max(1)) || likeness > 0.92;
        close.then_some((distance, likeness))
    };
    names
        .filter_map(|name| Some((alike(name)?, name)))
        .min_by(|((near, like), _), ((other_near, other_like), _)| {
            near.cmp(other_near).then(other_like.total_cmp(like))
        })
        .map(|(_, name)| name)
}
