//! Calls a watcher so that no kind of misbehaviour can hang the test.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use crate::{endpoint::Endpoint, error::WatchError, snapshot::Snapshot, watcher::Watcher};

/// What a watcher answers.
pub(super) type Answer = Result<Snapshot, WatchError>;

/// How often one call may be polled, and how many answers may be the same as before: far more than any watcher that waits
/// for its source has use for. A bound on time alone does not do: where the clock is paused, it stands while a task is busy.
pub(super) const BUSY: usize = 10_000;

/// The pause after an error, as the supervisor makes one.
const PAUSE: Duration = Duration::from_millis(20);

/// How a call ended.
pub(super) enum Heard {
    /// With an answer.
    Answer(Answer),
    /// It was given up, with nothing to wake it any more, or for lack of time.
    Silence,
    /// It was given up because it was polled and polled.
    Busy,
}

/// Wakes the test, and can tell that it was woken.
#[derive(Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// One call of `next`, polled by hand.
pub(super) struct Call<'a> {
    future: Pin<Box<dyn Future<Output = Answer> + Send + 'a>>,
    bell: Arc<Bell>,
    pub(super) polls: usize,
}

impl<'a> Call<'a> {
    /// Begins a call; nothing is polled yet.
    pub(super) fn new<W: Watcher + ?Sized>(watcher: &'a mut W) -> Self {
        Self { future: watcher.next(), bell: Arc::default(), polls: 0 }
    }

    /// Polls until there is an answer, each time that it is woken, up to `polls` times in all and for at most `within`.
    pub(super) async fn advance(&mut self, polls: usize, within: Duration) -> Heard {
        let end = Instant::now() + within;
        let waker = Waker::from(Arc::clone(&self.bell));
        while self.polls < polls {
            if self.polls == BUSY {
                return Heard::Busy;
            }
            self.polls += 1;
            let future = &mut self.future;
            // Inside the task, for the sake of what looks at the runtime; but with our own waker.
            let polled = poll_fn(|_| Poll::Ready(future.as_mut().poll(&mut Context::from_waker(&waker))));
            if let Poll::Ready(answer) = polled.await {
                return Heard::Answer(answer);
            }
            if timeout_at(end, self.bell.0.notified()).await.is_err() {
                return Heard::Silence;
            }
        }
        Heard::Silence
    }
}

/// Calls once, and waits at most `within`.
pub(super) async fn call<W: Watcher + ?Sized>(watcher: &mut W, within: Duration) -> Heard {
    Call::new(watcher).advance(usize::MAX, within).await
}

/// Calls until `wanted` is answered, as the supervisor would: after an error again. Every answer before it must be
/// `legitimate`.
pub(super) async fn until<W: Watcher + ?Sized>(
    watcher: &mut W,
    wanted: &[Endpoint],
    within: Duration,
    legitimate: impl Fn(&Snapshot) -> bool,
) -> Result<Snapshot, String> {
    let end = Instant::now() + within;
    let mut last = None;
    for _ in 0..BUSY {
        match call(watcher, end.saturating_duration_since(Instant::now())).await {
            Heard::Answer(Ok(snapshot)) if snapshot.endpoints() == wanted => return Ok(snapshot),
            Heard::Answer(Ok(snapshot)) if !legitimate(&snapshot) => {
                return Err(format!(
                    "it said {snapshot:?}, which its source never held; it holds {wanted:?}"
                ));
            }
            Heard::Answer(answer) => {
                if answer.is_err() {
                    sleep(PAUSE).await;
                }
                last = Some(answer);
            }
            Heard::Busy => return Err(format!("it was polled {BUSY} times without an answer")),
            Heard::Silence => {}
        }
        if Instant::now() >= end {
            let last = match last {
                None => "nothing".to_owned(),
                Some(Ok(snapshot)) => format!("{snapshot:?}"),
                Some(Err(error)) => format!("the error \"{}\"", error.chain()),
            };
            return Err(format!("within {within:?} it did not say {wanted:?}; last it said {last}"));
        }
    }
    Err(format!("it gave {BUSY} answers within {within:?}, none of them {wanted:?}"))
}

/// Calls until there is an error, at most `within`; every answer before it must be `known`, the last good one.
pub(super) async fn until_error<W: Watcher + ?Sized>(
    watcher: &mut W,
    known: Option<&[Endpoint]>,
    within: Duration,
) -> Result<WatchError, String> {
    let end = Instant::now() + within;
    for _ in 0..BUSY {
        match call(watcher, end.saturating_duration_since(Instant::now())).await {
            Heard::Answer(Err(error)) => return Ok(error),
            Heard::Answer(Ok(snapshot)) if Some(snapshot.endpoints()) != known => {
                return Err(format!("it said {snapshot:?} while its source could not be read"));
            }
            Heard::Busy => return Err(format!("it was polled {BUSY} times without an answer")),
            Heard::Answer(Ok(_)) | Heard::Silence => {}
        }
        if Instant::now() >= end {
            return Err(format!("it reported no error within {within:?} while its source could not be read"));
        }
    }
    Err(format!("it gave {BUSY} answers within {within:?} while its source could not be read"))
}
