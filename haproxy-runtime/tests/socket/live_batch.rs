//! Changing and asking a real HAProxy.

use std::{fmt::Write as _, time::Duration};

use haproxy_runtime::{
    CommandLine, Expected, Identity, Level, Limits, Order, Outcome, Pattern, Socket, SocketFault, Verdict,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixStream},
    task::AbortHandle,
};

use crate::{
    fake::{ADD, DELETE, identity, line, silent},
    haproxy::{Haproxy, config, revision},
};

/// Says `hello` to whoever connects and holds the connection until the other side closes it. Ends on drop.
pub(crate) struct Server {
    pub(crate) port: u16,
    task: AbortHandle,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    stream.write_all(b"hello").await?;
                    stream.read(&mut [0]).await
                });
            }
        });
        Self { port, task: task.abort_handle() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection through HAProxy; `None` if no server has answered.
pub(crate) async fn connect(haproxy: &Haproxy) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(haproxy.path("web.sock")).await.unwrap();
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).await.ok().map(|_| stream)
}

/// What `get weight` says of the last server of the longest command.
const WEIGHT: Expected = Expected::new(&[Pattern::Line("30 (initial 30)")]);

/// Adds servers `s1`, `s2`, … to backend `web`.
fn added(count: u16, port: u16) -> Vec<Order> {
    (1..=count)
        .flat_map(|n| {
            let id = n + 1;
            let add = format!("add server web/s{n} 127.0.0.1:{port} id {id} weight 10 maxconn 100");
            [Order::new(line(&add), ADD), silent(&format!("enable server web/s{n}"))]
        })
        .collect()
}

async fn rows(socket: &Socket) -> Vec<String> {
    let mut rows = Vec::new();
    socket.read(&[CommandLine::servers_state()], |_, line| rows.push(line.to_owned())).await.unwrap();
    assert_eq!(rows.first().map(String::as_str), Some("1"), "the version of the format");
    rows.retain(|row| !row.starts_with('#') && row != "1");
    rows
}

#[tokio::test]
async fn live_a_process_tells_who_it_is() {
    let haproxy = Haproxy::alone(&config("r1", "")).await;
    let process = haproxy.socket().process().await.unwrap();
    assert_eq!(process.identity.pid, haproxy.pid());
    assert_eq!(
        (process.revision, process.level, process.stopping),
        (Some(revision("r1")), Level::Admin, false)
    );
    let (major, minor) = crate::haproxy::version();
    assert!(process.version.starts_with(&format!("{major}.{minor}.")), "{}", process.version);

    let operator = haproxy.socket_at("operator.sock").process().await.unwrap();
    assert_eq!((operator.identity, operator.level), (process.identity, Level::Operator));
    assert_eq!(operator.revision, Some(revision("r1")));
    let user = haproxy.socket_at("user.sock").process().await.unwrap();
    assert_eq!((user.identity, user.level, user.revision), (process.identity, Level::User, None));
}

#[tokio::test]
async fn live_a_server_is_added_serves_and_is_deleted() {
    let (haproxy, server) = (Haproxy::alone(&config("r1", "")).await, Server::start().await);
    let socket = haproxy.socket();
    let target = identity(&socket).await;
    assert!(connect(&haproxy).await.is_none(), "the only server is in maintenance");

    let answers = socket.batch(target, &added(1, server.port), Some(&revision("r2"))).await.unwrap();
    assert!(answers.succeeded(), "{answers:?}");
    assert_eq!(answers.process.revision, Some(revision("r1")));
    assert!(connect(&haproxy).await.is_some());
    assert_eq!(socket.process().await.unwrap().revision, Some(revision("r2")));
    let [_, row] = rows(&socket).await.try_into().unwrap();
    assert!(row.contains(" web 2 s1 127.0.0.1 "), "{row}");

    let gate = Order::new(line("del server web/s1"), DELETE).gate();
    let steps = [silent("set server web/s1 state maint"), gate];
    let answers = socket.batch(target, &steps, Some(&revision("r3"))).await.unwrap();
    assert!(answers.succeeded(), "{answers:?}");
    assert!(connect(&haproxy).await.is_none());
    assert_eq!(rows(&socket).await.len(), 1);
}

#[tokio::test]
async fn live_a_socket_that_marks_its_replies_is_understood() {
    let marked = config("r1", "").replace("level admin", "level admin severity-output string");
    let haproxy = Haproxy::alone(&marked).await;
    let process = haproxy.socket().process().await.unwrap();
    assert_eq!((process.level, process.revision), (Level::Admin, Some(revision("r1"))));
    let answers =
        haproxy.socket().batch(process.identity, &added(1, 1), Some(&revision("r2"))).await.unwrap();
    assert!(answers.succeeded(), "{answers:?}");
}

#[tokio::test]
async fn live_a_revision_that_the_file_lacks_can_be_stamped() {
    let without = config("r1", "").replace("    set-var proc.synapse_rev str(r1)\n", "");
    let haproxy = Haproxy::alone(&without).await;
    let process = haproxy.socket().process().await.unwrap();
    assert_eq!(process.revision, None);
    let answers =
        haproxy.socket().batch::<Order>(process.identity, &[], Some(&revision("r2"))).await.unwrap();
    assert!(answers.succeeded(), "{answers:?}");
    assert_eq!(haproxy.socket().process().await.unwrap().revision, Some(revision("r2")));
}

