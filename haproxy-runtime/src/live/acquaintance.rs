//! Who runs, and what.

use std::{sync::Arc, time::Duration};

use haproxy_render::{
    Document, DocumentLines, ReadBack, pieces,
    plan::{Capabilities, Leaving, Planner, Query, Version},
};
use tokio::time::{Instant, sleep};

use super::{Cause, Deed, Live, Sight};
use crate::socket::{CommandLine, Identity, Level, Process, Revision, Socket, Survey};

/// How long a process that is ending is given to be replaced, and how often one looks.
const SUCCESSION: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A process that runs a document.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) socket: Socket,
    pub(super) identity: Identity,
    pub(super) planner: Planner,
    /// With the revision that the process says it runs.
    pub(super) document: Arc<Document>,
    /// The servers that it has besides.
    pub(super) leaving: Leaving,
}

/// What was found out about who runs.
pub(super) struct Found {
    /// Who leaves is known as far as it was noted.
    pub(super) known: Known,
    /// The document that the file was made from, if that can be told.
    pub(super) held: Option<Arc<Document>>,
    /// Whether the process says its revision. If not, its servers were found to be those of the document.
    pub(super) stamped: bool,
}

impl Known {
    pub(super) fn revision(&self) -> Option<Revision> {
        self.document.revision.map(Revision::from)
    }

    /// Whether it is this process that is known, running what it is known to run.
    pub(super) fn is(&self, process: &Process) -> bool {
        self.identity == process.identity && self.revision() == process.revision
    }
}

impl Live {
    /// Who answers, and may be changed.
    pub(super) async fn meet(&mut self) -> Result<(Socket, Process), Cause> {
        self.met = None;
        let end = Instant::now() + SUCCESSION;
        let found = loop {
            match only(self.sockets.survey().await) {
                Err(Cause::Ending(_)) if Instant::now() < end => sleep(LOOK_EVERY).await,
                result => break result,
            }
        };
        self.sight = Some(Sight::of(found.as_ref().map(|(_, process)| process)));
        let (socket, process) = found?;
        if process.level != Level::Admin {
            return Err(Cause::Level(process.level));
        }
        self.met = Some(process.identity);
        Ok((socket, process))
    }

    /// Finds out what runs: what the file says, if the process says so too. What somebody else has changed is put right.
    ///
    /// `wanted` helps to understand the file.
    pub(super) async fn get_to_know(
        &mut self,
        wanted: &Arc<Document>,
        deed: &mut Deed,
    ) -> Result<Known, Cause> {
        let pending = self.is_reload_pending().await;
        let Found { mut known, held, stamped } = self.find(wanted, pending).await?;
        if let Some(held) = held.as_ref().filter(|_| !self.filing.is_behind()) {
            self.filing.holds(held);
        }
        if stamped {
            // A file that could not be put back is not what runs.
            if held.and_then(|held| held.revision) == known.document.revision {
                self.applier.settle().await;
            }
            self.mend(&mut known, deed).await?;
        }
        self.awaited.take_if(|awaited| awaited.is(&known.document));
        self.doubted = None;
        self.good = Some(Arc::clone(&known.document));
        self.note_leaving(known.identity, &known.leaving);
        self.departures.follow(&known.leaving, Instant::now());
        Ok(known)
    }

    /// Finds out who runs, and by what it says which document. Changes nothing; `pending` is whether a reload is due from before.
    pub(super) async fn find(&mut self, wanted: &Arc<Document>, pending: bool) -> Result<Found, Cause> {
        let (socket, process) = self.meet().await?;
        if let Some((doubted, cause)) = &self.doubted
            && *doubted == process.identity
        {
            return Err(cause.clone());
        }
        let held = self.read_file(wanted).await;
        // What it was told may not be in the file yet.
        let document = match &process.revision {
            Some(runs) => self.ran(runs, held.as_deref()).await,
            None => None,
        };
        let document = document.or_else(|| held.clone()).ok_or(Cause::File)?;
        let said = document.revision.map(Revision::from);
        let planner = self.planner(&socket, &process).await?;
        let leaving = self.left(process.identity).await;
        let known = Known { socket, identity: process.identity, planner, document, leaving };
        let stamped = match (said, process.revision) {
            // An earlier version of this program wrote no revisions: what HAProxy shows has to do.
            (None, None) if pending => return Err(Cause::Pending),
            (None, None) if self.is_in_order(&known).await? => false,
            (None, None) => return Err(Cause::Revision { runs: None }),
            (said, runs) if said != runs => return Err(Cause::Revision { runs }),
            _ => true,
        };
        Ok(Found { known, held, stamped })
    }

