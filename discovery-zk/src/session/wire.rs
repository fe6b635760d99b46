//! A ZooKeeper that says, byte by byte, what a test tells it to say.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A server. It ends with the test's runtime.
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    /// How many sessions are open.
    pub(super) open: watch::Receiver<usize>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    xid: i32,
    pub(super) what: What,
    /// Empty when it has none.
    pub(super) path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A session.
    Connect,
    Exists,
    Data,
    Children,
    Ping,
    Auth,
    Close,
    Other,
}

/// What is said.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// An answer without error.
    Answer(Vec<u8>),
    /// An answer with this error.
    Error(i32),
    /// An event of this type, on this path.
    Event(i32, Vec<u8>),
    /// Anything.
    Bytes(Vec<u8>),
    /// Nothing any more: the connection is closed.
    Close,
}

/// Errors as ZooKeeper numbers them.
pub(super) const NO_NODE: i32 = -101;
pub(super) const NO_AUTH: i32 = -102;
pub(super) const AUTH_FAILED: i32 = -115;
/// What is said, by servers that take no question of a stranger, to one who asks.
pub(super) const STRANGER: i32 = -124;
/// Events as ZooKeeper numbers them.
pub(super) const WRITTEN: i32 = 3;
pub(super) const DELETED: i32 = 2;
pub(super) const CHILDREN: i32 = 4;

type Script = dyn Fn(&Asked) -> Vec<Said> + Send + Sync;

impl Wire {
    /// Gives sessions to all, and answers as `script` says; `None` is what [`usual`] answers.
    pub(super) async fn start(script: impl Fn(&Asked) -> Option<Vec<Said>> + Send + Sync + 'static) -> Self {
        let greeting = vec![Said::Bytes(session(10_000))];
        Self::greeting(greeting, move |asked| script(asked).unwrap_or_else(|| usual(asked))).await
    }

    /// Says this to whoever asks for a session; if that is nothing, what `script` says.
    pub(super) async fn greeting(
        greeting: Vec<Said>,
        script: impl Fn(&Asked) -> Vec<Said> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, open) = watch::channel(0);
        let (count, script): (_, Arc<Script>) = (Arc::new(count), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (greeting, script, count) = (greeting.clone(), Arc::clone(&script), Arc::clone(&count));
                tokio::spawn(async move {
                    // However a connection ends, it has ended.
                    let _ = serve(stream, &greeting, &*script, &count).await;
                });
            }
        });
        Self { address, open }
    }
}

struct Counted<'a>(&'a watch::Sender<usize>);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

async fn serve(
    mut stream: TcpStream,
    greeting: &[Said],
    script: &Script,
    count: &watch::Sender<usize>,
) -> io::Result<()> {
    let connect = Asked { xid: 0, what: What::Connect, path: String::new() };
    frame(&mut stream).await?;
    count.send_modify(|open| *open += 1);
    let _open = Counted(count);
    let scripted = if greeting.is_empty() { script(&connect) } else { Vec::new() };
    if !say(&mut stream, &connect, &[greeting, &scripted].concat()).await? {
        return Ok(());
    }
    loop {
        let asked = asked(&frame(&mut stream).await?);
        if !say(&mut stream, &asked, &script(&asked)).await? {
            return Ok(());
        }
    }
}

async fn frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut body = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// Whether the connection is to stay.
async fn say(stream: &mut TcpStream, asked: &Asked, said: &[Said]) -> io::Result<bool> {
    for said in said {
        let bytes = match said {
            Said::Answer(body) => framed(asked.xid, 0, body),
            Said::Error(error) => framed(asked.xid, *error, &[]),
            Said::Event(kind, path) => {
                framed(-1, 0, &[&kind.to_be_bytes()[..], &3_i32.to_be_bytes(), &buffer(path)].concat())
            }
            Said::Bytes(bytes) => bytes.clone(),
            Said::Close => return Ok(false),
        };
        stream.write_all(&bytes).await?;
    }
    Ok(true)
}

fn asked(frame: &[u8]) -> Asked {
    let number = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
    let what = match number(4) {
        3 => What::Exists,
        4 => What::Data,
        8 => What::Children,
        11 => What::Ping,
        100 => What::Auth,
        -11 => What::Close,
        _ => What::Other,
    };
    let path = match what {
        What::Exists | What::Data | What::Children => {
            let length = usize::try_from(number(8)).unwrap();
            String::from_utf8(frame[12..12 + length].to_vec()).unwrap()
        }
        _ => String::new(),
    };
    Asked { xid: number(0), what, path }
}

/// What a server says whose nodes all hold `x` and have no children.
pub(super) fn usual(asked: &Asked) -> Vec<Said> {
    match asked.what {
        What::Connect => Vec::new(),
        What::Exists => vec![Said::Answer(stat())],
        What::Data => vec![data(b"x")],
        What::Children => vec![children(&[])],
        What::Ping | What::Auth | What::Other => vec![Said::Answer(Vec::new())],
        What::Close => vec![Said::Answer(Vec::new()), Said::Close],
    }
}

pub(super) fn data(data: &[u8]) -> Said {
    Said::Answer([buffer(data), stat()].concat())
}

pub(super) fn children(names: &[&[u8]]) -> Said {
    let mut body = i32::try_from(names.len()).unwrap().to_be_bytes().to_vec();
    for name in names {
        body.extend(buffer(name));
    }
    Said::Answer(body)
}

/// What is said to whoever asks for a session; for 0 ms, that it has expired.
pub(super) fn session(milliseconds: i32) -> Vec<u8> {
    let id: i64 = if milliseconds == 0 { 0 } else { 7 };
    let parts: [&[u8]; 5] =
        [&0_i32.to_be_bytes(), &milliseconds.to_be_bytes(), &id.to_be_bytes(), &buffer(&[0; 16]), &[0]];
    buffer(&parts.concat())
}

fn framed(xid: i32, error: i32, body: &[u8]) -> Vec<u8> {
    buffer(&[&xid.to_be_bytes()[..], &1_i64.to_be_bytes(), &error.to_be_bytes(), body].concat())
}

fn buffer(bytes: &[u8]) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

fn stat() -> Vec<u8> {
    vec![0; 68]
}
