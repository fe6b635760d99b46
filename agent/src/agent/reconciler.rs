//! The loop's state: what is known, what follows from it, and who carries it out.

use std::sync::Arc;

use haproxy_render::{Document, Name};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tracing::info;

use super::{Agent, AgentError, takeover::Coming};
use crate::{
    config::Config,
    file_output::Files,
    handle::Inbox,
    meter::{Event, Lookout, Meter},
    model::{Changed, Model},
    output::{Output, OutputStatus, read_back},
    pulse::{Pulse, patience},
    sources::Running,
    state::Keeper,
    statsd::Sending,
    status::AppliedView,
    window::Window,
};

/// The state of a running agent.
pub(super) struct Reconciler {
    pub(super) config: Config,
    pub(super) inbox: Inbox,
    /// The configuration that is to be taken over when its new sources have answered.
    pub(super) coming: Option<Coming>,
    pub(super) running: Running,
    pub(super) model: Model,
    pub(super) output: Output,
    pub(super) applied: watch::Sender<AppliedView>,
    pub(super) keeper: Keeper,
    pub(super) pulse: Arc<Pulse>,
    pub(super) files: Files,
    pub(super) meter: Meter,
    /// Looks at the sources for whoever counts.
    pub(super) lookout: JoinSet<()>,
    pub(super) sending: Sending,
    pub(super) window: Window,
}

impl Reconciler {
    pub(super) async fn start(agent: Agent) -> Self {
        let status = agent.status();
        let Agent { config, sources, applied, memory, inbox, pulse, files, statsd, meter, window } = agent;
        pulse.busy(patience(&config.haproxy.output));
        meter.tell(Event::Started);
        let sending = Sending::start(statsd, config.statsd.as_ref()).await;
        let mut output = Output::new(&config.haproxy.output, config.times).with_meter(meter.clone());
        output.prepare().await;
        let before = read_back(&config.haproxy.output).await;
        let mut model = Model::new(&config.services, &config.haproxy, before);
        let keeper = Keeper::start(&config, memory, &mut model, sources.views()).await;
        let files = Files::start(files, &config, meter.clone()).await;
        let begun = Instant::now();
        let running = sources.start();
        meter.tell(Event::SourcesStarted { took: begun.elapsed() });
        let mut lookout = JoinSet::new();
        lookout.spawn(Lookout::new(status, meter.clone()).run());
        info!(services = running.views().len(), "started; waiting for the first answers");
        Self {
            config,
            inbox,
            coming: None,
            running,
            model,
            output,
            applied,
            keeper,
            pulse,
            files,
            meter,
            lookout,
            sending,
            window,
        }
    }

    /// Writes what is left to write, each within some seconds. Why the files of services are not as they should be, if they are not.
    pub(super) async fn finish(&mut self) -> Result<(), String> {
        let ((), written) = tokio::join!(self.keeper.finish(), self.files.finish());
        self.lookout.shutdown().await;
        self.meter.tell(Event::Stopped);
        self.sending.finish().await;
        written
    }

    pub(super) fn look_at_everything(&mut self) {
        self.running.news.take();
        self.meter.tell(Event::Update);
        let views = self.running.views();
        self.look_at(views.iter().map(|view| view.service.clone()));
    }

    /// Whether anything is different for HAProxy, and it is time to apply it.
    pub(super) fn look_at_news(&mut self) -> bool {
        let marked = self.running.news.take();
        let (different, for_files) = self.look_at(marked);
        if different || for_files {
            self.meter.tell(Event::Update);
        }
        different && !self.waits_for_pace()
    }

    /// Whether what is new for HAProxy waits for the pace of reloads: it is shown, and applied when that permits it. What is new for
    /// others does not wait with it.
    fn waits_for_pace(&mut self) -> bool {
        let Some(pending) = self.output.hold() else { return false };
        self.applied.send_if_modified(|view| {
            view.output.pending = Some(pending);
            // Whoever waits, waits for an apply.
            false
        });
        true
    }

    /// Whether anything is different for HAProxy, and for the files of services.
    fn look_at(&mut self, services: impl IntoIterator<Item = Name>) -> (bool, bool) {
        let (mut changed, mut outcomes) = (Vec::<Changed>::new(), Vec::new());
        let mut for_files = false;
        for service in services {
            let (said, name) = (self.running.said(&service), service.as_str());
            changed.extend(self.model.refresh(name, said.as_ref(), self.output.live()));
            self.keeper.note(name, &self.model);
            if let Some((served, heard)) = self.model.served(name) {
                for_files |= self.files.say(name, served, heard);
            }
            let outcome = self.model.outcome(name);
            outcomes.push((service, outcome));
        }
        self.applied.send_if_modified(|view| {
            view.services.extend(outcomes);
            // Whoever waits, waits for an apply.
            false
        });
        let different = !changed.is_empty();
        self.output.note(changed);
        (different, for_files)
    }

    /// Shows how the file is doing. Whoever waits, waits for an apply, or for a failure.
    pub(super) fn show(&mut self) {
        self.applied.send_if_modified(|view| {
            let failed =
                |status: &OutputStatus| status.behind.as_ref().is_some_and(|behind| behind.error.is_some());
            let before = failed(&view.output);
            self.output.show(&mut view.output);
            before != failed(&view.output)
        });
    }

    /// Says that what comes now may take as long as an apply.
    pub(super) fn busy(&self) {
        self.pulse.busy(patience(&self.config.haproxy.output));
    }

    pub(super) async fn apply(&mut self) -> Result<(), AgentError> {
        self.busy();
        let document: &Document = self.model.document();
        let mut status = self.applied.borrow().output.clone();
        let result = self.output.apply(document, &mut status).await;
        self.applied.send_modify(|view| view.output = status);
        result
    }
}
