//! A registry that tells its watchers of changes, and the ways in which a watcher of it can be wrong.

use std::{task::Poll, time::Duration};

use async_trait::async_trait;
use discovery_core::{
    Endpoint, Key, Rejection, Retry, Snapshot, WatchError, Watcher, testing::conformance::Subject,
};
use tokio::{
    sync::watch,
    task::yield_now,
    time::{sleep, timeout},
};

/// How a [`Mutant`] breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    SaysOnlyAPart,
    FailsWhenNobodyIsThere,
    IsSilentWhenNobodyIsThere,
    KeepsWhoLeft,
    ComparesKeysAlone,
    TellsTheFirstOfABurst,
    LetsABadEntrySpoilAll,
    HidesBadEntries,
    SaysNobodyWhenDown,
    IsSilentWhenDown,
    RepeatsTheLastGoodWhenDown,
    FailsOnceThenSleeps,
    EndsWhenDown,
    ForgetsToAnswerAfterAnError,
    StaysBrokenAfterAnError,
    TakesUpWhereItWas,
    WaitsForAFrozenPeer,
    LosesTheFirstAnswerWhenDropped,
    LosesNewsWhenDropped,
    AnswersWithoutNews,
    SpinsWithoutNews,
}

#[derive(Debug, Clone, Default)]
struct State {
    version: u64,
    endpoints: Vec<Endpoint>,
    corrupt: bool,
    down: bool,
    frozen: bool,
}

/// The registry, and what its watchers do wrong.
pub(crate) struct Registry {
    state: watch::Sender<State>,
    fault: Option<Fault>,
}

impl Registry {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        Self { state: watch::Sender::new(State::default()), fault }
    }
}

#[async_trait]
impl Subject for Registry {
    type Watcher = Mutant;

    async fn watcher(&mut self) -> Mutant {
        Mutant {
            state: self.state.subscribe(),
            told: None,
            last: Snapshot::default(),
            failed: false,
            fault: self.fault,
        }
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        self.state.send_modify(|state| {
            state.version += 1;
            state.endpoints = endpoints.to_vec();
            state.corrupt = false;
        });
        yield_now().await;
    }

    async fn corrupt(&mut self) -> bool {
        self.state.send_modify(|state| {
            state.version += 1;
            state.corrupt = true;
        });
        true
    }

    async fn go_down(&mut self) -> bool {
        self.state.send_modify(|state| state.down = true);
        true
    }

    async fn come_back(&mut self) {
        self.state.send_modify(|state| state.down = false);
    }

    async fn freeze(&mut self) -> bool {
        self.state.send_modify(|state| state.frozen = true);
        true
    }

    async fn thaw(&mut self) {
        self.state.send_modify(|state| state.frozen = false);
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn notices_within(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// A watcher of the registry: sound, or with one fault.
pub(crate) struct Mutant {
    state: watch::Receiver<State>,
    /// The version that was told last; `None` before the first answer and after a failure.
    told: Option<u64>,
    last: Snapshot,
    failed: bool,
    fault: Option<Fault>,
}

impl Mutant {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Waits until there is something to say, and says what the registry is like then.
    async fn news(&mut self) -> State {
        let (told, fault) = (self.told, self.fault);
        let news = |state: &State| {
            let down = state.down && fault != Some(Fault::IsSilentWhenDown);
            down || state.frozen || told != Some(state.version)
        };
        self.state.wait_for(news).await.expect("the registry outlives its watchers").clone()
    }

    fn fail(&mut self, doing: &'static str) -> Result<Snapshot, WatchError> {
        if !self.has(Fault::ForgetsToAnswerAfterAnError) && !self.has(Fault::TakesUpWhereItWas) {
            self.told = None;
        }
        self.failed = true;
        let retry = if self.has(Fault::EndsWhenDown) { Retry::Never } else { Retry::Backoff };
        Err(WatchError::new(doing).retry(retry))
    }

    async fn down(&mut self) -> Result<Snapshot, WatchError> {
        match self.fault {
            Some(Fault::SaysNobodyWhenDown) => {
                sleep(Duration::from_millis(100)).await;
                Ok(Snapshot::default())
            }
            Some(Fault::IsSilentWhenDown) => std::future::pending().await,
            Some(Fault::FailsOnceThenSleeps) if self.failed => std::future::pending().await,
            Some(Fault::RepeatsTheLastGoodWhenDown) if self.failed => Ok(self.last.clone()),
            _ => self.fail("asking the registry"),
        }
    }

    fn snapshot(&self, state: &State) -> Snapshot {
        let mut endpoints = state.endpoints.clone();
        if self.has(Fault::SaysOnlyAPart) {
            endpoints.pop();
        }
        if self.has(Fault::KeepsWhoLeft) {
            endpoints.extend(self.last.endpoints().iter().cloned());
        }
        let bad = state.corrupt && !self.has(Fault::HidesBadEntries);
        Snapshot::new(endpoints).with_rejected(bad.then(|| Rejection::new("the bad one", "it is bad")))
    }
}

#[async_trait]
impl Watcher for Mutant {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        if self.has(Fault::AnswersWithoutNews) && self.told.is_some() {
            return Ok(self.last.clone());
        }
        if self.has(Fault::SpinsWithoutNews) && self.told.is_some() {
            let told = self.told;
            let state = self.state.clone();
            std::future::poll_fn(|context| {
                let state = state.borrow();
                if state.down || state.frozen || told != Some(state.version) {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        if self.has(Fault::StaysBrokenAfterAnError) && self.failed {
            return self.fail("using a connection that is closed");
        }
        loop {
            let state = self.news().await;
            if state.frozen {
                let mut watched = self.state.clone();
                let thawed = watched.wait_for(|state| !state.frozen);
                if self.has(Fault::WaitsForAFrozenPeer) {
                    thawed.await.expect("the registry outlives its watchers");
                } else if timeout(Duration::from_secs(1), thawed).await.is_err() {
                    return self.fail("waiting for the registry");
                }
                continue;
            }
            if state.down {
                return self.down().await;
            }
            let first = self.told.is_none();
            if (first && self.has(Fault::LosesTheFirstAnswerWhenDropped))
                || (!first && self.has(Fault::LosesNewsWhenDropped))
            {
                self.told = Some(state.version);
                yield_now().await;
            }
            if state.endpoints.is_empty() && self.has(Fault::FailsWhenNobodyIsThere) {
                return self.fail("finding anybody");
            }
            let snapshot = self.snapshot(&state);
            let keys = |snapshot: &Snapshot| snapshot.into_iter().map(Endpoint::key).collect::<Vec<Key>>();
            let nothing_new = self.has(Fault::ComparesKeysAlone) && keys(&snapshot) == keys(&self.last)
                || self.has(Fault::IsSilentWhenNobodyIsThere) && snapshot.is_empty()
                || self.has(Fault::TakesUpWhereItWas) && self.failed;
            self.told = Some(state.version);
            if nothing_new && !first {
                continue;
            }
            if state.corrupt && self.has(Fault::LetsABadEntrySpoilAll) {
                return self.fail("parsing an entry");
            }
            self.last = snapshot.clone();
            if self.has(Fault::TellsTheFirstOfABurst) {
                // What comes within this time is taken for the same news.
                sleep(Duration::from_millis(50)).await;
                self.told = Some(self.state.borrow().version);
            }
            return Ok(snapshot);
        }
    }
}
