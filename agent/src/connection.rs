//! Connections that several services share.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    future::{Future, poll_fn},
    hash::Hash,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

/// Keeps a shared connection. When the last one of it is dropped nobody here holds its handle any more.
pub(crate) type Hold = Arc<dyn Any + Send + Sync>;

/// What drives a connection.
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The connections that are in use, and the futures that drive them and were not started yet.
#[derive(Default)]
pub(crate) struct Connections {
    /// For each type of keys and handles a map from one to the other.
    shared: HashMap<TypeId, Box<dyn Any + Send>>,
    drivers: Vec<Driver>,
}

/// One connection, as far as somebody holds it.
struct Shared<T> {
    handle: Weak<Mutex<T>>,
    /// Its driver is gone: nobody would hear anything over it.
    ended: Arc<AtomicBool>,
}

impl<T> Shared<T> {
    fn held(&self) -> Option<Arc<Mutex<T>>> {
        self.handle.upgrade().filter(|_| !self.ended.load(Ordering::Acquire))
    }
}

impl Connections {
    /// The handle of the connection for `key`, which is made if there is none, and what keeps it.
    pub(crate) fn shared<K, T, F>(&mut self, key: K, connect: impl FnOnce(K) -> (T, F)) -> (T, Hold)
    where
        K: Hash + Eq + Clone + Send + 'static,
        T: Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let slot = self.shared.entry(TypeId::of::<HashMap<K, Shared<T>>>());
        let known = slot.or_insert_with(|| Box::new(HashMap::<K, Shared<T>>::new()));
        let mut known = known.downcast_mut::<HashMap<K, Shared<T>>>();
        if let Some(held) = known.as_ref().and_then(|known| known.get(&key)?.held()) {
            let handle = held.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return (handle, held);
        }
        let (handle, driver) = connect(key.clone());
        let (hold, ended) = (Arc::new(Mutex::new(handle.clone())), Arc::default());
        self.drivers.push(Box::pin(noting_its_end(driver, Arc::clone(&ended))));
        if let Some(known) = &mut known {
            // Only when it would grow, so that a thousand connections are not looked at a thousand times.
            if known.len() == known.capacity() {
                known.retain(|_, shared| shared.held().is_some());
            }
            known.insert(key, Shared { handle: Arc::downgrade(&hold), ended });
        }
        (handle, hold)
    }

    /// The futures that are to be run: each is returned once.
    pub(crate) fn take_drivers(&mut self) -> Vec<Driver> {
        std::mem::take(&mut self.drivers)
    }
}

/// Sets `ended` when `driver` is over, by a panic, too. One that is over at its first turn had nothing to drive: its handle is good
/// without it.
async fn noting_its_end(driver: impl Future<Output = ()>, ended: Arc<AtomicBool>) {
    struct Note(Arc<AtomicBool>);
    impl Drop for Note {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let mut driver = pin!(driver);
    let mut begun = None;
    poll_fn(|context| match driver.as_mut().poll(context) {
        Poll::Ready(()) if begun.is_none() => Poll::Ready(()),
        poll => {
            begun.get_or_insert_with(|| Note(Arc::clone(&ended)));
            poll
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// A connection for `key`, counted in `made`.
    fn connect<F: Future<Output = ()> + Send + 'static>(
        connections: &mut Connections,
        key: &'static str,
        made: &mut usize,
        driver: F,
    ) -> Hold {
        let (handle, hold) = connections.shared(key, |key| {
            *made += 1;
            (key.to_owned(), driver)
        });
        assert_eq!(handle, key);
        hold
    }

    fn run(driver: &mut Driver) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        driver.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn equal_keys_share_one_connection_and_others_do_not() {
        let (mut connections, mut made) = (Connections::default(), 0);
        let _held: Vec<_> =
            ["a", "b", "a"].map(|key| connect(&mut connections, key, &mut made, pending())).into();
        assert_eq!((made, connections.take_drivers().len()), (2, 2));
        assert!(connections.take_drivers().is_empty(), "once");
    }

    #[test]
    fn who_comes_when_nobody_uses_a_connection_any_more_gets_a_new_one() {
        let (mut connections, mut made) = (Connections::default(), 0);
        let first = connect(&mut connections, "a", &mut made, pending());
        let second = connect(&mut connections, "a", &mut made, pending());
        drop(first);
        let third = connect(&mut connections, "a", &mut made, pending());
        assert_eq!(made, 1);
        drop((second, third));
        let _fourth = connect(&mut connections, "a", &mut made, pending());
        assert_eq!(made, 2);
    }

    #[test]
    fn a_connection_whose_driver_has_ended_is_not_handed_out_again() {
        let (mut connections, mut made) = (Connections::default(), 0);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let _first = connect(&mut connections, "a", &mut made, async { _ = ended.await });
        let mut driver = connections.take_drivers().remove(0);
        assert!(!run(&mut driver));
        let _second = connect(&mut connections, "a", &mut made, pending());
        assert_eq!(made, 1);
        drop(end);
        assert!(run(&mut driver));
        let _third = connect(&mut connections, "a", &mut made, pending());
        assert_eq!(made, 2);
        // One that is torn down is no better.
        let mut driver = connections.take_drivers().remove(0);
        assert!(!run(&mut driver));
        drop(driver);
        let _fourth = connect(&mut connections, "a", &mut made, pending());
        assert_eq!(made, 3);
    }

    #[test]
    fn a_handle_without_anything_to_drive_stays_good() {
        let (mut connections, mut made) = (Connections::default(), 0);
        let _first = connect(&mut connections, "a", &mut made, ready(()));
        assert!(run(&mut connections.take_drivers()[0]));
        let _second = connect(&mut connections, "a", &mut made, ready(()));
        assert_eq!(made, 1);
    }

    #[test]
    fn connections_that_are_gone_take_no_room() {
        let mut connections = Connections::default();
        for key in 0..1000_u32 {
            drop(connections.shared(key, |key| (key, ready(()))));
            connections.take_drivers();
        }
        let known = connections.shared.values().next().unwrap();
        let known = known.downcast_ref::<HashMap<u32, Shared<u32>>>().unwrap();
        assert!(known.len() < 20, "{}", known.len());
    }
}
