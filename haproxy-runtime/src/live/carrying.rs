//! Commands, and what may come of them.

use haproxy_render::{
    Document, Name,
    plan::{Commands, Step},
};
use tokio::time::Instant;

use super::{Cause, Deed, Live, LiveError, acquaintance::Known};
use crate::socket::{Answers, Outcome, Revision, SocketError, SocketFault, Verdict};

/// What came of commands.
pub(super) enum Carried {
    /// The process runs what was wanted, and says so.
    Out,
    /// There is another process. If what it runs is known, plan for that.
    Replaced(Option<Box<Known>>),
    /// The process did not do it: why, and what it runs, if that is known.
    Not(Option<Box<Known>>, Cause),
}

impl Live {
    /// Writes the file for `wanted`, then has `known` carry out what leads there.
    pub(super) async fn carry_out(
        &mut self,
        known: Known,
        commands: &Commands,
        wanted: &Document,
        deed: &mut Deed,
    ) -> Result<Carried, LiveError> {
        let mut known = self.write(known, wanted, deed).await?;
        let stamp = wanted.revision.map(Revision::from);
        let result = known.socket.batch(known.identity, commands.steps(), stamp.as_ref()).await;
        let uncertain = match &result {
            Ok(answers) if answers.succeeded() => {
                known.document = wanted.clone();
                known.leaving = commands.leaving().clone();
                self.done(commands.steps().len(), deed);
                self.keep(known);
                return Ok(Carried::Out);
            }
            Ok(answers) => uncertain(answers, commands.steps()),
            Err(error) => match (error.outcome(), error.fault()) {
                (Outcome::Lost, _)
                | (Outcome::Nothing, SocketFault::OtherProcess { .. } | SocketFault::Stopping { .. }) => {
                    return Ok(self.replaced(known, wanted).await);
                }
                (Outcome::Nothing, _) => {
                    let cause = Cause::unreachable(error);
                    return Ok(Carried::Not(Some(Box::new(known)), cause));
                }
                (Outcome::Unknown, _) => match self.meet().await {
                    Ok((_, process)) if process.identity == known.identity => {
                        commands.steps().iter().collect()
                    }
                    _ => {
                        self.doubted = Some((known.identity, Cause::Interrupted));
                        return Ok(self.replaced(known, wanted).await);
                    }
                },
            },
        };
        self.counters.refusals += 1;
        let cause = match &result {
            Ok(answers) => complaint(answers, commands.steps()),
            Err(error) => Cause::unreachable(error),
        };
        tracing::warn!(%cause, "HAProxy did not carry out a change as it should; looking at what it runs");
        // A server that was to be replaced by one of other options may be the old or the new one, which nobody can tell.
        if replaces(&uncertain, commands.steps()) {
            self.doubted = Some((known.identity, Cause::Interrupted));
            return Ok(Carried::Not(None, cause));
        }
        Ok(self.complete(known, commands, wanted, cause, deed).await)
    }

    /// What reading back finds is missing is done once more.
    async fn complete(
        &mut self,
        known: Known,
        commands: &Commands,
        wanted: &Document,
        cause: Cause,
        deed: &mut Deed,
    ) -> Carried {
        let identity = known.identity;
        let mut next = Known { document: wanted.clone(), leaving: commands.leaving().clone(), ..known };
        // Until the end of this, what runs is neither the old document nor the new one.
        self.doubted = Some((identity, Cause::Interrupted));
        let mut mended = Deed::default();
        let stamped = match self.mend(&mut next, &mut mended).await {
            Ok(()) => self.stamp(&next).await,
            Err(other) => Err(other),
        };
        match stamped {
            Ok(()) => {
                self.doubted = None;
                self.done(commands.steps().len(), deed);
                deed.commands += mended.commands;
                self.keep(next);
                Carried::Out
            }
            Err(_) => Carried::Not(None, cause),
        }
    }

    /// Nothing separates the two documents in the process; the file, and the stamp, may differ still.
    pub(super) async fn settle(
        &mut self,
        known: Known,
        wanted: &Document,
        deed: &mut Deed,
    ) -> Result<Carried, LiveError> {
        let mut known = self.write(known, wanted, deed).await?;
        let stamped = known.document.revision == wanted.revision;
        known.document = wanted.clone();
        if !stamped && let Err(cause) = self.stamp(&known).await {
            return Ok(match self.follow(known, wanted).await {
                Ok(Some(known)) if known.document.revision == wanted.revision => {
                    self.keep(known);
                    Carried::Out
                }
                _ => Carried::Not(None, cause),
            });
        }
        if !stamped {
            self.done(1, deed);
        }
        self.keep(known);
        Ok(Carried::Out)
    }

    async fn write(&mut self, known: Known, wanted: &Document, deed: &mut Deed) -> Result<Known, LiveError> {
        let text = self.text(wanted);
        match self.applier.write_alone(&text).await {
            Ok(written) => {
                deed.written = written.or(deed.written.take());
                Ok(known)
            }
            Err(error) => {
                self.known = Some(known);
                Err(LiveError::new(error.into(), Vec::new()))
            }
        }
    }

    pub(super) async fn stamp(&mut self, known: &Known) -> Result<(), Cause> {
        let stamp = known.revision();
        let answers = known.socket.batch::<Step>(known.identity, &[], stamp.as_ref()).await;
        match answers {
            Ok(answers) if answers.succeeded() => Ok(()),
            Ok(_) => Err(Cause::Revision { runs: None }),
            Err(error) => Err(Cause::unreachable(&error)),
        }
    }

    async fn replaced(&mut self, known: Known, wanted: &Document) -> Carried {
        match self.follow(known, wanted).await {
            Ok(known) => Carried::Replaced(known.map(Box::new)),
            Err(cause) => Carried::Not(None, cause),
        }
    }

    pub(super) fn keep(&mut self, known: Known) {
        self.departures.follow(&known.leaving, Instant::now());
        self.good = Some(known.document.clone());
        self.known = Some(known);
    }

    pub(super) fn done(&mut self, commands: usize, deed: &mut Deed) {
        deed.commands += commands;
        self.counters.commands += commands as u64;
    }
}

/// The steps that were not done, as far as anybody knows.
fn uncertain<'a>(answers: &Answers, steps: &'a [Step]) -> Vec<&'a Step> {
    let done =
        |index: usize| answers.replies.get(index).is_some_and(|(_, verdict)| *verdict == Verdict::Success);
    steps.iter().enumerate().filter(|(index, _)| !done(*index)).map(|(_, step)| step).collect()
}

/// Whether one of the servers that `uncertain` is about is deleted on the way, to come back as another.
fn replaces(uncertain: &[&Step], steps: &[Step]) -> bool {
    let deleted: Vec<(&Name, &Name)> =
        steps.iter().filter(|step| step.is_gate()).filter_map(Step::server).collect();
    uncertain.iter().filter_map(|step| step.server()).any(|server| deleted.contains(&server))
}

/// The first thing that went wrong.
fn complaint(answers: &Answers, steps: &[Step]) -> Cause {
    match answers.failures().next() {
        Some((index, reply, _)) => Cause::refused(steps.get(index).map_or("", Step::command), reply),
        None => Cause::Revision { runs: answers.process.revision.clone() },
    }
}

impl From<SocketError> for Cause {
    fn from(error: SocketError) -> Self {
        Self::unreachable(&error)
    }
}
