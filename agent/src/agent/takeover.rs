//! From one configuration to another, while everything goes on.

use std::{collections::HashSet, future::pending, sync::Arc};

use discovery_core::WatchError;
use haproxy_render::Name;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::reconciler::Reconciler;
use crate::{
    config::Config,
    handle::{Answer, ReconfigureError, Reconfigured, Request},
    model::Difference,
    sources::Staged,
    status::SourceView,
};

/// A configuration whose new sources are at work, beside those that serve.
#[derive(Debug)]
pub(super) struct Coming {
    config: Config,
    staged: Staged,
    /// When it is taken over, whoever has not answered.
    until: Instant,
    answer: Answer,
}

/// Waits until what is coming can be taken over; for ever, if nothing is. Cancel safe.
pub(super) async fn ready(coming: Option<&Coming>) {
    match coming {
        Some(coming) => _ = timeout_at(coming.until, coming.staged.first_answers()).await,
        None => pending().await,
    }
}

impl Reconciler {
    /// Begins to take over another configuration.
    pub(super) fn expect(&mut self, request: Request) {
        let Request { config, answer } = request;
        let earlier = self.coming.take().map(|earlier| {
            // Whoever has gone does not want to know.
            let _ = earlier.answer.send(Err(ReconfigureError::Superseded));
            earlier.staged
        });
        let staged = self.running.stage(&config, earlier);
        let now = Instant::now();
        let until = now + config.times.startup_wait;
        self.inbox.handle.tell(|status| status.waiting = Some(now));
        self.coming = Some(Coming { config: *config, staged, until, answer });
    }

    /// Goes on with the configuration that is coming. To be followed by an apply.
    pub(super) async fn take_over(&mut self) {
        let Some(Coming { config, staged, answer, .. }) = self.coming.take() else { return };
        let silent = staged.silent();
        let fresh = self.running.adopt(staged);
        let (before, after) = (&self.config.haproxy.output, &config.haproxy.output);
        self.output.reconfigure(before, after, config.times).await;
        let running = &self.running;
        let said = |service: &Name| running.said(service);
        let difference = self.model.reconfigure(&config, &fresh, said, self.output.live());
        let keeper = &mut self.keeper;
        keeper.reconfigure(&self.config, &config, &difference, &mut self.model, running.shown()).await;
        self.files.configure(&config).await;
        self.sending.configure(config.statsd.as_ref()).await;
        let told = reconfigured(&self.config, &config, &fresh, &difference);
        self.window.reconfigure(&config);
        self.config = config;
        self.output.note(difference.servers);
        self.look_at_everything();
        self.applied.send_if_modified(|view| {
            view.services.retain(|service, _| self.model.has(service.as_str()));
            false
        });
        self.inbox.handle.tell(|status| {
            (status.since, status.waiting) = (Instant::now(), None);
            status.taken += 1;
        });
        info!(unchanged = told.unchanged, "took over another configuration: {told}");
        self.name_silent(&silent);
        // Whoever has gone does not want to know.
        let _ = answer.send(Ok(told));
    }

    /// Logs which sources have not answered, though they were waited for.
    pub(super) fn name_silent(&self, silent: &[Arc<SourceView>]) {
        let waited = self.config.times.startup_wait;
        for view in silent {
            let error = view.observed.borrow().health.error().map(WatchError::chain).unwrap_or_default();
            let (service, age) = (view.service.as_str(), self.keeper.age(view.service.as_str()));
            warn!(service, error, ?waited, ?age, "no answer yet; going on with what was served before");
        }
    }
}

fn reconfigured(
    before: &Config,
    config: &Config,
    fresh: &HashSet<Name>,
    difference: &Difference,
) -> Reconfigured {
    let texts = |names: &[Name]| names.iter().map(Name::to_string).collect::<Vec<_>>();
    let here = config.services.iter().map(|service| &service.name);
    let sources = here.filter(|name| fresh.contains(*name) && !difference.added.contains(name));
    Reconfigured {
        added: texts(&difference.added),
        removed: texts(&difference.removed),
        changed: texts(&difference.changed),
        sources: sources.map(Name::to_string).collect(),
        unchanged: difference.unchanged,
        other: before.differences(config),
    }
}
