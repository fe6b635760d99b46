//! How each rule is checked.

use std::time::Duration;

use tokio::time::Instant;

use super::{Check, Subject};
use crate::{
    endpoint::Endpoint,
    error::{Retry, WatchError},
    snapshot::Snapshot,
    testing::listener::{BUSY, Call, Heard, until, until_error},
};

/// Whether a check was passed (true) or could not be made (false); or what went wrong.
type Outcome = Result<bool, String>;

/// How many changes make a burst.
const BURST: u8 = 20;
/// A watcher is dropped after 0, 1, 2… polls, up to this many or until it answers sooner.
const DEPTH: usize = 32;
/// How long an undisturbed watcher is looked at.
const QUIET: Duration = Duration::from_millis(500);
/// How often it may answer or be polled in that time.
const OFTEN: usize = 200;

/// A subject on which checks are made.
#[derive(Debug)]
pub(super) struct Bench<'a, S> {
    subject: &'a mut S,
}

/// Whether an answer can have been true at some moment while `old` became `new`, in steps of single endpoints.
fn between<'a>(old: &'a [Endpoint], new: &'a [Endpoint]) -> impl Fn(&Snapshot) -> bool + 'a {
    let has = |list: &[Endpoint], one: &Endpoint| list.iter().any(|other| other.key() == one.key());
    move |snapshot| {
        let all_known = snapshot.into_iter().all(|one| old.contains(one) || new.contains(one));
        let stays = old.iter().filter(|one| has(new, one));
        all_known && { stays }.all(|one| has(snapshot.endpoints(), one))
    }
}

fn only(wanted: &[Endpoint]) -> impl Fn(&Snapshot) -> bool {
    move |snapshot| snapshot.endpoints() == wanted
}

impl<'a, S: Subject> Bench<'a, S> {
    pub(super) fn new(subject: &'a mut S) -> Self {
        Self { subject }
    }

    pub(super) async fn run(&mut self, check: Check) -> Outcome {
        match check {
            Check::FullFirst => self.full_first().await,
            Check::EmptyIsAnAnswer => self.empty_is_an_answer().await,
            Check::TellsNews => self.tells_news().await,
            Check::EndsBurstsRight => self.ends_bursts_right().await,
            Check::RejectsWhatCannotBeParsed => self.rejects_what_cannot_be_parsed().await,
            Check::FailsWhenDown => self.fails_when_down().await,
            Check::RecoversAfterErrors => self.recovers_after_errors().await,
            Check::SeesWhatItMissed => self.sees_what_it_missed().await,
            Check::NoticesAFrozenPeer => self.notices_a_frozen_peer().await,
            Check::LosesNothingWhenDropped => self.loses_nothing_when_dropped().await,
            Check::WaitsWithoutNews => self.waits_without_news().await,
        }
    }

    /// The endpoints with these numbers, in the order in which a snapshot has them.
    fn pool<const N: usize>(&self, numbers: [u8; N]) -> Vec<Endpoint> {
        let snapshot: Snapshot = numbers.into_iter().map(|number| self.subject.endpoint(number)).collect();
        snapshot.endpoints().to_vec()
    }

    /// The same, the first of them altered if the subject can do that.
    fn altered(&self, numbers: &[Endpoint]) -> Vec<Endpoint> {
        let first = numbers.first().and_then(|first| self.subject.altered(first));
        let rest = if first.is_some() { &numbers[1..] } else { numbers };
        let snapshot: Snapshot = first.iter().chain(rest).cloned().collect();
        snapshot.endpoints().to_vec()
    }

    fn deadline(&self) -> Duration {
        self.subject.deadline()
    }

    /// How long an answer may take when the source has just come back: the trouble may still be noticed first.
    fn comeback(&self) -> Duration {
        self.deadline() + self.subject.notices_within()
    }

    /// A watcher that has told its first answer, all of `endpoints`.
    async fn settled(&mut self, endpoints: &[Endpoint]) -> Result<S::Watcher, String> {
        self.subject.set(endpoints).await;
        let mut watcher = self.subject.watcher().await;
        until(&mut watcher, endpoints, self.deadline(), only(endpoints)).await?;
        Ok(watcher)
    }

    async fn full_first(&mut self) -> Outcome {
        let three = self.pool([1, 2, 3]);
        self.settled(&three).await?;
        Ok(true)
    }

    async fn empty_is_an_answer(&mut self) -> Outcome {
        let mut watcher = self.settled(&[]).await?;
        if self.subject.changes() {
            let three = self.pool([1, 2, 3]);
            for (old, new) in [(&[][..], &three[..]), (&three[..], &[][..])] {
                self.subject.set(new).await;
                until(&mut watcher, new, self.deadline(), between(old, new)).await?;
            }
        }
        Ok(true)
    }

