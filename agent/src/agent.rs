//! The agent: sources, folds, HAProxy.

mod reconciler;
mod takeover;

use std::{future::Future, sync::Arc, time::Duration};

use discovery_core::{Catalog, WatchError};
use haproxy_render::render;
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::{error, info};

use self::reconciler::Reconciler;
use crate::{
    config::{Config, Times},
    file_output::Board,
    handle::{self, Handle, Inbox},
    meter::{Meter, Tell},
    model::{Model, Said},
    news::News,
    output::{Ready, chain},
    pulse::Pulse,
    sources::{Running, Sources},
    state::{self, Memory},
    statsd::Statsd,
    status::{AppliedView, SourceView, Status},
    window::Window,
};

/// How often the file, and what HAProxy runs, are compared with what they should be: somebody may have changed them.
const RECONCILE_EVERY: Duration = Duration::from_mins(1);

/// Finds the endpoints of every service of a configuration, and keeps an HAProxy serving them.
///
/// Nothing happens before one of [`run`](Self::run), [`once`](Self::once) or [`discover`](Self::discover) is polled.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) sources: Sources,
    applied: watch::Sender<AppliedView>,
    pub(crate) memory: Arc<Memory>,
    inbox: Inbox,
    pulse: Arc<Pulse>,
    files: Arc<Board>,
    statsd: Arc<Statsd>,
    meter: Meter,
    window: Window,
}

/// Why an agent could not do what it was asked to do once.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Sources did not answer within `agent.startup_wait`.
    #[error("no answer within {waited:?} from the source of {}", services.join(", "))]
    Unanswered {
        /// The services, each with the last error of its source, if there was one.
        services: Vec<String>,
        /// How long they were waited for.
        waited: Duration,
    },
    /// HAProxy's configuration could not be put in place.
    #[error("bringing HAProxy up to date")]
    Apply(#[from] haproxy_runtime::ApplyError),
    /// What HAProxy runs could not be changed.
    #[error("bringing HAProxy up to date")]
    Live(#[from] haproxy_runtime::LiveError),
    /// HAProxy runs what its file does not hold; without a cause, the disk did not answer in time.
    #[error("writing what HAProxy runs to its file")]
    Behind(#[source] Option<Arc<haproxy_runtime::WriteError>>),
    /// The files of `file_output` are not as they should be.
    #[error("writing the files of services: {0}")]
    FileOutput(String),
}

impl Agent {
    /// An agent for a configuration. Connects to nothing, reads and writes nothing.
    pub fn new(config: Config) -> Self {
        let statsd = Arc::<Statsd>::default();
        statsd.configure(config.statsd.as_ref());
        let meter = Meter::new([Arc::clone(&statsd) as Arc<dyn Tell>]);
        let sources = Sources::new(&config, &meter);
        let window = Window::new(&config);
        Self {
            config,
            sources,
            applied: watch::Sender::default(),
            memory: Arc::default(),
            inbox: handle::channel(),
            pulse: Arc::default(),
            files: Arc::default(),
            statsd,
            meter,
            window,
        }
    }

    /// Gives the agent another configuration while it [runs](Self::run).
    pub fn handle(&self) -> Handle {
        self.inbox.handle.clone()
    }

    /// A view on what the agent knows and does, to be kept while it runs.
    pub fn status(&self) -> Status {
        let (sources, memory) = (self.sources.views(), Arc::clone(&self.memory));
        let configuration = self.inbox.handle.status();
        let (pulse, files) = (Arc::clone(&self.pulse), Arc::clone(&self.files));
        let statsd = Arc::clone(&self.statsd);
        let (applied, window) = (self.applied.subscribe(), self.window.status());
        Status { sources, applied, memory, configuration, pulse, files, statsd, window }
    }

    /// Runs until `stop` is ready. An apply that has begun is finished first, and the file brought up to date, within five seconds;
    /// HAProxy goes on serving what it serves.
    ///
    /// The first answers of all sources are waited for before anything is written, up to `agent.startup_wait`. A service whose
    /// source has not answered by then is served as the state file knows it, or else keeps the servers that HAProxy's file has
    /// for it. Whatever fails is logged, shown in the [`Status`], and tried again. Another configuration is taken over as its
    /// [`Handle`] says.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let status = self.status();
        self.window.open(status);
        let mut reconciler = Reconciler::start(self).await;
        let pulse = Arc::clone(&reconciler.pulse);
        let begun = Instant::now();
        loop {
            let left = reconciler.config.times.startup_wait.saturating_sub(begun.elapsed());
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some(request) = reconciler.inbox.requests.recv() => {
                    // Nothing is served yet that would have to go on meanwhile.
                    reconciler.expect(request);
                    reconciler.take_over().await;
                }
                unanswered = reconciler.running.first_answers(left) => {
                    reconciler.name_silent(&unanswered);
                    break;
                }
                never = pulse.waiting() => match never {},
            }
        }
        let news = Arc::clone(&reconciler.running.news);
        let (mut due, mut reconcile_at) = (true, Instant::now() + RECONCILE_EVERY);
        reconciler.look_at_everything();
        loop {
            if due {
                // A failure is logged and kept in the status; `retry_at` brings us back to it.
                let _ = reconciler.apply().await;
            }
            let (retry_at, tend_at) = (reconciler.output.retry_at(), reconciler.output.tend_at());
            due = tokio::select! {
                biased;
                () = &mut stop => break,
                () = reconciler.running.died() => false,
                Some(request) = reconciler.inbox.requests.recv() => {
                    reconciler.expect(request);
                    false
                }
                () = takeover::ready(reconciler.coming.as_ref()) => {
                    reconciler.busy();
                    reconciler.take_over().await;
                    true
                }
                () = until(retry_at) => true,
                () = news.wait() => {
                    let (ready, times) = (reconciler.output.ready(), reconciler.config.times);
                    tokio::select! {
                        biased;
                        () = &mut stop => break,
                        () = settled(&news, ready, times) => {}
                        never = pulse.waiting() => match never {},
                    }
                    false
                }
                again = reconciler.output.filed() => {
                    reconciler.show();
                    again
                }
                () = sleep_until(reconcile_at) => {
                    reconciler.busy();
                    reconciler.output.reconcile().await;
                    reconciler.keeper.beat();
                    reconciler.files.recheck();
                    reconcile_at = Instant::now() + RECONCILE_EVERY;
                    true
                }
                () = until(tend_at) => {
                    reconciler.busy();
                    reconciler.output.tend().await;
                    false
                }
                never = pulse.waiting() => match never {},
            };
            due |= reconciler.look_at_news();
        }
        reconciler.busy();
        if let Err(error) = reconciler.output.flush().await {
            error!(error = %chain(&error), "stopping; a HAProxy that is started now begins with what its file had before");
        }
        // What of the files was not written is logged and in the status.
        let _ = reconciler.finish().await;
        info!("stopping; HAProxy goes on serving");
    }

    /// Waits for the first answers, up to `agent.startup_wait`, applies them once, and returns: when the file is up to date, and
    /// servers that have left are deleted. Those that have connections are waited for no longer than ten seconds.
    ///
    /// # Errors
    ///
    /// HAProxy could not be brought up to date, or some sources have not answered: then what the others said was applied, and
    /// the services of those keep the servers that the file has for them.
    pub async fn once(self) -> Result<(), AgentError> {
        let waited = self.config.times.startup_wait;
        let mut reconciler = Reconciler::start(self).await;
        let services = unanswered(&reconciler.running, waited).await;
        reconciler.look_at_everything();
        let mut applied = reconciler.apply().await;
        while let (Ok(()), Some(at)) = (&applied, reconciler.output.retry_at()) {
            sleep_until(at).await;
            applied = reconciler.apply().await;
        }
        let filed = reconciler.output.flush().await;
        applied = applied.and(filed);
        let written = reconciler.finish().await;
        applied?;
        reconciler.output.see_out().await;
        written.map_err(AgentError::FileOutput)?;
        if services.is_empty() { Ok(()) } else { Err(AgentError::Unanswered { services, waited }) }
    }

    /// Waits for the first answers, up to `agent.startup_wait`, and returns them. Writes nothing.
    ///
    /// The [`Status`] shows what each source said, those that have not answered included, with what the state file has of them.
    /// The services of those are missing in the catalog: what was true once is no answer.
    pub async fn discover(self) -> Catalog {
        let waited = self.config.times.startup_wait;
        let mut model = Model::new(&self.config.services, &self.config.haproxy, None);
        state::recall(&self.config, &self.memory, &mut model).await;
        let running = self.sources.start();
        running.first_answers(waited).await;
        let answers = running.views();
        let answers = answers.iter().filter_map(|view| {
            let snapshot = view.observed.borrow().snapshot.clone()?;
            Some((view.service.to_string(), snapshot))
        });
        Catalog::new(answers.collect::<Vec<_>>())
    }
}

