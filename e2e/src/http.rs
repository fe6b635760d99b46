//! An HTTP/1.1 client of a few lines: what scenarios ask HAProxy and etcd's gateway.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest head, and longest line of a chunked body.
const HEAD: u64 = 16 * 1024;
/// Largest body: lists of a hundred thousand keys fit.
const BODY: u64 = 256 * 1024 * 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// Status code, such as 200.
    pub status: u16,
    /// The body; what is not UTF-8 is replaced.
    pub body: String,
    /// Header `x-server`: the name of the [`HttpBackend`](crate::HttpBackend) that answered.
    pub server: Option<String>,
}

/// Asks for `path` over a new connection.
///
/// # Errors
/// No connection, no whole answer within 5 s, or an answer that is not HTTP/1. Any status is an answer.
pub async fn get(address: impl ToSocketAddrs, path: &str) -> std::io::Result<Response> {
    let asked =
        async { Connection::open(address).await?.request("GET", path, &["Connection: close"], "").await };
    timeout(DEADLINE, asked).await.unwrap_or_else(|_| Err(late("the answer")))
}

/// A connection that can be asked again and again.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    reusable: bool,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// The server refused, or could not be reached within 5 s.
    pub async fn open(address: impl ToSocketAddrs) -> std::io::Result<Self> {
        let stream = timeout(DEADLINE, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(late("a connection")))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), reusable: true })
    }

    /// Whether the server lets the connection stand for another request.
    pub fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// Whether the server has closed the connection meanwhile, or sent what nobody asked for.
    pub fn is_over(&self) -> bool {
        !self.stream.buffer().is_empty() || self.stream.get_ref().peek(&mut [0]).now_or_never().is_some()
    }

    /// Sends a request with further header lines (without line ends) and waits for the whole answer, however long
    /// that takes. The connection must not be used again after an error, or when the future was dropped.
    ///
    /// # Errors
    /// The connection broke, or what came is not an HTTP/1 answer.
    pub async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> std::io::Result<Response> {
        self.reusable = false;
        let mut message = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for header in headers {
            message.push_str(header);
            message.push_str("\r\n");
        }
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        message.extend([&length, "\r\n", body]);
        self.stream.get_mut().write_all(message.as_bytes()).await?;
        let (response, reusable) = read_response(&mut self.stream).await?;
        self.reusable = reusable;
        Ok(response)
    }
}

/// Reads head and body; `true` if the connection may be used again.
async fn read_response<R: AsyncBufRead + Unpin>(stream: &mut R) -> std::io::Result<(Response, bool)> {
    let first = line(stream).await?;
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| invalid("status line", &first))?;
    let (mut server, mut length, mut chunked, mut reusable) =
        (None, None, false, first.starts_with("HTTP/1.1"));
    loop {
        let header = line(stream).await?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or_else(|| invalid("header", &header))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "x-server" => server = Some(value.to_owned()),
            "content-length" => length = Some(value.parse::<u64>().map_err(|_| invalid("length", value))?),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => reusable = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let bytes = match (chunked, length) {
        (true, _) => read_chunks(stream).await?,
        (false, Some(length)) => read_exactly(stream, length).await?,
        (false, None) => {
            reusable = false;
            let mut rest = Vec::new();
            stream.take(BODY).read_to_end(&mut rest).await?;
            rest
        }
    };
    Ok((Response { status, body: String::from_utf8_lossy(&bytes).into_owned(), server }, reusable))
}

async fn read_chunks<R: AsyncBufRead + Unpin>(stream: &mut R) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream).await?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| invalid("chunk size", &size))?;
        body.extend(read_exactly(stream, size).await?);
        if body.len() as u64 > BODY {
            return Err(invalid("body", "too large"));
        }
        // After the last chunk, which is empty, come trailers: etcd's gateway sends some with errors.
        while !line(stream).await?.is_empty() && size == 0 {}
        if size == 0 {
            return Ok(body);
        }
    }
}

async fn read_exactly<R: AsyncBufRead + Unpin>(stream: &mut R, length: u64) -> std::io::Result<Vec<u8>> {
    if length > BODY {
        return Err(invalid("body", "too large"));
    }
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body).await?;
    if body.len() as u64 == length { Ok(body) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// One line without its end.
async fn line<R: AsyncBufRead + Unpin>(stream: &mut R) -> std::io::Result<String> {
    let mut line = String::new();
    stream.take(HEAD).read_line(&mut line).await?;
    match line.strip_suffix('\n') {
        Some(whole) => Ok(whole.trim_end_matches('\r').to_owned()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

fn invalid(part: &str, seen: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not an HTTP {part}: {seen}"))
}

pub(crate) fn late(what: &str) -> Error {
    Error::new(ErrorKind::TimedOut, format!("waiting for {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(text: &str) -> std::io::Result<(Response, bool)> {
        read_response(&mut text.as_bytes()).await
    }

    #[tokio::test]
    async fn a_body_with_a_length_leaves_the_connection_usable() {
        let (response, reusable) =
            parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Server: blue\r\n\r\nabcHTTP/1.1 …")
                .await
                .unwrap();
        assert_eq!((response.status, response.body.as_str()), (200, "abc"));
        assert_eq!(response.server.as_deref(), Some("blue"));
        assert!(reusable);
    }

    #[tokio::test]
    async fn chunks_are_joined_and_trailers_read() {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                    2\r\nab\r\n1;x=y\r\nc\r\n0\r\nTrailer: t\r\n\r\nnext";
        let mut stream = text.as_bytes();
        let (response, reusable) = read_response(&mut stream).await.unwrap();
        assert_eq!((response.body.as_str(), reusable), ("abc", true));
        assert_eq!(stream, b"next");
    }

    #[tokio::test]
    async fn a_body_without_a_length_ends_with_the_connection() {
        let (response, reusable) = parse("HTTP/1.0 503 Service Unavailable\r\n\r\nsorry").await.unwrap();
        assert_eq!((response.status, response.body.as_str(), reusable), (503, "sorry", false));
    }

    #[tokio::test]
    async fn half_an_answer_is_an_error() {
        for text in
            ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "ICY 200 OK\r\n\r\n"]
        {
            assert!(parse(text).await.is_err(), "{text:?}");
        }
    }
}
