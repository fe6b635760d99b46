//! Who wants to know what, and which questions answer all of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::{
    answer::{Answer, Slot, tell},
    failure::{Failure, Kind},
    filter::Filters,
};

/// How long to wait for others after somebody wants to know something: whoever starts together is asked for together.
const GATHER: Duration = Duration::from_millis(50);

/// How soon after a question the next may follow for somebody whom it did not cover.
const AGAIN: Duration = Duration::from_secs(1);

/// Which member. Never used twice in one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberId(pub(crate) u64);

/// What members tell the driver. Each member has at most two of these under way, so they need no bound.
#[derive(Debug)]
pub(crate) enum Command {
    /// Somebody wants to know something.
    Join { id: MemberId, wanted: Wanted, slot: watch::Sender<Slot> },
    /// Somebody does not want to know any more.
    Leave(MemberId),
}

/// What a member wants to know, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) filters: Filters,
    /// Only EC2 can judge these filters.
    pub(crate) foreign: bool,
    pub(crate) every: Duration,
}

/// Which question answers a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// The one for everybody whose filters can be judged here.
    Shared,
    /// One of its own, and of whoever has the same filters.
    Own(Filters),
}

#[derive(Debug)]
struct Tracked {
    wanted: Wanted,
    slot: watch::Sender<Slot>,
}

/// One question that is asked time and again.
#[derive(Debug)]
pub(crate) struct Group {
    members: BTreeMap<MemberId, Tracked>,
    /// When to ask next.
    pub(crate) due: Instant,
    /// When it was asked last.
    asked: Option<Instant>,
    /// The last answer, and how many pages it had.
    last: Option<(Arc<Answer>, usize)>,
    /// How often in a row this question failed for reasons of its own.
    pub(crate) failures: u32,
    /// The last of these reasons.
    trouble: Option<Kind>,
}

impl Group {
    /// The smallest interval that anybody asked for.
    pub(crate) fn every(&self) -> Duration {
        self.members.values().map(|member| member.wanted.every).min().unwrap_or(Duration::from_secs(15))
    }

    fn question(&self) -> Filters {
        Filters::superset(&self.members.values().map(|member| &member.wanted.filters).collect::<Vec<_>>())
    }

    /// Asks earlier, for the sake of somebody who has no answer yet.
    fn hurry(&mut self, now: Instant) {
        if self.failures == 0 {
            let soon = now + GATHER;
            self.due = self.due.min(self.asked.map_or(soon, |asked| soon.max(asked + AGAIN)));
        }
    }
}

/// All members, by the questions that answer them.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    groups: BTreeMap<Topic, Group>,
    topics: BTreeMap<MemberId, Topic>,
    /// Why nothing can be asked, while that is so.
    down: Option<Failure>,
}

