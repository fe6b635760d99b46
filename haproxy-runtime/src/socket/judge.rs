//! Which replies mean success.

use super::{command_line::CommandLine, reply::Reply};

/// A reply that is looked for; blank lines at its end don't count.
///
/// Only [`Pattern::LastLine`] matches a reply of several lines: HAProxy explains what it refuses at length, and the
/// explanation of an unknown command names all those that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pattern {
    /// Nothing at all.
    Silent,
    /// Exactly this line.
    Line(&'static str),
    /// One line that starts so.
    Start(&'static str),
    /// One line with this in it.
    Part(&'static str),
    /// One or more lines, the last of which is this: warnings may come before it.
    LastLine(&'static str),
}

impl Pattern {
    /// Whether `text`, without blank lines at its end, is such a reply.
    pub fn matches(self, text: &str) -> bool {
        let one_line = !text.contains('\n');
        match self {
            Self::Silent => text.is_empty(),
            Self::Line(line) => text == line,
            Self::Start(start) => one_line && text.starts_with(start),
            Self::Part(part) => one_line && text.contains(part),
            Self::LastLine(line) => text.lines().next_back() == Some(line),
        }
    }
}

/// What a reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// HAProxy did it.
    Success,
    /// HAProxy can't do it yet.
    Later,
    /// HAProxy does not do it.
    Refused,
    /// Not a reply that was expected: to be taken as a refusal, after which nobody knows what runs.
    Unknown,
}

/// The replies that a command is expected to get: what is not listed is [`Verdict::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    success: &'static [Pattern],
    later: &'static [Pattern],
    refused: &'static [Pattern],
}

/// Refusals that any command may get, by the start of their first line.
const REFUSALS: [&str; 5] = [
    "Permission denied",
    "Unknown command",
    "Too many arguments",
    "This command is restricted to",
    "The command line is too big",
];

impl Expected {
    /// Nothing at all, as `enable server` and most forms of `set server` have it.
    pub const SILENT: Self = Self::new(&[Pattern::Silent]);

    /// Any of `success`.
    pub const fn new(success: &'static [Pattern]) -> Self {
        Self { success, later: &[], refused: &[] }
    }

    /// Replies that mean "not yet".
    pub const fn later(self, later: &'static [Pattern]) -> Self {
        Self { later, ..self }
    }

    /// Replies that are known to mean "no", beside those that every command may get.
    pub const fn refused(self, refused: &'static [Pattern]) -> Self {
        Self { refused, ..self }
    }

    /// What `reply` means. A reply that was cut is none of those expected.
    pub fn judge(&self, reply: &Reply) -> Verdict {
        let text = reply.text();
        let any = |patterns: &[Pattern]| !reply.is_cut() && patterns.iter().any(|one| one.matches(text));
        if any(self.success) {
            Verdict::Success
        } else if any(self.later) {
            Verdict::Later
        } else if any(self.refused) || REFUSALS.iter().any(|start| text.starts_with(start)) {
            Verdict::Refused
        } else {
            Verdict::Unknown
        }
    }
}

/// A command that knows what its replies mean, as [`Socket::batch`](super::Socket::batch) takes it.
pub trait Judged {
    /// The command: what [`CommandLine::parse`] takes.
    fn command(&self) -> &str;

    /// What `reply` means.
    fn judge(&self, reply: &Reply) -> Verdict;

    /// Whether the commands after it make sense only once it has succeeded.
    fn is_gate(&self) -> bool {
        false
    }
}

/// A command and the replies expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    line: CommandLine,
    expected: Expected,
    gate: bool,
}

impl Order {
    /// `line`, which succeeds as `expected` says.
    pub const fn new(line: CommandLine, expected: Expected) -> Self {
        Self { line, expected, gate: false }
    }

    /// What comes after it makes sense only once it has succeeded.
    pub fn gate(mut self) -> Self {
        self.gate = true;
        self
    }
}

impl Judged for Order {
    fn command(&self) -> &str {
        self.line.as_str()
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        self.expected.judge(reply)
    }

    fn is_gate(&self) -> bool {
        self.gate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELETE: Expected = Expected::new(&[Pattern::Line("Server deleted.")])
        .later(&[Pattern::Start("Server still has connections")])
        .refused(&[Pattern::Start("Only servers in maintenance mode"), Pattern::Part("other configuration")]);

    fn judge(expected: Expected, text: &str) -> Verdict {
        expected.judge(&Reply::new(text))
    }

    #[test]
    fn only_what_is_listed_is_a_success() {
        for (text, verdict) in [
            ("Server deleted.\n\n", Verdict::Success),
            ("Server deleted", Verdict::Unknown),
            ("Server deleted. Not", Verdict::Unknown),
            ("", Verdict::Unknown),
            ("Server still has connections attached to it, cannot remove it.\n", Verdict::Later),
            ("Only servers in maintenance mode can be deleted.", Verdict::Refused),
            ("Pinned by other configuration elements.", Verdict::Refused),
            ("Pinned by other configuration elements.\nServer deleted.", Verdict::Unknown),
            ("No such server.", Verdict::Unknown),
        ] {
            assert_eq!(judge(DELETE, text), verdict, "{text:?}");
        }
    }

    #[test]
    fn silence_is_a_success_only_where_it_is_expected() {
        assert_eq!(judge(Expected::SILENT, "\n"), Verdict::Success);
        assert_eq!(judge(Expected::SILENT, "No such server.\n"), Verdict::Unknown);
    }

    #[test]
    fn warnings_may_come_before_the_last_line() {
        let add = Expected::new(&[Pattern::LastLine("New server registered.")]);
        let warned = "Ignoring cookie as HTTP mode is disabled.\nNew server registered.\n\n";
        assert_eq!(judge(add, warned), Verdict::Success);
        assert_eq!(judge(add, "New server registered.\nor was it?"), Verdict::Unknown);
    }

    #[test]
    fn refusals_that_any_command_may_get_are_known() {
        let help = "Unknown command. Please enter one of the following commands only:\n  add acl\n";
        for text in
            [help, "Permission denied", "Too many arguments. Commands must have at most 64 arguments."]
        {
            assert_eq!(judge(Expected::SILENT, text), Verdict::Refused, "{text:?}");
            assert_eq!(judge(DELETE, text), Verdict::Refused, "{text:?}");
        }
    }

    #[test]
    fn a_reply_that_was_cut_is_no_success() {
        let mut reply = Reply::default();
        reply.push("Server deleted.", 64);
        reply.push(&"x".repeat(100), 64);
        reply.finish();
        assert_eq!(reply.text(), "Server deleted.");
        assert_eq!(DELETE.judge(&reply), Verdict::Unknown);
    }
}
