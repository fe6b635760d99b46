//! One etcd cluster.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use discovery_core::{Backoff, shared::Slot};
use tokio::sync::{mpsc, watch};

use crate::{
    config::ClusterConfig,
    driver::Driver,
    member::Member,
    pace::Pace,
    prefix::Prefix,
    roster::{Command, MemberId},
};

/// A handle on one connection to one etcd cluster. Cloning it costs two reference counts and opens nothing.
///
/// All prefixes that are watched through one cluster share one connection and one stream on it.
#[derive(Clone)]
pub struct Cluster {
    driver: mpsc::UnboundedSender<Command>,
    shared: Arc<Shared>,
}

struct Shared {
    /// For error messages.
    endpoints: String,
    next: AtomicU64,
}

impl Cluster {
    /// A handle, and the driver that does its work: spawn it, or poll it beside other things.
    ///
    /// Nothing is connected to before the driver is polled and a [`Member`] was made. The driver ends when the last
    /// handle and the last member are gone; dropping it closes the connection, and members then end.
    ///
    /// `backoff` says how long to wait after every member of the cluster has failed.
    pub fn new(config: ClusterConfig, backoff: Backoff) -> (Self, impl Future<Output = ()> + Send + use<>) {
        Self::paced(config, backoff, Pace::default())
    }

    pub(crate) fn paced(
        config: ClusterConfig,
        backoff: Backoff,
        pace: Pace,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (driver, commands) = mpsc::unbounded_channel();
        let endpoints: Vec<_> = config.endpoints().iter().map(ToString::to_string).collect();
        let shared = Shared { endpoints: endpoints.join(", "), next: AtomicU64::new(0) };
        (Self { driver, shared: Arc::new(shared) }, Driver::new(config, backoff, pace, commands).run())
    }

    /// Watches what is below a prefix. Each call makes a watch of its own, which begins when the driver next runs.
    pub fn member(&self, prefix: Prefix) -> Member {
        let id = MemberId(self.shared.next.fetch_add(1, Ordering::Relaxed));
        let (slot, seen) = watch::channel(Slot::default());
        // Without a driver the slot is dropped here, which is how the member learns of it.
        let _ = self.driver.send(Command::Join { id, prefix: prefix.clone(), slot });
        Member::new(id, prefix, &self.shared.endpoints, seen, self.driver.clone())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("endpoints", &self.shared.endpoints).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use discovery_core::{Retry, Watcher};
    use tokio::{net::TcpListener, time::timeout};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn config(endpoints: &[std::net::SocketAddr]) -> ClusterConfig {
        ClusterConfig::new(endpoints.iter().map(|address| address.to_string().parse().unwrap())).unwrap()
    }

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }

    #[tokio::test]
    async fn nothing_is_connected_to_before_somebody_wants_to_know_something() {
        let listener = listener().await;
        let config = config(&[listener.local_addr().unwrap()]);
        let (cluster, driver) = Cluster::new(config, Backoff::default());
        let driver = tokio::spawn(driver);
        let early = timeout(Duration::from_millis(200), listener.accept()).await;
        assert!(early.is_err());
        let member = cluster.member(Prefix::new("/web").unwrap());
        timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
        drop(cluster);
        drop(member);
        timeout(DEADLINE, driver).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn every_endpoint_is_tried_and_the_failure_told_once_a_round() {
        let (one, other) = (listener().await, listener().await);
        let addresses = [one.local_addr().unwrap(), other.local_addr().unwrap()];
        // Nothing listens there any more.
        drop((one, other));
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1)).unwrap();
        let (cluster, driver) = Cluster::new(config(&addresses), backoff);
        tokio::spawn(driver);
        let mut member = cluster.member(Prefix::new("/web").unwrap());
        for _ in 0..3 {
            let error = timeout(DEADLINE, member.next()).await.unwrap().unwrap_err();
            assert!(matches!(error.when(), Retry::After(_)));
            let text = error.chain();
            assert!(text.starts_with("watching /web/ in etcd (127.0.0.1:"), "{text}");
            assert!(
                text.contains("connecting to 127.0.0.1:") && text.contains("Connection refused"),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_member_ends_with_the_driver() {
        let address = listener().await.local_addr().unwrap();
        let (cluster, driver) = Cluster::new(config(&[address]), Backoff::default());
        let mut early = cluster.member(Prefix::new("/web").unwrap());
        drop(driver);
        let mut late = cluster.member(Prefix::new("/web").unwrap());
        for member in [&mut early, &mut late] {
            let error = timeout(DEADLINE, member.next()).await.unwrap().unwrap_err();
            assert_eq!(error.when(), Retry::Never);
        }
    }
}
