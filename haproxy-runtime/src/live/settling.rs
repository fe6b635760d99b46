//! Holding a reload back for a moment, as more may come that it can take along.

use std::time::Duration;

use haproxy_render::plan::Revision;
use tokio::time::Instant;

/// When a reload that has become necessary may begin.
#[derive(Debug, Default)]
pub(super) struct Settling {
    quiet: Duration,
    longest: Duration,
    waiting: Option<Waiting>,
    /// The first reload waits for nothing: whoever starts has waited for first answers.
    begun: bool,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// Since when a reload is necessary.
    since: Instant,
    /// Since when this is what it is to load.
    changed: Instant,
    revision: Option<Revision>,
}

impl Settling {
    pub(super) fn new(quiet: Duration, longest: Duration) -> Self {
        Self { quiet, longest, waiting: None, begun: false }
    }

    /// Goes on with the times of `other`.
    pub(super) fn adopt(&mut self, other: &Self) {
        (self.quiet, self.longest) = (other.quiet, other.longest);
    }

    /// When the document of this revision may be loaded; `None`: at once.
    pub(super) fn until(&mut self, revision: Option<Revision>, now: Instant) -> Option<Instant> {
        if !self.begun {
            return None;
        }
        let fresh = Waiting { since: now, changed: now, revision };
        let waiting = self.waiting.get_or_insert(fresh);
        if waiting.revision != revision {
            *waiting = Waiting { since: waiting.since, ..fresh };
        }
        let until = (waiting.changed + self.quiet).min(waiting.since + self.longest);
        (until > now).then_some(until)
    }

    /// No reload is necessary any more, or it was tried.
    pub(super) fn over(&mut self) {
        (self.waiting, self.begun) = (None, true);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// One that has seen a reload.
    fn settling(quiet: Duration, longest: Duration) -> Settling {
        let mut settling = Settling::new(quiet, longest);
        assert_eq!(until(&mut settling, 0), None, "the first waits for nothing");
        settling.over();
        settling
    }

    fn until(settling: &mut Settling, number: u32) -> Option<Instant> {
        let revision = Revision::parse(&format!("{number:016x}")).unwrap();
        settling.until(Some(revision), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_waits_until_it_is_quiet() {
        let mut settling = settling(5 * MS, 100 * MS);
        let start = Instant::now();
        assert_eq!(until(&mut settling, 1), Some(start + 5 * MS));
        advance(3 * MS).await;
        assert_eq!(until(&mut settling, 1), Some(start + 5 * MS));
        assert_eq!(until(&mut settling, 2), Some(start + 8 * MS));
        advance(5 * MS).await;
        assert_eq!(until(&mut settling, 2), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_of_changes_does_not_put_it_off_for_ever() {
        let mut settling = settling(5 * MS, 100 * MS);
        let start = Instant::now();
        let mut changes = 0;
        while until(&mut settling, changes).is_some() {
            changes += 1;
            advance(2 * MS).await;
        }
        assert_eq!(start.elapsed(), 100 * MS);
        settling.over();
        assert!(until(&mut settling, 0).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_to_settle_nothing_waits() {
        assert_eq!(until(&mut settling(Duration::ZERO, Duration::ZERO), 1), None);
    }
}
