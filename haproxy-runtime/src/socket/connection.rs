//! Getting through to a process.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::{Instant, sleep, timeout_at},
};

use super::{
    address::{Place, SocketAddress},
    error::SocketFault,
};

/// Between two tries while the queue of connections is full.
const EVERY: Duration = Duration::from_millis(5);

/// A connection, of whatever kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects within `deadline`. Waits while the queue of connections is full, and for nothing else: somebody who is not
/// there has to be noticed at once.
pub(super) async fn connect(
    address: &SocketAddress,
    deadline: Duration,
) -> Result<Box<dyn Stream>, SocketFault> {
    let end = Instant::now() + deadline;
    loop {
        let error = match timeout_at(end, open(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(elapsed) => return Err(SocketFault::Connect(elapsed.into())),
        };
        if error.kind() != io::ErrorKind::WouldBlock || Instant::now() + EVERY >= end {
            return Err(SocketFault::connecting(error));
        }
        sleep(EVERY).await;
    }
}

async fn open(address: &SocketAddress) -> io::Result<Box<dyn Stream>> {
    Ok(match address.place() {
        Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Place::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            // Each batch is a few small writes that wait for their answers.
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
    })
}
