//! HTTP towards one Docker.

use std::{
    error::Error,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    client::conn::http1::{self, Connection, SendRequest},
    header::{HOST, HeaderValue},
    http::uri::PathAndQuery,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    task::AbortHandle,
    time::timeout,
};

use crate::{
    api_version::ApiVersion,
    config::DaemonConfig,
    failure::{Failure, TooLarge},
    owner, tls,
};

/// How long connecting may take, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// How much longer than its answer a connection may last: who waits gives up first, and can say so.
const AFTER: Duration = Duration::from_secs(1);
/// The largest answer, its head included. A list has some kilobytes a container.
const MAX_ANSWER: u64 = 64 << 20;

/// A way to one Docker. Each request has a connection of its own.
#[derive(Debug)]
pub(crate) struct Wire {
    daemon: DaemonConfig,
}

/// Reads and writes the bytes of a connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Io = TokioIo<Limited<Box<dyn Stream>>>;

/// Closes a connection when it is dropped, whatever happens on it.
#[derive(Debug)]
pub(crate) struct Closing(AbortHandle);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Wire {
    pub(crate) fn new(daemon: DaemonConfig) -> Self {
        Self { daemon }
    }

    /// Sends a request, in a version of the API unless that is to be found out, and waits for the head of the answer. Of an answer
    /// some megabytes are read, and it is cut off a moment after the time is over.
    pub(crate) async fn ask<B>(
        &self,
        request: Request<B>,
        version: Option<ApiVersion>,
        within: Duration,
    ) -> Result<Response<Incoming>, Failure>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (mut sender, connection) = self.begin(MAX_ANSWER).await?;
        // How the connection ends is told by the answer.
        tokio::spawn(timeout(within + AFTER, connection));
        sender.send_request(self.addressed(request, version)?).await.map_err(Failure::http)
    }

    /// The same of an answer that has no end, on a connection that lasts as long as what is returned beside it.
    pub(crate) async fn listen<B>(
        &self,
        request: Request<B>,
        version: ApiVersion,
    ) -> Result<(Response<Incoming>, Closing), Failure>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (mut sender, connection) = self.begin(u64::MAX).await?;
        let closing = Closing(tokio::spawn(connection).abort_handle());
        let response = sender.send_request(self.addressed(request, Some(version))?).await;
        Ok((response.map_err(Failure::http)?, closing))
    }

    async fn begin<B>(&self, limit: u64) -> Result<(SendRequest<B>, Connection<Io, B>), Failure>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let stream = timeout(CONNECT, self.connect()).await.map_err(|_| Failure::Late(CONNECT))??;
        let stream = TokioIo::new(Limited { stream, limit, left: limit });
        http1::handshake(stream).await.map_err(Failure::http)
    }

    fn addressed<B>(&self, request: Request<B>, version: Option<ApiVersion>) -> Result<Request<B>, Failure> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        head.uri = versioned(path, version).parse().map_err(Failure::http)?;
        let host = match &self.daemon {
            DaemonConfig::Socket(_) => "localhost".to_owned(),
            daemon @ DaemonConfig::Tcp { .. } => daemon.to_string(),
        };
        head.headers.insert(HOST, HeaderValue::try_from(host).map_err(Failure::http)?);
        Ok(Request::from_parts(head, body))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Failure> {
        match &self.daemon {
            DaemonConfig::Socket(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    Err(Failure::Denied { path: path.clone(), owner: owner::of(path).await })
                }
                Err(source) => Err(Failure::Connect { at: path.display().to_string(), source }),
            },
            DaemonConfig::Tcp { host, port, tls } => {
                let to = (host.to_string(), port.get());
                let stream = TcpStream::connect(to).await;
                let stream =
                    stream.map_err(|source| Failure::Connect { at: self.daemon.to_string(), source })?;
                match tls {
                    None => Ok(Box::new(stream)),
                    Some(tls) => Ok(Box::new(tls::over(stream, host, tls).await?)),
                }
            }
        }
    }
}

/// The path below a version of the API, whether it already names one or not.
fn versioned(path: &str, version: Option<ApiVersion>) -> String {
    let rest = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
    let path = match rest {
        Some((named, rest)) if named.parse::<ApiVersion>().is_ok() => format!("/{rest}"),
        _ => path.to_owned(),
    };
    match version {
        Some(version) => format!("/v{version}{path}"),
        None => path,
    }
}

/// A connection from which only so much is read.
struct Limited<S> {
    stream: S,
    limit: u64,
    left: u64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Limited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = u64::try_from(buffer.filled().len() - before).unwrap_or(u64::MAX);
        match self.left.checked_sub(read) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Ok(()))
            }
            None => Poll::Ready(Err(io::Error::other(TooLarge(self.limit)))),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Limited<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_names_the_agreed_version_once() {
        let version = "1.41".parse().ok();
        assert_eq!(versioned("/containers/json?all=false", version), "/v1.41/containers/json?all=false");
        assert_eq!(versioned("/v1.53/containers/json", version), "/v1.41/containers/json");
        assert_eq!(versioned("/v1.53/version", None), "/version");
        assert_eq!(versioned("/version", version), "/v1.41/version");
        assert_eq!(versioned("/volumes/x", version), "/v1.41/volumes/x");
    }
}
