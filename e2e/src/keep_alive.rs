//! Clients that hold on to their connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::http::{Connection, late};

/// Longest wait for one answer: a client gives up then.
const ANSWER: Duration = Duration::from_secs(5);

/// Clients that ask for `/` at a steady pace, each over one connection that it keeps; tasks of the current runtime.
///
/// One that loses its connection says so, and opens another. What a client asks is never asked again: like a request
/// that must not be repeated, it fails if its connection does.
#[derive(Debug)]
pub struct KeepAlive {
    requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Kept>>,
}

/// What became of requests and of the connections that they were sent over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// How many requests there were.
    pub requests: usize,
    /// What happened to each that was not answered with status 200.
    pub failed: Vec<String>,
    /// Connections that the server closed, whether a request was under way or not.
    pub closed: usize,
}

impl KeepAlive {
    /// Starts that many clients, which together ask that many times a second.
    pub fn start(address: SocketAddr, clients: u32, a_second: u32) -> Self {
        let (requests, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let every = Duration::from_secs(1) * clients / a_second;
        let tasks = (0..clients).map(|number| {
            let (requests, stop) = (Arc::clone(&requests), Arc::clone(&stop));
            tokio::spawn(async move {
                // Evenly: not all at once.
                sleep(every * number / clients).await;
                ask(address, every, &requests, &stop).await
            })
        });
        Self { tasks: tasks.collect(), requests, stop }
    }

    /// How many requests there were so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Ends after the answers to the last requests, and returns what became of all.
    pub async fn stop(self) -> Kept {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Kept::default();
        for task in self.tasks {
            let kept = task.await.unwrap_or_else(|error| panic!("a client of a test: {error}"));
            all.requests += kept.requests;
            all.failed.extend(kept.failed);
            all.closed += kept.closed;
        }
        all
    }
}

async fn ask(address: SocketAddr, every: Duration, requests: &AtomicUsize, stop: &AtomicBool) -> Kept {
    let mut kept = Kept::default();
    let mut connection: Option<Connection> = None;
    let mut turns = interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        turns.tick().await;
        kept.closed += usize::from(connection.take_if(|connection| connection.is_over()).is_some());
        match timeout(ANSWER, one(&mut connection, address)).await.unwrap_or_else(|_| Err(late("the answer")))
        {
            Ok(200) => {}
            Ok(status) => kept.failed.push(format!("status {status}")),
            Err(error) => kept.failed.push(error.to_string()),
        }
        kept.requests += 1;
        requests.fetch_add(1, Ordering::Relaxed);
        kept.closed += usize::from(connection.take_if(|connection| !connection.is_reusable()).is_some());
    }
    kept
}

/// The status of one request, over the connection that there is, or a new one.
async fn one(connection: &mut Option<Connection>, address: SocketAddr) -> std::io::Result<u16> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::open(address).await?),
    };
    Ok(connection.request("GET", "/", &[], "").await?.status)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::{HttpBackend, wait_until};

    const DEADLINE: Duration = Duration::from_secs(30);

    async fn until_asked(clients: &KeepAlive, times: usize) {
        let wanted = clients.requests() + times;
        wait_until(DEADLINE, "requests", async || match clients.requests() {
            count if count >= wanted => Ok(()),
            count => Err(format!("{count}")),
        })
        .await;
    }

    #[tokio::test]
    async fn a_server_that_stays_costs_nothing() {
        let server = HttpBackend::start("a").await;
        let clients = KeepAlive::start(server.address(), 4, 400);
        until_asked(&clients, 20).await;
        let kept = clients.stop().await;
        assert_eq!((kept.requests, kept.failed.len(), kept.closed), (server.requests(), 0, 0));
    }

    #[tokio::test]
    async fn connections_that_are_closed_are_counted_and_opened_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                // The whole request is one packet; after the answer the connection ends, which nobody is told before.
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        });
        let clients = KeepAlive::start(address, 4, 100);
        until_asked(&clients, 20).await;
        let kept = clients.stop().await;
        server.abort();
        // What became of its last connection a client has not seen.
        assert!(kept.closed <= kept.requests && kept.closed + 4 >= kept.requests, "{kept:?}");
    }
}
