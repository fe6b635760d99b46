//! What HAProxy answered and nobody expected.

use thiserror::Error;

/// Most characters of a line that an error repeats.
const SHOWN: usize = 120;

/// A reply of HAProxy's that is not of the form that it should have. Its text is bounded and escaped: safe to log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("reading the reply to {reply}: line {line} {problem}: {text:?}")]
pub struct Unreadable {
    reply: &'static str,
    line: usize,
    problem: &'static str,
    text: Box<str>,
}

impl Unreadable {
    /// `line` counts from 1.
    pub(crate) fn new(reply: &'static str, line: usize, problem: &'static str, text: &str) -> Self {
        Self { reply, line, problem, text: text.chars().take(SHOWN).collect() }
    }

    /// The line that is not understood, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The line, cut after 120 characters.
    pub fn text(&self) -> &str {
        &self.text
    }
}
