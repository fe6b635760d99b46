//! When servers that leave are asked whether they can go.

use std::{collections::HashMap, time::Duration};

use haproxy_render::{
    Name,
    plan::{Departure, Drain, Leaving, SHUTDOWN_PAUSE},
};
use tokio::time::Instant;

/// Pauses between two tries to delete a server. The first is short: idle connections end within milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The times of those that leave. [`Leaving`] says who they are.
#[derive(Debug, Default)]
pub(super) struct Departures {
    times: HashMap<(Name, Name), Times>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    since: Instant,
    /// `None`: this process never deletes it.
    next: Option<Instant>,
    pause: Duration,
    /// Whether its connections were ended.
    ended: bool,
}

fn key(departure: &Departure) -> (Name, Name) {
    (departure.backend().clone(), departure.server().clone())
}

impl Departures {
    /// Forgets who is not leaving any more, and begins with who is new.
    pub(super) fn follow(&mut self, leaving: &Leaving, now: Instant) {
        let mut times = HashMap::with_capacity(leaving.len());
        for departure in leaving.iter() {
            let key = key(departure);
            let fresh = Times { since: now, next: Some(now + FIRST_PAUSE), pause: FIRST_PAUSE, ended: false };
            let known = self.times.remove(&key).unwrap_or(fresh);
            times.insert(key, known);
        }
        self.times = times;
    }

    /// When somebody is to be asked next; `None`: nobody.
    pub(super) fn due(&self) -> Option<Instant> {
        self.times.values().filter_map(|times| times.next).min()
    }

    /// Who is to be asked now, and what.
    pub(super) fn ask(&self, leaving: &Leaving, timeout: Duration, now: Instant) -> Vec<(Departure, Drain)> {
        let mut due = Vec::new();
        for departure in leaving.iter() {
            let Some(times) = self.times.get(&key(departure)) else { continue };
            if times.next.is_none_or(|next| next > now) {
                continue;
            }
            let over = !times.ended && now.saturating_duration_since(times.since) >= timeout;
            due.push((departure.clone(), if over { Drain::Over } else { Drain::Waiting }));
        }
        due
    }

    /// It has connections, or did not answer as it should.
    pub(super) fn later(&mut self, departure: &Departure, timeout: Duration, now: Instant) {
        let Some(times) = self.times.get_mut(&key(departure)) else { return };
        times.pause = (times.pause * 2).min(LONGEST_PAUSE);
        let mut next = now + times.pause;
        if !times.ended
            && let Some(over) = times.since.checked_add(timeout).filter(|over| *over > now)
        {
            next = next.min(over);
        }
        times.next = Some(next);
    }

    /// Its connections were ended.
    pub(super) fn ended(&mut self, departure: &Departure, now: Instant) {
        let Some(times) = self.times.get_mut(&key(departure)) else { return };
        *times = Times { next: Some(now + SHUTDOWN_PAUSE), pause: SHUTDOWN_PAUSE, ended: true, ..*times };
    }

    /// It is never deleted.
    pub(super) fn pinned(&mut self, departure: &Departure) {
        if let Some(times) = self.times.get_mut(&key(departure)) {
            times.next = None;
        }
    }

    /// Nobody answered: all those that are due are asked again later.
    pub(super) fn postpone(&mut self, now: Instant) {
        for times in self.times.values_mut() {
            if times.next.is_some_and(|next| next <= now) {
                times.next = Some(now + LONGEST_PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU16, sync::Arc};

    use haproxy_render::{
        Address, Backend, Document, Server, ServerId, Service,
        plan::{Capabilities, Plan, Planner, Version},
    };
    use tokio::time::advance;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// Servers that leave: the planner alone makes them.
    fn leaving(names: &[&str]) -> Leaving {
        let web = Name::parse("web").unwrap();
        let document = |servers: Vec<Server>| {
            let mut backend = Backend::new(web.clone(), Vec::new());
            backend.servers = servers;
            let mut document = Document::default();
            document.services.push(Arc::new(Service::new(web.clone(), backend)));
            document
        };
        let server = |(id, name): (u32, &&str)| {
            let (name, id) = (Name::parse(name).unwrap(), ServerId::new(id).unwrap());
            let address = Address::parse("10.0.0.1").unwrap();
            Server::builder(name, address, NonZeroU16::MIN, id).build().unwrap()
        };
        let before = document((1..).zip(names).map(server).collect());
        let planner = Planner::new(Capabilities::of(Version::parse("3.0").unwrap()));
        match planner.change(&before, &document(Vec::new()), &Leaving::default()) {
            Plan::Commands(commands) => commands.leaving().clone(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_busy_is_asked_ever_more_seldom_and_told_off_at_the_timeout() {
        let start = Instant::now();
        let leaving = leaving(&["a"]);
        let mut departures = Departures::default();
        departures.follow(&leaving, start);
        assert!(departures.ask(&leaving, TIMEOUT, start).is_empty());
        let mut asked = 0;
        loop {
            tokio::time::sleep_until(departures.due().unwrap()).await;
            let now = Instant::now();
            let [(departure, drain)] = &departures.ask(&leaving, TIMEOUT, now)[..] else { panic!() };
            if *drain == Drain::Over {
                assert_eq!(now - start, TIMEOUT);
                departures.ended(departure, now);
                break;
            }
            departures.later(departure, TIMEOUT, now);
            asked += 1;
        }
        assert!((10..=20).contains(&asked), "{asked}");
        // Told off once, and asked again soon.
        assert_eq!(departures.due(), Some(Instant::now() + SHUTDOWN_PAUSE));
        advance(SHUTDOWN_PAUSE).await;
        let [(_, Drain::Waiting)] = &departures.ask(&leaving, TIMEOUT, Instant::now())[..] else { panic!() };
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_is_given_where_there_is_none() {
        let leaving = leaving(&["a"]);
        let mut departures = Departures::default();
        departures.follow(&leaving, Instant::now());
        advance(FIRST_PAUSE).await;
        let asked = departures.ask(&leaving, Duration::ZERO, Instant::now());
        assert_eq!(asked[0].1, Drain::Over);
        let longest = departures.ask(&leaving, Duration::MAX, Instant::now());
        departures.later(&longest[0].0, Duration::MAX, Instant::now());
        assert!(departures.due().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_pinned_or_gone_is_not_asked() {
        let (both, one) = (leaving(&["a", "b"]), leaving(&["a"]));
        let mut departures = Departures::default();
        departures.follow(&both, Instant::now());
        advance(FIRST_PAUSE).await;
        let asked = departures.ask(&both, TIMEOUT, Instant::now());
        assert_eq!(asked.len(), 2);
        departures.pinned(&asked[0].0);
        assert_eq!(departures.ask(&both, TIMEOUT, Instant::now()).len(), 1);
        departures.follow(&one, Instant::now());
        assert_eq!(departures.due(), None, "the one that is left is pinned");
        departures.follow(&Leaving::default(), Instant::now());
        departures.follow(&one, Instant::now());
        assert!(departures.due().is_some(), "one that left again is another");
    }

    #[tokio::test(start_paused = true)]
    async fn when_nobody_answers_all_wait() {
        let leaving = leaving(&["a", "b"]);
        let mut departures = Departures::default();
        departures.follow(&leaving, Instant::now());
        advance(FIRST_PAUSE).await;
        departures.postpone(Instant::now());
        assert_eq!(departures.due(), Some(Instant::now() + LONGEST_PAUSE));
    }
}
