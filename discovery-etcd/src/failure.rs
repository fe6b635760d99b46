//! Why something failed, and whom it concerns.

use std::{borrow::Cow, error::Error, time::Duration};

use discovery_core::{Retry, WatchError};

/// How soon whoever runs a member should ask again after the connection was lost: at once, or as soon as their own minimum
/// allows. It is the driver that backs off then: the member's next answer waits for its next success or failure anyway, so a
/// pause would only delay the good news.
const AGAIN: Duration = Duration::ZERO;

/// Something failed. Cheap to clone: a lost connection is told to every member.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    error: WatchError,
    kind: Kind,
}

/// Whom a failure concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One prefix: the connection is as good as before.
    Prefix,
    /// The connection: it cannot be used any further.
    Connection,
    /// A request that was not answered in time. The connection may well live: what is asked for may be too much.
    Slow,
    /// The user's token is not accepted any more: a new connection brings a new one.
    Token,
    /// A message was longer than we read. Asking for the same again would bring the same again.
    TooLong,
    /// The revision that was asked for is compacted.
    Compacted,
}

impl Failure {
    /// The cause is text, not an error value: what the client's errors show needs to be cut down, see [`describe`].
    pub(crate) fn new(kind: Kind, doing: impl Into<Cow<'static, str>>, cause: impl Into<String>) -> Self {
        Self { error: WatchError::new(doing).because(cause.into()), kind }
    }

    /// From an error of the client's.
    pub(crate) fn from_client(doing: impl Into<Cow<'static, str>>, error: &etcd_client::Error) -> Self {
        Self::new(classify(error), doing, describe(error))
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The same as one that concerns the whole connection.
    pub(crate) fn of_connection(self) -> Self {
        Self { kind: Kind::Connection, ..self }
    }

    /// The same as one of the stream that all prefixes share: it cannot concern one alone.
    pub(crate) fn of_stream(self) -> Self {
        match self.kind {
            Kind::Prefix | Kind::Slow | Kind::Compacted => self.of_connection(),
            Kind::Connection | Kind::Token | Kind::TooLong => self,
        }
    }

    /// The same as one that concerns a prefix alone.
    pub(crate) fn of_prefix(self) -> Self {
        Self { kind: Kind::Prefix, ..self }
    }

    /// What members are told, and when they should ask again.
    pub(crate) fn told(&self) -> WatchError {
        let retry = match self.kind {
            Kind::Prefix => Retry::Backoff,
            Kind::Connection | Kind::Slow | Kind::Token | Kind::TooLong | Kind::Compacted => {
                Retry::After(AGAIN)
            }
        };
        self.error.clone().retry(retry)
    }

    /// Both in one line, for the log.
    pub(crate) fn chain(&self) -> String {
        self.error.chain()
    }
}

/// Whether the server has said that a user cannot be authenticated because authentication is off.
pub(crate) fn needs_no_user(error: &etcd_client::Error) -> bool {
    matches!(error, etcd_client::Error::GRpcStatus(status) if status.message().contains("authentication is not enabled"))
}

/// Whether a message or a reason says that a revision is compacted.
pub(crate) fn says_compacted(message: &str) -> bool {
    message.contains("has been compacted")
}

fn classify(error: &etcd_client::Error) -> Kind {
    match error {
        etcd_client::Error::GRpcStatus(status) => of_status(i32::from(status.code()), status.message()),
        _ => Kind::Connection,
    }
}

/// What a reason given with a cancelled watch is about.
pub(crate) fn of_reason(reason: &str) -> Kind {
    match of_status(INVALID_ARGUMENT, reason) {
        Kind::Token => Kind::Token,
        _ => Kind::Prefix,
    }
}

// gRPC's status codes, by its specification.
const INVALID_ARGUMENT: i32 = 3;
const NOT_FOUND: i32 = 5;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const FAILED_PRECONDITION: i32 = 9;
const OUT_OF_RANGE: i32 = 11;
const UNAUTHENTICATED: i32 = 16;

/// The messages are those of etcd's `rpctypes`: the codes alone do not tell them apart.
fn of_status(code: i32, message: &str) -> Kind {
    let says = |text| message.contains(text);
    match code {
        UNAUTHENTICATED => Kind::Token,
        // "user name is empty": authentication was switched on after we had connected.
        _ if says("invalid auth token")
            || says("revision of auth store is old")
            || says("user name is empty") =>
        {
            Kind::Token
        }
        OUT_OF_RANGE if says_compacted(message) => Kind::Compacted,
        // The client's own word for a message above its limit.
        OUT_OF_RANGE if says("message length too large") => Kind::TooLong,
        INVALID_ARGUMENT | NOT_FOUND | PERMISSION_DENIED | RESOURCE_EXHAUSTED | FAILED_PRECONDITION
        | OUT_OF_RANGE => Kind::Prefix,
        _ => Kind::Connection,
    }
}

/// What an error says in one line: code and message, and the innermost cause, which is where the operating system and TLS
/// say what they mean; the layers between them repeat that something failed.
fn describe(error: &etcd_client::Error) -> String {
    let (mut text, mut cause) = match error {
        etcd_client::Error::GRpcStatus(status) => {
            let text =
                format!("{} ({:?})", status.message().trim_start_matches("etcdserver: "), status.code());
            (text, status.source())
        }
        etcd_client::Error::TransportError(error) => (error.to_string(), error.source()),
        other => (other.to_string(), None),
    };
    let mut innermost = None;
    while let Some(error) = cause {
        innermost = Some(error.to_string());
        cause = error.source();
    }
    if let Some(innermost) = innermost.filter(|innermost| !text.contains(innermost.as_str())) {
        text.push_str(": ");
        text.push_str(&innermost);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_an_error_concerns_is_read_from_code_and_message() {
        const UNAVAILABLE: i32 = 14;
        const UNKNOWN: i32 = 2;
        for (code, message, kind) in [
            (PERMISSION_DENIED, "etcdserver: permission denied", Kind::Prefix),
            (UNAUTHENTICATED, "etcdserver: invalid auth token", Kind::Token),
            (UNKNOWN, "etcdserver: invalid auth token", Kind::Token),
            (INVALID_ARGUMENT, "etcdserver: revision of auth store is old", Kind::Token),
            (INVALID_ARGUMENT, "etcdserver: user name is empty", Kind::Token),
            (
                INVALID_ARGUMENT,
                "etcdserver: authentication failed, invalid user ID or password",
                Kind::Prefix,
            ),
            (OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted", Kind::Compacted),
            (
                OUT_OF_RANGE,
                "Error, decoded message length too large: found 9 bytes, the limit is: 1 bytes",
                Kind::TooLong,
            ),
            (RESOURCE_EXHAUSTED, "etcdserver: too many requests", Kind::Prefix),
            (UNAVAILABLE, "etcdserver: no leader", Kind::Connection),
            (UNKNOWN, "h2 protocol error: error reading a body from connection", Kind::Connection),
        ] {
            assert_eq!(of_status(code, message), kind, "{message}");
        }
        assert_eq!(of_reason("etcdserver: permission denied"), Kind::Prefix);
        assert_eq!(of_reason("etcdserver: invalid auth token"), Kind::Token);
    }
}