    async fn tells_news(&mut self) -> Outcome {
        if !self.subject.changes() {
            return Ok(false);
        }
        let two = self.pool([1, 2]);
        let three = self.pool([1, 2, 3]);
        let altered = self.altered(&three);
        let others = self.pool([2, 4]);
        let mut watcher = self.settled(&two).await?;
        for pair in [&two, &three, &altered, &others, &two].windows(2) {
            let (old, new) = (pair[0], pair[1]);
            if old == new {
                continue; // The subject has nothing to alter.
            }
            self.subject.set(new).await;
            until(&mut watcher, new, self.deadline(), between(old, new)).await?;
        }
        Ok(true)
    }

    async fn ends_bursts_right(&mut self) -> Outcome {
        if !self.subject.changes() {
            return Ok(false);
        }
        let one = self.pool([1]);
        let last = self.altered(&self.pool([1, 3]));
        for listens in [false, true] {
            let mut watcher = self.settled(&one).await?;
            let states: Vec<_> = (0..BURST).map(|number| self.pool([1, 100 + number])).collect();
            let legitimate = |snapshot: &Snapshot| {
                let mut keys = snapshot.into_iter().map(Endpoint::key);
                keys.any(|key| key == one[0].key())
            };
            let within = self.deadline();
            let subject = &mut *self.subject;
            let burst = async {
                for state in states.iter().chain([&last]) {
                    subject.set(state).await;
                }
            };
            if listens {
                // The bound is for all of the burst: how long each change takes is the source's affair.
                let listening = until(&mut watcher, &last, within * u32::from(BURST), legitimate);
                tokio::join!(burst, listening).1?;
            } else {
                burst.await;
                until(&mut watcher, &last, within, legitimate).await?;
            }
            self.quiet(&mut watcher, &last).await?;
        }
        Ok(true)
    }

