//! Ending somebody else's session.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What ZooKeeper mixes into the passwords of its sessions (`superSecret` in `ZooKeeperServer.java`).
const SECRET: i64 = 0xB341_5C00;
/// The number of the request that closes a session (`closeSession` in `ZooDefs.java`).
const CLOSE_SESSION: i32 = -11;
/// Any number will do; the answer repeats it.
const XID: i32 = 1;

/// Closes the session at `server`, on whose behalf nobody asked: ZooKeeper gives a session to whoever knows its id and its
/// password, and computes the password from the id.
///
/// On success the session and its ephemeral nodes are gone at `server`. [`io::ErrorKind::NotFound`] says that ZooKeeper does not
/// give out such a session any more: its nodes may be there for a moment longer.
pub(super) async fn close(server: SocketAddr, session: i64) -> io::Result<()> {
    let given = connect_and_close(server, session, password(session)).await?;
    // 0 is how ZooKeeper says that there is none.
    if given == session {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, "there is no such session"))
    }
}

/// Returns when what `server` was told, or told itself, earlier is done: opens a session, which takes its turn, and closes it.
pub(super) async fn pass(server: SocketAddr) -> io::Result<()> {
    connect_and_close(server, 0, [0; 16]).await.map(drop)
}

/// Connects with a session, 0 for a new one, and closes it; returns the session that ZooKeeper gave, 0 for none.
async fn connect_and_close(server: SocketAddr, session: i64, password: [u8; 16]) -> io::Result<i64> {
    let mut stream = TcpStream::connect(server).await?;
    // Both in one go: the owner, whose connection the first one ends, has little time to take its session back.
    let close = [XID.to_be_bytes(), CLOSE_SESSION.to_be_bytes()].concat();
    stream.write_all(&[framed(&connect(session, password)), framed(&close)].concat()).await?;
    let answer = read_frame(&mut stream).await?;
    // Before it a version and a time-out, four bytes each.
    let given = answer.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
    let given = given.ok_or_else(|| unexpected(&answer))?;
    if given == 0 {
        return Ok(0);
    }
    let answer = read_frame(&mut stream).await?;
    // Before the result, 0 for success, the number of a change.
    let repeated = answer.get(..4) == Some(&XID.to_be_bytes());
    if repeated && answer.get(12..16) == Some(&[0; 4]) { Ok(given) } else { Err(unexpected(&answer)) }
}

fn unexpected(answer: &[u8]) -> io::Error {
    io::Error::other(format!("an unexpected answer: {answer:?}"))
}

/// `ConnectRequest` of ZooKeeper's `zookeeper.jute`.
fn connect(session: i64, password: [u8; 16]) -> Vec<u8> {
    let mut request = Vec::new();
    // The version of the protocol, the last change seen, and the time-out wished for, in milliseconds.
    request.extend(0_i32.to_be_bytes());
    request.extend(0_i64.to_be_bytes());
    request.extend(10_000_i32.to_be_bytes());
    request.extend(session.to_be_bytes());
    request.extend(16_i32.to_be_bytes());
    request.extend(password);
    // Not content with a server that can only be read.
    request.push(0);
    request
}

/// Sixteen bytes from Java's `java.util.Random`, which documents its formula, seeded with the id and the secret.
fn password(session: i64) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = ((session ^ SECRET).cast_unsigned() ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for chunk in password.chunks_exact_mut(4) {
        state = (state.wrapping_mul(MULTIPLIER) + 0xB) & MASK;
        let bytes = (state >> 16).to_le_bytes();
        chunk.copy_from_slice(&bytes[..4]);
    }
    password
}

/// With its length before it.
fn framed(request: &[u8]) -> Vec<u8> {
    let length = u32::try_from(request.len()).expect("requests made here have less than a hundred bytes");
    [&length.to_be_bytes(), request].concat()
}

async fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut frame = Vec::new();
    stream.take(length.into()).read_to_end(&mut frame).await?;
    Ok(frame)
}
