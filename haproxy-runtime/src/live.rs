//! From document to document, in a process that goes on running.

mod acquaintance;
mod awaiting;
mod carrying;
mod cause;
mod deed;
mod departure;
mod error;
mod filing;
mod handover;
mod holder;
mod note;
mod patience;
mod preview;
mod reloading;
mod repair;
mod settling;
mod sight;
mod tending;

use std::{sync::Arc, time::Duration};

use haproxy_render::{
    Document, Renderer,
    plan::{self, InitState, Leaving, Plan, Stranger, Strangers},
};
use tokio::time::Instant;

use self::{
    acquaintance::Known, awaiting::Awaited, carrying::Carried, departure::Departures, filing::Filing,
    note::Note, settling::Settling,
};
pub use self::{
    cause::Cause,
    deed::{Deed, LiveCounters, Progress, ReloadDeed, Tended, Verification},
    error::{LiveError, LiveFault, Restored},
    filing::{Behind, Filed},
    preview::{Course, Preview},
    sight::Sight,
};
use crate::{
    apply::Applier,
    check::Check,
    error::WriteError,
    file::{ConfigFile, Notable, Prepared, Text},
    reload::{Pace, Reload},
    socket::{Identity, Revision, Sockets},
};

/// How often a change is planned anew because HAProxy was replaced meanwhile.
const ROUNDS: usize = 3;

/// Brings a running HAProxy from document to document: by commands on its socket where they do, by a reload where not.
///
/// | difference, or event | what is done |
/// |---|---|
/// | none | nothing; a file that somebody has edited or deleted is written anew, as after commands |
/// | servers only | the commands are sent and the new revision stamped, at any pace; then the file follows |
/// | anything else | when it [has settled](Self::with_settle), the file is checked and written, HAProxy reloaded, at the [`Pace`]; what can be done by commands does not wait |
/// | a command is refused, or its outcome is not known | who has the name of a server that may not have been added goes; one look at what runs, one repair; if that does not end well, a reload |
/// | somebody else has reloaded or restarted HAProxy | seen by the identity and the revision: go on with the new process, from what it runs |
/// | a process of another revision than those that it was told and that its file had | a reload |
/// | the file can't be written after commands | tried again at growing intervals, the newest document only; commands go on |
/// | the socket is missing, hangs, is not of level admin, or talks nonsense | each change is a reload, as without a socket |
/// | a reload fails, or its process does not say the new revision in time | the last good file is put back, as soon as it can be; again later, at growing intervals, however much servers change meanwhile |
/// | a reload fails, and nobody answered before nor does after | what was written stays, for HAProxy to start with, if the check has accepted it or it differs from the last good file in servers alone; else that is put back. Either way again later |
/// | a reload after which nobody answers that did before | the last good file is put back, and HAProxy reloaded with it at once |
///
/// # The file
/// Where HAProxy is reloaded the file goes first. Where commands do, it follows: [`apply`](Self::apply) returns when HAProxy has
/// them, and [`filed`](Self::filed) has the file written, one write at a time, always the newest document, with a pause after each of
/// twenty times as long as it took, and five seconds at most. So at 100,000 servers it may be that far behind, with a few servers a
/// tenth of a second; a disk that is full or hangs holds nothing up. What keeps it true meanwhile:
///
/// - The process and the file each carry the revision of what they say. A HAProxy that somebody starts from the older file has
///   its revision, which is known, and is brought forward by commands: at the next change, when the write has ended (which is looked
///   at then, and three seconds later), or by [`reconcile`](Self::reconcile).
/// - A note in the staging directory has the servers of the services that the file lacks. If this program is killed, the next one takes
///   file and note together for what HAProxy runs if their revision is what the process says. Without the note (it was a matter of less
///   than a millisecond, of more than 64 services, or of a directory that can't be written) that is a reload.
/// - With [`Strangers::Report`] another note has the servers that are leaving, and which process, so that the next run does not take them
///   for strangers.
/// - A machine that loses power starts HAProxy from the file, whole, as it was when the last write had ended.
/// - Where a server of other options takes the place of one, the process has no revision of ours until the change is whole: what was cut
///   off in the middle is a reload.
/// - What needs the file (a reload, putting the last good one back, [`flush`](Self::flush)) waits for the write that runs, and replaces
///   those that wait. Except for `flush`, it gives up on a disk that does not answer within ten seconds.
///
/// Call [`flush`](Self::flush) before the program ends.
///
/// Servers that go are out of rotation at once. They are deleted when their connections have ended, or are ended after
/// [`with_drain_timeout`](Self::with_drain_timeout): see [`due`](Self::due) and [`tend`](Self::tend).
///
/// Commands are not checked by the [`Check`]: HAProxy itself judges them, and only servers differ from a file that was.
///
/// ```no_run
/// use haproxy_render::Document;
/// use haproxy_runtime::{ConfigFile, Limits, Live, Pace, Progress, Sockets, Staging};
///
/// # async fn example(document: Document) -> Result<(), Box<dyn std::error::Error>> {
/// let file = ConfigFile::open("/etc/haproxy/haproxy.cfg", Staging::Beside)?;
/// let sockets = Sockets::parse(["/run/haproxy/admin.sock"], Limits::default())?;
/// let mut live = Live::new(file, sockets, Pace::default());
/// match live.apply(&document).await? {
///     Progress::Changed(deed) => println!("{deed}"),
///     Progress::Deferred { until, .. } => println!("try again at {until:?}"),
///     _ => {}
/// }
/// live.flush().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Live {
    applier: Applier,
    sockets: Sockets,
    renderer: Renderer,
    init_state: InitState,
    strangers: Strangers,
    /// Servers by somebody else that were let be.
    found: Vec<Stranger>,
    drain_timeout: Duration,
    verify_within: Duration,
    /// What is known to run. Taken out while commands are sent: a future that is dropped leaves nothing that may be wrong.
    known: Option<Known>,
    /// What was last known to run: what a failed reload goes back to.
    good: Option<Arc<Document>>,
    /// Who answered last as one that can be changed.
    met: Option<Identity>,
    sight: Option<Sight>,
    /// A process that only a reload helps, and why.
    doubted: Option<(Identity, Cause)>,
    /// What could not be put right, in words: one reload is all that is tried.
    incurable: Vec<String>,
    /// What somebody else is to have HAProxy load.
    awaited: Option<Awaited>,
    departures: Departures,
    filing: Filing,
    note: Note,
    /// Who leaves which process, where that is noted, and the note of it.
    left: Option<(Identity, Leaving)>,
    leavers: Note,
    settling: Settling,
    /// What reloads have failed for last, and how often in a row.
    failing: Option<(Option<plan::Revision>, u32)>,
    counters: LiveCounters,
}

