//! How one source is doing, from one look to the next.

use discovery_core::{Health, Observed};

use super::{Event, Meter};

/// What was told of a source.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    failures: u32,
    refused: u64,
}

impl Standing {
    /// Tells what is new, each time something is.
    pub(crate) fn see(&mut self, service: &str, method: &str, observed: &Observed, meter: &Meter) {
        let failures = match observed.health {
            Health::Starting | Health::Healthy => 0,
            Health::Degraded { failures, .. } => failures,
            // It is not asked again.
            Health::Ended { .. } => self.failures,
        };
        // Fewer than before: it has recovered in between.
        let before = if failures < self.failures { 0 } else { self.failures };
        self.failures = failures;
        if failures > before {
            meter.tell(Event::SourceFailed { service, method, times: u64::from(failures - before) });
        }
        let refused = observed.snapshot.as_ref().map_or(0, |snapshot| snapshot.rejected().total() as u64);
        if refused > self.refused {
            meter.tell(Event::Refused { service, method, entries: refused - self.refused });
        }
        self.refused = refused;
    }
}
