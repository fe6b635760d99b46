//! Commands, and what may come of them.

use std::{collections::HashSet, sync::Arc};

use haproxy_render::{
    Document, Name,
    plan::{Commands, Step},
};
use tokio::time::Instant;

use super::{Cause, Deed, Live, LiveError, acquaintance::Known};
use crate::socket::{Answers, Outcome, Revision, SocketError, Verdict};

/// The command that tells the process which document it runs. It counts where there are no others: a server that comes back
/// disabled while it leaves is in maintenance already.
const STAMP: usize = 1;

/// What came of commands.
pub(super) enum Carried {
    /// The process runs what was wanted, and says so.
    Out,
    /// There is another process. If what it runs is known, plan for that.
    Replaced(Option<Box<Known>>),
    /// The process did not do it: why, and what it runs, if that is known.
    Not(Option<Box<Known>>, Cause),
}

/// How whoever has the names of servers that may not have been added is taken away.
struct Displace {
    steps: Vec<Step>,
    /// What undoes it for those that are still there.
    readmit: Vec<Step>,
}

impl Live {
    /// Has `known` carry out what leads to `wanted`. What becomes of the file is the caller's.
    pub(super) async fn carry_out(
        &mut self,
        mut known: Known,
        commands: &Commands,
        wanted: &Arc<Document>,
        deed: &mut Deed,
    ) -> Carried {
        self.note(wanted);
        self.note_leaving(known.identity, commands.leaving());
        let stamp = wanted.revision.map(Revision::from);
        let announced = commands.steps().iter().any(Step::is_gate);
        let result = match self.announce(&known, announced).await {
            Ok(()) => {
                let runs = if announced { Some(Revision::changing()) } else { known.revision() };
                known.socket.batch_on(known.identity, runs.as_ref(), commands.steps(), stamp.as_ref()).await
            }
            Err(error) => Err(error),
        };
        let uncertain = match &result {
            Ok(answers) if answers.succeeded() => {
                known.document = Arc::clone(wanted);
                known.leaving = commands.leaving().clone();
                self.done(commands.steps().len().max(STAMP), deed);
                self.keep(known);
                return Carried::Out;
            }
            Ok(answers) => uncertain(answers, commands.steps()),
            Err(error) => match (error.outcome(), error.fault()) {
                (Outcome::Lost, _) => return self.replaced(known, wanted).await,
                (Outcome::Nothing, fault) if fault.is_about_another() => {
                    return self.replaced(known, wanted).await;
                }
                (Outcome::Nothing, _) => {
                    let cause = Cause::unreachable(error);
                    // It may have said that it is about to change, and runs what it ran.
                    let says = !announced || self.stamp(&known, None).await.is_ok();
                    return Carried::Not(says.then(|| Box::new(known)), cause);
                }
                (Outcome::Unknown, _) => match self.meet().await {
                    Ok((_, process)) if process.identity == known.identity => {
                        commands.steps().iter().collect()
                    }
                    _ => {
                        self.doubted = Some((known.identity, Cause::Interrupted));
                        return self.replaced(known, wanted).await;
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
            return Carried::Not(None, cause);
        }
        // Only where nothing at all was heard is it likely that whoever has the name is the one that was to be added.
        let unheard = result.is_err().then_some(&uncertain).into_iter().flatten();
        let sent: HashSet<&str> = unheard.clone().map(|step| step.command()).collect();
        let readmit = unheard.filter_map(|step| step.readmit());
        let readmit = readmit.filter(|step| sent.contains(step.command())).collect();
        let displace = Displace {
            steps: uncertain.iter().filter_map(|step| step.displace()).flatten().collect(),
            readmit,
        };
        self.complete(known, commands, displace, wanted, cause, deed).await
    }

    /// Where a server of other options takes the place of one, in part of a change nobody could tell which of them is there: so until
    /// the change is whole, the process does not say that it runs anything, and whoever finds it so has it reloaded.
    async fn announce(&self, known: &Known, due: bool) -> Result<(), SocketError> {
        if !due {
            return Ok(());
        }
        let (runs, changing) = (known.revision(), Revision::changing());
        known.socket.batch_on::<Step>(known.identity, runs.as_ref(), &[], Some(&changing)).await.map(drop)
    }

    /// What reading back finds is missing is done once more. First `displace` takes away whoever has the names of servers that may
    /// not have been added: a server of our name, address and port may be another one in what HAProxy does not show.
    async fn complete(
        &mut self,
        known: Known,
        commands: &Commands,
        displace: Displace,
        wanted: &Arc<Document>,
        cause: Cause,
        deed: &mut Deed,
    ) -> Carried {
        let identity = known.identity;
        // Until the end of this, what runs is neither the old document nor the new one.
        self.doubted = Some((identity, Cause::Interrupted));
        let Displace { steps, readmit } = displace;
        let displaced = steps.is_empty()
            || known.socket.batch(identity, &steps, None).await.is_ok_and(|answers| answers.succeeded());
        if !displaced {
            // A reload puts it right, if there is one soon. Until then they may be all that serves.
            if !readmit.is_empty()
                && let Err(error) = known.socket.batch(identity, &readmit, None).await
            {
                tracing::warn!(
                    error = error.fault() as &dyn std::error::Error,
                    "taking servers back into rotation until a reload"
                );
            }
            return Carried::Not(None, cause);
        }
        let mut next = Known { document: Arc::clone(wanted), leaving: commands.leaving().clone(), ..known };
        let mut mended = Deed::default();
        let stamped = match self.mend(&mut next, &mut mended).await {
            Ok(()) => self.stamp(&next, None).await,
            Err(other) => Err(other),
        };
        match stamped {
            Ok(()) => {
                self.doubted = None;
                self.done(commands.steps().len().max(STAMP), deed);
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
        mut known: Known,
        wanted: &Arc<Document>,
        deed: &mut Deed,
    ) -> Result<Carried, LiveError> {
        let (says, new) = (known.document.revision, known.document.revision != wanted.revision);
        // A process that has the revision before its file could not be told from a stranger.
        if says.is_none() {
            known = self.write(known, wanted, deed).await?;
        } else if !new {
            self.make_sure_of_file(wanted).await;
        }
        let (asked, runs) = (known.identity, known.revision());
        let before = std::mem::replace(&mut known.document, Arc::clone(wanted));
        if new {
            self.note(wanted);
        }
        if new && let Err(cause) = self.stamp(&known, runs.as_ref()).await {
            known.document = before;
            return Ok(match self.follow(known, wanted).await {
                Ok(Some(known)) if known.document.revision == wanted.revision => {
                    self.keep(known);
                    self.follow_with_file(wanted);
                    Carried::Out
                }
                Ok(Some(known)) if known.identity != asked => Carried::Replaced(Some(Box::new(known))),
                _ => Carried::Not(None, cause),
            });
        }
        if new {
            self.done(STAMP, deed);
            self.follow_with_file(wanted);
        }
        self.keep(known);
        Ok(Carried::Out)
    }

    /// Has the file hold what HAProxy runs, should somebody else have changed it, or an earlier run of this program not have got that
    /// far. What is on its way there takes that along.
    async fn make_sure_of_file(&mut self, runs: &Arc<Document>) {
        if self.filing.is_behind() {
            return;
        }
        let text = self.text(runs);
        if !self.holds(&text).await {
            tracing::warn!(
                "HAProxy's file is not what it should be, by somebody else's doing; writing it anew"
            );
            self.filing.forget();
            self.follow_with_file(runs);
        }
    }

    /// Has the file hold `wanted` before anything else is done.
    async fn write(
        &mut self,
        known: Known,
        wanted: &Arc<Document>,
        deed: &mut Deed,
    ) -> Result<Known, LiveError> {
        let text = self.text(wanted);
        let failures = self.applier.failures(&text);
        let written = match self.stop_writing().await {
            Ok(()) => self.applier.write_alone(&text).await,
            Err(error) => Err(error.into()),
        };
        match written {
            Ok(written) => {
                deed.written = written.or(deed.written.take());
                self.file_holds(wanted);
                Ok(known)
            }
            Err(error) => {
                self.applier.failed(&text, failures);
                self.known = Some(known);
                Err(LiveError::new(error.into(), Vec::new()))
            }
        }
    }

    /// Has the process say that it runs what is known, if it says that it runs `runs`; `None`: whatever it says.
    pub(super) async fn stamp(&mut self, known: &Known, runs: Option<&Revision>) -> Result<(), Cause> {
        let stamp = known.revision();
        let answers = known.socket.batch_on::<Step>(known.identity, runs, &[], stamp.as_ref()).await;
        match answers {
            Ok(answers) if answers.succeeded() => Ok(()),
            Ok(_) => Err(Cause::Revision { runs: None }),
            Err(error) => Err(Cause::unreachable(&error)),
        }
    }

    async fn replaced(&mut self, known: Known, wanted: &Arc<Document>) -> Carried {
        match self.follow(known, wanted).await {
            Ok(known) => Carried::Replaced(known.map(Box::new)),
            Err(cause) => Carried::Not(None, cause),
        }
    }

    pub(super) fn keep(&mut self, known: Known) {
        self.note_leaving(known.identity, &known.leaving);
        self.departures.follow(&known.leaving, Instant::now());
        self.good = Some(Arc::clone(&known.document));
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
