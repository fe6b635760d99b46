//! Reloads: by a file that is checked, to a process that says so.

use std::{sync::Arc, time::Duration};

use haproxy_render::{
    Document, ReadBack,
    plan::{Leaving, Meanwhile},
};
use tokio::time::Instant;

use super::{
    Cause, Deed, Live, LiveError, LiveFault, ReloadDeed, Restored, Sight, Verification,
    acquaintance::Known,
    carrying::Carried,
    patience::{bare, purpose_of},
};
use crate::{
    apply::Applied,
    error::ApplyError,
    file::Text,
    socket::{Identity, Revision, Seen, Socket, Unverified, verify},
};

/// How long a process is asked for that nobody has ever spoken to.
const BRIEFLY: Duration = Duration::from_secs(2);

/// Until when it is deferred, and why.
type Deferral = Option<(Instant, Vec<Cause>)>;

impl Live {
    /// Has HAProxy load `wanted`, if the pace permits it. `known` runs meanwhile, and goes on if it fails.
    #[expect(clippy::too_many_lines, reason = "one decision after the other, each of which ends it")]
    pub(super) async fn reload(
        &mut self,
        wanted: &Arc<Document>,
        known: Option<Known>,
        causes: Vec<Cause>,
        meanwhile: Option<&Meanwhile>,
        deed: &mut Deed,
    ) -> Result<Deferral, LiveError> {
        // One that stops answering in the midst of commands has just been seen otherwise.
        if let Some(cause) = causes.iter().find(|cause| matches!(cause, Cause::Unreachable(_))) {
            self.sight = Some(Sight::of(Err(cause)));
        }
        let text = self.text(wanted);
        // A file that is behind holds something older.
        let behind = self.filing.is_behind();
        let held = !behind && self.holds(&text).await;
        // Otherwise only what the file does not hold yet is a reason.
        let due = known.is_some() || self.doubted.is_some() || causes.iter().any(Cause::is_about_the_process);
        // A write that is due brings the reload with it. One that was refused must not be followed by a reload.
        if held && due {
            self.applier.require_reload();
        }
        if (!held || due || self.applier.reload_pending())
            && let Some(until) = self.until(&text, wanted, known.as_ref())
        {
            self.known = known;
            self.make_do(meanwhile, deed).await;
            return Ok(Some((until, causes)));
        }
        if behind {
            // From here on the file is this reload's.
            if let Err(error) = self.stop_writing().await {
                self.known = known;
                let mut error = LiveError::new(ApplyError::from(error).into(), causes);
                let mut done = Deed::default();
                self.make_do(meanwhile, &mut done).await;
                error.done = Some(Box::new(done)).filter(|done| !done.is_nothing());
                return Err(error);
            }
            if due && self.holds(&text).await {
                self.applier.require_reload();
            }
        }
        let good = self.good(known.as_ref()).await;
        if let Some(good) = good.as_ref().filter(|good| **good != text) {
            self.remember(good).await;
        }
        let before = known.as_ref().map(|known| (known.socket.clone(), known.identity));
        // Who could not be talked to before can't be asked for more after.
        let talks = |cause: &Cause| {
            !matches!(cause, Cause::Unreachable(_) | Cause::Several(_) | Cause::Level(_) | Cause::Ending(_))
        };
        let strictly = (before.is_some() || self.met.is_some()) && causes.iter().all(talks);
        let failures = self.failures(&text, wanted, known.as_ref());
        let purpose = purpose_of(wanted, known.as_ref());
        let fault = match self.applier.apply(text.clone()).await {
            Ok(Applied::Changed(change)) if change.reloaded.is_some() => {
                self.file_holds(wanted);
                match self.verified(wanted, before, strictly).await {
                    Ok((known, verified)) => {
                        self.reached(known);
                        deed.reloaded = Some(ReloadDeed { causes, change, verified });
                        return Ok(None);
                    }
                    Err(error) => {
                        self.applier.count_failed_reload();
                        LiveFault::from(error)
                    }
                }
            }
            Ok(Applied::Changed(change)) => {
                self.file_holds(wanted);
                let verified = Verification::NotOurs;
                deed.reloaded = Some(ReloadDeed { causes, change, verified });
                let changes = std::mem::take(&mut deed.changes);
                self.await_load(wanted, known, false);
                self.make_do(meanwhile, deed).await;
                deed.changes = changes;
                return Ok(None);
            }
            Ok(Applied::Deferred { until }) => {
                self.go_on(known, behind);
                return Ok(Some((until, causes)));
            }
            Ok(Applied::Unchanged) => {
                self.file_holds(wanted);
                self.await_load(wanted, known, due);
                self.make_do(meanwhile, deed).await;
                return Ok(None);
            }
            Err(error) => error.into(),
        };
        let mut error = LiveError::new(fault, causes);
        let touched =
            matches!(error.fault, LiveFault::Unverified(_) | LiveFault::Apply(ApplyError::Reload { .. }));
        if touched {
            // The text that HAProxy could not be reloaded with, unless it is put back.
            self.filing.forget();
            let good = good.filter(|good| *good != text);
            if !strictly && self.is_fit_to_start_with(good.as_ref(), wanted) && self.is_nobody_there().await {
                // Whoever starts HAProxy has it run what is wanted. The reload stays due.
                self.filing.holds(wanted);
            } else {
                error.restored = self.put_back(good, known, strictly).await;
            }
        } else {
            self.go_on(known, behind);
        }
        let mut done = Deed::default();
        let started = Instant::now();
        self.make_do(meanwhile, &mut done).await;
        if !done.is_nothing() {
            done.took = started.elapsed();
            error.done = Some(Box::new(done));
        }
        // The pause is one after all of this.
        self.applier.failed(&text, failures);
        self.failing = Some((purpose, failures.saturating_add(1)));
        Err(error)
    }

