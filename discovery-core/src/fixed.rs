//! A source that never changes.

use async_trait::async_trait;

use crate::{error::WatchError, snapshot::Snapshot, watcher::Watcher};

/// Answers once with what it was given, then stays silent. Synapse calls this discovery method `base`.
#[derive(Debug)]
pub struct Fixed {
    snapshot: Snapshot,
    answered: bool,
}

impl Fixed {
    /// A source that says `snapshot`, for ever.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { snapshot, answered: false }
    }
}

#[async_trait]
impl Watcher for Fixed {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        if self.answered {
            std::future::pending::<()>().await;
        }
        self.answered = true;
        Ok(self.snapshot.clone())
    }
}
