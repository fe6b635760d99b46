//! Why a question was not answered, and whom that concerns.

use std::{fmt, sync::Arc, time::Duration};

use discovery_core::{Retry, WatchError, printable};

/// A question that was not answered. Cheap to clone: it is told to every member.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    kind: Kind,
    /// Which page of the answer it was.
    page: Option<usize>,
    /// Text, not an error value: what the SDK's errors show needs to be cut down.
    cause: Arc<str>,
}

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
    /// The answer has more pages than can be read in time.
    Large,
}

impl Kind {
    /// Whether every question would meet the same, whatever it asks for.
    pub(crate) fn concerns_all(self) -> bool {
        match self {
            Self::Throttled | Self::Unreachable | Self::Refused => true,
            // An EC2 that stumbles over one question may well answer another.
            Self::Unavailable | Self::Question | Self::Answer | Self::Large => false,
        }
    }
}

/// How much of what others wrote is repeated, in characters; and with what is added to it.
const QUOTED: usize = 600;
const SHOWN: usize = 800;

impl Failure {
    pub(crate) fn new(kind: Kind, cause: impl fmt::Display) -> Self {
        Self { kind, page: None, cause: quoted(&cause.to_string(), SHOWN).into() }
    }

    /// What was said, and what can be done about it: however long the one is, the other is not cut.
    pub(crate) fn advised(kind: Kind, text: &str, advice: &str) -> Self {
        let text = quoted(text, QUOTED);
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

    /// Waited for too long, although so many pages have come.
    pub(crate) fn late(within: Duration, pages: usize) -> Self {
        if pages == 0 {
            return Self::new(Kind::Unreachable, format_args!("no answer within {within:?}"));
        }
        let text = format!("{pages} pages came within {within:?}, and were not all");
        Self::advised(Kind::Large, &text, "narrow it by tags or filters, or raise `poll_timeout`")
    }

    /// Names the page that was asked for.
    pub(crate) fn at_page(self, page: usize) -> Self {
        Self { page: Some(page), ..self }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// What failed, and why.
    pub(crate) fn error(&self) -> WatchError {
        let error = match self.page {
            None => WatchError::new("asking for instances"),
            Some(page) => WatchError::new(format!("asking for instances, page {page}")),
        };
        error.because(self.cause.to_string())
    }

    /// The same for a member, who is to ask again at once, or as soon as their own minimum allows: it is the driver that backs off. What a
    /// member says next waits for the driver's next success or failure anyway, so a pause would only delay the good news.
    pub(crate) fn told(&self) -> WatchError {
        self.error().retry(Retry::After(Duration::ZERO))
    }

    /// Both in one line, for the log.
    pub(crate) fn chain(&self) -> String {
        self.error().chain()
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

/// What EC2 or the SDK says, printable, in one line, and without what was signed.
fn quoted(text: &str, most: usize) -> String {
    let words: Vec<_> = unsigned(text).split_whitespace().collect();
    printable(&words.join(" "), most)
}

/// What comes before AWS repeats what was signed, which it does when the signature is wrong: the session token is in it, and so
/// is the header with the key's id.
fn unsigned(text: &str) -> &str {
    const REPEATED: [&str; 4] =
        ["The Canonical String", "The String-to-Sign", "Authorization header", "Authorization="];
    let end = REPEATED.iter().filter_map(|start| text.find(start)).min();
    // The SDK's providers repeat a message with its line ends escaped.
    end.map_or(text, |end| text[..end].trim_end().trim_end_matches("\\n").trim_end_matches('.'))
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
    fn what_was_signed_is_not_repeated() {
        let wrong = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                     Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical \
                     String for this request should have been\n'POST\n/\n\nx-amz-security-token:hunter2\n'";
        let chain = Failure::from_code(Some("SignatureDoesNotMatch"), Some(wrong), 403).chain();
        assert!(chain.contains("for details (the secret key is wrong"), "{chain}");
        assert!(!chain.contains("hunter2") && !chain.contains("Canonical"), "{chain}");
        let header =
            "Authorization header requires 'Signature' parameter. Authorization=AWS4-HMAC-SHA256 hunter2";
        // As it comes from whoever provides credentials: in the middle of a text.
        let text = format!("assuming the role: IncompleteSignature: {header}");
        let chain = Failure::advised(Kind::Refused, &text, "what to do").chain();
        assert!(chain.ends_with("IncompleteSignature: (what to do)"), "{chain}");
    }

    #[test]
    fn what_others_wrote_is_cut_and_never_ends_a_line() {
        let long = format!("a\nb{}", "x".repeat(10_000));
        let chain = Failure::from_code(Some("AccessDenied"), Some(&long), 403).chain();
        assert!(chain.len() < 900 && !chain.contains('\n'), "{chain}");
        assert!(chain.contains("ec2:DescribeInstances"), "the advice is not cut: {chain}");
    }
}
