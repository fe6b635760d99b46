//! What the services are told while no server can be reached.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::WatchError;

/// Whether anything is heard of the servers, and when the services must be told that nothing is.
///
/// A connection that was lost is told a second later, unless something was heard on another by then: connections that are
/// lost before anything is heard on them put nothing off. A connection alone is no sign of life: a service must have been answered.
#[derive(Debug, Default)]
pub struct Outage {
    /// Why nothing is heard, while nothing is.
    down: Option<WatchError>,
    /// A connection was lost, and when that is to be told.
    lost: Option<(Instant, WatchError)>,
    heard: bool,
}

impl Outage {
    /// How long a lost connection is not told while other servers are tried: most have taken over by then, and nobody need hear
    /// of it.
    pub const GRACE: Duration = Duration::from_secs(1);

    /// A connection begins.
    pub fn begin(&mut self) {
        self.heard = false;
    }

    /// The servers have answered a service's question: nothing is wrong any more.
    pub fn hear(&mut self) {
        *self = Self { down: None, lost: None, heard: true };
    }

    /// Whether anything was [heard](Self::hear) on the present connection.
    pub fn heard(&self) -> bool {
        self.heard
    }

    /// A connection was lost.
    pub fn lose(&mut self, error: WatchError) {
        let due = self.lost.take().map_or_else(|| Instant::now() + Self::GRACE, |(due, _)| due);
        self.lost = Some((due, error));
    }

    /// When a lost connection is to be told.
    pub fn due(&self) -> Option<Instant> {
        self.lost.as_ref().map(|(due, _)| *due)
    }

    /// The lost connection, once; whoever takes it when it is [due](Self::due) [fails](Self::fail) with it.
    pub fn take_lost(&mut self) -> Option<WatchError> {
        self.lost.take().map(|(_, error)| error)
    }

    /// No server can be reached; whoever calls this tells all services. Returns whether that is news: until now nothing was wrong,
    /// but for a connection that was lost and not told.
    pub fn fail(&mut self, error: WatchError) -> bool {
        self.lost = None;
        self.down.replace(error).is_none()
    }

    /// What a service that comes now is told at once.
    pub fn down(&self) -> Option<&WatchError> {
        self.down.as_ref()
    }

    /// Nobody tries to reach the servers any more: whoever comes next is not to be told how that went.
    pub fn forget(&mut self) {
        (self.down, self.lost) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> WatchError {
        WatchError::new("connecting").because("refused")
    }

    #[tokio::test(start_paused = true)]
    async fn connections_on_which_nothing_is_heard_do_not_put_off_that_one_was_lost() {
        let mut outage = Outage::default();
        outage.lose(error());
        let due = outage.due();
        for _ in 0..3 {
            tokio::time::advance(Outage::GRACE / 4).await;
            outage.begin();
            assert!(!outage.heard());
            outage.lose(error());
            assert_eq!(outage.due(), due);
        }
        let lost = outage.take_lost().unwrap();
        assert!(outage.due().is_none() && outage.take_lost().is_none(), "once");
        assert!(outage.fail(lost) && outage.down().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_not_told_once_something_is_heard_on_the_next() {
        let mut outage = Outage::default();
        outage.lose(error());
        outage.begin();
        assert!(outage.due().is_some(), "a connection alone says nothing");
        outage.hear();
        assert!(outage.heard() && outage.due().is_none() && outage.take_lost().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_all_servers_have_failed_is_told_until_something_is_heard() {
        let mut outage = Outage::default();
        outage.fail(error());
        outage.begin();
        assert!(outage.down().is_some());
        outage.hear();
        assert!(outage.down().is_none());
        outage.fail(error());
        outage.forget();
        assert!(outage.down().is_none() && outage.due().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_news_until_something_is_heard_again() {
        let mut outage = Outage::default();
        outage.lose(error());
        assert!(outage.fail(error()) && outage.due().is_none());
        outage.begin();
        outage.lose(error());
        assert!(!outage.fail(error()));
        outage.hear();
        assert!(outage.fail(error()));
    }
}
