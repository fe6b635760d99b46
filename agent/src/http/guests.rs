//! Who is being served, bounded.

use std::{collections::VecDeque, future::Future};

use tokio::task::{AbortHandle, JoinSet};

/// How many are served at a time.
const MOST: usize = 64;

/// Connections at work. Dropping this ends them.
///
/// Who comes when there are too many takes the place of whoever has been there longest: that is somebody who is slow, and nobody who
/// is slow keeps others out.
#[derive(Debug, Default)]
pub(super) struct Guests {
    tasks: JoinSet<()>,
    order: VecDeque<AbortHandle>,
}

impl Guests {
    pub(super) fn welcome(&mut self, guest: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.order.retain(|handle| !handle.is_finished());
        if self.order.len() >= MOST
            && let Some(longest) = self.order.pop_front()
        {
            longest.abort();
        }
        self.order.push_back(self.tasks.spawn(guest));
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_has_been_there_longest_makes_room() {
        let mut guests = Guests::default();
        let mut ends = Vec::new();
        for _ in 0..=MOST {
            let (here, gone) = oneshot::channel::<()>();
            ends.push(gone);
            guests.welcome(async move {
                let _here = here;
                pending::<()>().await;
            });
            // Each is at work before the next comes.
            tokio::task::yield_now().await;
        }
        assert!(ends.remove(0).await.is_err());
        assert!(ends.iter_mut().all(|gone| gone.try_recv() == Err(oneshot::error::TryRecvError::Empty)));
        assert_eq!(guests.order.len(), MOST);
    }
}
