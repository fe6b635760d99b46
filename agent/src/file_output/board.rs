//! What the files are to hold, and how they are doing.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use discovery_core::Snapshot;
use tokio::{sync::Notify, time::Instant};

use crate::fold::Served;

/// How the files of `file_output` are doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileOutputStatus {
    /// The directory that they are in.
    pub directory: PathBuf,
    /// How many files in it are ours.
    pub files: usize,
    /// How often one was written since the start.
    pub writes: u64,
    /// How many were removed since the start, because their services have gone or have none any more.
    pub removals: u64,
    /// Since when not all of them are as they should be; `None`: they are. For a moment that is so after each change.
    pub behind: Option<Instant>,
    /// Why the last attempt failed for at least one of them, or why it takes so long: it is tried again, and the files that it failed
    /// for are as they were.
    pub error: Option<String>,
    /// For how many services it failed.
    pub failing: usize,
}

/// What the files are to hold: for each service one slot, in which the newest wins. It rings when there is something to do.
#[derive(Debug, Default)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
    bell: Notify,
    /// Held by a test whose disk hangs.
    #[cfg(test)]
    pub(super) hung: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The services that are to have a file, by name, and what is known of it.
    slots: BTreeMap<String, Option<Wanted>>,
    /// The services to look at.
    marked: BTreeSet<String>,
    /// Which services there are may be something else than before.
    resorted: bool,
    /// `None`: there are no files.
    status: Option<FileOutputStatus>,
}

/// What a file is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// These.
    These(Snapshot),
    /// What it holds, and if there is none, these.
    OrElse(Snapshot),
}

impl Wanted {
    /// What a file is to hold of a service with these who are served. `heard`: its source has said so since the start. `None`: that is
    /// no reason to touch it.
    pub(super) fn of(served: &Served, heard: bool) -> Option<Self> {
        match served {
            Served::Known(snapshot) if heard => Some(Self::These(snapshot.clone())),
            // Nobody has said that there is nobody.
            Served::Known(snapshot) | Served::Unheard(snapshot) if snapshot.is_empty() => None,
            Served::Known(snapshot) | Served::Unheard(snapshot) => Some(Self::OrElse(snapshot.clone())),
        }
    }
}

/// What there is to do.
#[derive(Debug)]
pub(super) struct Work {
    /// Which services are to have a file at all.
    pub(super) services: BTreeSet<String>,
    /// Those to look at.
    pub(super) marked: Vec<(String, Wanted)>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the files are doing; `None`: there are none.
    pub(crate) fn status(&self) -> Option<FileOutputStatus> {
        self.lock().status.clone()
    }

    /// Forgets everything, and begins with files in another directory, or with none.
    pub(super) fn begin(&self, directory: Option<&Path>) {
        let status =
            |directory: &Path| FileOutputStatus { directory: directory.into(), ..Default::default() };
        *self.lock() = Inner { status: directory.map(status), ..Inner::default() };
    }

    /// Says which services are to have a file. What is known of the others is forgotten.
    pub(super) fn keep<'a>(&self, services: impl Iterator<Item = &'a str>) {
        let mut inner = self.lock();
        let mut before = mem::take(&mut inner.slots);
        inner.slots = services.map(|name| (name.to_owned(), before.remove(name).flatten())).collect();
        let Inner { slots, marked, .. } = &mut *inner;
        marked.retain(|service| slots.contains_key(service));
        inner.resorted = true;
        self.ring(&mut inner);
    }

    /// Says who serves a service. `heard`: its source has said so since the start. Whether that is something else than before.
    pub(super) fn want(&self, service: &str, served: &Served, heard: bool) -> bool {
        let Some(wanted) = Wanted::of(served, heard) else { return false };
        let mut inner = self.lock();
        let Some(slot) = inner.slots.get_mut(service) else { return false };
        if slot.as_ref() == Some(&wanted) {
            return false;
        }
        *slot = Some(wanted);
        inner.marked.insert(service.to_owned());
        self.ring(&mut inner);
        true
    }

    /// Has all files looked at: somebody may have changed them.
    pub(super) fn recheck(&self) {
        let mut inner = self.lock();
        let Inner { slots, marked, .. } = &mut *inner;
        marked.extend(slots.iter().filter(|(_, wanted)| wanted.is_some()).map(|(name, _)| name.clone()));
        // Files that are as they should be are none that are behind.
        self.bell.notify_one();
    }

    /// Has these looked at again, and which services there are.
    pub(super) fn again(&self, services: impl IntoIterator<Item = String>) {
        let mut inner = self.lock();
        let Inner { slots, marked, .. } = &mut *inner;
        marked.extend(services.into_iter().filter(|service| slots.contains_key(service)));
        inner.resorted = true;
        self.bell.notify_one();
    }

    fn ring(&self, inner: &mut Inner) {
        if let Some(status) = &mut inner.status {
            status.behind.get_or_insert_with(Instant::now);
        }
        self.bell.notify_one();
    }

    /// Waits for the disk.
    #[cfg(test)]
    pub(super) async fn disk(&self) {
        drop(self.hung.lock().await);
    }

    /// Waits until there is something to do. Cancel safe.
    pub(super) async fn due(&self) {
        loop {
            {
                let inner = self.lock();
                if inner.resorted || !inner.marked.is_empty() {
                    return;
                }
            }
            self.bell.notified().await;
        }
    }

    /// Takes what there is to do.
    pub(super) fn take(&self) -> Work {
        let mut inner = self.lock();
        inner.resorted = false;
        let marked = mem::take(&mut inner.marked);
        let wanted = |service: String| Some((inner.slots.get(&service)?.clone()?, service));
        let marked = marked.into_iter().filter_map(wanted).map(|(wanted, service)| (service, wanted));
        Work { marked: marked.collect(), services: inner.slots.keys().cloned().collect() }
    }

    /// Tells what came of it. With nothing failing and nothing new to do, all files are as they should be.
    pub(super) fn tell(&self, tell: impl FnOnce(&mut FileOutputStatus)) {
        let mut inner = self.lock();
        let idle = inner.marked.is_empty() && !inner.resorted;
        if let Some(status) = &mut inner.status {
            tell(status);
            if idle && status.error.is_none() {
                status.behind = None;
            }
        }
    }
}
