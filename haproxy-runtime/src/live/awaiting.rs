//! A file that somebody else has HAProxy load.

use std::sync::Arc;

use haproxy_render::{Document, plan};
use tokio::time::Instant;

use super::{Live, acquaintance::Known};

/// What the file waits with, as somebody else reloads HAProxy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Awaited {
    revision: Option<plan::Revision>,
    since: Instant,
    /// HAProxy was found to run something else after it had its time.
    late: bool,
}

impl Awaited {
    pub(super) fn is(&self, document: &Document) -> bool {
        self.revision == document.revision
    }
}

impl Live {
    /// Since when the file waits for [somebody else](Self::with_reload) to have HAProxy load it, if that has taken longer than a
    /// [verification](Self::with_verification) and HAProxy still ran something else when it was looked at last, in an
    /// [`apply`](Self::apply); `None`: it does not.
    pub fn unloaded(&self) -> Option<Instant> {
        self.awaited.filter(|awaited| awaited.late).map(|awaited| awaited.since)
    }

    /// Whether the file is ahead of the process: then it must not be brought back to what the process runs.
    pub(super) fn file_waits(&self) -> bool {
        self.awaited.is_some()
    }

    /// The file holds `wanted`, and HAProxy, which is `known` to run something else, is nothing to be reloaded by this program.
    pub(super) fn await_load(&mut self, wanted: &Document, known: Option<Known>, differs: bool) {
        self.known = known;
        if self.applier.reloads() {
            return;
        }
        let now = Instant::now();
        let fresh = Awaited { revision: wanted.revision, since: now, late: false };
        let awaited = self.awaited.get_or_insert(fresh);
        awaited.revision = wanted.revision;
        let late = differs && now.saturating_duration_since(awaited.since) >= self.verify_within;
        if late && !awaited.late {
            let since = now.saturating_duration_since(awaited.since);
            tracing::warn!(
                ?since,
                "HAProxy does not run what its file holds, and nobody has reloaded it: whoever watches the file should"
            );
        }
        awaited.late = late;
    }

    /// Looks whether somebody else has had HAProxy load the file.
    pub(super) async fn look_for_load(&mut self, wanted: &Arc<Document>) {
        if self.awaited.is_some()
            && let Some(known) = self.known.take()
        {
            self.known = self.follow(known, wanted).await.ok().flatten();
            self.may_have_arrived();
        }
    }

    /// Ends the waiting if what is known to run is what the file waited with.
    pub(super) fn may_have_arrived(&mut self) {
        let runs = self.known.as_ref().map(|known| &known.document);
        self.awaited.take_if(|awaited| runs.is_some_and(|runs| awaited.is(runs)));
    }
}
