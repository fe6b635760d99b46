//! What etcd says of itself.

use e2e::Etcd;

/// What etcd counts.
#[derive(Debug)]
pub(crate) struct Metrics(String);

impl Metrics {
    pub(crate) async fn of(etcd: &Etcd) -> Self {
        Self(e2e::get(etcd.address(), "/metrics").await.expect("etcd serves its metrics").body)
    }

    /// The sum of those whose names begin like this.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters, which etcd writes as 1.5e+06 when they are large"
    )]
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let values = self.0.lines().filter(|line| line.starts_with(name));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    }
}
