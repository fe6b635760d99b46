//! What came of a batch.

use std::time::Duration;

use super::{judge::Verdict, process::Process, reply::Reply};

/// The replies to a batch, from a process that was not ending when it had given them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answers {
    /// Who answered, as it was before the first command.
    pub process: Process,
    /// What came back, one for each command that was sent, in order.
    pub replies: Vec<(Reply, Verdict)>,
    /// How many commands were left unsent, because the one before them, a gate, did not succeed.
    pub unsent: usize,
    /// What setting the revision led to; `None` if it was not to be set, or not all commands succeeded.
    pub stamped: Option<Verdict>,
    /// How long it all took, connecting included.
    pub took: Duration,
}

impl Answers {
    /// Whether everything was done that was asked for.
    pub fn succeeded(&self) -> bool {
        self.unsent == 0
            && self.failures().next().is_none()
            && self.stamped.is_none_or(|verdict| verdict == Verdict::Success)
    }

    /// The commands that did not succeed: the index of each, what HAProxy said, and what that means.
    pub fn failures(&self) -> impl Iterator<Item = (usize, &Reply, Verdict)> {
        self.replies
            .iter()
            .enumerate()
            .filter(|(_, (_, verdict))| *verdict != Verdict::Success)
            .map(|(index, (reply, verdict))| (index, reply, *verdict))
    }
}
