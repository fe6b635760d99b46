//! What one service wants to know, and what is known of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use discovery_core::{Retry, WatchError};
use tokio::sync::{Notify, mpsc, watch};

use crate::{
    driver::{Listener, Told},
    question::{Answer, Failure, Question},
};

/// The questions of one service, each with what became of it. Asks nothing itself: the driver does.
#[derive(Debug)]
pub(crate) struct Board {
    driver: mpsc::UnboundedSender<Listener>,
    nameservers: Arc<str>,
    every: Duration,
    wake: Arc<Notify>,
    seats: BTreeMap<Question, watch::Receiver<Told>>,
}

/// How often each question of a service had been asked at some moment: equal marks mean that nothing has come since.
pub(crate) type Mark = BTreeMap<Question, u64>;

impl Board {
    pub(crate) fn new(
        driver: mpsc::UnboundedSender<Listener>,
        nameservers: Arc<str>,
        every: Duration,
    ) -> Self {
        Self { driver, nameservers, every, wake: Arc::default(), seats: BTreeMap::new() }
    }

    /// For error messages.
    pub(crate) fn nameservers(&self) -> &str {
        &self.nameservers
    }

    /// From now on wants to know exactly this. What is not wanted any more is forgotten.
    pub(crate) fn want(&mut self, wanted: &BTreeSet<Question>) {
        self.seats.retain(|question, _| wanted.contains(question));
        for question in wanted {
            if self.seats.contains_key(question) {
                continue;
            }
            let (told, seat) = watch::channel(Told::default());
            let (question, wake) = (question.clone(), Arc::clone(&self.wake));
            self.seats.insert(question.clone(), seat);
            // A driver that is gone is noticed by whoever waits for it.
            let _ = self.driver.send(Listener { question, every: self.every, told, wake });
        }
    }

    /// How far everything wanted is known; `None` while something was not asked yet.
    pub(crate) fn mark(&self) -> Option<Mark> {
        let times = |(question, seat): (&Question, &watch::Receiver<Told>)| {
            let times = seat.borrow().times;
            (times > 0).then(|| (question.clone(), times))
        };
        self.seats.iter().map(times).collect()
    }

    /// What became of a question last: an answer, or why there is none.
    pub(crate) fn outcome(&self, question: &Question) -> Option<Result<Answer, Failure>> {
        self.seats.get(question)?.borrow().outcome.clone()
    }

    /// The last answer to a question.
    pub(crate) fn last(&self, question: &Question) -> Option<Answer> {
        self.seats.get(question)?.borrow().last.clone()
    }

    /// Waits until something may be known that was not. Dropping the future loses nothing: what is known is on the board.
    pub(crate) async fn changed(&self) -> Result<(), WatchError> {
        tokio::select! {
            () = self.wake.notified() => Ok(()),
            () = self.driver.closed() => {
                let error = WatchError::new(format!("resolving by {}", self.nameservers));
                Err(error.because("the resolver's driver has ended").retry(Retry::Never))
            }
        }
    }
}
