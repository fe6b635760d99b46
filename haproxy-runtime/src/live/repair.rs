//! Finding and undoing what somebody else has changed.

use std::{sync::Arc, time::Duration};

use haproxy_render::plan::{Audit, Plan, Repair};
use tokio::time::{Instant, sleep};

use super::{Cause, Deed, Live, acquaintance::Known};
use crate::socket::CommandLine;

/// HAProxy does some of what it is told a moment later.
const MOMENT: Duration = Duration::from_millis(20);

impl Live {
    /// Looks at what HAProxy runs, and puts right what somebody else has changed in our backends by commands: servers that
    /// were added, removed or altered. Call it from time to time; HAProxy needs a few milliseconds for a thousand servers.
    ///
    /// `None`: everything was in order, or nobody knows what is: then the next [`apply`](Self::apply) finds out, as it does
    /// when this finds that it takes a reload.
    ///
    /// # Cancel safety
    /// Dropping the future may leave a repair half done; the next one goes on.
    pub async fn reconcile(&mut self) -> Option<Deed> {
        let started = Instant::now();
        let known = self.known.take()?;
        let document = Arc::clone(&known.document);
        // The same process, or one that runs the same.
        let mut known = match self.follow(known, &document).await {
            Ok(Some(known)) => known,
            Ok(None) => return None,
            Err(cause) => {
                tracing::debug!(%cause, "HAProxy can't be asked what it runs");
                return None;
            }
        };
        let mut deed = Deed::default();
        match self.mend(&mut known, &mut deed).await {
            Ok(()) => self.keep(known),
            Err(cause) => {
                tracing::warn!(%cause, "what HAProxy runs can't be put right by commands");
                if cause.is_about_the_process() {
                    self.doubted = Some((known.identity, cause));
                }
            }
        }
        deed.took = started.elapsed();
        (!deed.is_nothing() || !deed.strangers.is_empty()).then_some(deed)
    }

    /// Whether nothing is to be repaired.
    pub(super) async fn is_in_order(&self, known: &Known) -> Result<bool, Cause> {
        Ok(self.inspect_twice(known).await?.plan == Plan::Nothing)
    }

    /// Puts right what is not as `known` has it.
    ///
    /// # Errors
    /// Commands do not help. What a reload has not helped either is let be, with a warning.
    pub(super) async fn mend(&mut self, known: &mut Known, deed: &mut Deed) -> Result<(), Cause> {
        let repair = self.inspect_twice(known).await?;
        self.found.clone_from(&repair.strangers);
        deed.strangers = repair.strangers;
        known.leaving = repair.leaving;
        let commands = match repair.plan {
            Plan::Nothing => {
                self.incurable.clear();
                return Ok(());
            }
            plan if self.is_incurable(&plan) => return Ok(()),
            Plan::Commands(commands) => commands,
            plan => {
                let cause = match &plan {
                    Plan::Reload(reload) => reload.reasons().first().cloned().map(Cause::Needed),
                    _ => None,
                };
                self.incurable = words(&plan);
                return Err(cause.unwrap_or(Cause::Relapse));
            }
        };
        let stamp = known.revision();
        let answers = known.socket.batch(known.identity, commands.steps(), stamp.as_ref()).await;
        let answers = answers.map_err(|error| match error.fault() {
            fault if fault.is_about_another() => Cause::Restless,
            _ => Cause::unreachable(&error),
        })?;
        known.leaving = commands.leaving().clone();
        let left = self.inspect_twice(known).await?.plan;
        if left != Plan::Nothing || !answers.succeeded() {
            self.incurable = words(&left);
            let refused = answers.failures().next();
            return Err(refused.map_or(Cause::Relapse, |(index, reply, _)| {
                let command = commands.steps().get(index).map_or("", |step| step.command());
                Cause::refused(command, reply)
            }));
        }
        self.done(commands.steps().len(), deed);
        deed.repaired.extend_from_slice(commands.changes());
        self.counters.repairs += 1;
        Ok(())
    }

    /// Whether `plan` is what neither commands nor a reload have put right before.
    pub(super) fn is_incurable(&self, plan: &Plan) -> bool {
        let known = !self.incurable.is_empty() && words(plan) == self.incurable;
        if known {
            let differences = self.incurable.join(", ");
            tracing::warn!(
                differences,
                "HAProxy shows what it was not told, after a reload too; letting it be"
            );
        }
        known
    }

    /// As [`inspect`](Self::inspect), and once more if something is wrong: it may only not have happened yet.
    pub(super) async fn inspect_twice(&self, known: &Known) -> Result<Repair, Cause> {
        let repair = self.inspect(known).await?;
        if repair.plan == Plan::Nothing {
            return Ok(repair);
        }
        sleep(MOMENT).await;
        self.inspect(known).await
    }

    /// What is to be put right in the process that `known` is about.
    async fn inspect(&self, known: &Known) -> Result<Repair, Cause> {
        let questions: Result<Vec<_>, _> =
            Audit::QUESTIONS.iter().map(|query| CommandLine::parse(&query.to_string())).collect();
        let Ok(questions) = questions else { return Err(Cause::Interrupted) };
        // The answers are as long as all servers together: they are taken in as they come, and never kept.
        let mut audit = known.planner.audit(&known.document, &known.leaving);
        let mut heard = Ok(());
        let process = known.socket.read(&questions, |question, line| {
            if heard.is_ok() {
                heard = audit.hear(question, line);
            }
        });
        let process = process.await.map_err(|error| Cause::unreachable(&error))?;
        if process.identity != known.identity {
            return Err(Cause::Restless);
        }
        heard.and_then(|()| audit.finish()).map_err(|error| Cause::Unreachable(error.to_string()))
    }
}

/// What a plan changes, or why it can't, in words.
fn words(plan: &Plan) -> Vec<String> {
    match plan {
        Plan::Reload(reload) => reload.reasons().iter().map(ToString::to_string).collect(),
        plan => plan.changes().iter().map(ToString::to_string).collect(),
    }
}
