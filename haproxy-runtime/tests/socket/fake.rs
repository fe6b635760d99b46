//! An HAProxy that says what a test wants it to say.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use haproxy_runtime::{CommandLine, Expected, Identity, Limits, Pattern, Socket, SocketAddress};

pub(crate) use haproxy_runtime::Order;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::UnixListener,
    task::AbortHandle,
};

/// What the fake does about a command.
pub(crate) enum Does {
    /// Replies.
    Says(String),
    /// Nothing, for ever.
    Hangs,
    /// Closes the connection.
    Closes,
}

/// A command line interface in prompt mode; ends on drop.
pub(crate) struct Fake {
    directory: TempDir,
    heard: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Fake {
    /// Takes connections one after the other and does what `act` says about each command. Empty replies are silence.
    pub(crate) fn start(act: impl FnMut(&str) -> Does + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("admin.sock")).unwrap();
        let heard = Arc::default();
        let task = tokio::spawn(serve(listener, act, Arc::clone(&heard))).abort_handle();
        Self { directory, heard, task }
    }

    /// As `start`, with the questions for the process itself answered as `says` has it at the time.
    pub(crate) fn process(
        says: &Arc<Mutex<Says>>,
        mut act: impl FnMut(&str) -> Does + Send + 'static,
    ) -> Self {
        let says = Arc::clone(says);
        Self::start(move |command| {
            let mut says = says.lock().unwrap();
            if let Some(rest) = command.strip_prefix("set var proc.synapse_rev str(") {
                says.revision = Some(rest.trim_end_matches(')').to_owned());
                return Does::Says(String::new());
            }
            match command {
                "show info" => Does::Says(format!(
                    "Name: HAProxy\nVersion: 2.6.12\nPid: {}\nUptime_sec: 9\nStopping: {}\nStart_time_sec: {}\n",
                    says.pid,
                    u8::from(says.stopping),
                    says.started
                )),
                "get var proc.synapse_rev" => Does::Says(match &says.revision {
                    Some(revision) => format!("proc.synapse_rev: type=str value=<{revision}>"),
                    None => "Variable not found.\n".to_owned(),
                }),
                "show cli level" => Does::Says(format!("{}\n", says.level)),
                "experimental-mode on" => Does::Says(String::new()),
                other => {
                    drop(says);
                    act(other)
                }
            }
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("admin.sock")
    }

    pub(crate) fn address(&self) -> SocketAddress {
        SocketAddress::unix(self.path()).unwrap()
    }

    pub(crate) fn socket(&self) -> Socket {
        Socket::new(self.address())
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Limits)) -> Socket {
        let mut limits = Limits::default();
        change(&mut limits);
        self.socket().with_limits(limits)
    }

    /// All lines heard so far, `closed` for each connection that the other side closed.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// What was heard, without what every batch asks.
    pub(crate) fn changes(&self) -> Vec<String> {
        let mut heard = self.heard();
        heard.retain(|line| {
            ![
                "prompt",
                "set severity-output none",
                "show info",
                "get var proc.synapse_rev",
                "show cli level",
                "quit",
                "closed",
            ]
            .contains(&line.as_str())
        });
        heard
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a fake process says about itself.
#[derive(Clone)]
pub(crate) struct Says {
    pub(crate) pid: u32,
    pub(crate) started: u64,
    pub(crate) revision: Option<String>,
    pub(crate) level: &'static str,
    pub(crate) stopping: bool,
}

impl Says {
    pub(crate) fn new(pid: u32) -> Arc<Mutex<Self>> {
        let says = Self { pid, started: 1_700_000_000, revision: None, level: "admin", stopping: false };
        Arc::new(Mutex::new(says))
    }
}

async fn serve(
    listener: UnixListener,
    mut act: impl FnMut(&str) -> Does + Send,
    heard: Arc<Mutex<Vec<String>>>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // A client that goes in the middle is part of the game.
        let _ = talk(stream, &mut act, &heard).await;
        heard.lock().unwrap().push("closed".to_owned());
    }
}

pub(crate) async fn talk(
    stream: impl AsyncRead + AsyncWrite,
    act: &mut (impl FnMut(&str) -> Does + Send),
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        heard.lock().unwrap().push(line.clone());
        match line.as_str() {
            "prompt" | "set severity-output none" => writer.write_all(b"\n> ").await?,
            "quit" => return Ok(()),
            command => match act(command) {
                Does::Says(text) if text.is_empty() => writer.write_all(b"\n> ").await?,
                Does::Says(text) => writer.write_all(format!("{text}\n> ").as_bytes()).await?,
                Does::Closes => return Ok(()),
                Does::Hangs => {
                    // Until the other side goes away.
                    while lines.next_line().await?.is_some() {}
                    return Ok(());
                }
            },
        }
    }
    Ok(())
}

pub(crate) fn line(text: &str) -> CommandLine {
    CommandLine::parse(text).unwrap()
}

/// A command that succeeds with silence.
pub(crate) fn silent(text: &str) -> Order {
    Order::new(line(text), Expected::SILENT)
}

pub(crate) const ADD: Expected = Expected::new(&[Pattern::LastLine("New server registered.")]);
pub(crate) const DELETE: Expected = Expected::new(&[Pattern::Line("Server deleted.")])
    .later(&[Pattern::Start("Server still has connections")]);

/// `Identity` can't be made by hand outside the crate: it is what a process says.
pub(crate) async fn identity(socket: &Socket) -> Identity {
    socket.process().await.unwrap().identity
}
