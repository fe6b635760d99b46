//! A TCP server that can be closed with all its connections.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// Longest wait for whoever still has the address: an earlier test's server, or an outgoing connection.
const TAKEN: Duration = Duration::from_secs(10);

/// Accepts connections in a task of the current runtime. Dropping it closes everything as soon as the runtime runs
/// again; [`close`](Self::close) waits for that.
#[derive(Debug)]
pub(crate) struct Listener {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens on `address` and runs `serve` for each connection, whose errors are the client's affair.
    pub(crate) async fn start<S, F>(address: SocketAddr, serve: S) -> Self
    where
        S: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let end = Instant::now() + TAKEN;
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < end => {}
                Err(error) => panic!("listening on {address} for a test: {error}"),
            }
            sleep(Duration::from_millis(10)).await;
        };
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(accept(listener, serve, stopped)) }
    }

    /// Closes the listener and all connections; on return they are closed.
    pub(crate) async fn close(self) {
        drop(self.stop);
        // A panic in there has already been printed.
        let _ = self.task.await;
    }
}

async fn accept<S, F>(listener: TcpListener, serve: S, mut stopped: oneshot::Receiver<()>)
where
    S: Fn(TcpStream) -> F,
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream));
                }
                // Out of file descriptors, say: give others time to release some.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            // Finished ones are forgotten at once, or a long scenario would collect them.
            Some(_) = connections.join_next() => {}
        }
    }
    silence(&listener);
    drop(listener);
    connections.shutdown().await;
}

/// Makes a listener refuse connections at once.
///
/// Closing it is not enough: a child process that another test is starting has a copy of it until it executes its
/// program, and for so long the kernel would go on accepting, and let nobody else listen on the port.
pub(crate) fn silence(listener: impl AsFd) {
    rustix::net::shutdown(listener, Shutdown::Both).expect("a socket that listens can be shut down");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silenced_listener_refuses_although_another_process_has_it() {
        let port = crate::Port::free();
        let listener = std::net::TcpListener::bind(port.address()).unwrap();
        let copy = listener.try_clone().unwrap();
        silence(&listener);
        drop(listener);
        assert!(std::net::TcpStream::connect(port.address()).is_err());
        std::net::TcpListener::bind(port.address()).unwrap();
        drop(copy);
    }
}
