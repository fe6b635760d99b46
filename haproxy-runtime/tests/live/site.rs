//! An HAProxy, its file, and who follows both.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use haproxy_render::{
    Address, Backend, Document, Frontend, Line, Name, Server, ServerId, ServerOptions, Service, render,
};
use haproxy_runtime::{
    Command, CommandLine, ConfigFile, Deed, Limits, Live, LiveError, Pace, Progress, Reload, Sockets, Staging,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixStream},
    task::AbortHandle,
};

use crate::haproxy::{Haproxy, until};

/// Echoes. Says its letter first. Ends on drop.
pub(crate) struct Echo {
    pub(crate) port: u16,
    task: AbortHandle,
}

impl Echo {
    pub(crate) async fn start(letter: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    stream.write_all(&[letter]).await?;
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        });
        Self { port, task: task.abort_handle() }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection through HAProxy, and the letter of the server behind it.
pub(crate) struct Client {
    stream: UnixStream,
    pub(crate) letter: char,
}

impl Client {
    /// `None` if no server has answered.
    pub(crate) async fn connect(haproxy: &Haproxy) -> Option<Self> {
        let mut stream = UnixStream::connect(haproxy.path("web.sock")).await.unwrap();
        let letter = stream.read_u8().await.ok()?;
        Some(Self { stream, letter: char::from(letter) })
    }

    /// Whether the connection is still there.
    pub(crate) async fn echoes(&mut self) -> bool {
        self.stream.write_all(b"!").await.is_ok()
            && self.stream.read_u8().await.is_ok_and(|byte| byte == b'!')
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn line(text: &str) -> Line {
    Line::parse(text).unwrap()
}

/// A server of this name, port, id and these options.
pub(crate) fn server(called: &str, port: u16, id: u32, options: &str) -> Server {
    let port = NonZeroU16::new(port).unwrap();
    let address = Address::parse("127.0.0.1").unwrap();
    Server::builder(name(called), address, port, ServerId::new(id).unwrap())
        .options(ServerOptions::trusted(options).unwrap())
        .build()
        .unwrap()
}

/// A service behind a frontend at `web.sock`.
pub(crate) fn document(servers: Vec<Server>) -> Document {
    document_with(servers, &["balance roundrobin"])
}

pub(crate) fn document_with(servers: Vec<Server>, lines: &[&str]) -> Document {
    let global = [
        "stats socket unix@admin.sock mode 600 level admin expose-fd listeners",
        "stats socket unix@operator.sock mode 600 level operator",
        "stats timeout 2m",
    ];
    let defaults = ["mode tcp", "timeout connect 5s", "timeout client 5m", "timeout server 5m"];
    let mut document = Document::new(global.map(line).to_vec(), defaults.map(line).to_vec());
    let mut backend = Backend::new(name("web"), lines.iter().map(|text| line(text)).collect());
    backend.servers = servers;
    let mut service = Service::new(name("web"), backend);
    let mut frontend = Frontend::new(name("web"), name("web"));
    frontend.lines = vec![line("bind unix@web.sock")];
    service.frontend = Some(frontend);
    document.services = vec![Arc::new(service)];
    document
}

/// What HAProxy is reloaded by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The master, which loads the file anew.
    Master,
    /// Nothing: the command only counts itself.
    Nothing,
    /// Stopping it, whereupon it does not start again from a file with a mistake.
    Restart,
}

pub(crate) struct Site {
    pub(crate) haproxy: Haproxy,
    by: By,
}

impl Site {
    /// An HAProxy that runs `document`, as it is.
    pub(crate) async fn start(document: &Document, by: By) -> Self {
        let text = render(document);
        let haproxy = match by {
            By::Master => Haproxy::mastered(&text).await,
            By::Nothing | By::Restart => Haproxy::alone(&text).await,
        };
        // So that nothing has to wait for a watcher of the directory.
        std::fs::create_dir(haproxy.path(".synapse")).unwrap();
        Self { haproxy, by }
    }

