//! What EC2 has said, where the members can see it.

use std::sync::Arc;

use discovery_core::shared;
use tokio::{sync::watch, time::Instant};

use crate::{describe::Instance, filter::Filters};

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What was asked for.
    pub(crate) filters: Filters,
    /// When it was asked for.
    pub(crate) asked: Instant,
    pub(crate) instances: Vec<Instance>,
}

/// The last answer, and whether anything has failed since. Each answer is another value, whatever it says: that EC2 has said the same again is
/// news to a member.
pub(crate) type Slot = shared::Slot<Option<Arc<Answer>>>;

/// Shows an answer to one member.
pub(crate) fn tell(slot: &watch::Sender<Slot>, answer: &Arc<Answer>) {
    slot.send_modify(|slot| {
        slot.update(|last| {
            *last = Some(Arc::clone(answer));
            true
        });
    });
}
