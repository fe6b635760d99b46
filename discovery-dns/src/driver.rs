//! Asks what the services want to know, when it is time.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use discovery_core::Backoff;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

use crate::{
    exchange::Exchange,
    lookup::{Lookup, Silent},
    question::{Answer, Failure, Question},
    system::System,
};

/// However short a TTL or an interval is: no question is asked more often.
const FLOOR: Duration = Duration::from_secs(1);
/// The longest that one question may take, all nameservers and aliases included.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// How many questions are under way at a time.
const AT_ONCE: usize = 64;
/// The longest random pause behind a TTL or an interval.
const JITTER: Duration = Duration::from_secs(1);

/// What became of a question last, as its services see it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// How often it was asked.
    pub(crate) times: u64,
    /// `None` until it was asked.
    pub(crate) outcome: Option<Result<Answer, Failure>>,
    /// The last answer.
    pub(crate) last: Option<Answer>,
}

/// A service that wants to know.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) question: Question,
    /// It wants to know at least so often.
    pub(crate) every: Duration,
    pub(crate) told: watch::Sender<Told>,
    pub(crate) wake: Arc<Notify>,
}

/// One question.
#[derive(Debug, Default)]
struct Asked {
    listeners: Vec<Listener>,
    told: Told,
    /// When to ask; `None` while it is under way.
    due: Option<Instant>,
    /// When it was asked last, and for how long the answer holds.
    held: Option<(Instant, Option<Duration>)>,
    failures: u32,
}

impl Asked {
    /// Asks again when the answer is no longer right, or a listener wants to know.
    fn plan(&mut self) {
        let Some((asked, ttl)) = self.held else { return };
        let every = self.listeners.iter().map(|listener| listener.every).min().unwrap_or(Duration::MAX);
        let wait = ttl.map_or(every, |ttl| ttl.min(every)).max(FLOOR);
        let jitter = (wait / 10).min(JITTER).mul_f64(fastrand::f64());
        self.due = asked.checked_add(wait.saturating_add(jitter));
    }

    fn tell(&self, listener: &Listener) {
        listener.told.send_replace(self.told.clone());
        listener.wake.notify_one();
    }
}

type Asking = Pin<Box<dyn Future<Output = (Question, Result<Answer, Failure>)> + Send>>;

/// Owns every question.
pub(crate) struct Driver {
    system: Arc<System>,
    exchange: Arc<dyn Exchange>,
    silent: Arc<Silent>,
    backoff: Backoff,
    commands: mpsc::UnboundedReceiver<Listener>,
    questions: HashMap<Question, Asked>,
    asking: FuturesUnordered<Asking>,
}

impl Driver {
    pub(crate) fn new(
        system: System,
        exchange: Arc<dyn Exchange>,
        backoff: Backoff,
        commands: mpsc::UnboundedReceiver<Listener>,
    ) -> Self {
        Self {
            system: Arc::new(system),
            exchange,
            silent: Arc::default(),
            backoff,
            commands,
            questions: HashMap::new(),
            asking: FuturesUnordered::new(),
        }
    }

    /// Runs until nobody can want to know anything any more.
    pub(crate) async fn run(mut self) {
        loop {
            self.ask_what_is_due();
            let due = self.next();
            tokio::select! {
                listener = self.commands.recv() => match listener {
                    None => return,
                    Some(listener) => self.join(listener),
                },
                Some((question, outcome)) = self.asking.next() => self.answered(&question, outcome),
                () = until(due) => {}
            }
        }
    }

    fn join(&mut self, listener: Listener) {
        let asked = self.questions.entry(listener.question.clone()).or_default();
        if asked.told.times > 0 {
            asked.tell(&listener);
        }
        asked.listeners.push(listener);
        if asked.failures > 0 {
            return;
        }
        match asked.due {
            // Another may want to know more often.
            Some(_) => asked.plan(),
            None if asked.told.times == 0 && asked.listeners.len() == 1 => asked.due = Some(Instant::now()),
            None => {}
        }
    }

    /// When there is something to ask next.
    fn next(&self) -> Option<Instant> {
        if self.asking.len() >= AT_ONCE {
            return None;
        }
        self.questions.values().filter_map(|asked| asked.due).min()
    }

    fn ask_what_is_due(&mut self) {
        let now = Instant::now();
        let due = |asked: &Asked| asked.due.is_some_and(|due| due <= now);
        let questions: Vec<_> = self
            .questions
            .iter()
            .filter(|(_, asked)| due(asked))
            .map(|(question, _)| question.clone())
            .collect();
        for question in questions {
            if self.asking.len() >= AT_ONCE {
                return;
            }
            let Some(asked) = self.questions.get_mut(&question) else { continue };
            asked.listeners.retain(|listener| !listener.told.is_closed());
            if asked.listeners.is_empty() {
                self.questions.remove(&question);
                continue;
            }
            asked.due = None;
            let (system, exchange, silent) =
                (Arc::clone(&self.system), Arc::clone(&self.exchange), Arc::clone(&self.silent));
            self.asking.push(Box::pin(async move {
                let asking = async {
                    let plan = system.plan().await?;
                    Lookup { plan: &plan, exchange: &*exchange, silent: &silent }.answer(&question).await
                };
                let outcome = timeout(DEADLINE, asking).await;
                let outcome = outcome.unwrap_or(Err(Failure::Late(DEADLINE)));
                (question, outcome)
            }));
        }
    }

    fn answered(&mut self, question: &Question, outcome: Result<Answer, Failure>) {
        let Some(asked) = self.questions.get_mut(question) else { return };
        let now = Instant::now();
        match &outcome {
            Ok(answer) => {
                if std::mem::take(&mut asked.failures) > 0 {
                    info!(name = %question, "the name can be resolved again");
                }
                asked.held = Some((now, answer.ttl));
                asked.told.last = Some(answer.clone());
                asked.plan();
            }
            Err(error) => {
                asked.failures = asked.failures.saturating_add(1);
                let every = asked.listeners.iter().map(|listener| listener.every).min();
                let longest = every.unwrap_or(Duration::MAX).max(FLOOR);
                let pause = self.backoff.delay(asked.failures).min(longest);
                asked.due = now.checked_add(pause);
                if asked.failures == 1 {
                    warn!(name = %question, %error, ?pause, "a name cannot be resolved");
                }
            }
        }
        asked.told.times += 1;
        asked.told.outcome = Some(outcome);
        asked.listeners.retain(|listener| !listener.told.is_closed());
        for listener in &asked.listeners {
            asked.tell(listener);
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