impl Roster {
    pub(crate) fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Join { id, wanted, slot } => self.join(id, wanted, slot, now),
            Command::Leave(id) => {
                let Some(topic) = self.topics.remove(&id) else { return };
                if let Some(group) = self.groups.get_mut(&topic) {
                    group.members.remove(&id);
                    if group.members.is_empty() {
                        self.groups.remove(&topic);
                        if self.down.is_some() {
                            // It may have been the one that would have noticed the end of it first.
                            self.hasten(now);
                        }
                    }
                }
            }
        }
    }

    fn join(&mut self, id: MemberId, wanted: Wanted, slot: watch::Sender<Slot>, now: Instant) {
        let topic = if wanted.foreign { Topic::Own(wanted.filters.clone()) } else { Topic::Shared };
        let group = self.groups.entry(topic.clone()).or_insert_with(|| Group {
            members: BTreeMap::new(),
            due: now + GATHER,
            asked: None,
            last: None,
            failures: 0,
            trouble: None,
        });
        let known = group.last.as_ref().map(|(answer, _)| answer).filter(|answer| {
            answer.filters.covers(&wanted.filters)
                && now.saturating_duration_since(answer.asked) < wanted.every
        });
        let every = wanted.every;
        match (known, &self.down) {
            (Some(answer), _) => {
                tell(&slot, answer);
                group.due = group.due.min(answer.asked + every);
            }
            (None, Some(failure)) => slot.send_modify(|slot| slot.fail(failure.told())),
            (None, None) => group.hurry(now),
        }
        group.members.insert(id, Tracked { wanted, slot });
        self.topics.insert(id, topic);
    }

    /// How many members there are, and how many questions.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.topics.len(), self.groups.len())
    }

    /// The question that is due first, and when.
    pub(crate) fn next(&self) -> Option<(Topic, Instant)> {
        let first = self.groups.iter().min_by_key(|(_, group)| group.due)?;
        Some((first.0.clone(), first.1.due))
    }

    pub(crate) fn group(&mut self, topic: &Topic) -> Option<&mut Group> {
        self.groups.get_mut(topic)
    }

    /// What to ask now; remembers that it was asked.
    pub(crate) fn ask(&mut self, topic: &Topic, now: Instant) -> Option<Filters> {
        let group = self.groups.get_mut(topic)?;
        group.asked = Some(now);
        Some(group.question())
    }

    /// Tells everybody whom an answer covers. Whoever joined since the question and is not covered is asked for soon.
    pub(crate) fn answered(&mut self, topic: &Topic, answer: Answer, pages: usize, due: Instant) {
        let now = Instant::now();
        if self.down.take().is_some() {
            // Everybody was told of the failure, so everybody is to hear that it is over.
            self.hasten(now);
        }
        let Some(group) = self.groups.get_mut(topic) else { return };
        let answer = Arc::new(answer);
        (group.due, group.failures, group.trouble) = (due, 0, None);
        let mut missed = false;
        for member in group.members.values() {
            if answer.filters.covers(&member.wanted.filters) {
                tell(&member.slot, &answer);
            } else {
                missed = true;
            }
        }
        group.last = Some((answer, pages));
        if missed {
            group.hurry(now);
        }
    }

    /// Tells the members of one question, or everybody, that it failed. Returns whether that is news: the first failure, or one
    /// of another kind than the last.
    pub(crate) fn failed(&mut self, topic: &Topic, failure: &Failure, due: Instant) -> bool {
        let kind = failure.kind();
        if let Some(group) = self.groups.get_mut(topic) {
            // Whomever it concerns: the others have their turn before the same question is asked again. It may be the only one
            // that fails.
            group.due = due;
        }
        if kind.concerns_all() {
            for group in self.groups.values_mut() {
                group.fail(failure);
            }
            return self.down.replace(failure.clone()).is_none_or(|last| last.kind() != kind);
        }
        let Some(group) = self.groups.get_mut(topic) else { return false };
        group.fail(failure);
        group.failures = group.failures.saturating_add(1);
        group.trouble.replace(kind) != Some(kind)
    }

    /// Asks every question as soon as possible.
    fn hasten(&mut self, now: Instant) {
        for group in self.groups.values_mut() {
            group.due = group.due.min(now);
        }
    }

    /// Pages and interval of each question that was answered.
    pub(crate) fn cost(&self) -> impl Iterator<Item = (usize, Duration)> {
        self.groups.values().filter_map(|group| Some((group.last.as_ref()?.1, group.every())))
    }
}

impl Group {
    fn fail(&self, failure: &Failure) {
        for member in self.members.values() {
            member.slot.send_modify(|slot| slot.fail(failure.told()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn wanted(value: &str, foreign: bool) -> Wanted {
        let mut filters = Filters::default();
        filters.add("tag:role".to_owned(), BTreeSet::from([value.to_owned()]));
        Wanted { filters, foreign, every: Duration::from_secs(10) }
    }

    fn join(roster: &mut Roster, id: u64, wanted: Wanted) -> watch::Receiver<Slot> {
        let (slot, seen) = watch::channel(Slot::default());
        roster.obey(Command::Join { id: MemberId(id), wanted, slot }, Instant::now());
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn services_share_a_question_unless_only_ec2_can_tell_them_apart() {
        let mut roster = Roster::default();
        let _seen = [
            join(&mut roster, 1, wanted("web", false)),
            join(&mut roster, 2, wanted("db", false)),
            join(&mut roster, 3, wanted("we?", true)),
            join(&mut roster, 4, wanted("we?", true)),
            join(&mut roster, 5, wanted("d?", true)),
        ];
        assert_eq!(roster.size(), (5, 3));
        for id in 3..=4 {
            roster.obey(Command::Leave(MemberId(id)), Instant::now());
        }
        assert_eq!(roster.size(), (3, 2));
        for id in [1, 2, 5, 5] {
            roster.obey(Command::Leave(MemberId(id)), Instant::now());
        }
        assert_eq!(roster.size(), (0, 0));
        assert!(roster.next().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_news_when_it_is_the_first_or_of_another_kind() {
        let mut roster = Roster::default();
        let _seen = join(&mut roster, 1, wanted("web", false));
        let mut news = |kind| {
            let failure = Failure::new(kind, "broken for a test");
            roster.failed(&Topic::Shared, &failure, Instant::now())
        };
        let kinds = [Kind::Unreachable, Kind::Unreachable, Kind::Refused, Kind::Throttled, Kind::Throttled];
        assert_eq!(kinds.map(&mut news), [true, false, true, true, false]);
        assert_eq!([Kind::Answer, Kind::Answer, Kind::Question].map(news), [true, false, true]);
    }
}
