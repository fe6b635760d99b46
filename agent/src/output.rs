//! Carries the desired state out, and says so.

mod advice;
mod earlier;
mod handover;
mod history;
mod process;
mod status;
mod summary;
mod way;
mod word;

use std::{future::pending, time::Duration};

use haproxy_render::Document;
use haproxy_runtime::{Applied, Counters, Filed, Live, Pace, Preview, Progress};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, info, warn};

pub(crate) use self::{advice::FRONTEND_NAME, earlier::read_back};
use self::{advice::advised, summary::Summary, way::Way, word::Word};
pub use self::{
    history::{History, How, PastChange},
    process::HaproxyStatus,
    status::{OutputStatus, Pending},
};
use crate::{
    AgentError, config,
    meter::{Event, Meter},
    model::Changed,
};

/// How long the end of the program waits for the file to hold what HAProxy runs.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);
/// How long a single run waits for the connections to servers that have left.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// HAProxy's configuration file and what is done about it.
#[derive(Debug)]
pub(crate) struct Output {
    way: Way,
    /// When an unfinished apply is to be tried again.
    retry_at: Option<Instant>,
    /// How many applies in a row have failed.
    failures: u32,
    /// The services that changed since the last apply that went through.
    changes: Vec<Changed>,
    /// How long commands may wait for more, so that a burst of news is not a burst of commands.
    settle: Duration,
    /// Before that, no commands.
    pause: Option<Instant>,
    word: Word,
    meter: Meter,
    /// What of the counters was told.
    counted: Counters,
}

/// When news may be applied.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ready {
    /// When it is quiet.
    Settled,
    /// Then, however much more there is; `None`: at once.
    At(Option<Instant>),
}

/// What one apply has done.
enum Done {
    Nothing,
    /// In words.
    This(How, String),
    /// The rest is for later.
    Until(Pending, Option<(How, String)>),
}

impl Output {
    pub(crate) fn new(output: &config::Output, times: config::Times) -> Self {
        let word = Word::new(output.file.clone());
        Self {
            way: Way::new(output, times),
            retry_at: None,
            failures: 0,
            changes: Vec::new(),
            settle: times.settle,
            pause: None,
            word,
            meter: Meter::default(),
            counted: Counters::default(),
        }
    }

    /// The same, with somebody who counts what is done.
    pub(crate) fn with_meter(mut self, meter: Meter) -> Self {
        self.meter = meter;
        self
    }

    /// Makes ready to write: early, so that whoever watches the directory has seen it before the first write.
    pub(crate) async fn prepare(&mut self) {
        let prepared = match &mut self.way {
            Way::Reloads { applier, .. } => applier.prepare().await,
            Way::Commands(live) => live.prepare().await,
        };
        if let Err(error) = prepared {
            warn!(error = %chain(&error), "preparing to write HAProxy's configuration; trying again at the first write");
        }
    }

    /// When to come back without news.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// When what is new may be applied.
    pub(crate) fn ready(&self) -> Ready {
        match &self.way {
            Way::Reloads { .. } => Ready::Settled,
            // Reloads wait; commands need not.
            Way::Commands(_) => Ready::At(self.pause.filter(|at| *at > Instant::now())),
        }
    }

    /// Puts off what is new until the pace permits it, and says so; `None`: it may be applied now.
    pub(crate) fn hold(&mut self) -> Option<Pending> {
        let until = match &self.way {
            // What comes is news: it does not pay for the failures of what was there before.
            Way::Reloads { applier, .. } => applier.ready_at_for_another(Instant::now())?,
            // What of it are commands does not wait.
            Way::Commands(_) => return None,
        };
        self.retry_at = Some(until);
        Some(Pending { until, causes: Vec::new() })
    }

    /// Has the file follow the commands. Returns when that changes the status; true: apply now. Cancel safe.
    pub(crate) async fn filed(&mut self) -> bool {
        let Way::Commands(live) = &mut self.way else { return pending().await };
        match live.filed().await {
            Filed::Replaced => {
                warn!(
                    "somebody else has reloaded or restarted HAProxy before its file was up to date; bringing it forward"
                );
                true
            }
            Filed::Failed { retry_at } => {
                let behind = live.behind();
                let error =
                    behind.as_ref().and_then(|behind| behind.error.as_deref()).map(|error| chain(error));
                let (retry_in, now) = (retry_at.saturating_duration_since(Instant::now()), Instant::now());
                let behind = behind.map(|behind| now.saturating_duration_since(behind.since));
                error!(
                    error,
                    ?retry_in,
                    ?behind,
                    "HAProxy runs what its file does not hold: it can't be written"
                );
                false
            }
            _ => false,
        }
    }

