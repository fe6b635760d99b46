//! The trait that every source implements.

use async_trait::async_trait;

use crate::{error::WatchError, snapshot::Snapshot};

/// A source of truth about who serves one service.
///
/// 1. *Whole or nothing.* `Ok` carries everything the source knows. If any part could not be **read**: `Err`. Stale beats
///    partial. One entry that cannot be **parsed** is listed in [`Snapshot::rejected`]; the rest stands.
/// 2. *First at once, then on news.* The first call answers as soon as the source does. Returning an equal snapshot is
///    allowed, and says "still so": whoever listens compares.
/// 3. *Empty is an answer.* `Ok` of an empty snapshot means "nobody". Failing to ask is `Err`.
/// 4. *Silence means "still true".* A watcher that loses its source returns `Err` in bounded time.
/// 5. *After `Err`, call again.* Watchers never sleep to back off, never remember what was last good, never filter: see
///    [`supervise`](crate::supervise) and [`transform`](crate::transform).
///
/// # Cancel safety
///
/// Dropping the future returned by [`next`](Watcher::next) at any point loses no news: the next call returns what it would have
/// returned. Implementations change `self` only after their last `.await`.
///
/// The `testing` feature has the checks for all of this.
#[async_trait]
pub trait Watcher: Send {
    /// Waits for news, then returns everything the source knows. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Snapshot, WatchError>;
}

#[async_trait]
impl<W: Watcher + ?Sized> Watcher for Box<W> {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        (**self).next().await
    }
}
