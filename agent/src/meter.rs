//! What happens, told once, to everybody who counts it.
//!
//! Whoever sees something tells the [`Meter`], and need not know who listens: metrics of another kind are another [`Tell`].

mod lookout;
mod standing;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use lookout::Lookout;
pub(crate) use standing::Standing;

/// Something that has happened. Names are those of the configuration; nothing in it was said by a registry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event<'a> {
    /// The agent begins.
    Started,
    /// It ends, as it was told to.
    Stopped,
    /// The watchers were started.
    SourcesStarted { took: Duration },
    /// A service is watched from now on.
    SourceStarted { service: &'a str, method: &'a str },
    /// It is not any more.
    SourceStopped { service: &'a str, method: &'a str },
    /// How a source that has answered or failed is doing. Told once a second.
    Pulse { service: &'a str, well: bool },
    /// A source has failed so often, and is asked again.
    SourceFailed { service: &'a str, method: &'a str, times: u64 },
    /// A source says entries that nobody understands: so many more than before.
    Refused { service: &'a str, method: &'a str, entries: u64 },
    /// Of the several sources of a service another one is in use.
    Switched { service: &'a str, resolver: &'a str, to: &'a str },
    /// Something is different, and the outputs are brought up to date.
    Update,
    /// One of them could not be.
    UpdateFailed { output: &'static str },
    /// The main loop has brought HAProxy up to date, or tried to.
    Turn { took: Duration },
    /// HAProxy's configuration was checked so often, with this result.
    Checked { well: bool, times: u64 },
    /// A reload of HAProxy has failed so often.
    ReloadFailed { times: u64 },
    /// Something was done with ZooKeeper.
    #[cfg(feature = "zk")]
    ZooKeeper { cluster: &'a str, deed: ZooKeeper<'a> },
}

/// What was done with ZooKeeper.
#[cfg(feature = "zk")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ZooKeeper<'a> {
    /// A service has a session of its own, or shares that of others.
    Joined { service: &'a str, alone: bool },
    /// What a driver tells.
    Driver(discovery_zk::Deed<'a>),
}

/// Somebody who counts. It is told in the middle of other work, so it never waits.
pub(crate) trait Tell: fmt::Debug + Send + Sync {
    /// Whether it wants to be told at all.
    fn listens(&self) -> bool;

    fn tell(&self, event: Event<'_>);
}

/// Where things are counted. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<[Arc<dyn Tell>]>);

impl Meter {
    pub(crate) fn new(tellers: impl IntoIterator<Item = Arc<dyn Tell>>) -> Self {
        Self(tellers.into_iter().collect())
    }

    /// Whether anybody wants to be told.
    pub(crate) fn listens(&self) -> bool {
        self.0.iter().any(|teller| teller.listens())
    }

    pub(crate) fn tell(&self, event: Event<'_>) {
        for teller in self.0.iter().filter(|teller| teller.listens()) {
            teller.tell(event);
        }
    }
}
