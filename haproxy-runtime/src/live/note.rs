//! Notes for the next run of this program: of what HAProxy was told and the file does not hold yet, and of who leaves.

use std::{future::pending, sync::Arc};

use haproxy_render::{
    Document, ReadBack, Service,
    plan::{Leaving, Strangers},
    render,
};
use tokio::task::JoinSet;

use super::Live;
use crate::{
    file::{ConfigFile, Notable, Text},
    socket::{Identity, Revision},
};

/// More services than these are not noted: that would be another file as large as the first.
const MOST: usize = 64;

/// A note in the staging directory, written without waiting for the disk: a machine that loses power starts HAProxy anew, too.
#[derive(Debug)]
pub(super) struct Note {
    of: Notable,
    /// One at a time, so that no older one comes last.
    writing: JoinSet<()>,
    next: Option<Entry>,
    exists: bool,
}

/// What a note is to say.
#[derive(Debug)]
enum Entry {
    Said(Text),
    /// Nothing is left to say, or too much.
    Nothing,
}

impl Note {
    pub(super) fn of(of: Notable) -> Self {
        Self { of, writing: JoinSet::new(), next: None, exists: false }
    }

    fn put(&mut self, entry: Entry, file: &ConfigFile) {
        // What waits for its turn is as good as there.
        if self.exists || self.next.is_some() || matches!(entry, Entry::Said(_)) {
            self.next = Some(entry);
            self.begin(file);
        }
    }

    fn begin(&mut self, file: &ConfigFile) {
        while self.writing.try_join_next().is_some() {}
        if !self.writing.is_empty() {
            return;
        }
        let text = match self.next.take() {
            Some(Entry::Said(text)) => Some(text),
            Some(Entry::Nothing) => None,
            None => return,
        };
        self.exists = text.is_some();
        let (file, of) = (file.clone(), self.of);
        self.writing.spawn(async move {
            if let Err(error) = file.take_note(of, text).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "noting what HAProxy was told: if this program dies now, its next run knows less"
                );
            }
        });
    }

    /// Begins what waits for its turn, when that has come; waits for ever, if nothing does. Cancel safe.
    pub(super) async fn take_turn(&mut self, file: Option<&ConfigFile>) {
        let Some(file) = file.filter(|_| self.next.is_some()) else { return pending().await };
        while self.writing.join_next().await.is_some() {}
        self.begin(file);
    }

    /// Waits for the note to be what it should be. Cancel safe.
    async fn finish(&mut self, file: &ConfigFile) {
        loop {
            self.begin(file);
            if self.writing.join_next().await.is_none() {
                return;
            }
        }
    }
}

impl Live {
    /// Notes what separates `told` from the file, for a run of this program that finds HAProxy to run it.
    pub(super) fn note(&mut self, told: &Document) {
        let (Some(file), Some(held)) = (self.applier.file(), self.filing.held()) else { return };
        let changed = told.services.iter().enumerate().filter(|(at, service)| {
            !held.services.get(*at).is_some_and(|held| Arc::ptr_eq(held, service) || held == *service)
        });
        let mut delta = Document::default();
        delta.revision = told.revision;
        delta.services = changed.take(MOST + 1).map(|(_, service)| Arc::clone(service)).collect();
        let fits = delta.services.len() <= MOST;
        self.note.put(if fits { Entry::Said(render(&delta).into()) } else { Entry::Nothing }, file);
    }

    /// Takes the note back: the file holds all.
    pub(super) fn unnote(&mut self) {
        if let Some(file) = self.applier.file() {
            self.note.put(Entry::Nothing, file);
        }
    }

    pub(super) async fn finish_note(&mut self) {
        if let Some(file) = self.applier.file() {
            self.note.finish(file).await;
            self.leavers.finish(file).await;
        }
    }

    /// Notes who is to leave this process, if others can't be told from strangers that are let be.
    pub(super) fn note_leaving(&mut self, identity: Identity, leaving: &Leaving) {
        if self.strangers != Strangers::Report {
            return;
        }
        let before = self.left.replace((identity, leaving.clone()));
        let same = before.is_some_and(|before| before == (identity, leaving.clone()));
        if let Some(file) = self.applier.file().filter(|_| !same) {
            let Identity { pid, started } = identity;
            let text = || format!("{pid} {started}\n{}", leaving.lines());
            let entry = if leaving.is_empty() { Entry::Nothing } else { Entry::Said(text().into()) };
            self.leavers.put(entry, file);
        }
    }

    /// The servers of ours that are on their way out of this process, as far as this run or an earlier one has noted them.
    pub(super) async fn left(&mut self, identity: Identity) -> Leaving {
        if self.strangers != Strangers::Report {
            return Leaving::default();
        }
        if let Some((process, leaving)) = &self.left {
            return if *process == identity { leaving.clone() } else { Leaving::default() };
        }
        let Some(file) = self.applier.file() else { return Leaving::default() };
        let noted = file.noted(Notable::Leaving).await.ok().flatten();
        self.leavers.exists |= noted.is_some();
        let read = |noted: Vec<u8>| {
            let text = String::from_utf8(noted).ok()?;
            let (process, lines) = text.split_once('\n')?;
            (process == format!("{} {}", identity.pid, identity.started)).then(|| Leaving::parse(lines))?
        };
        noted.and_then(read).unwrap_or_default()
    }

    /// The document of revision `runs`, if that is what an earlier run of this program has told a HAProxy whose file says `held`.
    pub(super) async fn noted(&mut self, held: &Document, runs: &Revision) -> Option<Arc<Document>> {
        let text = self.applier.file()?.noted(Notable::Told).await.ok().flatten()?;
        self.note.exists = true;
        let read = ReadBack::parse(std::str::from_utf8(&text).ok()?)?;
        let mut document = held.clone();
        for service in &mut document.services {
            let Some(told) = read.backend(&service.backend.name) else { continue };
            let mut after = Service::clone(service);
            after.backend.servers.clone_from(&told.servers);
            *service = Arc::new(after);
        }
        document.revision = Some(self.renderer.revision(&document));
        // Everything that the file is made of has its part in the revision: equal ones leave nothing to guess.
        (document.revision.map(Revision::from).as_ref() == Some(runs)).then(|| Arc::new(document))
    }
}
