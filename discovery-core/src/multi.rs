//! Several sources as one.

mod child;
mod resolve;
mod standing;
#[cfg(feature = "file")]
mod toggle;
mod view;
#[cfg(feature = "file")]
mod weights;

use std::{
    fmt,
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};
use tracing::info;

use crate::{
    backoff::Backoff,
    error::{Retry, WatchError},
    snapshot::{Rejected, Snapshot},
    supervisor::{Health, Observed},
    text::{SHOWN, printable},
    transform,
    watcher::Watcher,
};
use child::Child;
use resolve::{Resolver, Verdict};
use standing::Standing;

#[cfg(feature = "file")]
pub use toggle::Toggle;
pub use view::{ChildView, View};
#[cfg(feature = "file")]
pub use weights::{InvalidWeights, Weights};

/// Several watchers of one service, its children, told as one.
///
/// | made by | what it says |
/// |---|---|
/// | [`union`](Self::union) | what all children say, together |
/// | [`sequential`](Self::sequential) | what the first child says that is well and has somebody |
/// | [`toggle`](Self::toggle) | what one child says that weights in a file choose |
///
/// Each child is supervised on its own, as [`supervise`](crate::supervise) does it: it backs off alone, and what it said last
/// stays in use while it fails. One that fails, ends, is silent or panics stops and blanks none of the others.
///
/// # When a child has failed
///
/// Not by one lost answer: when it has failed twice in a row, or has not recovered two seconds after it failed once. A child
/// that says "nobody" has not failed, but has nobody either; endpoints that are not available don't count.
///
/// # The first answer
///
/// It waits until each child that matters to it has answered or failed, but no longer than five seconds for any. Nothing is
/// told before one has answered.
///
/// # When the whole fails
///
/// A union and a sequence are well while any child is; a toggle while its chosen child is. Failing, they say why each child
/// is, whenever one of them fails anew. They end when all children have ended. What a child that is no longer well says stays in
/// use: all of it in a union, and in the others what was in use last.
///
/// # What else is told
///
/// The rejected entries of all children, each with its child's name before it; the settings of the first child in use
/// that has any. A whole that did not change is confirmed when all children in use were.
///
/// # Cancel safety
///
/// That of every [`Watcher`]. The children make progress only while [`next`](Watcher::next) is waited for.
///
/// ```
/// use discovery_core::{Backoff, Endpoint, Fixed, Snapshot, Watcher, multi::Multi};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let nobody = Fixed::new(Snapshot::default());
/// let spare = Fixed::new(Snapshot::new([Endpoint::new("10.0.0.9".parse()?, 8080)?]));
/// let children: [(&str, Box<dyn Watcher>); 2] = [("registry", Box::new(nobody)), ("spare", Box::new(spare))];
/// let mut web = Multi::sequential("web", children, Backoff::default());
/// assert_eq!(web.next().await?.len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Multi {
    service: Arc<str>,
    children: Vec<Child>,
    resolver: Resolver,
    /// When it was first asked.
    started: Option<Instant>,
    /// When time alone may make a difference.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether there may be more to tell than was told.
    unfinished: bool,
    told: Told,
    in_use: watch::Sender<Vec<usize>>,
}

/// What was told.
#[derive(Debug, Default)]
struct Told {
    snapshot: Option<Snapshot>,
    /// Since when the oldest part of it has been known.
    confirmed: Option<Instant>,
    /// How often the children had failed in all when a failure was told, until something else was.
    failures: Option<u64>,
}

impl Multi {
    /// What all `children` say, together: where two know the same endpoint, that of the earlier child stays.
    ///
    /// `service` is what the log calls the whole, and its children with their names behind it. `backoff` is for each child.
    pub fn union<N: Into<Arc<str>>>(
        service: &str,
        children: impl IntoIterator<Item = (N, Box<dyn Watcher>)>,
        backoff: Backoff,
    ) -> Self {
        Self::new(service, children, backoff, |_| Resolver::Union)
    }

    /// What the first of `children` says that is well and has somebody; with the next answer it can be another one.
    ///
    /// When none is well and has somebody, the last answer of the first is used. When none is even well, what was in use stays.
    pub fn sequential<N: Into<Arc<str>>>(
        service: &str,
        children: impl IntoIterator<Item = (N, Box<dyn Watcher>)>,
        backoff: Backoff,
    ) -> Self {
        Self::new(service, children, backoff, |_| Resolver::Sequential)
    }

    /// What that of `children` says which `toggle` chooses.
    ///
    /// A child that was chosen and has never answered does not take the place of the one in use.
    #[cfg(feature = "file")]
    pub fn toggle<N: Into<Arc<str>>>(
        service: &str,
        children: impl IntoIterator<Item = (N, Box<dyn Watcher>)>,
        backoff: Backoff,
        toggle: Toggle,
    ) -> Self {
        Self::new(service, children, backoff, |names| Resolver::Toggle(toggle.dial(service, names)))
    }

    fn new<N: Into<Arc<str>>>(
        service: &str,
        children: impl IntoIterator<Item = (N, Box<dyn Watcher>)>,
        backoff: Backoff,
        resolver: impl FnOnce(Vec<Arc<str>>) -> Resolver,
    ) -> Self {
        let children: Vec<_> = children
            .into_iter()
            .map(|(name, watcher)| Child::new(service, name.into(), watcher, backoff))
            .collect();
        let resolver = resolver(children.iter().map(|child| Arc::clone(child.name())).collect());
        Self {
            service: service.into(),
            children,
            resolver,
            started: None,
            timer: None,
            unfinished: true,
            told: Told::default(),
            in_use: watch::Sender::default(),
        }
    }

