//! Which children are in use: pure functions.

use std::task::Context;

use tokio::time::Instant;

use super::standing::Standing;
#[cfg(feature = "file")]
use super::{standing::FIRST, toggle::Dial};
use crate::snapshot::Rejection;

/// How the answers of the children become one.
pub(super) enum Resolver {
    Union,
    Sequential,
    #[cfg(feature = "file")]
    Toggle(Dial),
}

/// What follows from how the children stand.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet.
    Wait,
    /// The last answers of these are in use. Whether the whole is well.
    Serve { chosen: Vec<usize>, well: bool },
}

#[cfg_attr(
    not(feature = "file"),
    allow(unused_variables, reason = "only what reads a file has a time of its own")
)]
impl Resolver {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Union => "union",
            Self::Sequential => "sequential",
            #[cfg(feature = "file")]
            Self::Toggle(_) => "toggle",
        }
    }

    pub(super) fn resolve(
        &self,
        children: &[Standing<'_>],
        in_use: &[usize],
        started: Instant,
        now: Instant,
    ) -> Verdict {
        match self {
            Self::Union => union(children),
            Self::Sequential => sequential(children, in_use),
            #[cfg(feature = "file")]
            // Before the file was looked at, the first choice may be one that will not last.
            Self::Toggle(dial) if !dial.is_set() && now < started + FIRST => Verdict::Wait,
            #[cfg(feature = "file")]
            Self::Toggle(dial) => toggle(children, dial.chosen(), in_use),
        }
    }

    /// Lets it make progress. Whether there is news.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        match self {
            Self::Union | Self::Sequential => false,
            #[cfg(feature = "file")]
            Self::Toggle(dial) => dial.poll(context),
        }
    }

    /// When it resolves otherwise although nothing is heard of anybody.
    pub(super) fn until(&self, started: Instant) -> Option<Instant> {
        match self {
            Self::Union | Self::Sequential => None,
            #[cfg(feature = "file")]
            Self::Toggle(dial) => (!dial.is_set()).then_some(started + FIRST),
        }
    }

    /// The one child that matters, if there is one.
    pub(super) fn chosen(&self) -> Option<usize> {
        match self {
            Self::Union | Self::Sequential => None,
            #[cfg(feature = "file")]
            Self::Toggle(dial) => Some(dial.chosen()),
        }
    }

    /// What is wrong with what it goes by.
    pub(super) fn problem(&self) -> Option<Rejection> {
        match self {
            Self::Union | Self::Sequential => None,
            #[cfg(feature = "file")]
            Self::Toggle(dial) => dial.problem(),
        }
    }
}

