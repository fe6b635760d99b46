//! What this run knows, for the state file and for whoever looks.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use discovery_core::{Health, Snapshot};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::format::{Entry, Remembered};
use crate::{desired::KnownIds, status::Views};

/// What the state file had of a service whose source has not answered since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restored {
    pub(crate) snapshot: Snapshot,
    /// When its source last said so.
    pub(crate) confirmed: SystemTime,
}

/// How the state file is doing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StateFileStatus {
    /// When it was last written.
    pub written: Option<Instant>,
    /// Its length then, in bytes.
    pub bytes: u64,
    /// How often it was written since the start.
    pub writes: u64,
    /// Why the last write failed, if it did: it is tried again, and the file is as the write before left it.
    pub error: Option<String>,
}

/// What is known of all services, by their names. It rings when there is something new to write.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    inner: Mutex<Inner>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    slots: BTreeMap<String, Slot>,
    /// What the file had at the start of services that the configuration has not: they may come back.
    others: BTreeMap<String, Entry>,
    /// Since when there is something to write.
    marked: Option<Instant>,
    /// `None`: no file is kept.
    status: Option<StateFileStatus>,
}

#[derive(Debug, Default)]
struct Slot {
    known: Option<Restored>,
    ids: KnownIds,
    /// It is still what the file had.
    restored: bool,
}

/// How soon after the first change it is written.
const SOON: Duration = Duration::from_secs(1);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with what the file had, as far as it is used.
    pub(super) fn begin(&self, used: Vec<(String, Entry)>, others: BTreeMap<String, Entry>) {
        let mut inner = self.lock();
        inner.slots = used.into_iter().map(|(service, entry)| (service, entry.into())).collect();
        inner.others = others;
        inner.status = Some(StateFileStatus::default());
    }

    /// No file is kept any more.
    pub(super) fn end(&self) {
        *self.lock() = Inner::default();
    }

    /// What the file had at the start of a service that has come back.
    pub(super) fn other(&self, service: &str) -> Option<Entry> {
        self.lock().others.get(service).cloned()
    }

    /// Takes that as what is known of it.
    pub(super) fn restore(&self, service: &str) {
        let mut inner = self.lock();
        if let Some(entry) = inner.others.remove(service) {
            inner.slots.insert(service.to_owned(), entry.into());
        }
    }

    /// Forgets a service, for good.
    pub(super) fn forget(&self, service: &str) {
        let mut inner = self.lock();
        if inner.slots.remove(service).is_some() {
            self.mark_in(&mut inner);
        }
    }

    /// What is served of a service that only the file knows.
    pub(crate) fn restored(&self, service: &str) -> Option<Restored> {
        let inner = self.lock();
        let slot = inner.slots.get(service).filter(|slot| slot.restored)?;
        slot.known.clone()
    }

    /// How the file is doing; `None`: none is kept.
    pub(crate) fn status(&self) -> Option<StateFileStatus> {
        self.lock().status.clone()
    }

    pub(super) fn tell(&self, tell: impl FnOnce(&mut StateFileStatus)) {
        tell(self.lock().status.get_or_insert_default());
    }

    /// Takes over what is known of one service. `restored`: that is still what the file had.
    pub(super) fn note(&self, service: &str, known: &Snapshot, ids: &KnownIds, restored: bool) {
        let mut inner = self.lock();
        if !inner.slots.contains_key(service) {
            inner.others.remove(service);
            inner.slots.insert(service.to_owned(), Slot::default());
        }
        let Some(slot) = inner.slots.get_mut(service) else { return };
        slot.restored &= restored;
        let same = slot.known.as_ref().is_some_and(|before| before.snapshot == *known);
        if same && slot.ids == *ids {
            return;
        }
        if !same {
            slot.known = Some(Restored { snapshot: known.clone(), confirmed: SystemTime::now() });
        }
        slot.ids.clone_from(ids);
        self.mark_in(&mut inner);
    }

    /// Has the file written, whether there is news or not.
    pub(super) fn mark(&self) {
        self.mark_in(&mut self.lock());
    }

    fn mark_in(&self, inner: &mut Inner) {
        inner.marked.get_or_insert_with(Instant::now);
        self.bell.notify_one();
    }

    /// Waits until the file is to be written, but not before `earliest`. Cancel safe.
    pub(super) async fn due(&self, earliest: Instant) {
        loop {
            let marked = self.lock().marked;
            match marked {
                Some(marked) => return sleep_until(earliest.max(marked + SOON)).await,
                None => self.bell.notified().await,
            }
        }
    }

    /// Everything as it is now, and nothing is marked any more. What a healthy source says is true now.
    pub(super) fn take(&self, now: SystemTime, views: &Views) -> Remembered {
        let mut inner = self.lock();
        inner.marked = None;
        for view in views.iter() {
            let Some(slot) = inner.slots.get_mut(view.service.as_str()) else { continue };
            let observed = view.observed.borrow();
            if let Some(known) = &mut slot.known
                && matches!(observed.health, Health::Healthy)
                && observed.snapshot.as_ref() == Some(&known.snapshot)
            {
                known.confirmed = now;
            }
        }
        let entry = |(service, slot): (&String, &Slot)| {
            let Restored { snapshot, confirmed } = slot.known.clone()?;
            Some((service.clone(), Entry { snapshot, confirmed, ids: slot.ids.clone() }))
        };
        let mut services = inner.others.clone();
        services.extend(inner.slots.iter().filter_map(entry));
        Remembered { written: now, services }
    }
}

impl From<Entry> for Slot {
    fn from(Entry { snapshot, confirmed, ids }: Entry) -> Self {
        Self { known: Some(Restored { snapshot, confirmed }), ids, restored: true }
    }
}

impl Restored {
    /// How long ago its source said so.
    pub(crate) fn age(&self) -> Duration {
        SystemTime::now().duration_since(self.confirmed).unwrap_or_default()
    }
}
