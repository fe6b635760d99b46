//! From a question to a whole answer.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::try_join;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::time::Instant;

use crate::{
    exchange::{Exchange, Refusal, Response},
    question::{Answer, Failure, Found, Kind, Question, Target},
    system::Plan,
};

/// How many aliases (CNAME) may stand between a name and what it means, one after the other.
const MAX_ALIASES: usize = 16;
/// How many addresses of a name, and targets of a service, are used. One message can hold four times as many.
pub(crate) const MAX_RECORDS: usize = 1000;
/// For how long a nameserver that was silent is asked after the others.
const SILENCE: Duration = Duration::from_secs(30);

/// The nameservers that were silent, and until when that counts.
#[derive(Debug, Default)]
pub(crate) struct Silent(Mutex<HashMap<SocketAddr, Instant>>);

impl Silent {
    fn note(&self, nameserver: SocketAddr) {
        let mut silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        silent.retain(|_, until| *until > now);
        silent.insert(nameserver, now + SILENCE);
    }

    /// In the order given, but those that were silent last.
    fn sorted(&self, nameservers: &[SocketAddr]) -> Vec<SocketAddr> {
        let silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut sorted = nameservers.to_vec();
        sorted.sort_by_key(|nameserver| silent.get(nameserver).is_some_and(|until| *until > now));
        sorted
    }
}

/// Who is asked, and by what means.
pub(crate) struct Lookup<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) exchange: &'a dyn Exchange,
    pub(crate) silent: &'a Silent,
}

/// What a name has of one kind.
struct Records {
    found: Vec<Record>,
    exists: bool,
    /// In seconds.
    ttl: Option<u32>,
}

impl Lookup<'_> {
    /// Asks for the name as it is or completed by the search list, in the system's order: the first that has anything counts. A
    /// name that cannot be asked for is a failure, though the next might have something: it is another one.
    pub(crate) async fn answer(&self, question: &Question) -> Result<Answer, Failure> {
        let (mut exists, mut ttl) = (false, None);
        for name in candidates(self.plan, question.name())? {
            let answer = match question.kind() {
                Kind::Addresses => self.addresses(&name).await?,
                Kind::Targets => self.targets(&name).await?,
            };
            if !(answer.addresses().is_empty() && answer.targets().is_empty()) {
                return Ok(answer);
            }
            exists |= answer.exists;
            ttl = shorter(ttl, answer.ttl);
        }
        let found = match question.kind() {
            Kind::Addresses => Found::Addresses([].into()),
            Kind::Targets => Found::Targets([].into()),
        };
        Ok(Answer { found, omitted: 0, exists, ttl })
    }

    async fn addresses(&self, name: &Name) -> Result<Answer, Failure> {
        let (four, six) =
            try_join(self.records(name, RecordType::A), self.records(name, RecordType::AAAA)).await?;
        let address = |record: &Record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        let found: BTreeSet<_> = four.found.iter().chain(&six.found).filter_map(address).collect();
        // Of a name that has addresses of one family only, that it has none of the other is news as soon as it has.
        let ttl = shorter(seconds(four.ttl), seconds(six.ttl));
        Ok(Answer {
            omitted: found.len().saturating_sub(MAX_RECORDS),
            found: Found::Addresses(found.into_iter().take(MAX_RECORDS).collect()),
            exists: four.exists || six.exists,
            ttl,
        })
    }

    async fn targets(&self, name: &Name) -> Result<Answer, Failure> {
        let Records { found, exists, ttl } = self.records(name, RecordType::SRV).await?;
        let target = |record: &Record| match &record.data {
            // A lone root says that there is decidedly no such service (RFC 2782).
            RData::SRV(srv) if !srv.target.is_root() => Some(Target {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: srv.target.to_ascii(),
            }),
            _ => None,
        };
        let found: BTreeSet<_> = found.iter().filter_map(target).collect();
        Ok(Answer {
            omitted: found.len().saturating_sub(MAX_RECORDS),
            found: Found::Targets(found.into_iter().take(MAX_RECORDS).collect()),
            exists,
            ttl: seconds(ttl),
        })
    }

    /// The records of one kind that a name has, through all its aliases.
    async fn records(&self, name: &Name, kind: RecordType) -> Result<Records, Failure> {
        let mut path = Path { name: name.clone(), aliases: 0, ttl: None };
        loop {
            let response = self.ask(&path.name, kind).await?;
            if let Some(records) = path.follow(response, kind)? {
                return Ok(records);
            }
        }
    }

    /// Asks the nameservers in order until one answers.
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Response, Failure> {
        let mut refusals = Vec::new();
        for nameserver in self.silent.sorted(&self.plan.nameservers) {
            let refusal = match self.exchange.ask(nameserver, name, kind, self.plan.within).await {
                Ok(response) if response.refers => {
                    Refusal::Useless("does not know, and names other nameservers".to_owned())
                }
                Ok(response) if is_beside(&response, name) => {
                    Refusal::Useless("answers something that was not asked".to_owned())
                }
                Ok(response) => return Ok(response),
                Err(refusal) => refusal,
            };
            if matches!(refusal, Refusal::Silent(_)) {
                self.silent.note(nameserver);
            }
            refusals.push(format!("{nameserver} {} ({kind})", refusal.reason()));
        }
        Err(Failure::Unanswered(refusals.join("; ")))
    }
}

