//! Why Docker could not be asked.

use std::{error::Error, io, path::PathBuf, time::Duration};

use bollard::errors::Error as ApiError;
use discovery_core::printable;
use thiserror::Error;

use crate::{api_version::ApiVersion, client::DEADLINE};

/// How much is told of what a daemon says is wrong.
const SHOWN: usize = 300;

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("connecting to {at}")]
    Connect { at: String, source: io::Error },
    #[error("connecting to {}: permission denied: {owner}", path.display())]
    Denied { path: PathBuf, owner: String },
    #[error("setting up TLS: {doing}")]
    Tls { doing: String, source: Box<dyn Error + Send + Sync> },
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("it answered {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLarge(u64),
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    #[error("asking it by HTTP")]
    Http(#[source] Box<dyn Error + Send + Sync>),
    #[error(
        "it speaks versions {oldest} to {newest} of the API, none of which is spoken here ({} to {})",
        ApiVersion::OLDEST,
        ApiVersion::NEWEST
    )]
    Version { oldest: ApiVersion, newest: ApiVersion },
    #[error("the events have ended")]
    Ended,
}

impl Failure {
    pub(crate) fn http(error: impl Error + Send + Sync + 'static) -> Self {
        match too_large(&error) {
            Some(limit) => Self::TooLarge(limit),
            None => Self::Http(Box::new(error)),
        }
    }

    pub(crate) fn unreadable(error: &(impl ToString + ?Sized)) -> Self {
        Self::Unreadable(printable(&error.to_string(), SHOWN))
    }

    pub(crate) fn refused(status: u16, message: &str) -> Self {
        Self::Refused { status, message: printable(message.trim(), SHOWN) }
    }

    /// Whether whoever is asked has no such thing, or does not allow it.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status: 400..500, .. })
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::DockerResponseServerError { status_code, message } => {
                Self::refused(status_code, &message)
            }
            ApiError::JsonDataError { message, .. } => Self::unreadable(&message),
            ApiError::RequestTimeoutError => Self::Late(DEADLINE),
            ApiError::JsonSerdeError { err } => Self::unreadable(&err),
            // What the transport says, which the client passes on.
            ApiError::IOError { err } => err.downcast::<Self>().unwrap_or_else(Self::http),
            ApiError::HyperResponseError { err } => Self::http(err),
            other => Self::http(other),
        }
    }
}

/// More has come than is read. The limit is in bytes.
#[derive(Debug, Clone, Copy, Error)]
#[error("more than {0} bytes")]
pub(crate) struct TooLarge(pub(crate) u64);

/// Finds that more has come than is read, however deep an HTTP client has buried it.
fn too_large(error: &(dyn Error + 'static)) -> Option<u64> {
    let mut error = Some(error);
    while let Some(inner) = error {
        let io = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(TooLarge(limit)) = io.and_then(|io| io.downcast_ref()) {
            return Some(*limit);
        }
        error = inner.source();
    }
    None
}
