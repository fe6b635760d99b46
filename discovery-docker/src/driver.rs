//! Asks Docker for its containers, when it is time or when something has happened.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use discovery_core::{Backoff, Retry, WatchError, shared::Slot};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::info;

use crate::{
    api_version::ApiVersion,
    client::{Client, DEADLINE, Events},
    container::Entry,
    failure::Failure,
};

/// However short an interval is: nobody is asked more often, but for what has happened.
const FLOOR: Duration = Duration::from_secs(1);
/// The pause after a question, however much happens: this, or a multiple of how long the answer took.
const GAP: Duration = Duration::from_millis(100);
const GAP_FACTOR: u32 = 4;
/// The longest random pause behind an interval.
const JITTER: Duration = Duration::from_secs(1);
/// When to ask again after something has happened. Docker tells that a container has ended or pauses before its own list says so,
/// by a tenth of a second where nothing else happens; and it answers that it will tell events a moment before it begins to.
const AFTERMATH: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(6)];
/// Events that lasted so long were not refused.
const STABLE: Duration = Duration::from_secs(10);
/// How many pieces of the stream of events are read between two questions. More would tell no more.
const MAX_PIECES: u32 = 100;
/// The longest that all questions of one turn may take: a daemon may have a thousand containers to look at one by one.
const LONGEST: Duration = Duration::from_secs(15);

/// What was listed last. Shared by all services.
pub(crate) type Listing = Arc<[Entry]>;

/// A service that wants to know.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) every: Duration,
    pub(crate) slot: watch::Sender<Slot<Listing>>,
}

type Asking = Pin<Box<dyn Future<Output = Result<(ApiVersion, Listing), Failure>> + Send>>;
type Hearing = Pin<Box<dyn Future<Output = Heard> + Send>>;

/// What became of the stream of events.
enum Heard {
    Begun(Result<Events, Failure>),
    Something(Events),
    End(Failure),
}

/// Owns everything that is asked of one Docker.
pub(crate) struct Driver {
    client: Client,
    backoff: Backoff,
    commands: mpsc::UnboundedReceiver<Listener>,
    listeners: Vec<Listener>,
    /// As far as it was found out since the last failure.
    version: Option<ApiVersion>,
    /// The last answer, and how the last question failed.
    known: Option<Listing>,
    failed: Option<WatchError>,
    failures: u32,
    asking: Option<Asking>,
    /// When the question that is under way was begun, or the last one.
    begun: Instant,
    /// When to ask because it is time, and because something has happened.
    due: Option<Instant>,
    news: Option<Instant>,
    /// Whether it is asked for what nobody need have been told of by an event, or was.
    told: bool,
    /// Not before this.
    rest: Instant,
    hearing: Option<Hearing>,
    heard_since: Option<Instant>,
    /// When something happened last, or it began to listen.
    stirred: Option<Instant>,
    pieces: u32,
    deaf: u32,
    listen_at: Instant,
}

impl Driver {
    pub(crate) fn new(client: Client, backoff: Backoff, commands: mpsc::UnboundedReceiver<Listener>) -> Self {
        let now = Instant::now();
        Self {
            client,
            backoff,
            commands,
            listeners: Vec::new(),
            version: None,
            known: None,
            failed: None,
            failures: 0,
            asking: None,
            begun: now,
            due: None,
            news: None,
            told: false,
            rest: now,
            hearing: None,
            heard_since: None,
            stirred: None,
            pieces: 0,
            deaf: 0,
            listen_at: now,
        }
    }

    /// Runs until nobody can want to know anything any more.
    pub(crate) async fn run(mut self) {
        loop {
            let now = Instant::now();
            self.ask(now);
            self.listen(now);
            let next = self.next();
            // What has been read of a flood is enough until it is asked again.
            let full = self.pieces >= MAX_PIECES;
            tokio::select! {
                listener = self.commands.recv() => match listener {
                    None => return,
                    Some(listener) => self.join(listener),
                },
                outcome = done(&mut self.asking) => self.answered(outcome),
                heard = done(&mut self.hearing), if !full => self.heard(heard),
                () = until(next) => {}
            }
        }
    }

    fn join(&mut self, listener: Listener) {
        let now = Instant::now();
        self.listeners.retain(|listener| !listener.slot.is_closed());
        let first = self.listeners.is_empty();
        if first {
            // It may be old: nobody has wanted to know.
            self.known = None;
        }
        if let Some(known) = &self.known {
            listener.slot.send_modify(|slot| {
                slot.update(|listing| replace(listing, known));
            });
        }
        if let Some(error) = &self.failed {
            listener.slot.send_modify(|slot| slot.fail(error.clone()));
        }
        self.listeners.push(listener);
        if first {
            self.due = Some(now.max(self.rest));
        } else if self.failures == 0 && self.asking.is_none() {
            self.due = self.due.into_iter().chain([self.begun + self.every()]).min();
        }
    }

    /// The shortest interval that somebody wants.
    fn every(&self) -> Duration {
        let shortest = self.listeners.iter().map(|listener| listener.every).min();
        shortest.unwrap_or(Duration::from_hours(24)).max(FLOOR)
    }

    /// When there is something to do next.
    fn next(&self) -> Option<Instant> {
        let ask = [self.due, self.news, self.aftermath()].into_iter().flatten().min();
        let ask = ask.map(|at| at.max(self.rest));
        let ask = ask.filter(|_| self.asking.is_none());
        let listen = (self.wants_to_listen() && self.listen_at > Instant::now()).then_some(self.listen_at);
        ask.into_iter().chain(listen).min()
    }

