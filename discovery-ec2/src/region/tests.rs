use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use discovery_core::{Health, Observed, Retry, Snapshot, Watcher, supervise};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::{
    describe::{Instance, Page},
    failure::{Failure, Kind},
    filter::Filters,
    selector::Address,
};

const PORT: NonZeroU16 = NonZeroU16::new(80).unwrap();
const EVERY: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_hours(1);

/// An EC2 that knows some instances and ignores filters, as one that knows more than is asked for may; counts what it is asked.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    instances: Vec<Instance>,
    per_page: usize,
    /// When, which page (0 is the first), with which filters.
    calls: Vec<(Instant, usize, String)>,
    /// What is to go wrong: from now on, on pages from this one.
    broken: Option<(Kind, usize)>,
    /// How long each page takes.
    slow: Duration,
    /// With which filters alone it goes wrong, or is slow.
    only: Option<String>,
    /// How many calls are under way, and how many there ever were at the same time.
    busy: (usize, usize),
}

impl State {
    fn concerns(&self, filters: &Filters) -> bool {
        self.only.as_ref().is_none_or(|only| shown(filters).contains(only.as_str()))
    }
}

fn shown(filters: &Filters) -> String {
    let one = |(name, values): (&str, &std::collections::BTreeSet<String>)| {
        format!("{name}={}", values.iter().map(String::as_str).collect::<Vec<_>>().join(","))
    };
    filters.iter().map(one).collect::<Vec<_>>().join(" ")
}

impl Describe for Fake {
    async fn page(&mut self, filters: &Filters, token: Option<&str>) -> Result<Page, Failure> {
        let number = token.map_or(0, |token| token.parse().unwrap());
        let slow = {
            let mut state = self.0.lock().unwrap();
            state.calls.push((Instant::now(), number, shown(filters)));
            state.busy.0 += 1;
            state.busy.1 = state.busy.1.max(state.busy.0);
            if state.concerns(filters) { state.slow } else { Duration::ZERO }
        };
        sleep(slow).await;
        let mut state = self.0.lock().unwrap();
        state.busy.0 -= 1;
        if let Some((kind, from)) = state.broken
            && number >= from
            && state.concerns(filters)
        {
            return Err(Failure::new(kind, "broken for a test"));
        }
        let per_page = if state.per_page == 0 { usize::MAX } else { state.per_page };
        let mut rest = state.instances.iter().skip(number * per_page);
        let instances = rest.by_ref().take(per_page).cloned().collect();
        let next = rest.next().map(|_| (number + 1).to_string());
        Ok(Page { instances, next })
    }
}

impl Fake {
    fn of(instances: impl IntoIterator<Item = Instance>) -> Self {
        let fake = Self::default();
        fake.0.lock().unwrap().instances = instances.into_iter().collect();
        fake
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn breaks(&self, kind: Kind) {
        self.set(|state| state.broken = Some((kind, 0)));
    }

    fn mends(&self) {
        self.set(|state| state.broken = None);
    }

    fn calls(&self) -> usize {
        self.0.lock().unwrap().calls.len()
    }

    /// Filters of the questions, first pages alone.
    fn questions(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.calls.iter().filter(|(_, page, _)| *page == 0).map(|(_, _, filters)| filters.clone()).collect()
    }

    fn region(&self) -> Region {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(20)).unwrap();
        let (region, driver) =
            Region::over(self.clone(), "EC2 in test".to_owned(), Duration::from_mins(1), backoff);
        tokio::spawn(driver);
        region
    }
}

fn instance(number: u8, role: &str) -> Instance {
    Instance {
        id: format!("i-{number}"),
        state: Some("running".to_owned()),
        private_ip: Some(format!("10.0.0.{number}")),
        tags: BTreeMap::from([("role".to_owned(), role.to_owned())]),
        ..Instance::default()
    }
}

fn role(value: &str) -> Selector {
    Selector::tag("role", [value]).unwrap()
}

fn last_bytes(snapshot: &Snapshot) -> Vec<u8> {
    let last = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(_) => 0,
    };
    snapshot.iter().filter_map(|endpoint| endpoint.host().ip()).map(last).collect()
}

async fn found(member: &mut Member) -> Vec<u8> {
    last_bytes(&timeout(LONG, member.next()).await.expect("an answer").expect("a good answer"))
}

async fn fails(member: &mut Member) -> discovery_core::WatchError {
    timeout(LONG, member.next()).await.expect("an answer").expect_err("a failure")
}

mod sharing;
mod trouble;
