//! Nameservers that do as a test tells them.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use discovery_core::Backoff;
use hickory_resolver::proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{CNAME, SRV},
};
use tokio::time::{Instant, sleep};

use crate::{
    exchange::{Exchange, Refusal, Response},
    nameserver::Nameservers,
    resolver::Resolver,
};

/// What a nameserver does with one question.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    Answer(Response),
    /// Waits for as long as it is given, and more.
    Hang,
    Refuse,
}

/// One question that was asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) when: Instant,
    pub(crate) nameserver: SocketAddr,
    pub(crate) name: String,
    pub(crate) kind: RecordType,
}

/// All nameservers there are. Names are without the dot at the end. What is not told is NXDOMAIN, for a minute.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripted(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    does: HashMap<(String, RecordType), Does>,
    /// Of one nameserver, whatever is asked.
    of: HashMap<SocketAddr, Does>,
    takes: Duration,
    seen: Vec<Seen>,
}

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).unwrap()
}

pub(crate) fn record(owner: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(owner), ttl, data)
}

pub(crate) fn address(ip: &str) -> RData {
    match ip.parse().unwrap() {
        std::net::IpAddr::V4(four) => RData::A(four.into()),
        std::net::IpAddr::V6(six) => RData::AAAA(six.into()),
    }
}

pub(crate) fn alias(target: &str) -> RData {
    RData::CNAME(CNAME(name(target)))
}

pub(crate) fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, weight, port, name(target)))
}

pub(crate) fn records(answers: Vec<Record>) -> Response {
    Response { exists: true, answers, ..Response::default() }
}

pub(crate) fn nobody(exists: bool, ttl: Option<u32>) -> Response {
    Response { exists, negative_ttl: ttl, ..Response::default() }
}

/// Waits for what must come, for an hour of the paused clock at most.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_hours(1), what).await;
    waited.expect("it comes within an hour")
}

impl Scripted {
    pub(crate) fn does(&self, name: &str, kind: RecordType, does: Does) {
        self.0.lock().unwrap().does.insert((name.to_owned(), kind), does);
    }

    /// A and AAAA are answered with these; one kind without any has none for as long.
    pub(crate) fn has(&self, name: &str, ttl: u32, ips: &[&str]) {
        for kind in [RecordType::A, RecordType::AAAA] {
            let of_kind = ips.iter().map(|ip| record(name, ttl, address(ip)));
            let answers: Vec<_> = of_kind.filter(|record| record.record_type() == kind).collect();
            let none = answers.is_empty();
            let response = if none { nobody(true, Some(ttl)) } else { records(answers) };
            self.does(name, kind, Does::Answer(response));
        }
    }

    pub(crate) fn serves(&self, name: &str, ttl: u32, targets: Vec<RData>) {
        let answers = targets.into_iter().map(|data| record(name, ttl, data)).collect();
        self.does(name, RecordType::SRV, Does::Answer(records(answers)));
    }

    /// A, AAAA and SRV of a name.
    pub(crate) fn all_do(&self, name: &str, does: &Does) {
        for kind in [RecordType::A, RecordType::AAAA, RecordType::SRV] {
            self.does(name, kind, does.clone());
        }
    }

    pub(crate) fn nameserver_does(&self, nameserver: &str, does: Option<Does>) {
        let of = &mut self.0.lock().unwrap().of;
        let nameserver = nameserver.parse().unwrap();
        match does {
            Some(does) => of.insert(nameserver, does),
            None => of.remove(&nameserver),
        };
    }

    /// Every answer takes so long.
    pub(crate) fn takes(&self, takes: Duration) {
        self.0.lock().unwrap().takes = takes;
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().seen.clone()
    }

    /// How often A records of the name were asked for.
    pub(crate) fn times(&self, name: &str) -> usize {
        self.seen().iter().filter(|seen| seen.name == name && seen.kind == RecordType::A).count()
    }

    /// A resolver by these nameservers whose driver runs until the test ends. It backs off for at most two seconds.
    pub(crate) fn resolver(&self, nameservers: &[&str]) -> Resolver {
        let listed = nameservers.iter().map(|text| text.parse().unwrap()).collect();
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2)).unwrap();
        let (resolver, driver) =
            Resolver::through(Nameservers::Listed(listed), backoff, Arc::new(self.clone()));
        tokio::spawn(driver);
        resolver
    }
}

#[async_trait]
impl Exchange for Scripted {
    async fn ask(
        &self,
        nameserver: SocketAddr,
        name: &Name,
        kind: RecordType,
        within: Duration,
    ) -> Result<Response, Refusal> {
        let text = name.to_ascii().trim_end_matches('.').to_owned();
        let (does, takes) = {
            let mut state = self.0.lock().unwrap();
            state.seen.push(Seen { when: Instant::now(), nameserver, name: text.clone(), kind });
            let does = state.of.get(&nameserver).or_else(|| state.does.get(&(text, kind))).cloned();
            (does, state.takes)
        };
        sleep(takes).await;
        match does {
            None => Ok(nobody(false, Some(60))),
            Some(Does::Answer(response)) => Ok(response),
            Some(Does::Refuse) => Err(Refusal::Useless("answers SERVFAIL".to_owned())),
            Some(Does::Hang) => {
                sleep(within).await;
                Err(Refusal::Silent(format!("does not answer within {within:?}")))
            }
        }
    }
}
