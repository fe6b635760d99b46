//! Another source whose endpoints have names for hosts.

use std::{collections::BTreeSet, fmt};

use async_trait::async_trait;
use discovery_core::{Endpoint, Host, Rejection, Snapshot, WatchError, Watcher};

use crate::{
    board::{Board, Mark},
    question::{Answer, Failure, Question},
};

/// A watcher of addresses, made of one whose endpoints may have names for hosts: made by
/// [`Resolver::resolving`](crate::Resolver::resolving).
///
/// Each address of a name is an endpoint that is like the one with the name in all else. It speaks when the other watcher does, and
/// when a name is resolved again. What the other watcher says is told once all its names were asked for, which takes ten seconds at
/// most.
///
/// - A name that cannot be resolved keeps the addresses that it had last.
/// - One that has never been resolved, does not exist, or has no address is listed in
///   [`Snapshot::rejected`](discovery_core::Snapshot::rejected), and the rest stands; but when none of all names ever was, it is an error.
/// - While the other watcher fails, nothing is told but that: its errors are passed on as they are.
/// - Endpoints that are not [available](Endpoint::available) are left as they are.
pub struct Resolving<W> {
    watcher: W,
    /// What the watcher said last.
    latest: Option<Snapshot>,
    board: Board,
    /// What was told last. `None`: the watcher has spoken since.
    told: Option<Mark>,
    /// The watcher's last word was an error.
    failing: bool,
}

impl<W: Watcher> Resolving<W> {
    pub(crate) fn new(watcher: W, board: Board) -> Self {
        Self { watcher, latest: None, board, told: None, failing: false }
    }

    fn read(&self, latest: &Snapshot) -> Result<Snapshot, WatchError> {
        let (mut endpoints, mut rejected) = (Vec::new(), Vec::new());
        let (mut known, mut failed) = (false, None);
        for endpoint in latest {
            let Some(question) = question(endpoint) else {
                endpoints.push(endpoint.clone());
                continue;
            };
            let answer = self.board.last(&question);
            known |= answer.is_some();
            match (&answer, self.board.outcome(&question)) {
                (None, Some(Err(failure))) => {
                    rejected.push(Rejection::new(&endpoint.to_string(), &failure));
                    failed.get_or_insert((question, failure));
                }
                (None, _) => rejected.push(Rejection::new(&endpoint.to_string(), "it was not asked for yet")),
                (Some(answer), _) => match resolved(endpoint, answer) {
                    Ok(found) => endpoints.extend(found),
                    Err(reason) => rejected.push(Rejection::new(&endpoint.to_string(), reason)),
                },
            }
        }
        match failed {
            Some((question, failure)) if !known => Err(self.nothing(&question, failure)),
            _ => Ok(latest.with_endpoints(endpoints).with_rejected(rejected)),
        }
    }

    /// DNS as a whole is what fails: that is no news of any one name.
    fn nothing(&self, question: &Question, failure: Failure) -> WatchError {
        let doing = format!("resolving {question}, and every other name, by {}", self.board.nameservers());
        WatchError::new(doing).because(failure)
    }
}

/// What is to be known of an endpoint; `None` if it can be used as it is.
fn question(endpoint: &Endpoint) -> Option<Question> {
    let named = endpoint.available() && endpoint.host().name().is_some();
    named.then(|| Question::addresses(endpoint.host()))
}

fn resolved(endpoint: &Endpoint, answer: &Answer) -> Result<Vec<Endpoint>, &'static str> {
    let hosts = answer.addresses().iter().filter_map(|address| Host::try_from(*address).ok());
    let found: Vec<_> = hosts.map(|host| endpoint.clone().with_host(host)).collect();
    match (found.is_empty(), answer.exists) {
        (false, _) => Ok(found),
        (true, true) => Err("its name has no address"),
        (true, false) => Err("its name does not exist"),
    }
}

#[async_trait]
impl<W: Watcher> Watcher for Resolving<W> {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        loop {
            if let Some(latest) = &self.latest
                && !self.failing
            {
                let wanted: BTreeSet<_> = latest.iter().filter_map(question).collect();
                self.board.want(&wanted);
                if let Some(mark) = self.board.mark()
                    && self.told.as_ref() != Some(&mark)
                {
                    let answer = self.read(latest);
                    self.told = Some(mark);
                    return answer;
                }
            }
            tokio::select! {
                said = self.watcher.next() => {
                    self.failing = said.is_err();
                    // Ours to tell from here on, also if this call is dropped while names are asked for.
                    self.latest = Some(said?);
                    self.told = None;
                }
                ended = self.board.changed() => ended?,
            }
        }
    }
}

impl<W: fmt::Debug> fmt::Debug for Resolving<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolving").field("watcher", &self.watcher).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
