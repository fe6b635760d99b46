//! What happens in one session, from its first question to its last answer.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use discovery_core::shared::Outage;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    config::Timeouts,
    failure::Failure,
    node::Node,
    question::{Answer, Ask, Question},
    roster::{Command, MemberId, Roster},
    session::{Established, Event, Fault, Mark, Session, UNDER_WAY, What},
};

/// How often a service is told that what it knows is still so.
const CONFIRM: Duration = Duration::from_secs(30);

/// How a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It is of no use any more.
    Lost(Failure),
    /// Nobody wants to know anything any more.
    Unused,
}

/// Who is answered.
#[derive(Debug)]
enum Asker {
    Member(MemberId, Arc<Node>, Question),
    /// Nobody: it was asked to see whether the server lives.
    Beat,
}

/// Lets the members live in a session until it ends.
pub(crate) async fn run(
    roster: &mut Roster,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    established: Established,
    timeouts: &Timeouts,
) -> End {
    let Established { session, mut events } = established;
    roster.begin();
    let mut generation = Generation::new(Arc::clone(&session), timeouts);
    let end = loop {
        generation.ask(roster);
        let (due, watchdog) = (roster.due(), generation.watchdog());
        let overdue = generation.overdue(&roster.outage);
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Fired { mark, gone }) => fired(roster, &mark, gone),
                Some(Event::Ended(cause)) => break End::Lost(lost(&cause)),
                None => break End::Lost(lost("the client has given up")),
            },
            Some((asker, answer)) = generation.answers.next() => {
                if let Err(failure) = generation.answered(roster, asker, answer) {
                    break End::Lost(failure);
                }
            }
            // Members hold senders, so there is always somebody who could still send.
            Some(command) = commands.recv() => {
                if let Command::Leave(id) = command && let Some(member) = roster.get(id) {
                    generation.forget(id, member.node());
                }
                roster.obey(command);
                if roster.is_empty() {
                    break End::Unused;
                }
            }
            () = sleep_until(watchdog) => {
                if let Err(failure) = generation.bark() {
                    break End::Lost(failure);
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            () = sleep_until(overdue.unwrap_or_else(Instant::now)), if overdue.is_some() => roster.fail_overdue(),
        }
    };
    roster.end();
    if let End::Lost(failure) = &end {
        // Now: where nobody listens, the farewell takes a while.
        roster.lose(failure);
    }
    session.close().await;
    end
}

fn lost(cause: &str) -> Failure {
    Failure::new("keeping the session", cause)
}

fn fired(roster: &mut Roster, mark: &Mark, gone: bool) {
    roster.with(MemberId(mark.member), |member| member.fired(&mark.what, gone, Instant::now()));
}

struct Generation {
    session: Arc<dyn Session>,
    answers: FuturesUnordered<BoxFuture<'static, (Asker, Answer)>>,
    waiting: VecDeque<(MemberId, Question)>,
    /// The longest that a server may say nothing while it has something to answer, and while it is only asked whether it lives.
    patience: Duration,
    beat_patience: Duration,
    /// How long after the last answer a server is asked whether it lives.
    beat: Duration,
    /// When the last answer came, or the first question after a pause was asked.
    heard: Instant,
    beating: bool,
    /// When a service first asked something.
    asked: Option<Instant>,
    confirm: Instant,
}

impl Generation {
    fn new(session: Arc<dyn Session>, timeouts: &Timeouts) -> Self {
        let now = Instant::now();
        Self {
            session,
            answers: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            patience: timeouts.request,
            beat_patience: timeouts.request.min(timeouts.session / 2),
            beat: timeouts.session / 3,
            heard: now,
            beating: false,
            asked: None,
            confirm: now + CONFIRM,
        }
    }

    /// Asks whatever there is to ask, as much as may be under way at a time.
    fn ask(&mut self, roster: &mut Roster) {
        self.waiting.extend(roster.questions(Instant::now()));
        while self.answers.len() < UNDER_WAY
            && let Some((id, question)) = self.waiting.pop_front()
        {
            // It may have gone meanwhile.
            let Some(member) = roster.get(id) else { continue };
            let now = Instant::now();
            self.asked.get_or_insert(now);
            if self.answers.is_empty() {
                self.heard = now;
            }
            let (session, node) = (Arc::clone(&self.session), Arc::clone(member.node()));
            let witness = roster.witness.clone();
            self.answers.push(Box::pin(async move {
                let answer = put(&*session, &node, id, &question).await;
                witness.answered(&node, &question, &answer, now.elapsed());
                (Asker::Member(id, node, question), answer)
            }));
        }
    }

