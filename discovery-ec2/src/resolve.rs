//! Names of instances, resolved by this machine.

use std::{
    future::Future,
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// How long one name may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// How many names of all services of a region are looked up at the same time. Each has one of the threads that tokio keeps for
/// what blocks (512 by default), and keeps it for as long as the operating system tries, whoever still waits: a resolver that is
/// gone must not take them all, for other work needs some.
const LOOKUPS: usize = 64;

/// Looks names up.
pub(crate) trait Resolve: Send + Sync {
    /// All addresses of a name, in any order.
    fn lookup(&self, name: &str) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;
}

/// The resolver of this machine's operating system. Clones share one bound.
#[derive(Debug, Clone)]
pub(crate) struct System {
    free: Arc<Semaphore>,
}

impl System {
    pub(crate) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(LOOKUPS)) }
    }

    /// Does something that blocks, when there is a thread for it.
    async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(io::Error::other)?;
        let work = move || {
            // Given back when the thread is, not when nobody waits any more.
            let _permit = permit;
            work()
        };
        spawn_blocking(work).await.map_err(io::Error::other)?
    }
}

impl Resolve for System {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let name = name.to_owned();
        self.block(move || Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
            .await
    }
}

/// Why a name has no address.
#[derive(Debug, Error)]
pub(crate) enum Unresolved {
    /// The resolver says that there is none: what was asked was answered.
    #[error("{name} does not resolve")]
    NoSuchName {
        /// Which name.
        name: String,
    },
    /// The resolver could not say.
    #[error("resolving {name}")]
    NoAnswer {
        /// Which name.
        name: String,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

/// One address of a name, always the same of the same addresses: the lowest IPv4 address, or else the lowest IPv6 address.
pub(crate) async fn resolve(resolver: &impl Resolve, name: &str) -> Result<IpAddr, Unresolved> {
    let answer = timeout(DEADLINE, resolver.lookup(name)).await;
    let answer =
        answer.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s")));
    let name = name.to_owned();
    match answer {
        // `IpAddr` sorts IPv4 first.
        Ok(addresses) => addresses.into_iter().min().ok_or(Unresolved::NoSuchName { name }),
        Err(error) if says_no(&error) => Err(Unresolved::NoSuchName { name }),
        Err(error) => Err(Unresolved::NoAnswer { name, error }),
    }
}

/// The operating system's word for a name that does not exist, as opposed to one that could not be looked up. The standard
/// library passes on the text alone: those of glibc's and musl's `gai_strerror` for `EAI_NONAME` and `EAI_NODATA`, macOS's, and
/// what it says itself of a name that can be none.
fn says_no(error: &io::Error) -> bool {
    const TEXTS: [&str; 5] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided",
    ];
    let text = error.to_string();
    TEXTS.iter().any(|no| text.contains(no))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{collections::BTreeMap, sync::Mutex};

    use futures_util::FutureExt;

    use super::*;

    /// Knows some names; `Err` is what it says of one.
    #[derive(Default)]
    pub(crate) struct Names(pub(crate) Mutex<BTreeMap<String, Result<Vec<IpAddr>, &'static str>>>);

    impl Names {
        pub(crate) fn set(&self, name: &str, answer: Result<&str, &'static str>) {
            let answer = answer.map(|list| list.split(' ').map(|ip| ip.parse().unwrap()).collect());
            self.0.lock().unwrap().insert(name.to_owned(), answer);
        }
    }

    impl Resolve for &Names {
        async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            let known = self.0.lock().unwrap().get(name).cloned();
            match known {
                Some(answer) => answer.map_err(io::Error::other),
                None => std::future::pending().await,
            }
        }
    }

    #[tokio::test]
    async fn the_same_addresses_in_another_order_are_the_same_address() {
        let names = Names::default();
        for order in ["10.0.0.2 10.0.0.1 ::1", "::1 10.0.0.1 10.0.0.2"] {
            names.set("a", Ok(order));
            assert_eq!(resolve(&&names, "a").await.unwrap().to_string(), "10.0.0.1");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_does_not_exist_is_told_from_one_that_could_not_be_looked_up() {
        let names = Names::default();
        names.set("gone", Err("failed to lookup address information: Name or service not known"));
        names.set("later", Err("failed to lookup address information: Temporary failure in name resolution"));
        assert!(matches!(resolve(&&names, "gone").await, Err(Unresolved::NoSuchName { .. })));
        assert!(matches!(resolve(&&names, "later").await, Err(Unresolved::NoAnswer { .. })));
        assert!(matches!(resolve(&&names, "silent").await, Err(Unresolved::NoAnswer { .. })));
    }

    #[tokio::test]
    async fn this_machine_knows_itself() {
        assert!(resolve(&System::new(), "localhost").await.unwrap().is_loopback());
    }

    #[tokio::test]
    async fn lookups_that_nobody_waits_for_any_more_count_until_they_are_over() {
        let system = System::new();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        for _ in 0..LOOKUPS {
            let ended = Arc::clone(&ended);
            let stuck = system.block(move || ended.lock().unwrap().recv().map_err(io::Error::other));
            // Begun, and given up.
            assert!(stuck.now_or_never().is_none());
        }
        let mut next = std::pin::pin!(system.block(|| Ok("done")));
        assert!((&mut next).now_or_never().is_none());
        assert_eq!(system.free.available_permits(), 0);
        end.send(()).unwrap();
        assert_eq!(timeout(DEADLINE, next).await.expect("a thread that is free").unwrap(), "done");
    }
}
