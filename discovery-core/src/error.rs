//! What a watcher says when it cannot answer.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

/// A source could not be read, in whole or in part.
///
/// `Display` says what was being done; why it failed is [`Error::source`], and neither repeats the other. Cheap to clone: a
/// connection that many watchers share is lost for all of them.
#[derive(Debug, Clone)]
pub struct WatchError {
    doing: Cow<'static, str>,
    retry: Retry,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What whoever runs the watcher should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Ask again, later each time. Right for nearly everything; also for a denied access, which an operator can grant
    /// while we run.
    Backoff,
    /// Ask again after this long: the source named its own pace.
    After(Duration),
    /// Never ask again: no answer can come from asking (the source was closed for good).
    Never,
}

impl WatchError {
    /// An error that happened while `doing` ("reading /services/web from etcd"), to be retried with back-off.
    pub fn new(doing: impl Into<Cow<'static, str>>) -> Self {
        Self { doing: doing.into(), retry: Retry::Backoff, source: None }
    }

    /// Adds why it failed.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// Changes when to ask again.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// When to ask again.
    pub fn when(&self) -> Retry {
        self.retry
    }

    /// The error and all its causes in one line, joined by `: `.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl Error for WatchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_each_cause_once() {
        let error = WatchError::new("reading the registry").because(std::io::Error::other("no route"));
        assert_eq!(error.to_string(), "reading the registry");
        assert_eq!(error.chain(), "reading the registry: no route");
        assert_eq!(error.when(), Retry::Backoff);
    }

    #[test]
    fn one_loss_is_told_to_many_each_in_its_own_words() {
        let lost = WatchError::new("connecting to etcd").because("connection refused");
        for service in ["web", "db"] {
            let error = WatchError::new(format!("watching {service}")).because(lost.clone());
            assert_eq!(error.chain(), format!("watching {service}: connecting to etcd: connection refused"));
        }
    }
}