    /// Looks at a watcher that has no news: it may say nothing but `known`, and that not often.
    async fn quiet(&mut self, watcher: &mut S::Watcher, known: &[Endpoint]) -> Result<(), String> {
        let end = Instant::now() + QUIET;
        let (mut answers, mut polls) = (0, 0);
        loop {
            let mut call = Call::new(watcher);
            let heard = call.advance(OFTEN + 1, end.saturating_duration_since(Instant::now())).await;
            polls += call.polls;
            match heard {
                Heard::Answer(Ok(snapshot)) if snapshot.endpoints() != known => {
                    return Err(format!("it said {snapshot:?} after {known:?}, without news"));
                }
                Heard::Answer(Err(error)) => {
                    return Err(format!("it failed without a reason: {}", error.chain()));
                }
                Heard::Answer(Ok(_)) => answers += 1,
                Heard::Silence | Heard::Busy => {}
            }
            if answers > OFTEN || polls > OFTEN {
                return Err(format!(
                    "without news it was polled {polls} times and answered {answers} times within {QUIET:?}"
                ));
            }
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }

    async fn rejects_what_cannot_be_parsed(&mut self) -> Outcome {
        let two = self.pool([1, 2]);
        let deadline = self.deadline();
        let mut old = self.settled(&two).await?;
        if !self.subject.corrupt().await {
            return Ok(false);
        }
        let mut new = self.subject.watcher().await;
        let first = until(&mut new, &two, deadline, only(&two)).await?;
        if first.rejected().total() == 0 {
            return Err("the first answer does not list the entry that cannot be parsed".to_owned());
        }
        if self.subject.changes() {
            let end = Instant::now() + deadline;
            // Answers that say "still so" are allowed meanwhile, but not without end.
            let mut answers = 0;
            while until(&mut old, &two, deadline, only(&two)).await?.rejected().total() == 0 {
                answers += 1;
                if answers == BUSY || Instant::now() >= end {
                    return Err("no news lists the entry that cannot be parsed".to_owned());
                }
            }
        }
        Ok(true)
    }

    /// That the watcher reports an error in time, and goes on doing so, and so does a new one.
    async fn fails(&mut self, watcher: &mut S::Watcher, known: &[Endpoint]) -> Result<(), String> {
        let within = self.subject.notices_within();
        let may_end = |error: WatchError| match error.when() {
            Retry::Never => Err("it ended for good, though its source can come back".to_owned()),
            Retry::Backoff | Retry::After(_) => Ok(()),
        };
        may_end(until_error(watcher, Some(known), within).await?)?;
        for _ in 0..3 {
            may_end(
                until_error(watcher, None, within).await.map_err(|what| format!("called again, {what}"))?,
            )?;
        }
        let mut new = self.subject.watcher().await;
        may_end(until_error(&mut new, None, within).await.map_err(|what| format!("made meanwhile, {what}"))?)
    }

    async fn fails_when_down(&mut self) -> Outcome {
        let three = self.pool([1, 2, 3]);
        let mut watcher = self.settled(&three).await?;
        if !self.subject.go_down().await {
            return Ok(false);
        }
        self.fails(&mut watcher, &three).await?;
        Ok(true)
    }

    async fn recovers_after_errors(&mut self) -> Outcome {
        let three = self.pool([1, 2, 3]);
        let mut watcher = self.settled(&three).await?;
        if !self.subject.go_down().await {
            return Ok(false);
        }
        until_error(&mut watcher, Some(&three), self.subject.notices_within()).await?;
        self.subject.come_back().await;
        until(&mut watcher, &three, self.comeback(), only(&three)).await?;
        if self.subject.changes() {
            let two = self.pool([1, 2]);
            self.subject.set(&two).await;
            until(&mut watcher, &two, self.deadline(), between(&three, &two)).await?;
        }
        Ok(true)
    }

    async fn sees_what_it_missed(&mut self) -> Outcome {
        if !self.subject.changes() {
            return Ok(false);
        }
        let three = self.pool([1, 2, 3]);
        let others = self.altered(&self.pool([1, 4]));
        for noticed in [true, false] {
            let mut watcher = self.settled(&three).await?;
            if !self.subject.go_down().await {
                return Ok(false);
            }
            if noticed {
                until_error(&mut watcher, Some(&three), self.subject.notices_within()).await?;
            }
            self.subject.set(&others).await;
            self.subject.come_back().await;
            until(&mut watcher, &others, self.comeback(), between(&three, &others)).await?;
        }
        Ok(true)
    }

    async fn notices_a_frozen_peer(&mut self) -> Outcome {
        let three = self.pool([1, 2, 3]);
        let mut watcher = self.settled(&three).await?;
        if !self.subject.freeze().await {
            return Ok(false);
        }
        self.fails(&mut watcher, &three).await?;
        let others = if self.subject.changes() { self.pool([2, 4]) } else { three.clone() };
        if self.subject.changes() {
            self.subject.set(&others).await;
        }
        self.subject.thaw().await;
        until(&mut watcher, &others, self.comeback(), between(&three, &others)).await?;
        Ok(true)
    }

    async fn loses_nothing_when_dropped(&mut self) -> Outcome {
        self.first_answer_survives_drops().await?;
        if self.subject.changes() {
            self.news_survive_drops().await?;
            self.drops_while_idle_do_no_harm().await?;
        }
        Ok(true)
    }

    async fn first_answer_survives_drops(&mut self) -> Result<(), String> {
        let three = self.pool([1, 2, 3]);
        self.subject.set(&three).await;
        for polls in 0..DEPTH {
            let mut watcher = self.subject.watcher().await;
            let dropped = Call::new(&mut watcher).advance(polls, self.deadline()).await;
            if matches!(dropped, Heard::Answer(_)) {
                break;
            }
            until(&mut watcher, &three, self.deadline(), only(&three))
                .await
                .map_err(|what| format!("its first call dropped after {polls} polls, {what}"))?;
        }
        Ok(())
    }

    async fn news_survive_drops(&mut self) -> Result<(), String> {
        let old = self.pool([1, 2]);
        let new = self.altered(&self.pool([1, 3]));
        for polls in 0..DEPTH {
            let mut watcher = self.settled(&old).await?;
            let mut call = Call::new(&mut watcher);
            // It waits; then the news come; then it goes on, a poll each time that it is woken.
            let begun = call.advance(1, Duration::ZERO).await;
            if let Heard::Answer(_) = begun {
                drop(call);
                call = Call::new(&mut watcher);
            }
            self.subject.set(&new).await;
            let limit = call.polls + polls;
            let dropped = call.advance(limit, self.deadline()).await;
            drop(call);
            if matches!(dropped, Heard::Answer(Ok(snapshot)) if snapshot.endpoints() == new) {
                break;
            }
            until(&mut watcher, &new, self.deadline(), between(&old, &new))
                .await
                .map_err(|what| format!("a call dropped {polls} polls after the news came, {what}"))?;
        }
        Ok(())
    }

    async fn drops_while_idle_do_no_harm(&mut self) -> Result<(), String> {
        let old = self.pool([1, 2]);
        let new = self.pool([2, 3]);
        let mut watcher = self.settled(&old).await?;
        for polls in 0..4 {
            Call::new(&mut watcher).advance(polls, QUIET / 10).await;
        }
        self.subject.set(&new).await;
        let heard = until(&mut watcher, &new, self.deadline(), between(&old, &new)).await;
        heard.map_err(|what| format!("calls dropped before the news came, {what}"))?;
        Ok(())
    }

    async fn waits_without_news(&mut self) -> Outcome {
        let three = self.pool([1, 2, 3]);
        let mut watcher = self.settled(&three).await?;
        self.quiet(&mut watcher, &three).await?;
        Ok(true)
    }
}