    /// Who follows it, at no pace.
    pub(crate) fn live(&self) -> Live {
        self.live_at(Pace::new(Duration::ZERO, 0.0).unwrap(), "admin.sock")
    }

    pub(crate) fn live_at(&self, pace: Pace, socket: &str) -> Live {
        let mut limits = Limits::default();
        limits.batch = Duration::from_secs(1);
        let path = self.haproxy.path(socket);
        let sockets = Sockets::parse([path.to_str().unwrap()], limits).unwrap();
        let file = ConfigFile::open(self.haproxy.path("haproxy.cfg"), Staging::Beside).unwrap();
        let reload = match self.by {
            // While it executes itself anew, as it does in each reload up to version 3.0, a master ignores the signal (12, so
            // bit 11 of those that are caught).
            By::Master => format!(
                "pid={}; until test $((0x$(sed -n 's/^SigCgt:[[:space:]]*//p' /proc/$pid/status) & 0x800)) -ne 0; \
                 do sleep 0.01; done; kill -USR2 $pid",
                self.haproxy.pid()
            ),
            By::Nothing => String::new(),
            By::Restart => {
                let file = self.haproxy.path("haproxy.cfg");
                format!("! grep -q nonsense '{}' || kill -KILL {}", file.display(), self.haproxy.pid())
            }
        };
        let count = format!("echo x >> '{}'", self.haproxy.path("reloads").display());
        let command = Command::shell(format!("{count}\n{reload}")).unwrap();
        Live::new(file, sockets, pace)
            .with_reload(Reload::new(command, Duration::from_secs(20)))
            .with_verification(Duration::from_secs(5))
    }

    /// Somebody else than `live` has HAProxy load its file.
    pub(crate) async fn reload_by_hand(&self, live: &Live) {
        let before = live.process().unwrap();
        std::process::Command::new("kill").args(["-USR2", &self.haproxy.pid().to_string()]).status().unwrap();
        until("the reload", async || {
            let process = self.haproxy.socket().process().await.ok()?;
            (process.identity != before && !process.stopping).then_some(())
        })
        .await;
    }

    /// How often the reload command ran.
    pub(crate) fn reloads(&self) -> usize {
        std::fs::read_to_string(self.haproxy.path("reloads")).unwrap_or_default().lines().count()
    }

    pub(crate) fn file(&self) -> String {
        std::fs::read_to_string(self.haproxy.path("haproxy.cfg")).unwrap()
    }

    /// Tells HAProxy something by hand.
    pub(crate) async fn tell(&self, commands: &[&str]) -> Vec<String> {
        let commands: Vec<_> = commands.iter().map(|text| CommandLine::parse(text).unwrap()).collect();
        let replies = self.haproxy.socket().ask(&commands).await.unwrap();
        replies.iter().map(|reply| reply.text().to_owned()).collect()
    }

    /// `name address:port weight maintenance` of the servers of `web`, in order of their names.
    pub(crate) async fn servers(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.haproxy
            .socket()
            .read(&[CommandLine::servers_state()], |_, line| {
                let words: Vec<&str> = line.split(' ').collect();
                if words.get(1) == Some(&"web") {
                    let maintenance = words[6].parse::<u32>().unwrap() & 1;
                    found.push(format!("{} {} {} {maintenance}", words[3], words[18], words[7]));
                }
            })
            .await
            .unwrap();
        found.sort();
        found
    }
}

/// What was done; something has to be. The file has followed.
pub(crate) async fn changed(live: &mut Live, document: &Document) -> Deed {
    let progress = live.apply(document).await.unwrap();
    live.flush().await.unwrap();
    match progress {
        Progress::Changed(deed) => deed,
        other => panic!("{other:?}"),
    }
}

/// An error and its causes.
pub(crate) fn chain(error: &LiveError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
