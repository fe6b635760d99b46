//! The program under test, without a process of its own.

use std::path::Path;

use agent::{Agent, Config, Follower, Loader, Registry, ServiceStatus, Status};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// An agent that runs as a task of the current runtime. Dropping it has it stop, as a signal would.
#[derive(Debug)]
pub struct AgentTask {
    status: Status,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl AgentTask {
    /// Starts an agent, and sends what it logs to the test's output.
    pub fn start(config: Config) -> Self {
        crate::show_logs();
        let agent = Agent::new(config);
        let status = agent.status();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(agent.run(async {
            // A sender that was dropped says the same as one that was used.
            let _ = stopped.await;
        }));
        Self { status, stop, task }
    }

    /// Starts an agent that follows its configuration in the file at `path`, as the program does.
    pub fn follow(path: &Path) -> Self {
        crate::show_logs();
        let loader = Loader::new(path, Registry::builtin());
        let first = loader.load();
        let config = first.config.clone();
        let agent =
            Agent::new(config.unwrap_or_else(|error| panic!("the test's own configuration: {error}")));
        let status = agent.status();
        let follower = Follower::new(agent.handle(), loader, first);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let running = agent.run(async {
                // A sender that was dropped says the same as one that was used.
                let _ = stopped.await;
            });
            // The follower ends with the agent; nobody tells it to read what has not changed.
            let reload = Notify::new();
            tokio::join!(running, follower.run(&reload));
        });
        Self { status, stop, task }
    }

    /// What it knows and does.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What it knows of a service, which its configuration must have.
    pub fn service(&self, name: &str) -> ServiceStatus {
        let mut services = self.status.services().into_iter();
        services.find(|service| service.service == name).unwrap_or_else(|| panic!("no service {name}"))
    }

    /// Ends it without a chance to finish anything, as a crash would.
    pub async fn kill(self) {
        self.task.abort();
        // Only to wait: an abort is what it ends with.
        let _ = self.task.await;
    }

    /// Stops it, and waits until it has.
    pub async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap_or_else(|error| panic!("the agent: {error}"));
    }
}
