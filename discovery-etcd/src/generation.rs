//! What happens on one connection, from its first message to its last.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use etcd_client::{KvClient, WatchResponse};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, info, warn};

use crate::{
    failure::{Failure, Kind},
    known::MAX_KEYS,
    listing::{self, Consistency, Listing},
    prefix::Prefix,
    request::{self, Request},
    roster::{Command, MemberId, Roster, Todo},
    session::Session,
    tracked::Phase,
    watch::{self, Event, Facts, NO_ID, Verdict},
};

/// How many prefixes are listed at a time.
const LISTINGS: usize = 16;
/// How many prefixes are checked at a time. Each check takes two seconds at least, so that is eight a second.
const CHECKS: usize = 16;
/// How long a listing that failed as if the connection had is held back, for the stream to say whether it has.
const GRACE: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It is of no use any more.
    Lost(Failure),
    /// Nobody wants to know anything any more.
    Unused,
}

/// Lets the members live on a connection until it ends. An answer to a single request takes at most `request`.
pub(crate) async fn run(
    roster: &mut Roster,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    session: Session,
    request: Duration,
) -> End {
    let Session { kv, requests, mut responses, first, identity, _client } = session;
    roster.begin(identity);
    let (out, queue) = mpsc::unbounded_channel();
    let writer = request::write(requests, queue);
    tokio::pin!(writer);
    let mut generation = Generation::new(roster, kv, out, first, request);
    generation.begin();
    loop {
        let overdue = generation.roster.outage.due();
        let outcome = tokio::select! {
            message = responses.message() => match message {
                Ok(Some(message)) => generation.message(&message),
                Ok(None) => Err(Failure::new(Kind::Connection, DOING, "the server has closed it")),
                Err(error) => Err(Failure::from_client(DOING, &error).of_stream()),
            },
            Some(listed) = generation.listings.next() => generation.listed(listed),
            Some(listed) = generation.checks.next() => generation.listed(listed),
            // Members hold senders, so there is always somebody who could still send.
            Some(command) = commands.recv() => {
                if let Some(todo) = generation.roster.obey(command) {
                    generation.todo(todo);
                }
                if generation.roster.members.is_empty() {
                    return End::Unused;
                }
                Ok(())
            }
            () = sleep_until(generation.beat.due) => generation.beat(),
            () = sleep_until(generation.roster.next_check()) => {
                generation.check();
                Ok(())
            }
            () = sleep_until(overdue.unwrap_or_else(Instant::now)), if overdue.is_some() => {
                generation.roster.fail_overdue();
                Ok(())
            }
            failure = &mut writer => Err(failure),
        };
        if let Err(failure) = outcome {
            return End::Lost(failure);
        }
        generation.list_more();
    }
}

const DOING: &str = "reading the watch stream";

/// What a listing was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To watch from there.
    Begin,
    /// To see whether the watch has missed something.
    Check,
}

struct Listed {
    member: MemberId,
    purpose: Purpose,
    result: Result<Listing, Failure>,
}

/// When the stream is asked next whether it lives; or, while it is being asked, when it must have answered.
struct Beat {
    due: Instant,
    asked: Option<i64>,
}

struct Generation<'a> {
    roster: &'a mut Roster,
    kv: KvClient,
    out: mpsc::UnboundedSender<Request>,
    request: Duration,
    /// The last id that was given to a watch. A stream never sees one twice: what is still under way for a cancelled watch
    /// must not reach another.
    last_id: i64,
    watches: HashMap<i64, MemberId>,
    /// Watches that were asked for and not answered yet, in that order, which is the order that they are answered in.
    unanswered: VecDeque<i64>,
    to_list: VecDeque<MemberId>,
    listings: FuturesUnordered<BoxFuture<'static, Listed>>,
    checks: FuturesUnordered<BoxFuture<'static, Listed>>,
    beat: Beat,
}