    /// The process that has taken the place of the one that `known` is about; `None` if what it runs is not known.
    /// `wanted` is what the file may hold by now.
    pub(super) async fn follow(
        &mut self,
        mut known: Known,
        wanted: &Arc<Document>,
    ) -> Result<Option<Known>, Cause> {
        let (socket, process) = self.meet().await?;
        // Thawed, say: part of a change may have been done, whatever it says.
        let doubted = self.doubted.as_ref().is_some_and(|(doubted, _)| *doubted == process.identity);
        if doubted || process.revision.is_none() {
            return Ok(None);
        }
        if process.revision == wanted.revision.map(Revision::from) {
            known.document = Arc::clone(wanted);
        } else if process.revision != known.revision() {
            return Ok(None);
        }
        if process.identity != known.identity {
            known.planner = self.planner(&socket, &process).await?;
            known.leaving = Leaving::default();
            self.found.clear();
        }
        known.identity = process.identity;
        known.socket = socket;
        self.doubted = None;
        self.departures.follow(&known.leaving, Instant::now());
        Ok(Some(known))
    }

    /// The document of revision `runs`, which may not be what the file has: `held`.
    async fn ran(&mut self, runs: &Revision, held: Option<&Document>) -> Option<Arc<Document>> {
        if let Some(document) = self.filing.document(runs) {
            return Some(Arc::clone(document));
        }
        let good = self.good.as_ref();
        if let Some(good) = good.filter(|good| good.revision.map(Revision::from).as_ref() == Some(runs)) {
            return Some(Arc::clone(good));
        }
        let held = held.filter(|held| held.revision.map(Revision::from).as_ref() != Some(runs))?;
        self.noted(held, runs).await
    }

    pub(super) async fn planner(&self, socket: &Socket, process: &Process) -> Result<Planner, Cause> {
        let mut capabilities =
            Version::parse(&process.version).map_or_else(|_| Capabilities::none(), Capabilities::of);
        if capabilities.lists_server_options() {
            let help = CommandLine::parse(&Query::ServerHelp.to_string())
                .map_err(|error| Cause::Unreachable(error.to_string()))?;
            let replies = socket.ask(&[help]).await.map_err(|error| Cause::unreachable(&error))?;
            if let [reply] = replies.as_slice() {
                capabilities = capabilities.with_server_help(reply.text());
            }
        }
        Ok(Planner::new(capabilities).init_state(self.init_state).strangers(self.strangers))
    }

    /// The document that the file was made from.
    async fn read_file(&mut self, wanted: &Arc<Document>) -> Option<Arc<Document>> {
        let same = self.text(wanted);
        let file = self.applier.file()?;
        if file.holds(same).await.unwrap_or(false) {
            return Some(Arc::clone(wanted));
        }
        let text = match file.text().await {
            Ok(text) => text?,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "reading what HAProxy should run");
                return None;
            }
        };
        let (mut lines, mut ours) = (DocumentLines::new(wanted), true);
        text.lines(|line| {
            ours = std::str::from_utf8(line).is_ok_and(|line| lines.take(line));
            ours
        });
        let document = lines.finish().filter(|_| ours)?;
        if text.is(pieces(&document)) {
            return Some(Arc::new(document));
        }
        // Sections are others. That takes a reload, next to which the whole text is little.
        let whole = text.pieces().collect::<Vec<_>>().concat();
        ReadBack::document(std::str::from_utf8(&whole).ok()?, wanted).map(Arc::new)
    }

    async fn is_reload_pending(&mut self) -> bool {
        // The first call finds out; a failure shows again at the first write.
        let found =
            self.applier.prepare().await.ok().flatten().is_some_and(|prepared| prepared.reload_pending);
        found || self.applier.reload_pending()
    }
}

/// The one process of a survey that is not ending.
fn only(survey: Survey) -> Result<(Socket, Process), Cause> {
    let (ending, mut staying): (Vec<_>, Vec<_>) =
        survey.reached.into_iter().partition(|(_, process)| process.stopping);
    match (staying.len(), staying.pop(), ending.first(), survey.failed.first()) {
        (1, Some(one), ..) => Ok(one),
        (0, _, Some((_, process)), _) => Err(Cause::Ending(process.identity)),
        (0, _, None, Some(error)) => Err(Cause::unreachable(error)),
        (count, ..) => Err(Cause::Several(count)),
    }
}
