//! One region of one account.

use std::{
    fmt,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use discovery_core::Backoff;
use tokio::sync::{mpsc, watch};

use crate::{
    answer::Slot,
    config::{MAX_INTERVAL, RegionConfig},
    describe::Describe,
    driver::Driver,
    member::Member,
    resolve::System,
    roster::{Command, MemberId, Wanted},
    sdk::Sdk,
    selector::Selector,
};

/// A handle on what is asked of EC2 with one set of credentials in one region. Cloning it costs two reference counts and asks
/// nothing.
///
/// All services that are found through one region share its questions.
#[derive(Clone)]
pub struct Region {
    driver: mpsc::UnboundedSender<Command>,
    shared: Arc<Shared>,
}

struct Shared {
    /// For error messages: `EC2 in us-east-1`.
    name: String,
    next: AtomicU64,
    resolver: System,
}

impl Region {
    /// A handle, and the driver that does its work: spawn it, or poll it beside other things.
    ///
    /// Nothing is asked and no credentials are looked for before the driver is polled and a [`Member`] was made. The driver
    /// ends when the last handle and the last member are gone; dropping it ends the members.
    ///
    /// `backoff` bounds the wait after failures. It needs a runtime of tokio with time and I/O.
    pub fn new(config: RegionConfig, backoff: Backoff) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (name, deadline) = (config.to_string(), config.deadlines().poll);
        Self::over(Sdk::new(config), name, deadline, backoff)
    }

    pub(crate) fn over<D: Describe>(
        describe: D,
        name: String,
        deadline: Duration,
        backoff: Backoff,
    ) -> (Self, impl Future<Output = ()> + Send + use<D>) {
        let (driver, commands) = mpsc::unbounded_channel();
        let shared = Shared { name: name.clone(), next: AtomicU64::new(0), resolver: System::new() };
        // Made when it is polled: only then is there a runtime that tells the time.
        let run = async move { Driver::new(describe, name, backoff, deadline, commands).run().await };
        (Self { driver, shared: Arc::new(shared) }, run)
    }

    /// Watches the instances that a selector wants, as endpoints on `port`, asking at least as often as `every` (at most a day).
    pub fn member(&self, selector: Selector, port: NonZeroU16, every: Duration) -> Member {
        let id = MemberId(self.shared.next.fetch_add(1, Ordering::Relaxed));
        let (slot, seen) = watch::channel(Slot::default());
        let wanted = Wanted {
            filters: selector.filters().clone(),
            foreign: selector.is_foreign(),
            every: every.min(MAX_INTERVAL),
        };
        // Without a driver the slot is dropped here, which is how the member learns of it.
        let _ = self.driver.send(Command::Join { id, wanted, slot });
        let resolver = self.shared.resolver.clone();
        Member::new(id, selector, port, &self.shared.name, seen, self.driver.clone(), resolver)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
