//! What is told once a second.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use discovery_core::Health;
use tokio::time::{MissedTickBehavior, interval};

use super::{Event, Meter};
use crate::status::{ServiceStatus, Status};

/// How often sources are looked at: as often as Synapse asks its watchers whether they live.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at all sources once a second: who has come and gone, who is well, and who is in use.
#[derive(Debug)]
pub(crate) struct Lookout {
    status: Status,
    meter: Meter,
    /// The services that there were, their methods, and the one child that was in use.
    known: BTreeMap<String, (String, Option<Arc<str>>)>,
}

impl Lookout {
    pub(crate) fn new(status: Status, meter: Meter) -> Self {
        Self { status, meter, known: BTreeMap::new() }
    }

    /// Runs for ever.
    pub(crate) async fn run(mut self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    fn look(&mut self) {
        if !self.meter.listens() {
            // Whoever begins to listen is told of all services.
            self.known.clear();
            return;
        }
        let mut before = std::mem::take(&mut self.known);
        for service in self.status.services() {
            self.look_at(service, &mut before);
        }
        for (service, (method, _)) in before {
            self.meter.tell(Event::SourceStopped { service: &service, method: &method });
        }
    }

    fn look_at(&mut self, status: ServiceStatus, before: &mut BTreeMap<String, (String, Option<Arc<str>>)>) {
        let ServiceStatus { service, method, health, children, resolver, .. } = status;
        let known = before.remove(&service).filter(|(known, _)| *known == method);
        if known.is_none() {
            self.meter.tell(Event::SourceStarted { service: &service, method: &method });
        }
        match health {
            // Nobody knows yet.
            Health::Starting => {}
            Health::Healthy => self.meter.tell(Event::Pulse { service: &service, well: true }),
            Health::Degraded { .. } | Health::Ended { .. } => {
                self.meter.tell(Event::Pulse { service: &service, well: false });
            }
        }
        let mut in_use = children.iter().filter(|child| child.in_use);
        let one = match (in_use.next(), in_use.next()) {
            (Some(one), None) => Some(Arc::clone(&one.name)),
            _ => None,
        };
        let last = known.and_then(|(_, last)| last);
        if let (Some(one), Some(resolver)) = (&one, resolver)
            && resolver != "union"
            && last.as_ref() != Some(one)
        {
            self.meter.tell(Event::Switched { service: &service, resolver, to: one });
        }
        self.known.insert(service, (method, one.or(last)));
    }
}

impl Drop for Lookout {
    /// The agent has ended, and with it all watchers.
    fn drop(&mut self) {
        for (service, (method, _)) in std::mem::take(&mut self.known) {
            self.meter.tell(Event::SourceStopped { service: &service, method: &method });
        }
    }
}