/// All who ever answered.
fn union(children: &[Standing<'_>]) -> Verdict {
    if children.iter().any(|child| matches!(child, Standing::Awaited { .. })) {
        return Verdict::Wait;
    }
    let answered = children.iter().enumerate().filter(|(_, child)| child.last().is_some());
    Verdict::Serve {
        chosen: answered.map(|(index, _)| index).collect(),
        well: children.iter().any(Standing::is_well),
    }
}

/// The first that is well and has somebody.
fn sequential(children: &[Standing<'_>], in_use: &[usize]) -> Verdict {
    for (index, child) in children.iter().enumerate() {
        if child.has_somebody() {
            return Verdict::Serve { chosen: vec![index], well: true };
        }
        if matches!(child, Standing::Awaited { .. }) {
            return Verdict::Wait;
        }
    }
    let first = children.iter().position(|child| child.last().is_some());
    let well = children.iter().any(Standing::is_well);
    // With nobody left who knows better, a change would be a guess.
    let stays = in_use.first().copied().filter(|_| !well);
    Verdict::Serve { chosen: stays.or(first).into_iter().collect(), well }
}

/// The one that was chosen; the one in use until that has answered once.
#[cfg(feature = "file")]
fn toggle(children: &[Standing<'_>], chosen: usize, in_use: &[usize]) -> Verdict {
    match children.get(chosen) {
        Some(Standing::Awaited { .. }) => Verdict::Wait,
        Some(Standing::Well { .. }) => Verdict::Serve { chosen: vec![chosen], well: true },
        Some(Standing::Failed { last: Some(_) }) => Verdict::Serve { chosen: vec![chosen], well: false },
        Some(Standing::Failed { last: None }) | None => {
            Verdict::Serve { chosen: in_use.to_vec(), well: false }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{endpoint::Endpoint, snapshot::Snapshot};

    fn some() -> Snapshot {
        Snapshot::new([Endpoint::new("10.0.0.1".parse().unwrap(), 80).unwrap()])
    }

    fn well(snapshot: &Snapshot) -> Standing<'_> {
        Standing::Well { snapshot, until: None }
    }

    fn failed(snapshot: &Snapshot) -> Standing<'_> {
        Standing::Failed { last: Some(snapshot) }
    }

    const NEVER: Standing<'_> = Standing::Failed { last: None };

    fn awaited() -> Standing<'static> {
        Standing::Awaited { until: Instant::now() }
    }

    fn serve<const N: usize>(chosen: [usize; N], well: bool) -> Verdict {
        Verdict::Serve { chosen: chosen.into(), well }
    }

    #[test]
    fn a_union_has_the_last_answers_of_all_and_waits_for_those_who_may_answer_soon() {
        let (some, none) = (some(), Snapshot::default());
        assert_eq!(union(&[well(&some), failed(&some), NEVER, well(&none)]), serve([0, 1, 3], true));
        assert_eq!(union(&[failed(&some), NEVER]), serve([0], false));
        assert_eq!(union(&[well(&some), awaited()]), Verdict::Wait);
        assert_eq!(union(&[NEVER, NEVER]), serve([], false));
    }

    #[test]
    fn a_sequence_has_the_first_who_is_well_and_has_somebody() {
        let (some, none) = (some(), Snapshot::default());
        assert_eq!(sequential(&[well(&some), well(&some)], &[1]), serve([0], true));
        assert_eq!(sequential(&[failed(&some), well(&some)], &[0]), serve([1], true));
        assert_eq!(sequential(&[well(&none), well(&some)], &[0]), serve([1], true));
        assert_eq!(sequential(&[NEVER, well(&none), well(&some)], &[]), serve([2], true));
        let unavailable = Snapshot::new(some.iter().map(|one| one.clone().with_available(false)));
        assert_eq!(sequential(&[well(&unavailable), well(&some)], &[]), serve([1], true));
    }

    #[test]
    fn a_sequence_waits_for_who_comes_first_and_not_for_who_comes_later() {
        let (some, none) = (some(), Snapshot::default());
        assert_eq!(sequential(&[awaited(), well(&some)], &[]), Verdict::Wait);
        assert_eq!(sequential(&[well(&some), awaited()], &[]), serve([0], true));
        assert_eq!(sequential(&[well(&none), awaited()], &[]), Verdict::Wait);
    }

    #[test]
    fn when_nobody_has_anybody_a_sequence_has_its_first_and_when_nobody_is_well_it_stays() {
        let (some, none) = (some(), Snapshot::default());
        assert_eq!(sequential(&[well(&none), well(&none)], &[1]), serve([0], true));
        assert_eq!(sequential(&[failed(&some), well(&none)], &[1]), serve([0], true));
        assert_eq!(sequential(&[NEVER, well(&none)], &[]), serve([1], true));
        assert_eq!(sequential(&[failed(&some), failed(&some)], &[1]), serve([1], false));
        assert_eq!(sequential(&[failed(&none), failed(&some)], &[]), serve([0], false));
        assert_eq!(sequential(&[NEVER, NEVER], &[]), serve([], false));
    }

    #[cfg(feature = "file")]
    #[test]
    fn a_toggle_has_the_chosen_one_whatever_it_says_unless_it_never_said_anything() {
        let (some, none) = (some(), Snapshot::default());
        assert_eq!(toggle(&[well(&some), well(&none)], 1, &[0]), serve([1], true));
        assert_eq!(toggle(&[well(&some), failed(&some)], 1, &[0]), serve([1], false));
        assert_eq!(toggle(&[well(&some), NEVER], 1, &[0]), serve([0], false));
        assert_eq!(toggle(&[well(&some), awaited()], 1, &[0]), Verdict::Wait);
        assert_eq!(toggle(&[NEVER, well(&some)], 0, &[]), serve([], false));
    }
}