#[tokio::test]
async fn live_a_refusal_leaves_the_revision() {
    let haproxy = Haproxy::alone(&config("r1", "")).await;
    let socket = haproxy.socket();
    let target = identity(&socket).await;
    let mut steps = added(1, 1);
    steps.push(silent("enable server web/nobody"));
    steps.push(silent("no such command"));
    // No such backend; an option that no server takes; a server of that name is there already.
    for refused in ["nowhere/s2 127.0.0.1:1", "web/s2 127.0.0.1:1 nonsense", "web/old 127.0.0.1:1"] {
        steps.push(Order::new(line(&format!("add server {refused}")), ADD));
    }
    let answers = socket.batch(target, &steps, Some(&revision("r2"))).await.unwrap();
    let failed: Vec<_> = answers.failures().map(|(index, _, verdict)| (index, verdict)).collect();
    let unknown = |index| (index, Verdict::Unknown);
    assert_eq!(
        failed,
        [unknown(2), (3, Verdict::Refused), unknown(4), unknown(5), unknown(6)],
        "{answers:?}"
    );
    assert_eq!(answers.stamped, None);
    assert_eq!(socket.process().await.unwrap().revision, Some(revision("r1")));
    assert_eq!(rows(&socket).await.len(), 2, "what was not refused was done");
}

#[tokio::test]
async fn live_a_server_with_connections_holds_the_gate() {
    let (haproxy, server) = (Haproxy::alone(&config("r1", "")).await, Server::start().await);
    let mut limits = Limits::default();
    limits.patience = Duration::from_millis(50);
    let socket = haproxy.socket().with_limits(limits);
    let target = identity(&socket).await;
    assert!(socket.batch(target, &added(1, server.port), None).await.unwrap().succeeded());
    let connection = connect(&haproxy).await.unwrap();
    let steps = || {
        let gate = Order::new(line("del server web/s1"), DELETE).gate();
        [vec![silent("set server web/s1 state maint"), gate], added(1, server.port)].concat()
    };
    let answers = socket.batch(target, &steps(), Some(&revision("r2"))).await.unwrap();
    assert_eq!(
        (answers.replies[1].1, answers.unsent, answers.stamped),
        (Verdict::Later, 2, None),
        "{answers:?}"
    );

    drop(connection);
    let answers = socket.batch(target, &steps(), Some(&revision("r2"))).await.unwrap();
    assert!(answers.succeeded(), "{answers:?}");
    assert!(connect(&haproxy).await.is_some(), "replaced by one of the same name");
}

#[tokio::test]
async fn live_a_thousand_servers_are_one_batch() {
    let haproxy = Haproxy::alone(&config("r1", "")).await;
    let socket = haproxy.socket();
    let target = identity(&socket).await;
    let one = socket.batch(target, &added(1, 1)[..1], Some(&revision("r2"))).await.unwrap();
    assert!(one.succeeded(), "{one:?}");
    let all = socket.batch(target, &added(1_001, 1)[2..], Some(&revision("r3"))).await.unwrap();
    assert!(all.succeeded(), "{:?}", all.failures().next());
    println!("1 command: {:?}; 2,000 commands: {:?}", one.took, all.took);
    assert_eq!(rows(&socket).await.len(), 1_002);
    assert_eq!(socket.process().await.unwrap().revision, Some(revision("r3")));
}

#[tokio::test]
async fn live_the_longest_command_arrives_whole() {
    let haproxy = Haproxy::alone(&config("r1", "")).await;
    let socket = haproxy.socket();
    let target = identity(&socket).await;
    let filler = CommandLine::MAX_LENGTH - "add server web/ 127.0.0.1:1".len();
    let long = format!("add server web/{} 127.0.0.1:1", "n".repeat(filler));
    // The last word of 64 decides: a version that ignores it would leave weight 29.
    let words = (1..=30).fold("add server web/words 127.0.0.1:1".to_owned(), |mut words, weight| {
        write!(words, " weight {weight}").unwrap();
        words
    });
    assert_eq!((long.len(), words.split(' ').count()), (CommandLine::MAX_LENGTH, CommandLine::MAX_WORDS));
    let steps = [
        Order::new(line(&long), ADD),
        Order::new(line(&words), ADD),
        Order::new(line("get weight web/words"), WEIGHT),
    ];
    let answers = socket.batch(target, &steps, None).await.unwrap();
    assert!(answers.succeeded(), "{answers:?}");
}

#[tokio::test]
async fn live_a_large_read_back_is_whole() {
    const SERVERS: usize = 20_000;
    let mut more = String::new();
    for n in 2..=SERVERS {
        writeln!(more, "    server s{n} 127.0.0.1:1 id {n} disabled").unwrap();
    }
    let haproxy = Haproxy::alone(&config("r1", &more)).await;
    let mut seen = [0, 0];
    let process = haproxy
        .socket()
        .read(&[CommandLine::servers_state(), CommandLine::server_stat()], |command, line| {
            let row = if command == 0 { line.contains(" web ") } else { line.starts_with("web,") };
            seen[command] += usize::from(row);
        })
        .await
        .unwrap();
    assert_eq!((process.identity.pid, seen), (haproxy.pid(), [SERVERS, SERVERS]));
}

#[tokio::test]
async fn live_only_the_level_admin_may_change() {
    let haproxy = Haproxy::alone(&config("r1", "")).await;
    let target: Identity = identity(&haproxy.socket()).await;
    for (name, level) in [("operator.sock", Level::Operator), ("user.sock", Level::User)] {
        let error = haproxy.socket_at(name).batch(target, &added(1, 1), None).await.unwrap_err();
        assert!(
            matches!(error.fault(), SocketFault::NotAdmin { level: found } if *found == level),
            "{error:?}"
        );
        assert_eq!(error.outcome(), Outcome::Nothing);
    }
    assert_eq!(rows(&haproxy.socket()).await.len(), 1);
}
