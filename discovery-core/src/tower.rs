//! A service as tower wants to see it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::tower::discover::Change;
use futures_core::Stream;
use tokio::sync::watch;

use crate::{
    endpoint::{Endpoint, Key},
    snapshot::{Snapshot, diff},
    supervisor::Observed,
};

/// A service as a stream of changes, which any balancer of tower takes: a [`Stream`] of [`Change`]s is a
/// `tower::discover::Discover`.
///
/// `connect` makes what takes the requests of one endpoint. It is called when the change is taken from the stream, and
/// should not block: something that connects when it is first used is right.
///
/// - Only endpoints that want traffic are in it, and backups only while nobody else is: tower knows neither of the two.
/// - An endpoint that is different in anything ([`Endpoint`]'s `==`) is inserted again under its key, which replaces it.
/// - Arrivals come before removals, so that a set that is replaced is never empty in between.
/// - It never fails, since one error fails a whole `Balance`: while a source is in trouble, the last good set stays. Changes
///   of its health alone yield nothing.
/// - It ends when the sender of `observed` is gone, after its last value. A `Balance` then keeps what it has.
/// - Who is slow skips states, and never sees more changes than lead from the state that he has to the last one.
///
/// ```
/// use discovery_core::{Endpoint, Observed, discover};
/// use tokio::sync::watch;
/// use tower::{balance::p2c::Balance, load::Constant, service_fn};
///
/// # fn doc(observed: watch::Receiver<Observed>) {
/// let connect = |endpoint: &Endpoint| {
///     let address = endpoint.to_string();
///     let service = service_fn(move |_request: ()| {
///         let address = address.clone();
///         async move { Ok::<_, std::io::Error>(address) }
///     });
///     Constant::new(service, 1) // or tower's PeakEwma, PendingRequests
/// };
/// let balanced: Balance<_, ()> = Balance::new(discover(observed, connect));
/// # }
/// ```
pub fn discover<S, F>(observed: watch::Receiver<Observed>, connect: F) -> Discover<F>
where
    F: FnMut(&Endpoint) -> S,
{
    Discover { told: Snapshot::default(), changes: VecDeque::new(), next: Some(first(observed)), connect }
}

/// What [`discover`] returns.
pub struct Discover<F> {
    /// What the taker has, once `changes` are taken.
    told: Snapshot,
    changes: VecDeque<Change<Key, Endpoint>>,
    /// `None` when the sender is gone.
    next: Option<Next>,
    connect: F,
}

/// Waits for a new value; `None` when there will be none.
type Next = Pin<Box<dyn Future<Output = Option<watch::Receiver<Observed>>> + Send + Sync>>;

fn first(mut observed: watch::Receiver<Observed>) -> Next {
    // What is there already is news to who comes now.
    observed.mark_changed();
    news(observed)
}

fn news(mut observed: watch::Receiver<Observed>) -> Next {
    Box::pin(async move { observed.changed().await.ok().map(|()| observed) })
}

/// Those who are to get traffic.
fn serving(snapshot: &Snapshot) -> Snapshot {
    let wanted = |backup| move |one: &Endpoint| one.available() && one.backup() == backup;
    let first = snapshot.filtered(wanted(false));
    if first.is_empty() { snapshot.filtered(wanted(true)) } else { first }
}

impl<F> Discover<F> {
    fn update(&mut self, now: &Observed) {
        let Some(snapshot) = &now.snapshot else { return };
        let new = serving(snapshot);
        let edges = diff(&self.told, &new);
        let here = edges.added.into_iter().chain(edges.changed);
        let here = here.map(|endpoint| Change::Insert(endpoint.key(), endpoint));
        self.changes = here.chain(edges.removed.into_iter().map(Change::Remove)).collect();
        self.told = new;
    }
}

impl<S, F: FnMut(&Endpoint) -> S> Stream for Discover<F> {
    type Item = Result<Change<Key, S>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match this.changes.pop_front() {
                Some(Change::Insert(key, endpoint)) => {
                    return Poll::Ready(Some(Ok(Change::Insert(key, (this.connect)(&endpoint)))));
                }
                Some(Change::Remove(key)) => return Poll::Ready(Some(Ok(Change::Remove(key)))),
                None => {}
            }
            let Some(next) = &mut this.next else { return Poll::Ready(None) };
            let observed = ready!(next.as_mut().poll(context));
            this.next = observed.map(|mut observed| {
                this.update(&observed.borrow_and_update());
                news(observed)
            });
        }
    }
}

/// Nothing in it is pinned in place.
impl<F> Unpin for Discover<F> {}

impl<F> fmt::Debug for Discover<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discover")
            .field("told", &self.told)
            .field("changes", &self.changes.len())
            .field("ended", &self.next.is_none())
            .finish_non_exhaustive()
    }
}