/// Whether there are records, and none of them about the name.
fn is_beside(response: &Response, name: &Name) -> bool {
    !response.answers.is_empty() && response.answers.iter().all(|record| record.name != *name)
}

/// Where the aliases have led so far.
struct Path {
    name: Name,
    aliases: usize,
    /// Of the aliases: what they lead to is right for no longer.
    ttl: Option<u32>,
}

impl Path {
    /// Takes one answer into account. `None`: it ends in an alias, and that is to be asked for.
    fn follow(&mut self, response: Response, kind: RecordType) -> Result<Option<Records>, Failure> {
        let before = self.aliases;
        loop {
            let alias = response.answers.iter().find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == self.name => Some((&target.0, record.ttl)),
                _ => None,
            });
            let Some((target, ttl)) = alias else { break };
            self.aliases += 1;
            if self.aliases > MAX_ALIASES {
                return Err(Failure::Aliases(MAX_ALIASES));
            }
            self.name = target.clone();
            self.ttl = shorter(self.ttl, Some(ttl));
        }
        let Response { exists, answers, negative_ttl, .. } = response;
        let own = |record: &Record| record.name == self.name && record.record_type() == kind;
        let found: Vec<_> = answers.into_iter().filter(own).collect();
        let ttl = found.iter().fold(self.ttl, |ttl, record| shorter(ttl, Some(record.ttl)));
        if !found.is_empty() {
            return Ok(Some(Records { found, exists: true, ttl }));
        }
        if exists && negative_ttl.is_none() && self.aliases > before {
            return Ok(None);
        }
        Ok(Some(Records { found, exists, ttl: shorter(ttl, negative_ttl) }))
    }
}

/// The names that a name may mean, in the order in which they are tried.
fn candidates(plan: &Plan, text: &str) -> Result<Vec<Name>, Failure> {
    let name = Name::from_ascii(text).map_err(|_| Failure::Name)?;
    let mut itself = name.clone();
    itself.set_fqdn(true);
    if name.is_fqdn() || plan.search.is_empty() {
        return Ok(vec![itself]);
    }
    let completed = plan.search.iter().filter_map(|domain| {
        // One that becomes too long is not there.
        let mut whole = name.clone().append_domain(domain).ok()?;
        whole.set_fqdn(true);
        Some(whole)
    });
    let dots = text.bytes().filter(|byte| *byte == b'.').count();
    let mut names: Vec<_> = completed.collect();
    names.insert(if dots >= plan.ndots { 0 } else { names.len() }, itself);
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn seconds(ttl: Option<u32>) -> Option<Duration> {
    ttl.map(|ttl| Duration::from_secs(ttl.into()))
}

fn shorter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
