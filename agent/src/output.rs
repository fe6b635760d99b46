//! Carries the desired state out, and says so.

use std::fmt;

use haproxy_render::{Document, ReadBack, Renderer};
use haproxy_runtime::{Applied, Applier, ApplyError, Counters};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::{config, model::Changed};

/// HAProxy's configuration file and what is done about it.
#[derive(Debug)]
pub(crate) struct Output {
    applier: Applier,
    renderer: Renderer,
    /// When an unfinished apply is to be tried again.
    retry_at: Option<Instant>,
    /// The services that changed since the last apply that went through.
    changes: Vec<Changed>,
}

/// What became of the last apply.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OutputStatus {
    /// When HAProxy was last brought to what it should run, or found to run it already.
    pub applied: Option<Instant>,
    /// What was done then, in words; empty when nothing was to do.
    pub done: String,
    /// Why the last attempt failed, if it did: it is tried again.
    pub error: Option<String>,
    /// Writes, reloads and failures since the start.
    pub counters: Counters,
}

/// How many services a log line names.
const NAMED: usize = 5;

impl Output {
    pub(crate) fn new(output: &config::Output) -> Self {
        let mut applier = Applier::new(output.pace);
        if let Some(file) = &output.file {
            applier = applier.with_file(file.clone());
        }
        if let Some(check) = &output.check {
            applier = applier.with_check(check.clone());
        }
        if let Some(reload) = &output.reload {
            applier = applier.with_reload(reload.clone());
        }
        Self { applier, renderer: Renderer::default(), retry_at: None, changes: Vec::new() }
    }

    /// Makes ready to write: early, so that whoever watches the directory has seen it before the first write.
    pub(crate) async fn prepare(&mut self) {
        if let Err(error) = self.applier.prepare().await {
            warn!(error = %chain(&error), "preparing to write HAProxy's configuration; trying again at the first write");
        }
    }

    /// When to come back without news.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// The moment before which nothing can be applied.
    pub(crate) fn ready_at(&self) -> Option<Instant> {
        // What comes is news: it does not pay for the failures of what was there before.
        self.applier.ready_at_for_another(Instant::now())
    }

    /// Notes what is about to be applied, for the log.
    pub(crate) fn note(&mut self, changed: impl IntoIterator<Item = Changed>) {
        for changed in changed {
            // One entry a service, however long nothing can be applied.
            match self.changes.iter_mut().find(|known| known.service == changed.service) {
                Some(known) => known.and_then(&changed),
                None => self.changes.push(changed),
            }
        }
    }

    /// Brings HAProxy to run `document`. A failure is logged, kept for the status, and tried again later.
    pub(crate) async fn apply(
        &mut self,
        document: &Document,
        status: &mut OutputStatus,
    ) -> Result<(), ApplyError> {
        let result = self.applier.apply(&self.renderer.render(document)).await;
        status.counters = self.applier.counters();
        match result {
            Ok(Applied::Deferred { until }) => {
                self.retry_at = Some(until);
                return Ok(());
            }
            Ok(Applied::Changed(change)) => {
                info!(changed = %Summary(&self.changes), "{change}");
                status.done = change.to_string();
            }
            Ok(_) => status.done.clear(),
            Err(error) => {
                self.retry_at = Some(self.applier.ready_at(Instant::now()).unwrap_or_else(Instant::now));
                let retry_in = self.retry_at.map(|at| at.saturating_duration_since(Instant::now()));
                error!(changed = %Summary(&self.changes), error = %chain(&error), ?retry_in, "HAProxy was not brought up to date");
                status.error = Some(chain(&error));
                return Err(error);
            }
        }
        self.retry_at = None;
        self.changes.clear();
        status.applied = Some(Instant::now());
        status.error = None;
        Ok(())
    }
}

/// Reads the file that HAProxy runs, as an earlier run of this program wrote it, or somebody else.
pub(crate) async fn read_back(output: &config::Output) -> Option<ReadBack> {
    let path = output.file.as_ref()?.path();
    match tokio::fs::read_to_string(path).await {
        // Whoever wrote it: what is served now is not to end because this program starts.
        Ok(text) => Some(ReadBack::parse(&text).unwrap_or_else(|| ReadBack::parse_foreign(&text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            warn!(path = %path.display(), %error, "reading what HAProxy runs now; beginning with nothing");
            None
        }
    }
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// `web +1 -2 ~0, db +1 -0 ~0 and 3 more`.
struct Summary<'a>(&'a [Changed]);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, changed) in self.0.iter().take(NAMED).enumerate() {
            let Changed { service, added, removed, altered } = changed;
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{service} +{added} -{removed} ~{altered}")?;
        }
        match self.0.len() {
            0 => f.write_str("no servers"),
            all if all > NAMED => write!(f, " and {} more", all - NAMED),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_a_few_services_and_counts_the_rest() {
        let changed = |service: &str| Changed { service: service.into(), added: 1, removed: 2, altered: 0 };
        assert_eq!(Summary(&[changed("a"), changed("b")]).to_string(), "a +1 -2 ~0, b +1 -2 ~0");
        let many: Vec<_> = "abcdefgh".chars().map(|name| changed(&name.to_string())).collect();
        assert!(Summary(&many).to_string().ends_with("e +1 -2 ~0 and 3 more"));
        assert_eq!(Summary(&[]).to_string(), "no servers");
    }
}
