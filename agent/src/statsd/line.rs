//! From an event to the metrics of Synapse.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cadence::{Counted as _, MetricBuilder, StatsdClient, Timed as _};

use super::queue::Queue;
use crate::{
    config,
    meter::{Event, Tell},
};

/// What is sent.
pub(crate) const METRICS: [&str; 30] = [
    "synapse.config.update",
    "synapse.config.update_failed",
    "synapse.haproxy.check_config",
    "synapse.haproxy.reload_failed",
    "synapse.main_loop.elapsed_time",
    "synapse.retry",
    "synapse.start",
    "synapse.stop",
    "synapse.watcher.dns.resolve_failed",
    "synapse.watcher.multi.resolver.sequential.switch",
    "synapse.watcher.multi.resolver.s3_toggle.switch",
    "synapse.watcher.multi.start",
    "synapse.watcher.multi.stop",
    "synapse.watcher.ping.count",
    "synapse.watcher.start",
    "synapse.watcher.stop",
    "synapse.watcher.zk.children.elapsed_time",
    "synapse.watcher.zk.children.failed",
    "synapse.watcher.zk.client.created",
    "synapse.watcher.zk.client.reused",
    "synapse.watcher.zk.connect.elapsed_time",
    "synapse.watcher.zk.discovery",
    "synapse.watcher.zk.discovery.elapsed_time",
    "synapse.watcher.zk.get.elapsed_time",
    "synapse.watcher.zk.get_child_failed",
    "synapse.watcher.zk.get_config_failed",
    "synapse.watcher.zk.parse_child_failed",
    "synapse.watcher.zk.session.expired",
    "synapse.watcher.zk.watch.elapsed_time",
    "synapse.watchers.start.time",
];

/// The longest value of a tag, in bytes: DogStatsD's own limit for a tag is 200.
const LONGEST: usize = 160;

/// Makes lines of events, if anybody is to have them.
pub(crate) struct Statsd {
    client: StatsdClient,
    pub(super) queue: Queue,
    /// Which share of a metric is sent; `None`: nothing is sent at all.
    sample_rate: Mutex<Option<BTreeMap<String, f64>>>,
    /// How sending goes, but for what was dropped.
    shown: Mutex<Option<StatsdStatus>>,
}

/// How metrics are sent by statsd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsdStatus {
    /// The server's name or address, as the configuration has it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Where that is; `None` while nobody knows: then nothing is sent.
    pub address: Option<SocketAddr>,
    /// How many lines were dropped since the start, because they could not be sent soon enough. What the network loses is not known.
    pub dropped: u64,
    /// Why it was not found out, when that was last tried, where the server is. It is tried again, and who was known before goes on
    /// being sent to.
    pub error: Option<String>,
}

impl Default for Statsd {
    fn default() -> Self {
        let queue = Queue::default();
        let client = StatsdClient::from_sink("", queue.clone());
        Self { client, queue, sample_rate: Mutex::default(), shown: Mutex::default() }
    }
}

impl fmt::Debug for Statsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statsd").field("listens", &self.listens()).finish_non_exhaustive()
    }
}

/// A tag of a metric.
type Tag<'a> = (&'static str, &'a str);

