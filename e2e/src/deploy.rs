//! A rolling deploy.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
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
    /// process is gone `grace` later, and not before `told`, which is given its name, has returned. Returns when they all are.
    pub async fn roll(&mut self, every: Duration, grace: Duration, told: impl AsyncFn(String)) {
        let mut ending = FuturesUnordered::new();
        let mut turns = interval(every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut left = self.running.len();
        while left > 0 || !ending.is_empty() {
            tokio::select! {
                _ = turns.tick(), if left > 0 => {}
                Some(()) = ending.next() => continue,
            }
            self.add().await;
            let mut old = self.running.pop_front().expect("one was just added");
            self.etcd.delete(&self.key(&old)).await;
            left -= 1;
            let told = &told;
            ending.push(async move {
                // What a deploy does: it waits for so long, and looks at nothing.
                tokio::join!(sleep(grace), told(old.name().to_owned()));
                old.stop().await;
            });
        }
    }

    /// Those that run and are registered.
    pub fn running(&self) -> impl Iterator<Item = &HttpBackend> {
        self.running.iter()
    }
}