    /// A look at the children, for whoever is to know how each is doing. It goes on showing the last state when this is gone.
    pub fn view(&self) -> View {
        let children = self.children.iter().map(|child| (Arc::clone(child.name()), child.observed()));
        View::new(children.collect(), self.in_use.subscribe(), self.resolver.name())
    }

    /// Lets everything make progress that can, then says what is new, if anything is.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Snapshot, WatchError>> {
        let mut news = std::mem::take(&mut self.unfinished);
        for child in &mut self.children {
            news |= child.poll(context);
        }
        news |= self.resolver.poll(context);
        loop {
            if let Some(timer) = &mut self.timer
                && timer.as_mut().poll(context).is_ready()
            {
                (self.timer, news) = (None, true);
            }
            if !std::mem::take(&mut news) {
                return Poll::Pending;
            }
            let (answer, again) = self.look(Instant::now());
            self.timer = again.map(|at| Box::pin(sleep_until(at)));
            if let Some(answer) = answer {
                self.unfinished = true;
                return Poll::Ready(answer);
            }
            // Once more around: a timer wakes nobody before it was polled.
            if self.timer.is_none() {
                return Poll::Pending;
            }
        }
    }

    /// What is to be told now, and when that may be something else although nobody has said anything.
    fn look(&mut self, now: Instant) -> (Option<Result<Snapshot, WatchError>>, Option<Instant>) {
        let started = *self.started.get_or_insert(now);
        let observed: Vec<_> = self.children.iter().map(Child::now).collect();
        let standings: Vec<_> = observed.iter().map(|child| Standing::of(child, started, now)).collect();
        let verdict = self.resolver.resolve(&standings, &self.in_use.borrow(), started, now);
        let again = standings
            .iter()
            .filter_map(Standing::until)
            .chain(self.resolver.until(started))
            .filter(|at| *at > now);
        let again = again.min();
        match verdict {
            Verdict::Wait => (None, again),
            Verdict::Serve { chosen, well } => (self.tell(&observed, chosen, well), again),
        }
    }

    fn tell(
        &mut self,
        observed: &[Observed],
        chosen: Vec<usize>,
        well: bool,
    ) -> Option<Result<Snapshot, WatchError>> {
        let parts: Vec<_> = chosen.iter().filter_map(|index| observed[*index].snapshot.as_ref()).collect();
        if !parts.is_empty() {
            let snapshot = transform::union(parts).rejecting(self.rejected(observed));
            let confirmed = chosen.iter().filter_map(|index| observed[*index].confirmed).min();
            let changed = self.told.snapshot.as_ref() != Some(&snapshot);
            let still_so = well && (self.told.failures.is_some() || confirmed > self.told.confirmed);
            self.switch(chosen);
            if changed || still_so {
                self.told = Told { snapshot: Some(snapshot.clone()), confirmed, failures: None };
                return Some(Ok(snapshot));
            }
        }
        if well {
            return None;
        }
        let failures = observed.iter().map(failures).sum();
        if self.told.failures == Some(failures) {
            return None;
        }
        self.told.failures = Some(failures);
        Some(Err(self.error(observed)))
    }

    /// Notes who is in use from now on.
    fn switch(&mut self, chosen: Vec<usize>) {
        let name = |index: &usize| &**self.children[*index].name();
        if *self.in_use.borrow() == chosen {
            return;
        }
        if let ([from], [to]) = (&self.in_use.borrow()[..], &chosen[..]) {
            info!(
                service = &*self.service,
                source = name(to),
                instead_of = name(from),
                "another source is in use"
            );
        }
        self.in_use.send_replace(chosen);
    }

    fn rejected(&self, observed: &[Observed]) -> Rejected {
        let children = self.children.iter().zip(observed);
        let of = |(child, now): (&Child, &Observed)| {
            let snapshot = now.snapshot.as_ref()?;
            (snapshot.rejected().total() > 0).then(|| snapshot.rejected().of(child.name()))
        };
        let rejected = children.filter_map(of).fold(Rejected::default(), |all, one| all.and(&one));
        match self.resolver.problem() {
            None => rejected,
            Some(problem) => rejected.and(&[problem].into_iter().collect()),
        }
    }

    /// Why the whole fails.
    fn error(&self, observed: &[Observed]) -> WatchError {
        let concerned = |index: &usize| self.resolver.chosen().is_none_or(|chosen| chosen == *index);
        let indices: Vec<_> = (0..observed.len()).filter(concerned).collect();
        let reason = |index: &usize| {
            let reason = match (&observed[*index].health, observed[*index].health.error()) {
                (_, Some(error)) => printable(&error.chain(), SHOWN),
                (Health::Healthy, None) => return None,
                (_, None) => "no answer yet".to_owned(),
            };
            Some(format!("{}: {reason}", self.children[*index].name()))
        };
        let reasons: Vec<_> = indices.iter().filter_map(reason).collect();
        let ended = indices.iter().all(|index| matches!(observed[*index].health, Health::Ended { .. }));
        // The children back off by themselves: the pause after this need not grow, too.
        let retry = if ended { Retry::Never } else { Retry::After(std::time::Duration::ZERO) };
        WatchError::new("asking several sources").because(reasons.join("; ")).retry(retry)
    }
}

/// How often a child has failed, to tell one failure from the next.
fn failures(observed: &Observed) -> u64 {
    match observed.health {
        Health::Starting | Health::Healthy => 0,
        Health::Degraded { failures, .. } => failures.into(),
        Health::Ended { .. } => u64::MAX >> 32,
    }
}

#[async_trait]
impl Watcher for Multi {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        poll_fn(|context| self.poll(context)).await
    }
}

impl fmt::Debug for Multi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children: Vec<_> = self.children.iter().map(Child::name).collect();
        f.debug_struct("Multi")
            .field("service", &self.service)
            .field("children", &children)
            .finish_non_exhaustive()
    }
}