    /// When to ask because what has happened may not have been in the last answer yet.
    fn aftermath(&self) -> Option<Instant> {
        let stirred = self.stirred?;
        AFTERMATH.iter().map(|after| stirred + *after).find(|at| *at > self.begun)
    }

    fn ask(&mut self, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let told = is_due(self.news) || is_due(self.aftermath());
        if self.asking.is_some() || self.rest > now || !(is_due(self.due) || told) {
            return;
        }
        self.listeners.retain(|listener| !listener.slot.is_closed());
        if self.listeners.is_empty() {
            (self.due, self.news, self.stirred) = (None, None, None);
            (self.hearing, self.heard_since) = (None, None);
            return;
        }
        self.told = told;
        self.news = self.news.filter(|at| *at > now);
        (self.due, self.begun, self.pieces) = (None, now, 0);
        let (client, version) = (self.client.clone(), self.version);
        self.asking = Some(Box::pin(async move {
            let asked = async {
                let version = match version {
                    Some(version) => version,
                    None => within(client.version()).await?,
                };
                let entries = client.containers(version).await?;
                Ok((version, entries.into()))
            };
            timeout(LONGEST, asked).await.unwrap_or(Err(Failure::Late(LONGEST)))
        }));
    }

    fn answered(&mut self, outcome: Result<(ApiVersion, Listing), Failure>) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.begun);
        self.listeners.retain(|listener| !listener.slot.is_closed());
        match outcome {
            Ok((version, listing)) => {
                let changed = self.known.as_ref().is_some_and(|known| *known != listing);
                (self.version, self.failed, self.failures) = (Some(version), None, 0);
                for listener in &self.listeners {
                    listener.slot.send_modify(|slot| {
                        if !slot.update(|known| replace(known, &listing)) {
                            slot.confirm();
                        }
                    });
                }
                self.known = Some(listing);
                if changed && !self.told && self.news.is_none() && self.heard_since.is_some() {
                    // It should have been heard of: nobody speaks at the other end any more.
                    (self.hearing, self.heard_since) = (None, None);
                }
                let every = self.every();
                let jitter = (every / 10).min(JITTER).mul_f64(fastrand::f64());
                self.rest = now + GAP.max(took * GAP_FACTOR).min(every);
                self.due = Some(now + every + jitter);
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                let pause = self.backoff.delay(self.failures).min(self.every());
                let error = WatchError::new("asking it").because(failure).retry(Retry::After(Duration::ZERO));
                for listener in &self.listeners {
                    listener.slot.send_modify(|slot| slot.fail(error.clone()));
                }
                // It may be another one when it is back.
                (self.version, self.failed, self.news, self.stirred) = (None, Some(error), None, None);
                (self.hearing, self.heard_since, self.listen_at) = (None, None, now);
                (self.rest, self.due) = (now + pause, Some(now + pause));
            }
        }
    }

    fn wants_to_listen(&self) -> bool {
        self.version.is_some() && self.hearing.is_none() && !self.listeners.is_empty()
    }

    fn listen(&mut self, now: Instant) {
        if let Some(version) = self.version.filter(|_| self.wants_to_listen() && self.listen_at <= now) {
            let client = self.client.clone();
            self.hearing = Some(Box::pin(async move { Heard::Begun(within(client.events(version)).await) }));
        }
    }

    fn heard(&mut self, heard: Heard) {
        let now = Instant::now();
        match heard {
            Heard::Begun(Ok(events)) => {
                self.heard_since = Some(now);
                // What has happened before nobody will tell.
                (self.news, self.stirred) = (Some(now), Some(now));
                self.hearing = Some(hear(events));
            }
            Heard::Something(events) => {
                self.pieces += 1;
                (self.news, self.stirred) = (Some(self.news.unwrap_or(now)), Some(now));
                self.hearing = Some(hear(events));
            }
            Heard::Begun(Err(failure)) | Heard::End(failure) => {
                let since = self.heard_since.take();
                if since.is_some() {
                    // It may be gone.
                    self.news = Some(self.news.unwrap_or(now));
                }
                let stable = since.is_some_and(|since| now.saturating_duration_since(since) >= STABLE);
                self.deaf = if stable { 1 } else { self.deaf.saturating_add(1) };
                self.listen_at = now + self.backoff.delay(self.deaf);
                if self.deaf == 2 {
                    let error = WatchError::new("listening to its events").because(failure);
                    info!(error = error.chain(), "Docker tells no events; changes are seen when it is asked");
                }
            }
        }
    }
}

fn replace(known: &mut Listing, new: &Listing) -> bool {
    let changed = known != new;
    *known = Arc::clone(new);
    changed
}

fn hear(mut events: Events) -> Hearing {
    Box::pin(async move {
        match events.heard().await {
            Ok(()) => Heard::Something(events),
            Err(failure) => Heard::End(failure),
        }
    })
}

async fn within<T>(asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(DEADLINE, asked).await.unwrap_or(Err(Failure::Late(DEADLINE)))
}

/// Waits for what is under way, if anything is, and takes it away.
async fn done<T>(under_way: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match under_way {
        None => std::future::pending().await,
        Some(future) => {
            let outcome = future.await;
            *under_way = None;
            outcome
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