    /// When `wanted` may be loaded; `None`: at once.
    fn until(&mut self, text: &Text, wanted: &Document, known: Option<&Known>) -> Option<Instant> {
        let now = Instant::now();
        let failures = self.failures(text, wanted, known);
        self.settling.until(wanted.revision, now).max(self.applier.until(failures, now))
    }

    /// The process runs what it ran; what of that the file does not hold, it gets.
    fn go_on(&mut self, known: Option<Known>, behind: bool) {
        let lacking = self.good.as_ref().filter(|_| behind);
        let runs = known.as_ref().map(|known| &known.document).or(lacking);
        if let Some(document) = runs.filter(|_| !self.file_waits()).cloned() {
            self.follow_with_file(&document);
        }
        self.known = known;
    }

    /// Makes sure that a reload has brought `wanted`.
    async fn verified(
        &mut self,
        wanted: &Arc<Document>,
        before: Option<(Socket, Identity)>,
        strictly: bool,
    ) -> Result<(Option<Known>, Verification), Unverified> {
        let Some(revision) = wanted.revision.map(Revision::from) else {
            return Ok((None, Verification::NotOurs));
        };
        let Some(socket) = before.as_ref().map(|(socket, _)| socket).or(self.sockets.iter().next()).cloned()
        else {
            return Ok((None, Verification::NotOurs));
        };
        let identity = before.map(|(_, identity)| identity).or(self.met);
        let within = if strictly { self.verify_within } else { self.verify_within.min(BRIEFLY) };
        match verify(&socket, &revision, identity, within).await {
            Ok(verified) => {
                let known = self.fresh(wanted).await;
                Ok((known, Verification::Done(verified.took)))
            }
            Err(Unverified { seen: Seen::Error(error), .. }) if !strictly => {
                let Cause::Unreachable(why) = Cause::unreachable(&error) else {
                    return Ok((None, Verification::NotOurs));
                };
                Ok((None, Verification::Impossible(why)))
            }
            Err(error) if !strictly => Ok((None, Verification::Impossible(error.to_string()))),
            Err(error) => Err(error),
        }
    }

    /// The process that has just been started with `wanted`. If it can't be asked now, the next apply does.
    async fn fresh(&mut self, wanted: &Arc<Document>) -> Option<Known> {
        let (socket, process) = self.meet().await.ok()?;
        if process.revision != wanted.revision.map(Revision::from) {
            return None;
        }
        let planner = self.planner(&socket, &process).await.ok()?;
        let (identity, document) = (process.identity, Arc::clone(wanted));
        Some(Known { socket, identity, planner, document, leaving: Leaving::default() })
    }

    fn reached(&mut self, known: Option<Known>) {
        (self.doubted, self.awaited) = (None, None);
        self.found.clear();
        match known {
            Some(known) => self.keep(known),
            None => self.known = None,
        }
    }

