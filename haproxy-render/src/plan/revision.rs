//! Which document a process runs.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Unreadable;

/// The variable of a process that holds its revision.
pub(crate) const VARIABLE: &str = "proc.synapse_rev";

/// What tells one document from another: 16 hexadecimal digits, the same for documents with the same text.
///
/// It stands in the file as `set-var proc.synapse_rev str(…)` and is set anew in the process after each change by commands.
/// So one question tells whether the process runs what was last applied, whoever has restarted it since. It tells documents
/// apart that differ by chance, not those of somebody who tries to make two look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The revision of what can be hashed. Only to be compared within this process: another release may hash otherwise,
    /// and then takes an equal document for another one, once.
    pub(crate) fn of(parts: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Reads 16 hexadecimal digits in lower case, as `Display` writes them.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self).ok_or_else(|| Unreadable::new("get var", 1, "has no revision", text))
    }

    /// Reads the reply to [`Query::Revision`](super::Query::Revision). `None`: the process has none, so somebody else
    /// configured it.
    pub fn read(reply: &str) -> Result<Option<Self>, Unreadable> {
        let reply = reply.trim();
        if reply == "Variable not found." {
            return Ok(None);
        }
        let value = reply
            .strip_prefix(VARIABLE)
            .and_then(|rest| rest.strip_prefix(": type=str value=<"))
            .and_then(|rest| rest.strip_suffix('>'));
        match value {
            Some(value) => Self::parse(value).map(Some),
            None => Err(Unreadable::new("get var", 1, "has no revision", reply)),
        }
    }

    /// The line of the `global` section.
    pub(crate) fn directive(self) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "set-var {VARIABLE} str({self})"))
    }

    /// What [`directive`](Self::directive) wrote.
    pub(crate) fn from_directive(line: &str) -> Option<Self> {
        let value = line.strip_prefix("set-var ")?.strip_prefix(VARIABLE)?;
        Self::parse(value.strip_prefix(" str(")?.strip_suffix(')')?).ok()
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_survives_the_file_and_the_process() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let revision = Revision(number);
            assert_eq!(Revision::parse(&revision.to_string()), Ok(revision));
            assert_eq!(Revision::from_directive(&revision.directive().to_string()), Some(revision));
            let reply = format!("proc.synapse_rev: type=str value=<{revision}>\n");
            assert_eq!(Revision::read(&reply), Ok(Some(revision)));
        }
    }

    #[test]
    fn a_process_of_somebody_else_has_none() {
        assert_eq!(Revision::read("Variable not found.\n"), Ok(None));
        for reply in [
            "",
            "Unknown command",
            "Permission denied",
            "proc.synapse_rev: type=str value=<>",
            "proc.synapse_rev: type=str value=<0123456789ABCDEF>",
            "proc.synapse_rev: type=str value=<+123456789abcdef>",
            "proc.synapse_rev: type=sint value=<0123456789abcdef>",
            "proc.other: type=str value=<0123456789abcdef>",
        ] {
            assert!(Revision::read(reply).is_err(), "{reply:?}");
        }
    }
}
