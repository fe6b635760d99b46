//! Going on otherwise, or in another's place.

use super::Live;
use crate::Past;

impl Live {
    /// Goes on with the check, the reload, the pace and the times of `other`, which was made for the same file and sockets and has done
    /// nothing yet. Everything that is known of HAProxy stays known. See [`Applier::adopt`](crate::Applier::adopt).
    pub fn adopt(&mut self, other: Self) {
        self.applier.adopt(other.applier);
        self.failing = None;
        (self.init_state, self.strangers) = (other.init_state, other.strangers);
        (self.drain_timeout, self.verify_within) = (other.drain_timeout, other.verify_within);
        self.settling.adopt(&other.settling);
        if let Some(known) = &mut self.known {
            let planner = known.planner.clone();
            known.planner = planner.init_state(self.init_state).strangers(self.strangers);
        }
    }

    /// What [`with_past`](Self::with_past) wants to know.
    pub fn past(&self) -> Past {
        let mut past = self.applier.past();
        past.live = self.counters;
        past
    }

    /// Takes the place of another, which writes elsewhere or talks through other sockets, say. See
    /// [`Applier::with_past`](crate::Applier::with_past).
    pub fn with_past(mut self, past: &Past) -> Self {
        self.applier = self.applier.with_past(past);
        self.counters = past.live;
        self
    }
}
