//! Going on with other settings.

use tracing::{error, warn};

use super::{Output, Way, chain};
use crate::config;

impl Output {
    /// Goes on as `after` has it, which was `before`. To be followed by an apply.
    ///
    /// With the same file and sockets everything stays known. Otherwise it is as at a start, except that HAProxy is left in peace for as
    /// long as it would have been: the old file is brought up to date and stays, and what runs is found out anew.
    pub(crate) async fn reconfigure(
        &mut self,
        before: &config::Output,
        after: &config::Output,
        times: config::Times,
    ) {
        let Self { way, settle, word, .. } = Self::new(after, times);
        self.settle = settle;
        let way = match (&mut self.way, way) {
            (Way::Reloads { applier, .. }, Way::Reloads { applier: other, .. })
                if before.is_at_place_of(after) =>
            {
                applier.adopt(*other);
                return;
            }
            (Way::Commands(live), Way::Commands(other)) if before.is_at_place_of(after) => {
                live.adopt(*other);
                return;
            }
            (_, way) => way,
        };
        if let Err(error) = self.flush().await {
            error!(error = %chain(&error), "the file is left as it is; a HAProxy that is started with it begins with what it had before");
        }
        self.word = word;
        let past = match &self.way {
            Way::Reloads { applier, .. } => applier.past(),
            Way::Commands(live) => live.past(),
        };
        self.way = match way {
            Way::Reloads { applier, renderer } => {
                Way::Reloads { applier: Box::new(applier.with_past(&past)), renderer }
            }
            Way::Commands(live) => Way::Commands(Box::new(live.with_past(&past))),
        };
        (self.retry_at, self.failures) = (None, 0);
        let path = |output: &config::Output| output.file.as_ref().map(|file| file.path().to_owned());
        let (old, new) = (path(before), path(after));
        if let Some(old) = old.filter(|old| new.as_ref() != Some(old)) {
            let (path, new) = (old.display(), new.unwrap_or_default());
            warn!(%path, new = %new.display(), "this file is not written any more, and left as it is");
        }
        self.prepare().await;
    }
}
