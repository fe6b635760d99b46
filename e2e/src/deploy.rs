//! A rolling deploy.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{Etcd, HttpBackend};

/// The processes of a service, registered in etcd below `/services/NAME`, which are replaced one by one.
#[derive(Debug)]
pub struct Deploy<'a> {
    etcd: &'a Etcd,
    service: String,
    running: VecDeque<HttpBackend>,
    started: usize,
}

impl<'a> Deploy<'a> {
    /// Starts that many processes, and registers them.
    pub async fn start(etcd: &'a Etcd, service: &str, processes: usize) -> Self {
        let mut deploy = Self { etcd, service: service.to_owned(), running: VecDeque::new(), started: 0 };
        for _ in 0..processes {
            deploy.add().await;
        }
        deploy
    }

    async fn add(&mut self) {
        let process = HttpBackend::start(&format!("node{}", self.started)).await;
        self.started += 1;
        let registration = json!({ "host": "127.0.0.1", "port": process.port(), "name": process.name() });
        self.etcd.put(&self.key(&process), &registration.to_string()).await;
        self.running.push_back(process);
    }

    fn key(&self, process: &HttpBackend) -> String {
        format!("/services/{}/{}", self.service, process.name())
    }

    /// Replaces them all, one in each `every`: a new one is started and registered, and the oldest deregistered at the same time. Its
    /// process is gone `grace` later, whatever has become of the news. Returns when they all are.
    pub async fn roll(&mut self, every: Duration, grace: Duration) {
        let mut ending = JoinSet::new();
        let mut turns = interval(every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..self.running.len() {
            turns.tick().await;
            self.add().await;
            let mut old = self.running.pop_front().expect("one was just added");
            self.etcd.delete(&self.key(&old)).await;
            ending.spawn(async move {
                // What a deploy does: it waits for so long, and looks at nothing.
                sleep(grace).await;
                old.stop().await;
            });
        }
        while let Some(ended) = ending.join_next().await {
            ended.unwrap_or_else(|error| panic!("stopping a process of a test: {error}"));
        }
    }

    /// Those that run and are registered.
    pub fn running(&self) -> impl Iterator<Item = &HttpBackend> {
        self.running.iter()
    }
}
