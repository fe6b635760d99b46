//! Requests that never stop.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::Spread;

/// Held by whoever sends requests: one after the other, they meet a backend's servers in turn.
pub(crate) type Turn = tokio::sync::Mutex<()>;

/// Between two requests: often enough to meet every reload, seldom enough to leave the machine to other tests.
const PAUSE: Duration = Duration::from_millis(3);

/// A client that asks for `/` again and again, a task of the current runtime: each request over a connection of its own, one
/// after the other, with a few milliseconds between them. [`Site::traffic`](crate::Site::traffic) starts one; dropping it ends it.
#[derive(Debug)]
pub struct Traffic {
    seen: Arc<Mutex<Spread>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Traffic {
    /// Begins; asks only while it holds `turn`.
    pub(crate) fn start(address: SocketAddr, turn: Arc<Turn>) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let seen = Arc::<Mutex<Spread>>::default();
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            // Looked at between requests, so that none is left without its answer.
            while stopped.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                let mut one = Spread::default();
                let asking = turn.lock().await;
                one.ask(address).await;
                drop(asking);
                shared.lock().unwrap_or_else(PoisonError::into_inner).add(one);
                sleep(PAUSE).await;
            }
        });
        Self { seen, stop, task }
    }

    /// What became of the requests so far.
    pub fn so_far(&self) -> Spread {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends after the answer to the last request, and returns what became of them all.
    pub async fn stop(self) -> Spread {
        // It may have ended by itself only by a panic, which is passed on.
        let _ = self.stop.send(());
        self.task.await.unwrap_or_else(|error| panic!("the client of a test: {error}"));
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
