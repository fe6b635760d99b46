//! A server to put behind HAProxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::Port;
use crate::listener::Listener;

/// Longest request head that is read.
const HEAD: u64 = 16 * 1024;

/// A small HTTP/1.1 server, a task of the current runtime, that tells who it is.
///
/// Every request is answered with status 200, its name as the body, and its name in the header `x-server`; requests
/// for `/health` too, but they are counted apart, and [`set_healthy`](Self::set_healthy) makes them fail. Dropping it
/// closes its listener and its connections as soon as the runtime runs again; [`stop`](Self::stop) waits for that.
#[derive(Debug)]
pub struct HttpBackend {
    address: SocketAddr,
    state: Arc<State>,
    /// `None` for an address that the test chose.
    _port: Option<Port>,
    listener: Option<Listener>,
}

#[derive(Debug)]
struct State {
    name: String,
    delay: Duration,
    healthy: AtomicBool,
    requests: AtomicUsize,
    health_checks: AtomicUsize,
}

impl HttpBackend {
    /// A server that answers at once.
    pub async fn start(name: &str) -> Self {
        Self::start_with_delay(name, Duration::ZERO).await
    }

    /// A server that lets each request but those for `/health` wait for `delay`.
    pub async fn start_with_delay(name: &str, delay: Duration) -> Self {
        let port = Port::free();
        Self::start_on(name, delay, port.address(), Some(port)).await
    }

    /// A server that answers at once, at an address of the test's choice: any of 127.0.0.0/8 will do on Linux. The test sees to
    /// it that no other wants the same.
    pub async fn start_at(name: &str, address: SocketAddr) -> Self {
        Self::start_on(name, Duration::ZERO, address, None).await
    }

    async fn start_on(name: &str, delay: Duration, address: SocketAddr, port: Option<Port>) -> Self {
        let state = State {
            name: name.to_owned(),
            delay,
            healthy: AtomicBool::new(true),
            requests: AtomicUsize::new(0),
            health_checks: AtomicUsize::new(0),
        };
        let mut backend = Self { address, state: Arc::new(state), _port: port, listener: None };
        backend.resume().await;
        backend
    }

    /// Its name, as answers give it.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`address`](Self::address).
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Requests received since the start, without those for `/health`.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Requests for `/health` received since the start.
    pub fn health_checks(&self) -> usize {
        self.state.health_checks.load(Ordering::Relaxed)
    }

    /// Whether `/health` answers 200 (as it does at the start) or 503.
    pub fn set_healthy(&self, healthy: bool) {
        self.state.healthy.store(healthy, Ordering::Relaxed);
    }

    /// Closes the listener and every connection; the port stays claimed, and connecting to it is refused.
    pub async fn stop(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.close().await;
        }
    }

    /// Listens again, on the same port, after [`stop`](Self::stop). Nothing happens if it is listening.
    pub async fn resume(&mut self) {
        if self.listener.is_none() {
            let state = Arc::clone(&self.state);
            let serve = move |stream| serve(stream, Arc::clone(&state));
            self.listener = Some(Listener::start(self.address(), serve).await);
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await? {
        let status = if request.path == "/health" {
            state.health_checks.fetch_add(1, Ordering::Relaxed);
            if state.healthy.load(Ordering::Relaxed) { "200 OK" } else { "503 Service Unavailable" }
        } else {
            state.requests.fetch_add(1, Ordering::Relaxed);
            sleep(state.delay).await;
            "200 OK"
        };
        let connection = if request.keep_alive { "keep-alive" } else { "close" };
        let name = &state.name;
        let answer = format!(
            "HTTP/1.1 {status}\r\nx-server: {name}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{}",
            name.len(),
            // An answer to HEAD describes a body that it does not carry.
            if request.head { "" } else { name },
        );
        stream.get_mut().write_all(answer.as_bytes()).await?;
        if !request.keep_alive {
            break;
        }
    }
    Ok(())
}

struct Request {
    path: String,
    head: bool,
    keep_alive: bool,
}

/// The next request, its body read and forgotten; `None` when the client has closed.
async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let (mut first, mut length, mut close, mut keep) = (String::new(), 0, false, false);
    let mut head = (&mut *stream).take(HEAD);
    loop {
        let mut line = String::new();
        if head.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if first.is_empty() {
            line.clone_into(&mut first);
            continue;
        }
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "connection" => {
                close |= value.trim().eq_ignore_ascii_case("close");
                keep |= value.trim().eq_ignore_ascii_case("keep-alive");
            }
            _ => {}
        }
    }
    tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await?;
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default().to_owned();
    let keep_alive = if first.ends_with("HTTP/1.0") { keep } else { !close };
    Ok(Some(Request { path, head: method == "HEAD", keep_alive }))
}