    /// What HAProxy is known to have run last.
    async fn good(&mut self, known: Option<&Known>) -> Option<Text> {
        if let Some(document) = known.map(|known| &known.document).or(self.good.as_ref()).cloned() {
            return Some(self.text(&document));
        }
        let pending = self.applier.reload_pending();
        let file = self.applier.file()?;
        // What the file holds never was loaded, if a reload of it is due.
        let text = if pending { file.kept().await } else { file.text().await };
        match text {
            // What was kept may be of long ago: who answers knows better.
            Ok(text) if pending => {
                let runs = self.meet().await.ok().and_then(|(_, process)| process.revision);
                text.filter(|text| runs.is_none_or(|runs| says(text, &runs)))
            }
            Ok(text) => text,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "reading the last good configuration"
                );
                None
            }
        }
    }

    async fn remember(&self, good: &Text) {
        let Some(file) = self.applier.file() else { return };
        if let Err(error) = file.keep(good.clone()).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the last good configuration is kept in memory alone"
            );
        }
    }

    /// Whether HAProxy starts with `wanted`, as far as anybody can tell who has never seen it do so: the check has accepted it, or it
    /// differs from what was good in servers alone, which are made of nothing but what is known to be harmless.
    fn is_fit_to_start_with(&self, good: Option<&Text>, wanted: &Document) -> bool {
        let differs_in_servers_alone = |good: &Text| {
            let bytes = good.pieces().collect::<Vec<_>>().concat();
            let good = std::str::from_utf8(&bytes).ok().and_then(|text| ReadBack::document(text, wanted));
            good.is_some_and(|good| bare(good) == bare(wanted.clone()))
        };
        self.applier.checks() || good.is_some_and(differs_in_servers_alone)
    }

    /// Whether there is no HAProxy to be asked. One that answers something else than is hoped for is there.
    async fn is_nobody_there(&mut self) -> bool {
        matches!(self.meet().await, Err(Cause::Unreachable(_)))
    }

    /// Puts back what HAProxy ran before a reload that failed.
    async fn put_back(&mut self, good: Option<Text>, known: Option<Known>, answered: bool) -> Restored {
        let Some(good) = good else { return Restored::No };
        let written = self.applier.write_alone(&good).await;
        match &written {
            Ok(_) => self.counters.put_back += 1,
            Err(error) => tracing::error!(
                error = error as &dyn std::error::Error,
                "putting the last good configuration back: a HAProxy that starts now has one that it can't be reloaded with"
            ),
        }
        if written.is_err() {
            self.put_back_later(known).await;
            return Restored::No;
        }
        match self.meet().await {
            Ok((_, process)) => {
                self.applier.settle().await;
                self.known = known.filter(|known| known.is(&process));
                if let Some(document) = self.known.as_ref().map(|known| Arc::clone(&known.document)) {
                    self.file_holds(&document);
                }
                if self.known.is_some() { Restored::Running } else { Restored::File }
            }
            Err(_) if !answered => {
                self.applier.settle().await;
                Restored::File
            }
            Err(cause) => {
                tracing::warn!(%cause, "HAProxy does not answer after a reload that failed; reloading it with the last good file");
                match self.applier.reload_now().await {
                    Ok(()) => Restored::Reloaded,
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "reloading HAProxy with the last good file"
                        );
                        Restored::File
                    }
                }
            }
        }
    }

    /// The file holds what HAProxy could not be reloaded with. It follows what runs as after commands, as soon as it can.
    async fn put_back_later(&mut self, known: Option<Known>) {
        // So that what is kept is what was good, and not what the file holds.
        self.applier.require_reload();
        let document = known.as_ref().map(|known| &known.document).or(self.good.as_ref()).cloned();
        if let Ok((_, process)) = self.meet().await {
            self.known = known.filter(|known| known.is(&process));
        }
        if let Some(document) = document {
            self.follow_with_file(&document);
        }
    }

    /// Does by commands what need not wait for the reload.
    async fn make_do(&mut self, meanwhile: Option<&Meanwhile>, deed: &mut Deed) {
        let Some(meanwhile) = meanwhile else { return };
        let Some(known) = self.known.take() else { return };
        let document = self.stamped(meanwhile.document());
        match self.carry_out(known, meanwhile.commands(), &document, deed).await {
            Carried::Out => {
                deed.changes = meanwhile.commands().changes().to_vec();
                if !self.file_waits() {
                    self.follow_with_file(&document);
                }
            }
            Carried::Replaced(known) => self.known = known.map(|known| *known),
            Carried::Not(_, cause) => {
                tracing::warn!(%cause, "what need not wait for the reload does, too");
            }
        }
    }

    pub(super) async fn holds(&self, text: &Text) -> bool {
        match self.applier.file() {
            // An error shows again at the write.
            Some(file) => file.holds(text.clone()).await.unwrap_or(false),
            None => false,
        }
    }
}

/// Whether a HAProxy that loads `text` says that it runs this revision.
fn says(text: &Text, revision: &Revision) -> bool {
    let (bytes, directive) = (text.pieces().collect::<Vec<_>>().concat(), revision.directive());
    bytes.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == directive.as_bytes())
}

impl LiveError {
    pub(super) fn new(fault: LiveFault, causes: Vec<Cause>) -> Self {
        Self { fault, causes, restored: Restored::No, done: None }
    }
}
