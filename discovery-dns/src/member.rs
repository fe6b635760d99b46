//! One service, as DNS has it.

use std::{collections::BTreeSet, fmt};

use async_trait::async_trait;
use discovery_core::{Endpoint, Host, Rejection, Snapshot, WatchError, Watcher};

use crate::{
    board::{Board, Mark},
    lookup::MAX_RECORDS,
    question::{Answer, Failure, Kind, Question, Target},
    server::Server,
    weight::shares,
};

/// How many endpoints one service has at most.
const MAX_ENDPOINTS: usize = 10_000;

/// A service whose servers are found by DNS: made by [`Resolver::member`](crate::Resolver::member).
///
/// All of its names are known, or it fails: an answer with a part of them would take servers away that nobody has taken down. A name
/// that does not exist, or has no addresses, is known to stand for nobody.
pub struct Member {
    servers: Vec<Server>,
    board: Board,
    told: Option<Mark>,
}

impl Member {
    pub(crate) fn new(servers: Vec<Server>, board: Board) -> Self {
        Self { servers, board, told: None }
    }

    /// What is to be known: the names, and those that their SRV records lead to.
    fn wanted(&self) -> BTreeSet<Question> {
        let mut wanted: BTreeSet<_> = self.servers.iter().filter_map(Server::question).collect();
        let services: Vec<_> =
            wanted.iter().filter(|question| question.kind() == Kind::Targets).cloned().collect();
        for service in services {
            // Also while it fails: what its targets mean is to be known when it answers again.
            let answer = self.board.last(&service);
            let targets = answer.iter().flat_map(Answer::targets);
            let hosts = targets.filter_map(|target| absolute(target).ok());
            wanted.extend(hosts.filter(|host| host.name().is_some()).map(|host| Question::addresses(&host)));
        }
        wanted
    }

    fn read(&self, mark: &Mark) -> Result<Snapshot, WatchError> {
        let outcome = |question: &Question| self.board.outcome(question);
        let failed: Vec<(&Question, Failure)> =
            mark.keys().filter_map(|question| Some((question, outcome(question)?.err()?))).collect();
        if let Some((question, failure)) = failed.first() {
            let others = match failed.len() - 1 {
                0 => String::new(),
                others => format!(" and {others} more of {} names", mark.len()),
            };
            let doing = format!("resolving {question}{others} by {}", self.board.nameservers());
            return Err(WatchError::new(doing).because(failure.clone()));
        }
        let mut endpoints = Endpoints::default();
        for server in &self.servers {
            match server.question() {
                None => endpoints.push(server.like().clone()),
                Some(question) => {
                    let answer = self.board.last(&question);
                    if let Some(answer) = &answer {
                        endpoints.note_omitted(&question, answer);
                    }
                    match question.kind() {
                        Kind::Addresses => endpoints.addresses(server.like(), answer.as_ref()),
                        Kind::Targets => {
                            let targets = answer.as_ref().map_or(&[][..], Answer::targets);
                            self.targets(server, &question, targets, &mut endpoints);
                        }
                    }
                }
            }
        }
        Ok(endpoints.snapshot())
    }

    fn targets(&self, server: &Server, service: &Question, targets: &[Target], endpoints: &mut Endpoints) {
        for (target, share) in targets.iter().zip(shares(targets)) {
            let entry = || format!("{service} -> {}:{}", target.host, target.port);
            let host = match absolute(target) {
                Ok(host) => host,
                Err(reason) => {
                    endpoints.reject(&entry(), &reason);
                    continue;
                }
            };
            let Some(port) = std::num::NonZeroU16::new(target.port) else {
                endpoints.reject(&entry(), &"the port is 0");
                continue;
            };
            let like =
                server.like().clone().with_port(port).with_backup(share.backup).with_weight(share.weight);
            let question = Question::addresses(&host);
            let answer = self.board.last(&question);
            if let Some(answer) = &answer {
                endpoints.note_omitted(&question, answer);
            }
            endpoints.addresses(&like, answer.as_ref());
        }
    }
}

/// The target's host. Names in records are absolute: no search list completes them.
fn absolute(target: &Target) -> Result<Host, discovery_core::InvalidHost> {
    let host = Host::parse(&target.host)?;
    match host.name() {
        Some(name) if !name.ends_with('.') => Host::parse(&format!("{name}.")),
        _ => Ok(host),
    }
}

/// What is gathered for a snapshot.
#[derive(Default)]
struct Endpoints {
    found: Vec<Endpoint>,
    rejected: Vec<Rejection>,
    beyond: usize,
}

impl Endpoints {
    fn push(&mut self, endpoint: Endpoint) {
        if self.found.len() < MAX_ENDPOINTS {
            self.found.push(endpoint);
        } else {
            self.beyond += 1;
        }
    }

    fn reject(&mut self, entry: &str, reason: &(impl fmt::Display + ?Sized)) {
        self.rejected.push(Rejection::new(entry, reason));
    }

    fn addresses(&mut self, like: &Endpoint, answer: Option<&Answer>) {
        for address in answer.map_or(&[][..], Answer::addresses) {
            match Host::try_from(*address) {
                Ok(host) => self.push(like.clone().with_host(host)),
                Err(reason) => self.reject(&format!("{} -> {address}", like.host()), &reason),
            }
        }
    }

    fn note_omitted(&mut self, question: &Question, answer: &Answer) {
        if answer.omitted > 0 {
            let all = MAX_RECORDS + answer.omitted;
            self.reject(
                &question.to_string(),
                &format!("{all} records: only the first {MAX_RECORDS} are used"),
            );
        }
    }

    fn snapshot(mut self) -> Snapshot {
        if self.beyond > 0 {
            let reason = format!("{} endpoints: only {MAX_ENDPOINTS} are used", MAX_ENDPOINTS + self.beyond);
            self.reject("all servers", &reason);
        }
        Snapshot::new(self.found).with_rejected(self.rejected)
    }
}

#[async_trait]
impl Watcher for Member {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        loop {
            let wanted = self.wanted();
            self.board.want(&wanted);
            if let Some(mark) = self.board.mark()
                && self.told.as_ref() != Some(&mark)
            {
                let answer = self.read(&mark);
                self.told = Some(mark);
                return answer;
            }
            self.board.changed().await?;
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("servers", &self.servers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
