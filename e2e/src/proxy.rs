//! A network that can be cut.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::Port;
use crate::listener::Listener;

/// A TCP proxy in front of one server, a task of the current runtime: partitions for a client that is told its address.
///
/// | state | new connections | open connections |
/// |---|---|---|
/// | healed (at the start) | forwarded | forwarded |
/// | [`cut`](Self::cut) | refused | closed |
/// | [`freeze`](Self::freeze)d | accepted, then silence | silent, and open |
///
/// What a frozen connection was sent is forwarded after [`heal`](Self::heal), as a network does that lost packets
/// for a while. A proxy can also be [slow](Self::throttle). Dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    target: SocketAddr,
    frozen: watch::Sender<bool>,
    /// Bytes per second of each connection, in each direction.
    rate: watch::Sender<Option<u32>>,
    listener: Option<Listener>,
}

impl Proxy {
    /// Forwards to `target`, which need not be listening yet.
    pub async fn start(target: SocketAddr) -> Self {
        let mut proxy = Self {
            port: Port::free(),
            target,
            frozen: watch::Sender::new(false),
            rate: watch::Sender::new(None),
            listener: None,
        };
        proxy.heal().await;
        proxy
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Closes all connections and refuses new ones; on return both have happened on this side.
    pub async fn cut(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.close().await;
        }
    }

    /// Forwards nothing more, in either direction, and closes nothing. A proxy that was cut accepts again.
    pub async fn freeze(&mut self) {
        self.frozen.send_replace(true);
        self.listen().await;
    }

    /// Forwards again, what was held back first.
    pub async fn heal(&mut self) {
        self.frozen.send_replace(false);
        self.listen().await;
    }

    /// Forwards at most this many bytes per second, of each connection and in each direction; `None`: as many as come.
    pub fn throttle(&self, rate: Option<u32>) {
        assert_ne!(rate, Some(0), "that is a freeze");
        self.rate.send_replace(rate);
    }

    /// Closes all connections, and forwards new ones to `target`, as a name or an address does that was given to another server.
    pub async fn lead_to(&mut self, target: SocketAddr) {
        self.cut().await;
        self.target = target;
        self.heal().await;
    }

    async fn listen(&mut self) {
        if self.listener.is_none() {
            let (target, link) =
                (self.target, Link { frozen: self.frozen.subscribe(), rate: self.rate.subscribe() });
            let forward = move |client| forward(client, target, link.clone());
            self.listener = Some(Listener::start(self.address(), forward).await);
        }
    }
}

/// How a proxy forwards right now.
#[derive(Debug, Clone)]
struct Link {
    frozen: watch::Receiver<bool>,
    rate: watch::Receiver<Option<u32>>,
}

async fn forward(client: TcpStream, target: SocketAddr, link: Link) -> std::io::Result<()> {
    thawed(&mut link.frozen.clone()).await?;
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    tokio::try_join!(
        pump(client_reads, server_writes, link.clone()),
        pump(server_reads, client_writes, link.clone()),
    )?;
    Ok(())
}

/// Copies until the sender closes; the receiver is then told, and the other direction goes on.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    Link { mut frozen, rate }: Link,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut free = Instant::now();
    loop {
        thawed(&mut frozen).await?;
        let read = from.read(&mut buffer).await?;
        // Frozen while waiting for these bytes: they are held back.
        thawed(&mut frozen).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        let rate = *rate.borrow();
        if let (Some(rate), Ok(read)) = (rate, u32::try_from(read)) {
            free = free.max(Instant::now()) + Duration::from_secs(1) * read / rate;
            sleep_until(free).await;
        }
    }
}

/// Waits while frozen.
async fn thawed(frozen: &mut watch::Receiver<bool>) -> std::io::Result<()> {
    frozen
        .wait_for(|frozen| !frozen)
        .await
        .map(drop)
        .map_err(|_| std::io::ErrorKind::ConnectionAborted.into())
}