impl Statsd {
    /// How sending goes; `None`: nothing is sent.
    pub(crate) fn status(&self) -> Option<StatsdStatus> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        shown.map(|shown| StatsdStatus { dropped: self.queue.dropped(), ..shown })
    }

    pub(super) fn show(&self, status: Option<StatsdStatus>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    fn sample_rate(&self) -> MutexGuard<'_, Option<BTreeMap<String, f64>>> {
        self.sample_rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to listen, or ends; what waits to be sent is sent all the same.
    pub(crate) fn configure(&self, statsd: Option<&config::Statsd>) {
        *self.sample_rate() = statsd.map(|statsd| statsd.sample_rate.clone());
    }

    /// The rate to send a metric with, if this one is to be sent.
    fn sampled(&self, metric: &str) -> Option<f64> {
        let rate = self.sample_rate().as_ref()?.get(metric).copied().unwrap_or(1.0);
        (rate >= 1.0 || fastrand::f64() < rate).then_some(rate)
    }

    pub(super) fn count(&self, metric: &str, times: u64, tags: &[Tag<'_>]) {
        if let Some(rate) = self.sampled(metric) {
            send(self.client.count_with_tags(metric, times), rate, tags);
        }
    }

    pub(super) fn time(&self, metric: &str, took: Duration, tags: &[Tag<'_>]) {
        if let Some(rate) = self.sampled(metric) {
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            send(self.client.time_with_tags(metric, millis), rate, tags);
        }
    }

    fn source(&self, event: Event<'_>) {
        match event {
            Event::SourceStarted { service, method } => {
                self.count(
                    "synapse.watcher.start",
                    1,
                    &[("start_result", "success"), ("watcher_name", service)],
                );
                if method == "multi" {
                    self.count("synapse.watcher.multi.start", 1, &[("service_name", service)]);
                }
            }
            Event::SourceStopped { service, method } => {
                let stopped =
                    [("stop_avenue", "clean"), ("stop_location", "main_loop"), ("watcher_name", service)];
                self.count("synapse.watcher.stop", 1, &stopped);
                if method == "multi" {
                    self.count("synapse.watcher.multi.stop", 1, &[("service_name", service)]);
                }
            }
            Event::Pulse { service, well } => {
                let result = if well { "success" } else { "failure" };
                self.count(
                    "synapse.watcher.ping.count",
                    1,
                    &[("watcher_name", service), ("ping_result", result)],
                );
            }
            Event::SourceFailed { service, method, times } => {
                self.count("synapse.retry", times, &[("op", "retry_after_sleep"), ("service_name", service)]);
                if method == "dns" {
                    self.count("synapse.watcher.dns.resolve_failed", times, &[("service_name", service)]);
                }
            }
            Event::Refused { service, method, entries } if method.starts_with("zookeeper") => {
                self.count("synapse.watcher.zk.parse_child_failed", entries, &[("service_name", service)]);
            }
            _ => {}
        }
    }
}

impl Tell for Statsd {
    fn listens(&self) -> bool {
        self.sample_rate().is_some()
    }

    fn tell(&self, event: Event<'_>) {
        match event {
            Event::Started => self.count("synapse.start", 1, &[]),
            Event::Stopped => {
                self.count("synapse.stop", 1, &[("stop_avenue", "clean"), ("stop_location", "main_loop")]);
            }
            Event::SourcesStarted { took } => self.time("synapse.watchers.start.time", took, &[]),
            Event::SourceStarted { .. }
            | Event::SourceStopped { .. }
            | Event::Pulse { .. }
            | Event::SourceFailed { .. }
            | Event::Refused { .. } => self.source(event),
            Event::Switched { service, resolver, to } => {
                let metric = match resolver {
                    // What takes its place here, with the same weights.
                    "toggle" => "synapse.watcher.multi.resolver.s3_toggle.switch",
                    _ => "synapse.watcher.multi.resolver.sequential.switch",
                };
                self.count(metric, 1, &[("result", "success"), ("watcher", to), ("service_name", service)]);
            }
            Event::Update => self.count("synapse.config.update", 1, &[]),
            Event::UpdateFailed { output } => {
                self.count("synapse.config.update_failed", 1, &[("config_name", output)]);
            }
            Event::Turn { took } => self.time("synapse.main_loop.elapsed_time", took, &[]),
            Event::Checked { well, times } => {
                let result = if well { "success" } else { "failure" };
                self.count("synapse.haproxy.check_config", times, &[("result", result)]);
            }
            Event::ReloadFailed { times } => self.count("synapse.haproxy.reload_failed", times, &[]),
            #[cfg(feature = "zk")]
            Event::ZooKeeper { cluster, deed } => self.zookeeper(cluster, deed),
        }
    }
}

/// Queues a metric. With a full queue it is dropped.
fn send<T>(metric: MetricBuilder<'_, '_, T>, rate: f64, tags: &[Tag<'_>])
where
    T: cadence::Metric + From<String>,
{
    let tags: Vec<_> = tags.iter().map(|(name, value)| (*name, clean(value))).collect();
    let metric = if rate < 1.0 { metric.with_sampling_rate(rate) } else { metric };
    let metric = tags.iter().fold(metric, |metric, (name, value)| metric.with_tag(name, value));
    let _ = metric.try_send();
}

/// A value that is one tag, and one only.
fn clean(value: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "_-./:".contains(c) { c } else { '_' };
    value.chars().take(LONGEST).map(safe).collect()
}
