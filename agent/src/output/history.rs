//! What was last changed for HAProxy, and how.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use haproxy_runtime::{Change, Deed};
use tokio::time::Instant;

/// How many changes are kept.
const KEPT: usize = 10;

/// A change that was made for HAProxy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PastChange {
    /// When it was done.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The way it was done.
    pub how: How,
    /// Which services changed, and how many of their servers: `web +1 -0 ~0`; `no servers` for a change of anything else.
    pub what: String,
    /// What was done, in words: by which means and why.
    pub done: String,
}

/// The way a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By commands on HAProxy's socket: nothing was interrupted.
    Commands,
    /// By a reload.
    Reload,
    /// The file was written, and nobody told HAProxy: that is somebody else's task, or it ran that already.
    File,
}

impl How {
    /// One word: `commands`, `reload` or `file`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Reload => "reload",
            Self::File => "file",
        }
    }
}

impl From<&Deed> for How {
    fn from(deed: &Deed) -> Self {
        match &deed.reloaded {
            Some(reloaded) => Self::from(&reloaded.change),
            None if deed.commands > 0 => Self::Commands,
            None => Self::File,
        }
    }
}

impl From<&Change> for How {
    fn from(change: &Change) -> Self {
        if change.reloaded.is_some() { Self::Reload } else { Self::File }
    }
}

/// The last changes, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(VecDeque<Arc<PastChange>>);

impl History {
    /// The changes, the newest first; ten at most.
    pub fn iter(&self) -> impl Iterator<Item = &PastChange> {
        self.0.iter().map(AsRef::as_ref)
    }

    pub(super) fn note(&mut self, how: How, began: Instant, what: String, done: String) {
        self.0.truncate(KEPT - 1);
        let (at, took) = (SystemTime::now(), began.elapsed());
        self.0.push_front(Arc::new(PastChange { at, took, how, what, done }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_changes_are_kept_and_come_first() {
        let mut history = History::default();
        for number in 0..25 {
            history.note(How::Commands, Instant::now(), number.to_string(), String::new());
        }
        let kept: Vec<_> = history.iter().map(|change| change.what.as_str()).collect();
        assert_eq!(kept, ["24", "23", "22", "21", "20", "19", "18", "17", "16", "15"]);
    }

    #[test]
    fn a_file_that_somebody_else_is_to_load_is_no_reload() {
        let mut deed = Deed::default();
        assert_eq!(How::from(&deed), How::File);
        deed.commands = 1;
        assert_eq!(How::from(&deed).word(), "commands");
    }
}
