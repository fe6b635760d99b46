//! What a client crate lives in.

use std::{
    io, mem,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::mpsc,
};
use tracing::{Dispatch, dispatcher};

use super::{Event, Fault};

/// One life of a client: a runtime of its own, which is the only way to stop one for sure, and what it tells.
///
/// It ends once, for the first reason that it is given.
#[derive(Debug)]
pub(super) struct Life {
    events: mpsc::UnboundedSender<Event>,
    end: OnceLock<String>,
    /// `None` once it has ended.
    runtime: Mutex<Option<Runtime>>,
}

/// Ends a life when it is dropped.
#[derive(Debug)]
pub(super) struct Owner(pub(super) Arc<Life>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.end("the session was dropped");
    }
}

impl Life {
    /// Starts a thread. What happens is told through the channel.
    pub(super) fn begin(events: mpsc::UnboundedSender<Event>) -> io::Result<Owner> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .thread_name("zookeeper")
            // The crates log what nobody can use, passwords of sessions and each event among it.
            .on_thread_start(|| mem::forget(dispatcher::set_default(&Dispatch::none())))
            .enable_all()
            .build()?;
        Ok(Owner(Arc::new(Self { events, end: OnceLock::new(), runtime: Mutex::new(Some(runtime)) })))
    }

    /// Where the client's tasks run; `None` when it has ended.
    pub(super) fn handle(&self) -> Option<Handle> {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        runtime.as_ref().map(|runtime| runtime.handle().clone())
    }

    /// Tells of an event. Nobody listens to a session that is about to be dropped.
    pub(super) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Ends it, unless it has ended already: its tasks are dropped where they stand, and its connection with them.
    pub(super) fn end(&self, reason: &str) {
        if self.end.set(reason.to_owned()).is_ok() {
            self.tell(Event::Ended(reason.to_owned()));
        }
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            // To drop one panics where asynchronous code runs, and this is called from there.
            runtime.shutdown_background();
        }
    }

    /// Passes an answer on, unless it has ended: then whoever gave it may be another connection already.
    pub(super) fn check<T>(&self, answer: T) -> Result<T, Fault> {
        match self.end.get() {
            None => Ok(answer),
            Some(reason) => Err(Fault::Lost(reason.clone())),
        }
    }

    /// What is answered to a request that it does not live to answer. It ends for the reason given, unless it has ended already.
    pub(super) fn lost(&self, reason: &str) -> Fault {
        self.end(reason);
        Fault::Lost(self.end.get().map_or(reason, String::as_str).to_owned())
    }
}
