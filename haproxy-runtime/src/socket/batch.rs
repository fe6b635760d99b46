//! Changing a process: only the right one, only as far as it obeys.

use std::{ops::Range, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    command_line::CommandLine,
    error::SocketFault,
    judge::{Expected, Judged, Verdict},
    process::{Identity, Level, Process, Revision},
    reply::Reply,
    session::{Session, Then},
};

/// What is kept of a reply: those that are expected are shorter than a line.
const KEEP: usize = 2 * 1024;
/// What is kept of `show info`.
pub(super) const KEEP_INFO: usize = 64 * 1024;
/// Pauses before a gate is asked again: HAProxy 3.3 and later need milliseconds to let go of idle connections.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A batch to be carried out.
pub(super) struct Batch<'a, J> {
    pub target: Identity,
    /// What it has to run; `None`: anything.
    pub runs: Option<&'a Revision>,
    pub steps: &'a [J],
    pub stamp: Option<&'a Revision>,
    pub patience: Duration,
}

/// What came of it.
pub(super) struct Done {
    pub process: Process,
    pub replies: Vec<(Reply, Verdict)>,
    pub stamped: Option<Verdict>,
}

impl<J: Judged> Batch<'_, J> {
    /// Every step has to be a command before the first one is sent.
    pub(super) fn check(&self) -> Result<(), SocketFault> {
        for (index, step) in self.steps.iter().enumerate() {
            CommandLine::parse(step.command())
                .map_err(|source| SocketFault::Command { number: index + 1, source })?;
        }
        Ok(())
    }

    pub(super) async fn carry_out(&self, session: &mut Session<'_>) -> Result<Done, SocketFault> {
        let process = Process::read(&session.ask(&Process::QUERY, KEEP_INFO, Then::More).await?)?;
        self.admit(&process)?;

        session.progress.changing = true;
        let mut replies = Vec::with_capacity(self.steps.len());
        while replies.len() < self.steps.len() {
            let run = self.run(replies.len());
            for (reply, step) in self.ask(session, run.clone()).await?.into_iter().zip(&self.steps[run]) {
                let verdict = step.judge(&reply);
                replies.push((reply, verdict));
            }
            if !self.pass(session, &mut replies).await? {
                break;
            }
        }

        let whole = replies.len() == self.steps.len()
            && replies.iter().all(|(_, verdict)| *verdict == Verdict::Success);
        let stamped = self.finish(session, &process, whole).await?;
        Ok(Done { process, replies, stamped })
    }

    /// Whether `process` is the one, and may be changed.
    fn admit(&self, process: &Process) -> Result<(), SocketFault> {
        let found = process.identity;
        if process.stopping {
            return Err(SocketFault::Stopping { process: found });
        }
        if found != self.target {
            return Err(SocketFault::OtherProcess { expected: self.target, found });
        }
        match process.level {
            Level::Admin => Ok(()),
            level => Err(SocketFault::NotAdmin { level }),
        }?;
        if self.runs.is_some_and(|runs| process.revision.as_ref() != Some(runs)) {
            return Err(SocketFault::OtherRevision { process: found, runs: process.revision.clone() });
        }
        Ok(())
    }

    /// The steps from `first` on that are sent together: up to the next gate.
    fn run(&self, first: usize) -> Range<usize> {
        let gate = self.steps[first..].iter().position(Judged::is_gate);
        first..gate.map_or(self.steps.len(), |gate| first + gate + 1)
    }

    async fn ask(&self, session: &mut Session<'_>, run: Range<usize>) -> Result<Vec<Reply>, SocketFault> {
        let mut replies = vec![Reply::default(); run.len()];
        let commands = self.steps[run].iter().map(Judged::command);
        session
            .exchange(commands, Then::More, |command, line| {
                if let Some(reply) = replies.get_mut(command) {
                    reply.push(line, KEEP);
                }
            })
            .await?;
        replies.iter_mut().for_each(Reply::finish);
        Ok(replies)
    }

    /// Whether what comes after the last step that was sent may be sent; asks a gate again for as long as it says
    /// "later".
    async fn pass(
        &self,
        session: &mut Session<'_>,
        replies: &mut [(Reply, Verdict)],
    ) -> Result<bool, SocketFault> {
        let last = replies.len() - 1;
        let (Some(gate), [.., answer]) = (self.steps.get(last).filter(|step| step.is_gate()), replies) else {
            return Ok(true);
        };
        let end = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        while answer.1 == Verdict::Later && Instant::now() + pause <= end {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            for reply in self.ask(session, last..last + 1).await? {
                let verdict = gate.judge(&reply);
                *answer = (reply, verdict);
            }
        }
        Ok(answer.1 == Verdict::Success)
    }

    /// Sets the revision if all went well, and makes sure that the process did not begin to end meanwhile.
    async fn finish(
        &self,
        session: &mut Session<'_>,
        process: &Process,
        whole: bool,
    ) -> Result<Option<Verdict>, SocketFault> {
        let mut commands = Vec::new();
        if let Some(revision) = self.stamp.filter(|_| whole) {
            commands.push(CommandLine::fixed("experimental-mode on"));
            let stamp = CommandLine::parse(&revision.stamp())
                .map_err(|source| SocketFault::Command { number: self.steps.len() + 1, source })?;
            commands.push(stamp);
        }
        commands.push(CommandLine::info());
        let replies = session.ask(&commands, KEEP_INFO, Then::Quit).await?;
        if replies.last().is_some_and(Process::is_stopping) {
            return Err(SocketFault::Stopping { process: process.identity });
        }
        Ok(match replies.as_slice() {
            [_, stamp, _] => Some(Expected::SILENT.judge(stamp)),
            _ => None,
        })
    }
}
