//! What a driver knows of one service.

use crate::error::WatchError;

/// What is known of one service: a value, how often it changed, and whether it can be relied on.
///
/// The driver writes it, the service's [`View`](super::View) reads it. Each number only grows, so a reader that compares them
/// with what it has seen misses no news however rarely it looks.
#[derive(Debug, Default)]
pub struct Slot<T> {
    value: T,
    version: u64,
    confirmed: u64,
    failures: u64,
    failure: Option<WatchError>,
}

impl<T> Slot<T> {
    /// What is known.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The source has spoken: takes over what it said. `change` returns whether the value is another one now; the first time
    /// counts as a change whatever it returns. Ends a failure. Returns whether there is news.
    pub fn update(&mut self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let changed = change(&mut self.value) || self.version == 0;
        let failed = self.failure.take().is_some();
        self.version += u64::from(changed);
        self.confirmed += u64::from(changed || failed);
        changed || failed
    }

    /// The source says that what is known is right. Ends a failure. News to whoever waits, unless nothing was ever known.
    pub fn confirm(&mut self) {
        self.failure = None;
        self.confirmed += 1;
    }

    /// What is known may not be right any more: the service is told `error`, once, unless the source speaks before it looks.
    pub fn fail(&mut self, error: WatchError) {
        self.failures += 1;
        self.failure = Some(error);
    }

    /// How often the value became another one; 0 until the source has spoken for the first time.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How often the source has said that the value is right.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// How often something failed, and how it failed last, unless the source has spoken since.
    pub fn failure(&self) -> Option<(u64, &WatchError)> {
        self.failure.as_ref().map(|failure| (self.failures, failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_news_even_if_it_is_nobody() {
        let mut slot = Slot::<u8>::default();
        assert!(slot.update(|_| false));
        assert_eq!((slot.version(), slot.confirmed()), (1, 1));
        assert!(!slot.update(|_| false));
        assert_eq!((slot.version(), slot.confirmed()), (1, 1));
    }

    #[test]
    fn the_same_again_is_news_only_after_a_failure() {
        let mut slot = Slot::<u8>::default();
        slot.update(|value| std::mem::replace(value, 1) != 1);
        assert!(!slot.update(|value| std::mem::replace(value, 1) != 1));
        slot.fail(WatchError::new("reading"));
        assert_eq!(slot.failure().map(|(failures, _)| failures), Some(1));
        assert!(slot.update(|value| std::mem::replace(value, 1) != 1));
        assert!(slot.failure().is_none());
        assert_eq!((slot.version(), slot.confirmed()), (1, 2));
    }

    #[test]
    fn a_confirmation_ends_a_failure_and_changes_nothing() {
        let mut slot = Slot::<u8>::default();
        slot.update(|_| true);
        slot.fail(WatchError::new("reading"));
        slot.confirm();
        assert!(slot.failure().is_none());
        assert_eq!((slot.version(), slot.confirmed(), *slot.value()), (1, 2, 0));
    }
}