impl<'a> Generation<'a> {
    fn new(
        roster: &'a mut Roster,
        kv: KvClient,
        out: mpsc::UnboundedSender<Request>,
        first: i64,
        request: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            roster,
            kv,
            out,
            request,
            last_id: first,
            watches: HashMap::new(),
            unanswered: VecDeque::from([first]),
            to_list: VecDeque::new(),
            listings: FuturesUnordered::new(),
            checks: FuturesUnordered::new(),
            beat: Beat { due: now + request, asked: Some(first) },
        }
    }

    /// Goes on watching what was watched before, and lists the rest.
    fn begin(&mut self) {
        let members: Vec<_> = self.roster.members.iter().map(|(&id, member)| (id, member.revision)).collect();
        for (id, revision) in members {
            match revision {
                Some(revision) => self.watch(id, revision + 1, true),
                None => self.todo(Todo::List(id)),
            }
        }
        self.list_more();
    }

    fn todo(&mut self, todo: Todo) {
        match todo {
            Todo::List(id) => {
                if let Some(member) = self.roster.members.get_mut(&id) {
                    member.phase = Phase::Listing;
                    self.to_list.push_back(id);
                }
            }
            Todo::Cancel(watch) => self.cancel(watch),
        }
    }

    fn ask(&mut self, from: &str, to: Option<Vec<u8>>, start: Option<i64>) -> i64 {
        self.last_id += 1;
        let id = self.last_id;
        self.unanswered.push_back(id);
        self.write(Request::Watch { id, from: from.into(), to, start });
        id
    }

    fn cancel(&mut self, watch: i64) {
        self.watches.remove(&watch);
        self.write(Request::Cancel(watch));
    }

    fn write(&self, request: Request) {
        // The receiver lives as long as this: both belong to `run`.
        let _ = self.out.send(request);
    }

    fn watch(&mut self, id: MemberId, start: i64, resumed: bool) {
        let Some(prefix) = self.roster.members.get(&id).map(|member| member.prefix.clone()) else { return };
        let watch = self.ask(prefix.as_str(), Some(prefix.end()), Some(start));
        self.watches.insert(watch, id);
        if let Some(member) = self.roster.members.get_mut(&id) {
            member.phase = Phase::Creating { watch, start, resumed };
        }
    }

    /// Starts listings, as many as may run at a time.
    fn list_more(&mut self) {
        while self.listings.len() < LISTINGS
            && let Some(id) = self.to_list.pop_front()
        {
            // It may have gone meanwhile.
            if let Some(member) = self.roster.members.get(&id) {
                let (kv, prefix, within) = (self.kv.clone(), member.prefix.clone(), self.request);
                self.listings.push(Box::pin(async move {
                    let result = listing::list(kv, &prefix, Consistency::Linearizable, within).await;
                    if result.as_ref().is_err_and(|failure| failure.kind() == Kind::Connection) {
                        // If it has, the prefix is listed on the next one.
                        sleep(GRACE).await;
                    }
                    Listed { member: id, purpose: Purpose::Begin, result }
                }));
            }
        }
    }

    fn listed(&mut self, listed: Listed) -> Result<(), Failure> {
        let Listed { member: id, purpose, result } = listed;
        let Some(member) = self.roster.members.get_mut(&id) else { return Ok(()) };
        let listing = match result {
            Ok(listing) => listing,
            // Whether the connection lives is not for a listing to say: keep-alive, the stream, and the beat do.
            Err(failure) => match (purpose, failure.kind()) {
                (_, Kind::Token) => return Err(failure),
                (_, Kind::Prefix) => {
                    self.roster.outage.hear();
                    self.refuse(id, &failure);
                    return Ok(());
                }
                (Purpose::Begin, _) => {
                    self.refuse(id, &failure.of_prefix());
                    return Ok(());
                }
                // The watch is as good as it was.
                (Purpose::Check, _) => {
                    let error = failure.chain();
                    debug!(source = "etcd", prefix = %member.prefix, error, "could not be checked");
                    return Ok(());
                }
            },
        };
        self.roster.outage.hear();
        match (purpose, member.phase) {
            (Purpose::Begin, Phase::Listing) => {
                let start = listing.revision + 1;
                member.install(listing);
                self.watch(id, start, false);
            }
            // Only what the watch had time to say, and did not, was missed: a prefix that has changed since is checked another time.
            (Purpose::Check, Phase::Watching { .. }) if member.revision <= Some(listing.revision) => {
                let missed = member.install(listing);
                if missed > 0 {
                    warn!(source = "etcd", prefix = %member.prefix, missed, "the watch had missed changes");
                }
            }
            // What was listed for is over.
            (Purpose::Begin | Purpose::Check, _) => {}
        }
        Ok(())
    }

    /// One prefix cannot be read, or not be watched; it is tried again when its member asks for it.
    fn refuse(&mut self, id: MemberId, failure: &Failure) {
        let Some(member) = self.roster.members.get_mut(&id) else { return };
        if let Some(watch) = member.refuse(failure) {
            self.cancel(watch);
        }
    }

    fn message(&mut self, message: &WatchResponse) -> Result<(), Failure> {
        let facts = Facts::of(message);
        let watch = if facts.created { self.answered(facts.id)? } else { facts.id };
        if facts.created && self.beat.asked == Some(watch) {
            return self.alive(watch, &facts);
        }
        // A watch that we have cancelled may still have had something to say.
        let Some(&id) = self.watches.get(&watch) else { return Ok(()) };
        self.roster.outage.hear();
        let Some(member) = self.roster.members.get_mut(&id) else { return Ok(()) };
        let (start, resumed) = match member.phase {
            Phase::Creating { start, resumed, .. } => (start, resumed),
            Phase::Idle | Phase::Listing | Phase::Watching { .. } | Phase::Failed => (0, false),
        };
        match watch::judge(&facts, start) {
            Verdict::Watching => {
                member.phase = Phase::Watching { watch };
                // Who was listed just now has been told so.
                if resumed {
                    member.confirm();
                }
            }
            Verdict::Events => {
                let events = message.events().iter().filter_map(etcd_client::Event::kv).map(|pair| Event {
                    key: pair.key(),
                    value: pair.value(),
                    version: pair.version(),
                    mod_revision: pair.mod_revision(),
                });
                let seen = member.revision.unwrap_or(0);
                let (changes, newest) = watch::changes(events, &member.prefix, seen);
                if member.apply(changes, newest) > MAX_KEYS {
                    self.refuse(id, &listing::too_many("watching"));
                }
            }
            Verdict::Relist(reason) => {
                info!(source = "etcd", prefix = %member.prefix, reason, "listing again");
                member.revision = None;
                self.cancel(watch);
                self.todo(Todo::List(id));
            }
            Verdict::Refused(Kind::Token, reason) => {
                return Err(Failure::new(Kind::Token, "watching", reason));
            }
            Verdict::Refused(_, reason) => self.refuse(id, &Failure::new(Kind::Prefix, "watching", reason)),
        }
        Ok(())
    }

    /// Which of our watches a server answers.
    fn answered(&mut self, id: i64) -> Result<i64, Failure> {
        let place = match id {
            NO_ID => 0,
            id => self.unanswered.iter().position(|&asked| asked == id).unwrap_or(usize::MAX),
        };
        self.unanswered.remove(place).ok_or_else(|| {
            let cause = "the server answers watches that were not asked for: it may be a proxy";
            Failure::new(Kind::Connection, DOING, cause)
        })
    }

    /// The stream has answered: every watch on it is as good as it ever was.
    fn alive(&mut self, probe: i64, facts: &Facts) -> Result<(), Failure> {
        if self.unanswered.front().is_some_and(|&asked| asked < probe) {
            return Err(Failure::new(Kind::Connection, DOING, "the server leaves out a watch"));
        }
        if !facts.canceled {
            self.cancel(probe);
        }
        self.beat = Beat { due: Instant::now() + self.roster.pace.beat, asked: None };
        let mut watched = false;
        for member in self.roster.members.values() {
            if let Phase::Watching { .. } = member.phase {
                member.confirm();
                watched = true;
            }
        }
        if watched {
            self.roster.outage.hear();
        }
        Ok(())
    }

    /// Asks the stream whether it lives, or gives it up because it has not answered.
    fn beat(&mut self) -> Result<(), Failure> {
        if self.beat.asked.is_some() {
            let cause = format!("no sign of life within {:?}", self.request);
            return Err(Failure::new(Kind::Connection, DOING, cause));
        }
        let key = self.roster.readable().cloned();
        let probe = self.ask(key.as_ref().map_or("/", Prefix::as_str), None, None);
        self.beat = Beat { due: Instant::now() + self.request, asked: Some(probe) };
        Ok(())
    }

    /// Lists the prefix whose turn it is.
    fn check(&mut self) {
        let free = self.checks.len() < CHECKS;
        let Some(id) = self.roster.turn(free) else { return };
        let Some(member) = self.roster.members.get(&id) else { return };
        if let Phase::Watching { .. } = member.phase {
            let (kv, prefix, within) = (self.kv.clone(), member.prefix.clone(), self.request);
            let settle = self.roster.pace.settle;
            self.checks.push(Box::pin(async move {
                let result = listing::list(kv, &prefix, Consistency::Local, within).await;
                sleep(settle).await;
                Listed { member: id, purpose: Purpose::Check, result }
            }));
        }
    }
}

#[cfg(test)]
mod tests;