impl Live {
    /// Writes to `file`, talks to HAProxy at `sockets`, and reloads at most at `pace`. Reads and asks nothing yet.
    ///
    /// Several sockets are taken as ways to one process: if more than one process answers, each change is a reload.
    pub fn new(file: ConfigFile, sockets: Sockets, pace: Pace) -> Self {
        Self {
            applier: Applier::new(pace).with_file(file),
            sockets,
            renderer: Renderer::default(),
            init_state: InitState::default(),
            strangers: Strangers::default(),
            found: Vec::new(),
            drain_timeout: Duration::from_mins(5),
            verify_within: Duration::from_secs(10),
            known: None,
            good: None,
            met: None,
            sight: None,
            doubted: None,
            incurable: Vec::new(),
            awaited: None,
            departures: Departures::default(),
            filing: Filing::default(),
            note: Note::of(Notable::Told),
            left: None,
            leavers: Note::of(Notable::Leaving),
            settling: Settling::default(),
            failing: None,
            counters: LiveCounters::default(),
        }
    }

    /// Has candidates checked before a reload. Default: none.
    pub fn with_check(mut self, check: Check) -> Self {
        self.applier = self.applier.with_check(check);
        self
    }

    /// Reloads HAProxy by this. Default: not at all, as somebody else does who watches the file.
    pub fn with_reload(mut self, reload: Reload) -> Self {
        self.applier = self.applier.with_reload(reload);
        self
    }

    /// How servers with health checks begin. Default: [`InitState::Up`].
    pub fn with_init_state(mut self, init_state: InitState) -> Self {
        self.init_state = init_state;
        self
    }

    /// What becomes of servers that somebody else adds to our backends. Default: [`Strangers::Remove`].
    pub fn with_strangers(mut self, strangers: Strangers) -> Self {
        self.strangers = strangers;
        self
    }

    /// How long connections to a server that has left may go on. Default: five minutes. Zero ends them at once.
    pub fn with_drain_timeout(mut self, drain_timeout: Duration) -> Self {
        self.drain_timeout = drain_timeout;
        self
    }

    /// How long after a reload its process has to say that it runs the new document. Default: ten seconds; at most two where
    /// nobody answered before.
    pub fn with_verification(mut self, within: Duration) -> Self {
        self.verify_within = within;
        self
    }

    /// Has a reload wait until what is to be loaded has not changed for `quiet`, but no longer than `longest` after it became
    /// necessary; commands do not wait, nor does the first document. Default: reloads do not, either.
    pub fn with_settle(mut self, quiet: Duration, longest: Duration) -> Self {
        self.settling = Settling::new(quiet, longest);
        self
    }

    /// As [`Applier::prepare`].
    pub async fn prepare(&mut self) -> Result<Option<Prepared>, WriteError> {
        self.applier.prepare().await
    }

