//! One source of several.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{sync::watch, time::Instant};
use tracing::error;

use crate::{
    backoff::Backoff,
    error::{Retry, WatchError},
    supervisor::{Health, Observed, supervise_part},
    watcher::Watcher,
};

/// A future that is driven by whoever owns it.
pub(super) type Driven = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A watcher and its supervisor.
pub(super) struct Child {
    service: Arc<str>,
    name: Arc<str>,
    /// `None` when it has ended.
    work: Option<Driven>,
    observed: watch::Sender<Observed>,
    seen: watch::Receiver<Observed>,
    /// When its answer was last confirmed, as far as was looked.
    confirmed: Option<Instant>,
}

impl Child {
    pub(super) fn new(service: &str, name: Arc<str>, watcher: Box<dyn Watcher>, backoff: Backoff) -> Self {
        let (observed, seen) = watch::channel(Observed::default());
        let service: Arc<str> = service.into();
        let (publish, of, called) = (observed.clone(), Arc::clone(&service), Arc::clone(&name));
        let work = async move { supervise_part(&of, &called, watcher, backoff, publish).await };
        Self { service, name, work: Some(Box::pin(work)), observed, seen, confirmed: None }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is known of it now.
    pub(super) fn now(&self) -> Observed {
        self.observed.borrow().clone()
    }

    /// The same, for as long as it is looked at.
    pub(super) fn observed(&self) -> watch::Receiver<Observed> {
        self.observed.subscribe()
    }

    /// Lets it make progress. Whether there is anything new: another answer or health, or that its answer still holds.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(work) = &mut self.work {
            // It is never polled again after a panic, so nobody sees what that left behind.
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(())) => self.work = None,
                Err(_) => {
                    self.work = None;
                    let (service, source) = (&*self.service, &*self.name);
                    error!(
                        service,
                        source, "a source's watcher has panicked; what it said last stays in use"
                    );
                    let error = Arc::new(WatchError::new("its watcher has panicked").retry(Retry::Never));
                    self.observed.send_modify(|now| now.health = Health::Ended { error });
                }
            }
        }
        let changed = self.seen.has_changed().unwrap_or(false);
        let confirmed = self.seen.borrow_and_update().confirmed;
        changed | (std::mem::replace(&mut self.confirmed, confirmed) != confirmed)
    }
}
