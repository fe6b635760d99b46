//! The file, which follows what HAProxy was told.

use std::{future::pending, sync::Arc, time::Duration};

use haproxy_render::Document;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::Live;
use crate::{
    apply,
    error::{Step, WriteError},
    file::{ConfigFile, Text, Written},
    socket::Revision,
};

/// The pause after a write is that many times as long, so that 10 MB a write don't keep the disk and a processor busy.
const SHARE: u32 = 20;
/// The longest pause for the sake of that: a write that takes more than a quarter of a second has a larger share of the time.
const LONGEST_GAP: Duration = Duration::from_secs(5);
/// Pauses after a write that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// By how much of itself each of them is longer at most, at random: a disk may be that of many.
const JITTER: f64 = 0.25;
/// When to look once more who runs: a HAProxy of 100,000 servers that has read the file just before it was replaced is there
/// after two seconds.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// What came of the file; see [`Live::filed`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filed {
    /// It holds what HAProxy ran when the write began; `None`: it did before.
    Written(Option<Written>),
    /// It could not be written: [`Live::behind`] has the error. It is tried again, at the earliest then.
    Failed {
        /// When.
        retry_at: Instant,
    },
    /// Somebody else has reloaded or restarted HAProxy while the file was behind, so that it runs what the file had then. Apply now:
    /// commands bring it forward.
    Replaced,
}

/// HAProxy runs what its file does not hold yet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Behind {
    /// Since when.
    pub since: Instant,
    /// Why the last attempt at writing it failed; `None`: the write is on its way, or waits for its turn.
    pub error: Option<Arc<WriteError>>,
}

/// What the file holds, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Filing {
    /// What it holds, as far as is known, and what it held before: whoever starts HAProxy now has it run one of them.
    held: Option<Arc<Document>>,
    before: Option<Arc<Document>>,
    /// What it should hold and does not yet. Only the newest counts.
    wanted: Option<Due>,
    writing: Option<Writing>,
    not_before: Option<Instant>,
    failures: u32,
    error: Option<Arc<WriteError>>,
    look: Option<Look>,
}

#[derive(Debug)]
struct Due {
    document: Arc<Document>,
    /// Since when the file is behind.
    since: Instant,
}

#[derive(Debug)]
struct Writing {
    due: Due,
    /// One task, which ends with this.
    task: JoinSet<Ended>,
}

#[derive(Debug)]
struct Ended {
    result: Result<Option<Written>, WriteError>,
    took: Duration,
}

/// To be sure that nobody has started HAProxy from an older file.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    last: bool,
}

impl Filing {
    /// The file is to hold this, as HAProxy runs it.
    fn want(&mut self, document: &Arc<Document>, now: Instant) {
        let since = self.wanted.take().map_or(now, |due| due.since);
        let on_its_way = match &self.writing {
            Some(writing) => Some(&writing.due.document),
            None => self.held.as_ref(),
        };
        if on_its_way.is_none_or(|other| other.revision != document.revision) {
            self.wanted = Some(Due { document: Arc::clone(document), since });
        }
    }

    /// The file holds this, and nothing else is to come.
    pub(super) fn holds(&mut self, document: &Arc<Document>) {
        if self.held.as_ref().is_none_or(|held| held.revision != document.revision) {
            self.replace(document);
        }
        (self.wanted, self.failures, self.error) = (None, 0, None);
    }

    /// Nobody knows what the file holds.
    pub(super) fn forget(&mut self) {
        self.before = self.held.take().or(self.before.take());
        self.wanted = None;
    }

    fn replace(&mut self, document: &Arc<Document>) {
        self.before = self.held.replace(Arc::clone(document)).or(self.before.take());
    }

    /// What the file holds, as far as is known.
    pub(super) fn held(&self) -> Option<&Document> {
        self.held.as_deref()
    }

    pub(super) fn is_behind(&self) -> bool {
        self.wanted.is_some() || self.writing.is_some()
    }

