//! What asks EC2.

use std::time::Duration;

use discovery_core::Backoff;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

use crate::{
    answer::Answer,
    bucket::{Bucket, Excess},
    chain::{self, Listing},
    describe::Describe,
    failure::{Failure, Kind},
    pace::Pace,
    roster::{Command, Roster, Topic},
};

/// Asks one question at a time, each when it is due, and tells the members.
pub(crate) struct Driver<D> {
    describe: D,
    /// For the log: where is asked.
    region: String,
    backoff: Backoff,
    deadline: Duration,
    commands: mpsc::UnboundedReceiver<Command>,
    roster: Roster,
    bucket: Bucket,
    pace: Pace,
    /// Nothing is asked before this, after a failure that every question would meet.
    not_before: Option<Instant>,
    /// How many such failures there were in a row.
    failures: u32,
    /// What was logged last: members and questions, and how many calls a second were too many.
    told: (usize, usize),
    warned: f64,
}

impl<D: Describe> Driver<D> {
    pub(crate) fn new(
        describe: D,
        region: String,
        backoff: Backoff,
        deadline: Duration,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        Self {
            describe,
            region,
            backoff,
            deadline,
            commands,
            roster: Roster::default(),
            bucket: Bucket::new(Instant::now()),
            pace: Pace::new(),
            not_before: None,
            failures: 0,
            told: (0, 0),
            warned: 0.0,
        }
    }

    /// Runs until nobody can want anything any more.
    pub(crate) async fn run(mut self) {
        loop {
            let Some((topic, due)) = self.roster.next() else {
                let Some(command) = self.commands.recv().await else { return };
                self.roster.obey(command, Instant::now());
                continue;
            };
            let due = self.not_before.map_or(due, |earliest| due.max(earliest));
            tokio::select! {
                // Whoever has come until now is asked for now.
                biased;
                // Members hold senders, so there is always somebody who could still send.
                Some(command) = self.commands.recv() => self.roster.obey(command, Instant::now()),
                () = sleep_until(due) => self.ask(&topic).await,
            }
        }
    }

    /// Asks one question and tells its answer.
    async fn ask(&mut self, topic: &Topic) {
        let asked = Instant::now();
        let Some(filters) = self.roster.ask(topic, asked) else { return };
        self.tell_size();
        let answer = {
            // Boxed: all that HTTP and TLS keep meanwhile is not to stay in the driver's own future.
            let mut reading =
                Box::pin(chain::read(&mut self.describe, &mut self.bucket, &filters, self.deadline));
            loop {
                tokio::select! {
                    answer = &mut reading => break answer,
                    Some(command) = self.commands.recv() => {
                        self.roster.obey(command, Instant::now());
                        // Nobody wants the answer any more.
                        if self.roster.group(topic).is_none() {
                            return;
                        }
                    }
                }
            }
        };
        match answer {
            Ok(Listing { instances, pages }) => {
                debug!(source = "ec2", region = self.region, pages, instances = instances.len(), "answered");
                self.recovered(topic);
                let every = self.roster.group(topic).map_or(self.deadline, |group| group.every());
                let due = asked + self.pace.next(every, fastrand::f64());
                self.roster.answered(topic, Answer { filters, asked, instances }, pages, due);
                self.check_cost();
            }
            Err(failure) => self.failed(topic, &failure),
        }
    }

    fn recovered(&mut self, topic: &Topic) {
        let of_its_own = self.roster.group(topic).map_or(0, |group| group.failures);
        if self.failures > 0 || of_its_own > 0 {
            info!(
                source = "ec2",
                region = self.region,
                failures = self.failures.max(of_its_own),
                "EC2 answers again"
            );
        }
        (self.failures, self.not_before) = (0, None);
        if self.pace.answered() {
            info!(source = "ec2", region = self.region, "asking as often as wanted again");
        }
    }

    fn failed(&mut self, topic: &Topic, failure: &Failure) {
        let now = Instant::now();
        let throttled = failure.kind() == Kind::Throttled;
        if throttled {
            self.pace.throttled();
        }
        let Some(group) = self.roster.group(topic) else { return };
        let every = group.every();
        let failures = if failure.kind().concerns_all() {
            self.failures = self.failures.saturating_add(1);
            self.failures
        } else {
            group.failures.saturating_add(1)
        };
        let pause = self.pace.retry(throttled, every, self.backoff, failures, fastrand::f64());
        if failure.kind().concerns_all() {
            self.not_before = Some(now + pause);
        }
        let news = self.roster.failed(topic, failure, now + pause);
        let (region, error) = (&self.region, failure.chain());
        if throttled && (news || failures.is_power_of_two()) {
            let interval = self.pace.interval(every);
            warn!(
                source = "ec2",
                region,
                error,
                failures,
                ?interval,
                ?pause,
                "EC2 throttles; asking less often"
            );
        } else if news {
            warn!(source = "ec2", region, error, ?pause, "no answer; what was read last stays in use");
        } else {
            debug!(source = "ec2", region, error, failures, ?pause, "still no answer");
        }
    }

    /// Says once how many services share how many questions.
    fn tell_size(&mut self) {
        let now @ (services, questions) = self.roster.size();
        if now != self.told {
            self.told = now;
            info!(source = "ec2", region = self.region, services, questions, "asking EC2");
        }
    }

    /// Warns when answers are wanted more often than they can be had; again only when it gets twice as bad.
    fn check_cost(&mut self) {
        let Some(excess) = Excess::of(self.roster.cost()) else { return };
        if excess.per_second() > self.warned * 2.0 {
            self.warned = excess.per_second();
            warn!(source = "ec2", region = self.region, "{excess}");
        }
    }
}
