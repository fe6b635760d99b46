//! Whose turn it is to be checked.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::roster::MemberId;

/// Gives each member its turn, one after the other, spread over a cycle, at a pace that is not the same on every machine. It goes
/// on across connections; the first cycle begins when the first connection is as old as a cycle is long, since all was listed
/// then.
#[derive(Debug)]
pub(crate) struct Rota {
    cycle: Duration,
    due: Instant,
    last: Option<MemberId>,
}

impl Rota {
    pub(crate) fn new(now: Instant, cycle: Duration) -> Self {
        Self { cycle, due: now + jittered(cycle), last: None }
    }

    /// When the next turn comes.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Whose turn it is, and when the next is. Whoever cannot have it, as nothing is `free`, has the next one.
    pub(crate) fn turn<T>(
        &mut self,
        members: &BTreeMap<MemberId, T>,
        free: bool,
        now: Instant,
    ) -> Option<MemberId> {
        let count = u32::try_from(members.len().max(1)).unwrap_or(u32::MAX);
        self.due = now + jittered(self.cycle / count);
        if !free {
            return None;
        }
        let after = self.last.map_or(0, |MemberId(last)| last + 1);
        let next = members.range(MemberId(after)..).next().or_else(|| members.iter().next());
        self.last = next.map(|(&id, _)| id);
        self.last
    }
}

/// Three quarters to five quarters of a duration.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.75 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CYCLE: Duration = Duration::from_mins(10);

    fn members(ids: impl IntoIterator<Item = u64>) -> BTreeMap<MemberId, u64> {
        ids.into_iter().map(|id| (MemberId(id), id)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_its_turn_within_a_cycle() {
        let (start, members) = (Instant::now(), members(0..1000));
        let mut rota = Rota::new(start, CYCLE);
        assert!(rota.due() >= start + CYCLE.mul_f64(0.75));
        let begin = rota.due();
        for expected in 0..1000 {
            let now = rota.due();
            assert_eq!(rota.turn(&members, true, now), Some(MemberId(expected)));
        }
        let took = rota.due() - begin;
        assert!((CYCLE.mul_f64(0.9)..CYCLE.mul_f64(1.1)).contains(&took), "{took:?}");
        assert_eq!(rota.turn(&members, true, start), Some(MemberId(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_and_goes_does_not_upset_the_others() {
        let now = Instant::now();
        let mut rota = Rota::new(now, CYCLE);
        assert_eq!(rota.turn(&members([]), true, now), None);
        assert_eq!(rota.turn(&members([3, 5]), true, now), Some(MemberId(3)));
        assert_eq!(rota.turn(&members([4, 5]), true, now), Some(MemberId(4)));
        assert_eq!(rota.turn(&members([4, 5]), false, now), None);
        assert_eq!(rota.turn(&members([4, 5]), true, now), Some(MemberId(5)));
        assert_eq!(rota.turn(&members([4, 9]), true, now), Some(MemberId(9)));
        assert_eq!(rota.turn(&members([4, 9]), true, now), Some(MemberId(4)));
    }
}
