//! What of ERB a configuration may have: values of the environment, put into the text before it is read. Nothing is run.

mod tag;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::tag::{Tag, Wanted};
use super::{
    KeyPath, Problem,
    parse::{MAX_BYTES, SyntaxError},
    place::{Cut, Places},
    report::quoted,
};

/// Looks an environment variable up.
pub(super) type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A text with the values in it.
#[derive(Debug, Default)]
pub(super) struct Made<'a> {
    pub(super) text: Cow<'a, str>,
    /// From a place in it to the one in the file.
    pub(super) places: Places,
    /// The values, each once.
    pub(super) values: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// Nobody repairs more at a time.
const MAX_PROBLEMS: usize = 100;

/// Replaces the tags of `text`. Without an `environment` asking for a variable is a problem.
pub(super) fn expand<'a>(text: &'a str, environment: Option<&Environment>) -> Made<'a> {
    if !text.contains(tag::OPEN) {
        return Made { text: Cow::Borrowed(text), ..Made::default() };
    }
    let mut maker =
        Maker { environment, source: 0, out: String::new(), made: 0, cuts: Vec::new(), all: Made::default() };
    let mut rest = text;
    while let Some(start) = rest.find(tag::OPEN) {
        maker.keep(&rest[..start]);
        rest = &rest[start..];
        let (length, said) = match tag::read(rest) {
            Ok((tag, length)) => (length, maker.replace(tag, &rest[..length])),
            Err((message, length)) => (length, Err(message)),
        };
        let at = |message: &str| {
            let SyntaxError { line, column, message } =
                SyntaxError::at(text, text.len() - rest.len(), message);
            Problem::new(line, column, &KeyPath::root(), message)
        };
        match said {
            Ok(None) => {}
            Ok(Some(remark)) => maker.all.warnings.push(at(&remark)),
            Err(message) => maker.all.problems.push(at(&message)),
        }
        if maker.out.len() > MAX_BYTES {
            let message = "with the values of the environment the text is larger than 64 MiB";
            maker.all.problems.push(at(message));
        }
        rest = &rest[length..];
        if maker.out.len() > MAX_BYTES || maker.all.problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    maker.keep(rest);
    let Maker { out, cuts, mut all, .. } = maker;
    all.places = Places::new(text, &out, cuts);
    all.text = Cow::Owned(out);
    all.values.sort();
    all.values.dedup();
    all
}

/// Writes the text, and notes what stands for what.
struct Maker<'e> {
    environment: Option<&'e Environment>,
    /// How many characters there are so far of the source, and of what is made of it.
    source: usize,
    made: usize,
    out: String,
    cuts: Vec<Cut>,
    all: Made<'static>,
}

impl Maker<'_> {
    fn keep(&mut self, text: &str) {
        let length = text.chars().count();
        self.source += length;
        self.made += length;
        self.out.push_str(text);
    }

    /// Writes what a tag stands for, and tells what is remarkable about it.
    fn replace(&mut self, tag: Tag, written: &str) -> Result<Option<String>, String> {
        let (text, hidden, remark) = match tag {
            Tag::Literal => (tag::OPEN.to_owned(), false, None),
            Tag::Comment => (String::new(), false, None),
            Tag::Value(wanted) => {
                let value = self.look_up(&wanted)?;
                let unset = || {
                    let name = quoted(&wanted.name);
                    format!("the environment variable {name} is not set: nothing is written here")
                };
                let remark = value.is_none().then(unset);
                (value.unwrap_or_default(), true, remark)
            }
        };
        let source = self.source..self.source + written.chars().count();
        let made = self.made..self.made + text.chars().count();
        (self.source, self.made) = (source.end, made.end);
        self.cuts.push(Cut { source, made, hidden });
        self.out.push_str(&text);
        if hidden && worth_hiding(&text) {
            self.all.values.push(text);
        }
        Ok(remark.filter(|_| self.all.warnings.len() < MAX_PROBLEMS))
    }

    fn look_up(&self, wanted: &Wanted) -> Result<Option<String>, String> {
        let Some(environment) = self.environment else {
            return Err("the environment is not known here: this text was not loaded from a file".to_owned());
        };
        match (environment(&wanted.name), &wanted.default) {
            (Some(value), _) => Ok(Some(value)),
            (None, Some(default)) => Ok(Some(default.clone())),
            (None, None) if wanted.required => {
                let name = quoted(&wanted.name);
                Err(format!("the environment variable {name} is not set, and there is no default"))
            }
            (None, None) => Ok(None),
        }
    }
}

/// Whether a value may be a secret: neither a port nor a switch is one, and messages are better with them.
fn worth_hiding(value: &str) -> bool {
    let value = value.trim();
    let port = value.len() <= 5 && value.bytes().all(|byte| byte.is_ascii_digit());
    !(port || matches!(value, "true" | "false"))
}

/// Texts of fewer characters are only hidden where they are all that is quoted: they are part of too much else.
const TELLING: usize = 4;

/// `message` without what came from the environment: `values` as wholes, and what is quoted and is a part of one.
pub(super) fn masked(message: &str, values: &[String]) -> String {
    let mut message = message.to_owned();
    for value in values {
        let value = value.trim();
        let escaped: String = value.chars().flat_map(char::escape_debug).collect();
        if value.chars().count() >= TELLING {
            message = message.replace(value, "…").replace(&escaped, "…");
        }
        message = without_quoted(&message, |part| {
            part == value
                || part == escaped
                || (part.chars().count() >= TELLING && (value.contains(part) || escaped.contains(part)))
        });
    }
    message
}

/// `message` with `…` for those of its quoted parts that `hide` says so of.
fn without_quoted(message: &str, hide: impl Fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(start) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(start);
        let quote = &quoted[..1];
        let Some(length) = quoted[1..].find(quote) else { break };
        let part = &quoted[1..=length];
        let shown = if hide(part.trim_end_matches('…')) { "…" } else { part };
        out.push_str(before);
        out.push_str(quote);
        out.push_str(shown);
        out.push_str(quote);
        rest = &quoted[length + 2..];
    }
    out.push_str(rest);
    out
}