    /// Has the file hold what HAProxy runs, before the program ends.
    pub(crate) async fn flush(&mut self) -> Result<(), AgentError> {
        let _ = timeout(FLUSH_WITHIN, self.word.finish()).await;
        let Way::Commands(live) = &mut self.way else { return Ok(()) };
        match timeout(FLUSH_WITHIN, live.flush()).await {
            Ok(result) => result.map_err(|error| AgentError::Behind(Some(error))),
            Err(_) => Err(AgentError::Behind(None)),
        }
    }

    /// Has servers that have left deleted, as far as their connections end soon.
    pub(crate) async fn see_out(&mut self) {
        let end = Instant::now() + DRAIN_WITHIN;
        while let Some(at) = self.tend_at().filter(|at| *at < end) {
            sleep_until(at).await;
            self.tend().await;
        }
        if let Some(leaving) = self.live().and_then(Live::leaving).filter(|leaving| !leaving.is_empty()) {
            warn!(
                servers = leaving.len(),
                "some servers that have left still have connections: they get no more, and the next run, or reload, deletes them"
            );
        }
    }

    /// When servers that leave are to be looked after; `None`: there are none.
    pub(crate) fn tend_at(&self) -> Option<Instant> {
        match &self.way {
            Way::Reloads { .. } => None,
            Way::Commands(live) => live.due(),
        }
    }

    /// Deletes servers that have left.
    pub(crate) async fn tend(&mut self) {
        if let Way::Commands(live) = &mut self.way {
            let tended = live.tend().await;
            if !tended.is_nothing() {
                debug!("{tended}");
            }
        }
    }

    /// Undoes what somebody else has changed in HAProxy. To be followed by an apply, which does what takes a reload.
    pub(crate) async fn reconcile(&mut self) {
        if let Way::Commands(live) = &mut self.way
            && let Some(deed) = live.reconcile().await
            && !deed.is_nothing()
        {
            warn!("somebody else has changed what HAProxy runs: {deed}");
        }
    }

