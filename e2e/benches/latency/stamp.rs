//! When something happened.

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::path::Path;

use agent::{Registry, Source, Status};
use async_trait::async_trait;
use discovery_core::{Snapshot, WatchError, Watcher};
use discovery_etcd::{Cluster, EtcdConfig, Member};
use rustix::fs::inotify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Moments of one kind, in order.
#[derive(Debug)]
pub(crate) struct Stamps<T = ()>(UnboundedReceiver<(Instant, T)>);

impl<T> Stamps<T> {
    pub(crate) fn channel() -> (UnboundedSender<(Instant, T)>, Self) {
        let (sender, receiver) = unbounded_channel();
        (sender, Self(receiver))
    }

    /// Forgets what has happened.
    pub(crate) fn clear(&mut self) {
        while self.0.try_recv().is_ok() {}
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> (Instant, T) {
        self.0.recv().await.expect("whoever stamps outlives the measurement")
    }
}

/// The source `etcd`, which also says when it said what: the number of its endpoints.
pub(crate) fn registry(said: UnboundedSender<(Instant, usize)>) -> Registry {
    Registry::builtin().with("etcd", move |section| {
        let (cluster, prefix) = section.parse::<EtcdConfig>()?.into_parts();
        let said = said.clone();
        Ok(Source::new(move |context| {
            let backoff = context.backoff();
            let cluster = context.shared(cluster.clone(), |config| Cluster::new(config, backoff));
            Timed { member: cluster.member(prefix.clone()), said: said.clone() }
        }))
    })
}

struct Timed {
    member: Member,
    said: UnboundedSender<(Instant, usize)>,
}

#[async_trait]
impl Watcher for Timed {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        let snapshot = self.member.next().await?;
        let _ = self.said.send((Instant::now(), snapshot.len()));
        Ok(snapshot)
    }
}

/// When files of a directory were replaced.
pub(crate) fn replacements(directory: &Path) -> Stamps {
    let watch = inotify::init(inotify::CreateFlags::empty()).expect("inotify");
    inotify::add_watch(&watch, directory, inotify::WatchFlags::MOVED_TO).expect("the directory exists");
    let (send, stamps) = Stamps::channel();
    // A thread of its own, which nobody waits for: reading blocks, and ends with the process.
    std::thread::spawn(move || {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        while events.next().is_ok() && send.send((Instant::now(), ())).is_ok() {}
    });
    stamps
}

/// When an agent was done with applies.
pub(crate) fn applies(mut status: Status) -> Stamps {
    let (send, stamps) = Stamps::channel();
    tokio::spawn(async move {
        while status.changed().await {
            if let Some(applied) = status.output().applied
                && send.send((applied, ())).is_err()
            {
                return;
            }
        }
    });
    stamps
}

/// Asks over and over, each time over a new connection, until dropped.
#[derive(Debug)]
pub(crate) struct Client {
    task: JoinHandle<()>,
    answers: Stamps<Result<String, String>>,
}

impl Client {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (send, answers) = Stamps::channel();
        let task = tokio::spawn(async move {
            loop {
                let answer = match e2e::get(address, "/").await {
                    Ok(response) => response.server.ok_or_else(|| format!("status {}", response.status)),
                    Err(error) => Err(error.to_string()),
                };
                if send.send((Instant::now(), answer)).is_err() {
                    return;
                }
            }
        });
        Self { task, answers }
    }

    /// The next answer: who gave it, or what was wrong.
    pub(crate) async fn next(&mut self) -> (Instant, Result<String, String>) {
        self.answers.next().await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}