impl Config {
    /// The text of HAProxy's configuration for these endpoints, as an agent would write it where no file was before. Pure.
    ///
    /// A service that the catalog does not have is rendered as if its source had not answered.
    pub fn render(&self, catalog: &Catalog) -> String {
        let mut model = Model::new(&self.services, &self.haproxy, None);
        for name in self.services() {
            if let Some(snapshot) = catalog.service(name) {
                model.refresh(name, Some(&Said::new(snapshot.clone(), None)), None);
            }
        }
        render(model.document())
    }
}

/// Waits until what is new may be applied. Cancel safe.
async fn settled(news: &News, ready: Ready, times: Times) {
    match ready {
        Ready::Settled => news.settle(times.settle, times.settle_max).await,
        Ready::At(Some(at)) => sleep_until(at).await,
        Ready::At(None) => {}
    }
}

/// Waits until then; `None`: for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn unanswered(running: &Running, waited: Duration) -> Vec<String> {
    let describe = |(service, error): (String, Option<String>)| match error {
        Some(error) => format!("{service} ({error})"),
        None => service,
    };
    silent(running, waited).await.into_iter().map(describe).collect()
}

/// The services whose sources have not answered after that time, each with the last error of its source.
pub(crate) async fn silent(running: &Running, waited: Duration) -> Vec<(String, Option<String>)> {
    let views = running.first_answers(waited).await;
    let error = |view: &SourceView| view.observed.borrow().health.error().map(WatchError::chain);
    views.iter().map(|view| (view.service.to_string(), error(view))).collect()
}