    /// The document of this revision, if it is one that HAProxy may run.
    pub(super) fn document(&self, revision: &Revision) -> Option<&Arc<Document>> {
        let due = [self.wanted.as_ref(), self.writing.as_ref().map(|writing| &writing.due)];
        let due = due.into_iter().flatten().map(|due| &due.document);
        due.chain(&self.held)
            .chain(&self.before)
            .find(|document| document.revision.map(Revision::from).as_ref() == Some(revision))
    }

    /// Waits for the end of the write that runs; for ever, if none does. Cancel safe.
    async fn ended(&mut self, file: Option<&ConfigFile>) -> Ended {
        let ended = match &mut self.writing {
            Some(writing) => writing.task.join_next().await,
            None => pending().await,
        };
        match ended {
            Some(Ok(ended)) => ended,
            other => {
                let why = other.and_then(Result::err).map_or_else(String::new, |error| error.to_string());
                let path = file.map_or_else(|| "".as_ref(), ConfigFile::path);
                let result = Err(WriteError::at(Step::Stage, path)(std::io::Error::other(why)));
                Ended { result, took: Duration::ZERO }
            }
        }
    }

    /// Notes how the write that ran has ended.
    fn take_in(&mut self, ended: Ended, now: Instant) -> Filed {
        let due = self.writing.take().map(|writing| writing.due);
        match ended.result {
            Ok(written) => {
                if let Some(due) = due {
                    self.replace(&due.document);
                }
                (self.failures, self.error) = (0, None);
                self.not_before = Some(now + (ended.took * SHARE).min(LONGEST_GAP));
                self.look = Some(Look { at: now, last: false });
                Filed::Written(written)
            }
            Err(error) => {
                let pause =
                    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
                let pause = pause.mul_f64(1.0 + JITTER * fastrand::f64());
                self.failures = self.failures.saturating_add(1);
                self.error = Some(Arc::new(error));
                let retry_at = now + pause;
                self.not_before = Some(retry_at);
                if let Some(due) = due {
                    match &mut self.wanted {
                        Some(newer) => newer.since = due.since,
                        None => self.wanted = Some(due),
                    }
                }
                Filed::Failed { retry_at }
            }
        }
    }

    /// Begins the write that is due, if none runs.
    fn begin(&mut self, file: &ConfigFile, text: impl FnOnce(&Document) -> Text) {
        if self.writing.is_some() {
            return;
        }
        let Some(due) = self.wanted.take() else { return };
        let (file, text) = (file.clone(), text(&due.document));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let began = Instant::now();
            Ended { result: apply::put(&file, &text).await, took: began.elapsed() }
        });
        self.writing = Some(Writing { due, task });
    }

    fn may_begin(&self, now: Instant) -> bool {
        self.wanted.is_some() && self.writing.is_none() && self.not_before.is_none_or(|at| at <= now)
    }

    /// When there is something to do again, apart from the end of the write that runs.
    fn next(&self) -> Option<Instant> {
        let write = self.not_before.filter(|_| self.wanted.is_some() && self.writing.is_none());
        let look = self.look.map(|look| look.at);
        write.into_iter().chain(look).min()
    }
}

impl Live {
    /// Has the file follow what HAProxy was told: begins the write that is due, waits for its end, and looks whether HAProxy was
    /// started from an older file meanwhile. Returns when something has come of it; never, as long as there is nothing to do. So poll
    /// it whenever there is nothing else to do, such as an [`apply`](Self::apply).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: a write that runs goes on.
    pub async fn filed(&mut self) -> Filed {
        loop {
            let now = Instant::now();
            self.begin_write(now);
            if let Some(look) = self.filing.look.filter(|look| look.at <= now) {
                let replaced = self.look().await;
                let again = Look { at: Instant::now() + LOOK_AGAIN, last: true };
                self.filing.look = Some(again).filter(|_| !look.last);
                if replaced {
                    return Filed::Replaced;
                }
                continue;
            }
            let next = self.filing.next();
            tokio::select! {
                biased;
                ended = self.filing.ended(self.applier.file()) => {
                    let filed = self.take_in(ended);
                    self.forgo_reload().await;
                    return filed;
                }
                () = self.note.take_turn(self.applier.file()) => {}
                () = self.leavers.take_turn(self.applier.file()) => {}
                () = until(next) => {}
            }
        }
    }

