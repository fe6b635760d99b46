//! Why a connection could not be made: the crate says so in its log, and nowhere else.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

/// Keeps the last failure that the crate has logged.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Option<String>>>);

impl Journal {
    /// What hears of the log.
    pub(super) fn dispatch(&self) -> Dispatch {
        Dispatch::new(Listener(self.clone()))
    }

    /// The reason that was given last, if one was.
    pub(super) fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Listener(Journal);

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::DEBUG
            && metadata.target().starts_with("zookeeper_client")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Reader(&self.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Looks for the reason in a message.
struct Reader<'a>(&'a Journal);

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            return;
        }
        let message = format!("{value:?}");
        // Other messages have secrets in them.
        if let Some((_, reason)) = message.split_once(" due to ").filter(|_| message.starts_with("fail")) {
            *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::{debug, dispatcher, trace};

    use super::*;

    #[test]
    fn the_last_failure_is_kept_and_nothing_else() {
        let journal = Journal::default();
        dispatcher::with_default(&journal.dispatch(), || {
            debug!(target: "zookeeper_client::session", "fails in connecting to {} due to {:?}", "a", "this");
            debug!(target: "zookeeper_client::session", "received a password due to {}", "that");
            trace!(target: "zookeeper_client::session", "fails due to {}", "too little");
            debug!(target: "other", "fails due to {}", "another");
        });
        assert_eq!(journal.last().as_deref(), Some("\"this\""));
    }
}