    /// Who knows which servers HAProxy has, if anybody does.
    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.way {
            Way::Reloads { .. } => None,
            Way::Commands(live) => Some(live),
        }
    }

    /// Notes what is about to be applied, for the log.
    pub(crate) fn note(&mut self, changed: impl IntoIterator<Item = Changed>) {
        for changed in changed {
            // One entry a service, however long nothing can be applied.
            match self.changes.iter_mut().find(|known| known.service == changed.service) {
                Some(known) => known.and_then(&changed),
                None => self.changes.push(changed),
            }
        }
    }

    /// What [`apply`](Self::apply) would do now; changes nothing.
    pub(crate) async fn preview(&mut self, document: &Document) -> Result<Preview, AgentError> {
        let preview = match &mut self.way {
            Way::Reloads { applier, renderer } => applier.preview(&renderer.render(document)).await,
            Way::Commands(live) => live.preview(document).await,
        };
        preview.map_err(|error| AgentError::Apply(error.into()))
    }

    /// Brings HAProxy to run `document`. A failure is logged, kept for the status, and tried again later.
    pub(crate) async fn apply(
        &mut self,
        document: &Document,
        status: &mut OutputStatus,
    ) -> Result<(), AgentError> {
        let began = Instant::now();
        let result = self.carry_out(document).await;
        let ended = Instant::now();
        self.count(result.is_ok());
        self.meter.tell(Event::Turn { took: ended - began });
        self.pause = Some(ended + (ended - began).min(self.settle));
        self.show(status);
        status.pending = None;
        match result {
            Ok(Done::Until(pending, done)) => {
                self.retry_at = Some(pending.until);
                status.pending = Some(pending);
                if let Some((how, done)) = done {
                    let changed = Summary(&self.changes).to_string();
                    info!(changed, "{done}");
                    status.history.note(how, began, changed, done.clone());
                    (status.done, status.changed) = (done, Some(ended));
                }
                return Ok(());
            }
            Ok(Done::This(how, done)) => {
                let changed = Summary(&self.changes).to_string();
                info!(changed, "{done}");
                status.history.note(how, began, changed, done.clone());
                (status.done, status.changed) = (done, Some(ended));
            }
            Ok(Done::Nothing) => status.done.clear(),
            Err(error) => {
                let now = Instant::now();
                let ready_at = match &self.way {
                    Way::Reloads { applier, .. } => applier.ready_at(now),
                    Way::Commands(live) => live.ready_at(now),
                };
                let retry_at = retry_at(ready_at, self.failures, now);
                self.failures = self.failures.saturating_add(1);
                self.retry_at = Some(retry_at);
                let retry_in = retry_at.saturating_duration_since(now);
                let (cause, done) = match &error {
                    AgentError::Live(error) => (chain(error), error.done().map(ToString::to_string)),
                    AgentError::Apply(error) => (chain(error), None),
                    other => (chain(other), None),
                };
                let cause = advised(cause);
                error!(changed = %Summary(&self.changes), error = cause, done, ?retry_in, "HAProxy was not brought up to date");
                self.word.put(Some(&cause));
                status.error = Some(cause);
                return Err(error);
            }
        }
        (self.retry_at, self.failures) = (None, 0);
        self.word.put(None);
        self.changes.clear();
        status.applied = Some(Instant::now());
        status.error = None;
        Ok(())
    }

    /// Tells what an apply has done that others count.
    fn count(&mut self, went_well: bool) {
        let counters = match &self.way {
            Way::Reloads { applier, .. } => applier.counters(),
            Way::Commands(live) => live.counters().applier,
        };
        let before = std::mem::replace(&mut self.counted, counters);
        let new = |of: fn(&Counters) -> u64| of(&counters).saturating_sub(of(&before));
        let (refused, failed) =
            (new(|counters| counters.check_failures), new(|counters| counters.reload_failures));
        if refused > 0 {
            self.meter.tell(Event::Checked { well: false, times: refused });
        }
        if failed > 0 {
            self.meter.tell(Event::ReloadFailed { times: failed });
        }
        if !went_well {
            self.meter.tell(Event::UpdateFailed { output: "haproxy" });
        }
    }

    async fn carry_out(&mut self, document: &Document) -> Result<Done, AgentError> {
        let meter = &self.meter;
        let checked = |took: Option<Duration>| {
            if took.is_some() {
                meter.tell(Event::Checked { well: true, times: 1 });
            }
        };
        Ok(match &mut self.way {
            Way::Reloads { applier, renderer } => match applier.apply(renderer.pieces(document)).await? {
                Applied::Deferred { until } => Done::Until(Pending { until, causes: Vec::new() }, None),
                Applied::Changed(change) => {
                    checked(change.checked);
                    Done::This(How::from(&change), change.to_string())
                }
                _ => Done::Nothing,
            },
            Way::Commands(live) => match live.apply(document).await? {
                Progress::Deferred { until, causes, done } => {
                    let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
                    debug!(causes = causes.join("; "), "a reload has to wait");
                    let done = done.map(|deed| (How::from(&deed), deed.to_string()));
                    Done::Until(Pending { until, causes }, done)
                }
                Progress::Changed(deed) => {
                    checked(deed.reloaded.as_ref().and_then(|reloaded| reloaded.change.checked));
                    Done::This(How::from(&deed), deed.to_string())
                }
                _ => Done::Nothing,
            },
        })
    }
}

/// When to try again after `failures` in a row before this one: when the pace permits it; where that says nothing, ever later.
fn retry_at(ready_at: Option<Instant>, failures: u32, now: Instant) -> Instant {
    let pause = Pace::MIN_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(Pace::MAX_PAUSE);
    ready_at.unwrap_or(now + pause).max(now + Pace::MIN_PAUSE)
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_never_tried_again_at_once() {
        let now = Instant::now();
        let least = now + Pace::MIN_PAUSE;
        assert_eq!(retry_at(None, 0, now), least);
        assert_eq!(retry_at(Some(now), 9, now), least);
        assert_eq!(retry_at(None, 3, now), now + Pace::MIN_PAUSE * 8);
        assert_eq!(retry_at(None, u32::MAX, now), now + Pace::MAX_PAUSE);
        let later = now + Pace::MAX_PAUSE * 2;
        assert_eq!(retry_at(Some(later), 0, now), later);
    }
}
