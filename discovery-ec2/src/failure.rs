//! Why a question was not answered, and whom that concerns.

use std::{fmt, sync::Arc, time::Duration};

use thiserror::Error;

/// A question that was not answered. Cheap to clone: it is told to every member.
#[derive(Debug, Clone, Error)]
#[error("{doing}")]
pub(crate) struct Failure {
    doing: Arc<str>,
    #[source]
    cause: Cause,
    kind: Kind,
}

/// Text, not an error value: what the SDK's errors show needs to be cut down.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
struct Cause(Arc<str>);

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// EC2 wants fewer calls.
    Throttled,
    /// EC2 says that it has a problem of its own.
    Unavailable,
    /// Nobody answered, or not in time.
    Unreachable,
    /// EC2 does not accept who asks, or there is nobody to ask as: something about credentials, permissions or the region.
    Refused,
    /// EC2 does not accept what is asked.
    Question,
    /// The answer makes no sense.
    Answer,
}

impl Kind {
    /// Whether every question would meet the same, whatever it asks for.
    pub(crate) fn concerns_all(self) -> bool {
        match self {
            Self::Throttled | Self::Unreachable | Self::Refused => true,
            // An EC2 that stumbles over one question may well answer another.
            Self::Unavailable | Self::Question | Self::Answer => false,
        }
    }
}

/// How much of what others wrote is repeated, in characters; and with what is added to it.
const QUOTED: usize = 600;
const SHOWN: usize = 800;

impl Failure {
    pub(crate) fn new(kind: Kind, cause: impl fmt::Display) -> Self {
        Self {
            doing: "asking for instances".into(),
            cause: Cause(printable(&cause.to_string(), SHOWN).into()),
            kind,
        }
    }

    /// What was said, and what can be done about it: however long the one is, the other is not cut.
    pub(crate) fn advised(kind: Kind, text: &str, advice: &str) -> Self {
        let text = printable(text, QUOTED);
        if advice.is_empty() {
            Self::new(kind, text)
        } else {
            Self::new(kind, format_args!("{text} ({advice})"))
        }
    }

    /// An error code of EC2's, or of those that check who asks, with its message and the HTTP status.
    pub(crate) fn from_code(code: Option<&str>, message: Option<&str>, status: u16) -> Self {
        let (kind, advice) = classify(code, status);
        let mut text = match code {
            Some(code) => code.to_owned(),
            None => format!("HTTP status {status}"),
        };
        if let Some(message) = message {
            text.push_str(": ");
            text.push_str(message.trim_end_matches('.'));
        }
        Self::advised(kind, &text, advice)
    }

    /// Waited for too long.
    pub(crate) fn late(within: Duration) -> Self {
        Self::new(Kind::Unreachable, format_args!("not all of the answer came within {within:?}"))
    }

    /// Names the page that was asked for.
    pub(crate) fn at_page(self, page: usize) -> Self {
        Self { doing: format!("asking for instances, page {page}").into(), ..self }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Both parts in one line, for the log.
    pub(crate) fn chain(&self) -> String {
        format!("{}: {}", self.doing, self.cause)
    }
}

/// The codes are those of EC2's documentation ("Error codes for the Amazon EC2 API") and of the services that check signatures
/// and hand out credentials.
fn classify(code: Option<&str>, status: u16) -> (Kind, &'static str) {
    match code.unwrap_or_default() {
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "EC2ThrottledException"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded"
        | "SlowDown" => (Kind::Throttled, "the account's programs make too many calls; asking less often"),
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            (Kind::Refused, "the credentials need the IAM permission ec2:DescribeInstances")
        }
        "AuthFailure"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => {
            (Kind::Refused, "the keys are wrong, were deleted, or do not work in this region")
        }
        "SignatureDoesNotMatch" | "IncompleteSignature" | "InvalidSignatureException" => {
            (Kind::Refused, "the secret key is wrong, or the region, or this machine's clock")
        }
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            (Kind::Refused, "the credentials have expired, or this machine's clock is wrong")
        }
        "OptInRequired" | "PendingVerification" | "Blocked" => {
            (Kind::Refused, "the account cannot use this region, or not yet")
        }
        _ => match status {
            429 => (Kind::Throttled, "the account's programs make too many calls; asking less often"),
            401 | 403 => (Kind::Refused, "do the credentials have the IAM permission ec2:DescribeInstances?"),
            400..=499 => (Kind::Question, "EC2 does not accept the filters"),
            500..=599 => (Kind::Unavailable, ""),
            _ => (Kind::Answer, "is that EC2's API?"),
        },
    }
}

/// One line without control characters, cut when it is too long: others wrote it.
fn printable(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let words: Vec<_> = text.split_whitespace().collect();
    for (count, character) in words.join(" ").chars().enumerate() {
        if count == most {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_code_means_is_told_with_what_to_do() {
        for (code, status, kind, says) in [
            (Some("RequestLimitExceeded"), 503, Kind::Throttled, "asking less often"),
            (None, 429, Kind::Throttled, "HTTP status 429"),
            (Some("InternalError"), 500, Kind::Unavailable, "InternalError"),
            (None, 503, Kind::Unavailable, "HTTP status 503"),
            (Some("UnauthorizedOperation"), 403, Kind::Refused, "ec2:DescribeInstances"),
            (Some("AuthFailure"), 401, Kind::Refused, "in this region"),
            (Some("RequestExpired"), 400, Kind::Refused, "clock"),
            (Some("OptInRequired"), 401, Kind::Refused, "region"),
            (Some("InvalidParameterValue"), 400, Kind::Question, "filters"),
            (None, 301, Kind::Answer, "is that EC2's API?"),
        ] {
            let failure = Failure::from_code(code, Some("What it says."), status);
            assert_eq!(failure.kind(), kind, "{code:?}");
            assert!(failure.chain().contains(says), "{}", failure.chain());
            assert!(failure.chain().starts_with("asking for instances: "), "{}", failure.chain());
        }
    }

    #[test]
    fn what_others_wrote_is_cut_and_never_ends_a_line() {
        let long = format!("a\nb{}", "x".repeat(10_000));
        let chain = Failure::from_code(Some("AccessDenied"), Some(&long), 403).chain();
        assert!(chain.len() < 900 && !chain.contains('\n'), "{chain}");
        assert!(chain.contains("ec2:DescribeInstances"), "the advice is not cut: {chain}");
    }
}
