//! Sends what is queued.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use cadence::{BufferedUdpMetricSink, MetricSink as _};
use discovery_core::Backoff;
use tokio::{
    net::lookup_host,
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{info, warn};

use super::{
    line::{Statsd, StatsdStatus},
    queue::Queue,
};
use crate::config;

/// How much goes into one datagram, in bytes: what passes any network whole.
const DATAGRAM: usize = 1432;
/// How long lines wait for others, so that a burst of them is not a burst of datagrams.
const GATHER: Duration = Duration::from_millis(100);
/// How often the server's name is looked up again: it may have moved.
const LOOK_UP_EVERY: Duration = Duration::from_mins(1);
/// How long a look-up may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(10);
/// How long the end of the program waits for the last lines to be sent.
const LAST: Duration = Duration::from_secs(1);

/// Sends what is queued while an agent runs. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Sending {
    statsd: Arc<Statsd>,
    /// `None`: nothing is sent.
    work: Option<Work>,
}

#[derive(Debug)]
struct Work {
    config: config::Statsd,
    stop: oneshot::Sender<()>,
    tasks: JoinSet<()>,
}

impl Sending {
    /// Begins to send, if the configuration asks for it.
    pub(crate) async fn start(statsd: Arc<Statsd>, config: Option<&config::Statsd>) -> Self {
        let mut sending = Self { statsd, work: None };
        sending.configure(config).await;
        sending
    }

    /// Goes on as another configuration asks for.
    pub(crate) async fn configure(&mut self, config: Option<&config::Statsd>) {
        self.statsd.configure(config);
        if self.work.as_ref().map(|work| &work.config) == config {
            return;
        }
        self.finish().await;
        self.statsd.configure(config);
        self.statsd.show(config.map(|config| StatsdStatus {
            host: config.host.clone(),
            port: config.port.get(),
            ..StatsdStatus::default()
        }));
        self.work = config.map(|config| {
            let (stop, stopped) = oneshot::channel();
            let mut tasks = JoinSet::new();
            let courier = Courier {
                queue: self.statsd.queue.clone(),
                statsd: Arc::clone(&self.statsd),
                host: config.host.clone(),
                port: config.port.get(),
                server: None,
                failing: false,
            };
            tasks.spawn(courier.run(stopped));
            Work { config: config.clone(), stop, tasks }
        });
    }

    /// Sends what is left, if that takes no time worth mentioning, and ends.
    pub(crate) async fn finish(&mut self) {
        self.statsd.configure(None);
        let Some(Work { stop, mut tasks, .. }) = self.work.take() else { return };
        // A task that has died can't be told.
        let _ = stop.send(());
        let _ = timeout(LAST, tasks.join_next()).await;
    }
}

struct Courier {
    queue: Queue,
    /// Where it is told how it goes.
    statsd: Arc<Statsd>,
    host: String,
    port: u16,
    /// Where the lines go, and how they get there; `None` until the name was looked up.
    server: Option<(SocketAddr, BufferedUdpMetricSink)>,
    failing: bool,
}

impl Courier {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let backoff = Backoff::default();
        let mut failures = 0;
        let mut look_up_at = Instant::now();
        loop {
            let due = async {
                self.queue.due().await;
                sleep(GATHER).await;
            };
            let known = self.server.is_some();
            let last = tokio::select! {
                biased;
                _ = &mut stopped => true,
                () = sleep_until(look_up_at) => {
                    let found = self.look_up().await;
                    failures = if found { 0 } else { failures + 1 };
                    look_up_at = Instant::now() + if found { LOOK_UP_EVERY } else { backoff.delay(failures) };
                    continue;
                }
                () = due, if known => false,
            };
            if last && !known {
                self.look_up().await;
            }
            self.send();
            if last {
                return;
            }
        }
    }

    /// Sends all that is queued. What the system does not take at once is lost.
    fn send(&self) {
        let Some((_, sink)) = &self.server else { return };
        for line in self.queue.take() {
            if sink.emit(&line).is_err() {
                self.queue.note_dropped();
            }
        }
        let _ = sink.flush();
    }

    /// Finds out where the server is. False: nobody knows, and whoever was known before stays.
    async fn look_up(&mut self) -> bool {
        match self.address().await {
            Ok(address) if self.server.as_ref().is_some_and(|(known, _)| *known == address) => {}
            Ok(address) => match open(address) {
                Ok(sink) => {
                    info!(server = %address, "sending metrics by statsd");
                    self.server = Some((address, sink));
                }
                Err(error) => return self.failed(&error),
            },
            Err(error) => return self.failed(&error),
        }
        self.failing = false;
        self.tell(None);
        true
    }

    fn failed(&mut self, error: &dyn std::fmt::Display) -> bool {
        if !std::mem::replace(&mut self.failing, true) {
            warn!(host = self.host, %error, "the statsd server is not known; metrics are dropped until it is");
        }
        self.tell(Some(error.to_string()));
        false
    }

    fn tell(&self, error: Option<String>) {
        let address = self.server.as_ref().map(|(address, _)| *address);
        self.statsd.show(Some(StatsdStatus {
            host: self.host.clone(),
            port: self.port,
            address,
            dropped: 0,
            error,
        }));
    }

    async fn address(&self) -> std::io::Result<SocketAddr> {
        let found = timeout(LOOK_UP_WITHIN, lookup_host((self.host.as_str(), self.port))).await??;
        let found: Vec<_> = found.collect();
        // As long as it is one of several, the server stays; and where there is one of each, most listen on IPv4 alone.
        let known = self.server.as_ref().map(|(known, _)| *known).filter(|known| found.contains(known));
        let first = found.iter().find(|address| address.is_ipv4()).or(found.first()).copied();
        known.or(first).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

fn open(server: SocketAddr) -> Result<BufferedUdpMetricSink, Box<dyn std::error::Error + Send + Sync>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    Ok(BufferedUdpMetricSink::with_capacity(server, socket, DATAGRAM)?)
}