    /// Has the file hold what HAProxy runs, now and not at its pace. Call it before the program ends; a disk that does not answer is
    /// waited for, so set a limit.
    ///
    /// # Errors
    /// It can't be written. [`Self::filed`] tries again.
    ///
    /// # Cancel safety
    /// As [`filed`](Self::filed).
    pub async fn flush(&mut self) -> Result<(), Arc<WriteError>> {
        let mut begun = false;
        while self.filing.is_behind() {
            if self.filing.writing.is_none() {
                begun = true;
                self.begin_write_now();
            }
            let ended = self.filing.ended(self.applier.file()).await;
            self.take_in(ended);
            // What ran before this call may have failed because of something that is over.
            if let Some(error) = self.filing.error.clone().filter(|_| begun) {
                self.finish_note().await;
                return Err(error);
            }
        }
        self.forgo_reload().await;
        self.finish_note().await;
        Ok(())
    }

    /// Whether the file does not hold yet what HAProxy runs; `None`: it does, as far as is known.
    pub fn behind(&self) -> Option<Behind> {
        let due = self.filing.writing.as_ref().map(|writing| &writing.due).or(self.filing.wanted.as_ref())?;
        Some(Behind { since: due.since, error: self.filing.error.clone() })
    }

    /// The file is to hold this, as HAProxy runs it.
    pub(super) fn follow_with_file(&mut self, document: &Arc<Document>) {
        let now = Instant::now();
        self.awaited = None;
        self.filing.want(document, now);
        self.begin_write(now);
    }

    /// The file holds this, by a write of another kind.
    pub(super) fn file_holds(&mut self, document: &Arc<Document>) {
        self.filing.holds(document);
        self.unnote();
    }

    /// Waits for the write that runs, so that another one can't be overtaken by it. Nothing is to be written any more.
    ///
    /// # Errors
    /// It does not end: nothing is changed.
    pub(super) async fn stop_writing(&mut self) -> Result<(), WriteError> {
        while self.filing.writing.is_some() {
            let Some(file) = self.applier.file() else { break };
            let filing = &mut self.filing;
            let ended = file.within(async { Ok(filing.ended(Some(file)).await) }).await?;
            self.take_in(ended);
        }
        self.filing.wanted = None;
        Ok(())
    }

    /// No reload is due any more, once the file holds what HAProxy runs.
    pub(super) async fn forgo_reload(&mut self) {
        let runs = self.known.as_ref().and_then(|known| known.document.revision);
        let holds = self.filing.held().and_then(|held| held.revision);
        if runs.is_some() && runs == holds && !self.filing.is_behind() {
            self.applier.settle().await;
        }
    }

    /// Notes the end of a write for whoever does not call [`filed`](Self::filed).
    pub(super) fn note_write(&mut self) {
        let ended = self.filing.writing.as_mut().and_then(|writing| writing.task.try_join_next());
        if let Some(Ok(ended)) = ended {
            self.take_in(ended);
        }
    }

    fn take_in(&mut self, ended: Ended) -> Filed {
        self.applier.count_write(&ended.result);
        let filed = self.filing.take_in(ended, Instant::now());
        if !self.filing.is_behind() {
            self.unnote();
        }
        filed
    }

    fn begin_write(&mut self, now: Instant) {
        if self.filing.may_begin(now) {
            self.begin_write_now();
        }
    }

    fn begin_write_now(&mut self) {
        let Some(file) = self.applier.file() else { return };
        let renderer = &mut self.renderer;
        self.filing.begin(file, |document| renderer.pieces(document).into());
    }

    /// Whether somebody else has replaced the process that was told what the file did not hold by one that was not.
    async fn look(&mut self) -> bool {
        let Some(known) = &self.known else { return false };
        match known.socket.process().await {
            Ok(process) if process.identity == known.identity && !process.stopping => return false,
            Ok(_) => {}
            // Whoever comes next is met by the next change, or the next look.
            Err(_) => return false,
        }
        let (known, told) = (known.clone(), known.revision());
        let document = Arc::clone(&known.document);
        let found = self.follow(known, &document).await.ok().flatten();
        let replaced = found.as_ref().is_none_or(|found| found.revision() != told);
        self.known = found;
        replaced
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
