//! ZooKeeper's four-letter words: a word on a connection of its own, and the answer until the server closes it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest answer of a server that serves: `dump` of many thousand nodes takes a moment.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// Longest answer of a server that starts: a connection that it accepts too early is never answered.
const START: Duration = Duration::from_secs(1);

/// What the server says to `word`; [`io::ErrorKind::TimedOut`] after `deadline`.
pub(super) async fn ask(server: SocketAddr, word: &str, deadline: Duration) -> io::Result<String> {
    timeout(deadline, async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(word.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    })
    .await?
}

/// `Ok` with the server's mode if it serves: `standalone`, `leader` or `follower`.
///
/// `ruok` is of no use: it is answered before the first request can be, and by members that are without a quorum.
pub(super) async fn mode(server: SocketAddr) -> Result<String, String> {
    let answer = ask(server, "srvr", START).await.map_err(|error| error.to_string())?;
    match answer.lines().find_map(|line| line.strip_prefix("Mode: ")) {
        Some(mode) => Ok(mode.to_owned()),
        None => Err(answer),
    }
}
