//! What a line of HAProxy's language sets.

use haproxy_render::Line;

/// What a line sets, so that another line that sets the same takes its place. Only what a registry can say has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic<'a> {
    /// A directive that stands once: `balance`.
    Directive(&'a str),
    /// `timeout server`.
    Timeout(&'a str),
    /// `option abortonclose`, `no option abortonclose`.
    Option(&'a str),
    /// The kind of health check: `option httpchk`, `option redis-check`.
    Check,
    /// What a health check says and expects: `http-check expect`.
    CheckRule,
}

impl<'a> Topic<'a> {
    /// `None`: it adds to what is there, or is nothing that a registry can say.
    pub(super) fn of(line: &'a Line) -> Option<Self> {
        let text = line.as_str().split('#').next().unwrap_or_default();
        let mut words = text.split_ascii_whitespace();
        let first = words.next()?;
        let (first, second) =
            if first == "no" { (words.next()?, words.next()) } else { (first, words.next()) };
        match first {
            "balance" | "cookie" | "fullconn" | "hash-type" | "http-reuse" | "maxconn" | "mode"
            | "rate-limit" | "retries" | "retry-on" => Some(Self::Directive(first)),
            "timeout" => second.map(Self::Timeout),
            "option" => match second? {
                "httpchk" | "tcp-check" | "ssl-hello-chk" | "redis-check" | "ldap-check" | "mysql-check"
                | "pgsql-check" | "smtpchk" | "spop-check" | "external-check" => Some(Self::Check),
                option => Some(Self::Option(option)),
            },
            "http-check" | "tcp-check" => Some(Self::CheckRule),
            _ => None,
        }
    }

    /// Whether what sets this takes the place of what sets `other`.
    pub(super) fn replaces(self, other: Self) -> bool {
        // Rules are written for one kind of check: another kind has others, or none.
        self == other || (self, other) == (Self::Check, Self::CheckRule)
    }
}
