//! Lines that wait to be sent.

use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cadence::MetricSink;
use tokio::sync::Notify;

/// How many lines may wait. More are dropped: they are news, and not worth memory.
const LONGEST: usize = 8192;

/// The lines that wait to be sent, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lines: Mutex<VecDeque<String>>,
    bell: Notify,
    dropped: AtomicU64,
}

impl Queue {
    /// Waits until there is something to send. Cancel safe.
    pub(super) async fn due(&self) {
        while self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            self.0.bell.notified().await;
        }
    }

    pub(super) fn take(&self) -> VecDeque<String> {
        mem::take(&mut *self.0.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Queue {
    /// How many lines were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn note_dropped(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl MetricSink for Queue {
    fn emit(&self, line: &str) -> io::Result<usize> {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LONGEST {
            self.note_dropped();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        lines.push_back(line.to_owned());
        drop(lines);
        self.0.bell.notify_one();
        Ok(line.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sends_takes_no_more_than_so_much_memory() {
        let queue = Queue::default();
        for number in 0..3 * LONGEST {
            let _ = queue.emit(&number.to_string());
        }
        let lines = queue.take();
        assert_eq!((lines.len(), lines.front().map(String::as_str)), (LONGEST, Some("0")));
        assert_eq!(queue.dropped(), 2 * LONGEST as u64);
        assert!(queue.emit("x").is_ok() && queue.take().len() == 1);
    }
}