    fn answered(&mut self, roster: &mut Roster, asker: Asker, answer: Answer) -> Result<(), Failure> {
        let now = Instant::now();
        self.heard = now;
        match asker {
            Asker::Beat => {
                self.beating = false;
                if let Some(Fault::Lost(cause)) = answer.fault() {
                    return Err(lost(cause));
                }
            }
            Asker::Member(id, node, question) => {
                if roster.get(id).is_none() {
                    // It has gone since, and what this has armed is of no use to anybody.
                    self.forget(id, &node);
                    if let Some(Fault::Lost(cause)) = answer.fault() {
                        return Err(lost(cause));
                    }
                }
                let taken = roster.with(id, |member| Some(member.answered(&question, answer, now)));
                if let Some(Err(failure)) = taken {
                    return Err(failure);
                }
                roster.outage.hear();
                let mut questions = Vec::new();
                roster.collect(id, now, &mut questions);
                // Who was begun with is read whole first: what is read of a service is kept twice until all of it is here.
                for question in questions.into_iter().rev() {
                    self.waiting.push_front(question);
                }
            }
        }
        // Whoever is answered at all is told of changes, too: a session that always has something to answer is never asked
        // whether it lives.
        if self.confirm <= now {
            self.confirm = now + CONFIRM;
            roster.confirm();
        }
        Ok(())
    }

    /// When the services are to be told of the session before this, if nothing was heard in this one by then. Not while they have
    /// nothing to ask yet: they may spread their questions over a long time, and a server that has stopped meanwhile is noticed.
    fn overdue(&self, outage: &Outage) -> Option<Instant> {
        let asked = self.asked?;
        outage.due().map(|due| due.max(asked + Outage::GRACE))
    }

    /// A member watches nothing any more.
    fn forget(&self, id: MemberId, node: &Node) {
        for path in [Some(node.path()), node.settings()].into_iter().flatten() {
            self.session.forget(id.0, path.as_str());
        }
    }

    /// When the server has been silent for too long.
    fn watchdog(&self) -> Instant {
        self.heard + self.silence()
    }

    fn silence(&self) -> Duration {
        match (self.answers.len(), self.beating) {
            (0, _) => self.beat,
            (1, true) => self.beat_patience,
            _ => self.patience,
        }
    }

    /// Asks a silent server whether it lives, or gives it up because it has not answered.
    fn bark(&mut self) -> Result<(), Failure> {
        if !self.answers.is_empty() {
            return Err(lost(&format!("no answer within {:?}", self.silence())));
        }
        self.beating = true;
        self.heard = Instant::now();
        let session = Arc::clone(&self.session);
        self.answers.push(Box::pin(async move {
            // Every server has the root, and anybody may ask for it.
            (Asker::Beat, Answer::Exists(session.exists("/", None).await))
        }));
        Ok(())
    }
}

/// Asks one question in a session.
async fn put(session: &dyn Session, node: &Node, id: MemberId, question: &Question) -> Answer {
    let mark = |what| question.watch.then_some(Mark { member: id.0, what });
    let settings = node.settings().unwrap_or(node.path());
    match &question.ask {
        Ask::Children => Answer::Names(session.children(node.path().as_str(), mark(What::Children)).await),
        Ask::Exists => Answer::Exists(session.exists(node.path().as_str(), mark(What::Node)).await),
        Ask::Child(name) => {
            let path = node.path().join(name);
            Answer::Data(session.data(path.as_str(), mark(What::Child(Arc::clone(name)))).await)
        }
        Ask::Settings => Answer::Data(session.data(settings.as_str(), mark(What::Settings)).await),
        Ask::SettingsExist => Answer::Exists(session.exists(settings.as_str(), mark(What::Settings)).await),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::{config::EnsembleConfig, decode::Decode, path::Path, question::Ask, session::scripted::Fake};

    #[tokio::test(start_paused = true)]
    async fn no_answer_to_somebody_who_has_gone_is_no_sign_of_life() {
        let config = EnsembleConfig::new(["zk".parse().unwrap()]).unwrap();
        let established = Fake::of(1).connector().connect("zk", Fake::address(1), &config).await.unwrap();
        let mut generation = Generation::new(established.session, config.timeouts());
        let mut roster = Roster::default();
        let (slot, _seen) = watch::channel(discovery_core::shared::Slot::default());
        let node = Node::new(Path::new("/web").unwrap(), Decode::Nerve);
        roster.obey(Command::Join { id: MemberId(1), node: node.clone(), slot });
        roster.lose(&lost("the one before"));
        roster.begin();
        let gone = Asker::Member(
            MemberId(2),
            Arc::new(node),
            Question { ask: Ask::Children, watch: true, ticket: 0 },
        );
        let answer = Answer::Names(Err(Fault::Lost("the connection".to_owned())));
        assert!(generation.answered(&mut roster, gone, answer).is_err());
        assert!(!roster.outage.heard() && roster.outage.due().is_some());
    }
}