    /// Brings HAProxy to run `document`. Its [`revision`](Document::revision) is set here.
    ///
    /// Costs what has changed, as long as services that have not are the same [`Arc`]; the file is written as a whole, later: see
    /// [`filed`](Self::filed).
    ///
    /// # Errors
    /// It takes a reload, and the file can't be written, the check refuses it, or the reload fails or is not verified. What
    /// HAProxy runs goes on, and what commands can do of the change is done: see [`LiveError::done`].
    ///
    /// # Cancel safety
    /// Dropping the future may leave the process between two documents, of which it says the old one or none; the next apply finds
    /// out. As for the reload, see [`Applier::apply`].
    pub async fn apply(&mut self, document: &Document) -> Result<Progress, LiveError> {
        let started = Instant::now();
        let mut deed = Deed::default();
        self.note_write();
        let wanted = self.stamped(document);
        let progress = self.bring(&wanted, &mut deed).await;
        if !matches!(progress, Ok(Some(_))) {
            self.settling.over();
        }
        if matches!(progress, Ok(None)) {
            self.failing = None;
        }
        self.forgo_reload().await;
        let progress = progress?;
        deed.took = started.elapsed();
        self.counters.by_commands +=
            u64::from(progress.is_none() && deed.reloaded.is_none() && deed.commands > 0);
        Ok(match progress {
            Some((until, causes)) => {
                let done = (!deed.is_nothing()).then_some(deed);
                Progress::Deferred { until, causes, done }
            }
            None if deed.is_nothing() => Progress::Unchanged,
            None => Progress::Changed(deed),
        })
    }

    /// Until when it is deferred, and why; `None`: it is not.
    async fn bring(
        &mut self,
        wanted: &Arc<Document>,
        deed: &mut Deed,
    ) -> Result<Option<(Instant, Vec<Cause>)>, LiveError> {
        self.look_for_load(wanted).await;
        for round in 1..=ROUNDS {
            let known = match self.known.take() {
                Some(known) => known,
                None => match self.get_to_know(wanted, deed).await {
                    Ok(known) => known,
                    Err(Cause::Restless) if round < ROUNDS => continue,
                    Err(cause) => return self.reload(wanted, None, vec![cause], None, deed).await,
                },
            };
            let carried = match known.planner.change(&known.document, wanted, &known.leaving) {
                Plan::Commands(commands) => {
                    let carried = self.carry_out(known, &commands, wanted, deed).await;
                    if matches!(carried, Carried::Out) {
                        self.follow_with_file(wanted);
                        // Whoever takes commands again is not to be told of as somebody who takes none.
                        if self.sight.as_ref().is_some_and(|sight| sight.trouble.is_some()) {
                            let _ = self.meet().await;
                        }
                    }
                    if !matches!(carried, Carried::Replaced(_)) {
                        deed.changes.extend_from_slice(commands.changes());
                    }
                    carried
                }
                Plan::Reload(reload) => {
                    deed.changes.extend_from_slice(reload.changes());
                    let causes = reload.reasons().iter().cloned().map(Cause::Needed).collect();
                    return self.reload(wanted, Some(known), causes, reload.meanwhile(), deed).await;
                }
                _ => self.settle(known, wanted, deed).await?,
            };
            match carried {
                Carried::Out => return Ok(None),
                Carried::Replaced(known) => self.known = known.map(|known| *known),
                Carried::Not(known, cause) => {
                    return self.reload(wanted, known.map(|known| *known), vec![cause], None, deed).await;
                }
            }
        }
        let known = self.known.take();
        self.reload(wanted, known, vec![Cause::Restless], None, deed).await
    }

    /// When the document applied last may be tried again; `None`: at once. See [`Applier::ready_at`].
    pub fn ready_at(&self, now: Instant) -> Option<Instant> {
        self.applier.ready_at(now)
    }

    /// The servers that are out of rotation and not deleted yet: their [ids](Leaving::ids) are taken.
    pub fn leaving(&self) -> Option<&Leaving> {
        self.known.as_ref().map(|known| &known.leaving)
    }

    /// The process that is known to run what was applied last, or some of it; `None` before the first apply, and where it can't be told.
    pub fn process(&self) -> Option<Identity> {
        self.known.as_ref().map(|known| known.identity)
    }

    /// How HAProxy was last found at its sockets; `None`: nobody has looked yet. It is looked at before the first change, whenever
    /// something goes wrong, and by [`reconcile`](Self::reconcile).
    pub fn sight(&self) -> Option<&Sight> {
        self.sight.as_ref()
    }

    /// The revision that HAProxy is known to run; `None` if that can't be told.
    pub fn revision(&self) -> Option<Revision> {
        self.known.as_ref().and_then(Known::revision)
    }

    /// The servers by somebody else that were let be, as HAProxy was last looked at: at the first apply, and by
    /// [`reconcile`](Self::reconcile).
    pub fn strangers(&self) -> &[Stranger] {
        &self.found
    }

    /// What was done so far.
    pub fn counters(&self) -> LiveCounters {
        LiveCounters { applier: self.applier.counters(), ..self.counters }
    }

    fn stamped(&mut self, document: &Document) -> Arc<Document> {
        let mut stamped = document.clone();
        stamped.revision = Some(self.renderer.revision(document));
        Arc::new(stamped)
    }

    fn text(&mut self, document: &Document) -> Text {
        self.renderer.pieces(document).into()
    }
}

#[cfg(test)]
mod tests;
