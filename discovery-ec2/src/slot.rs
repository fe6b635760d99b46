//! What is known of one chain's answers, where the members can see it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{describe::Instance, failure::Failure, filter::Filters};

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What was asked for.
    pub(crate) filters: Filters,
    /// When it was asked for.
    pub(crate) asked: Instant,
    pub(crate) instances: Vec<Instance>,
}

/// The driver writes it, one member reads it; each number only grows, so a reader that compares them with what it has seen
/// misses no news however rarely it looks.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    answer: Option<Arc<Answer>>,
    /// How often there was an answer.
    answers: u64,
    /// How often there was none.
    failures: u64,
    /// The last failure, unless there was an answer since.
    failure: Option<Failure>,
}

impl Slot {
    pub(crate) fn answer(&mut self, answer: Arc<Answer>) {
        self.answer = Some(answer);
        self.answers += 1;
        self.failure = None;
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failures += 1;
        self.failure = Some(failure);
    }

    /// The last answer, and its number.
    pub(crate) fn latest(&self) -> Option<(u64, &Arc<Answer>)> {
        self.answer.as_ref().map(|answer| (self.answers, answer))
    }

    /// The last failure and its number, while it lasts.
    pub(crate) fn failure(&self) -> Option<(u64, &Failure)> {
        self.failure.as_ref().map(|failure| (self.failures, failure))
    }
}
