//! Sockets where something is wrong.

use std::{error::Error as _, time::Duration};

use haproxy_runtime::{CommandLine, Outcome, Socket, SocketAddress, SocketError, SocketFault};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, UnixListener, UnixSocket, UnixStream},
    time::{Instant, timeout},
};

use crate::fake::{Does, Fake, Says, identity, silent};

const DEADLINE: Duration = Duration::from_secs(30);

fn at(directory: &tempfile::TempDir) -> Socket {
    Socket::new(SocketAddress::unix(directory.path().join("admin.sock")).unwrap())
}

async fn fault_of(socket: &Socket) -> SocketError {
    let error = socket.process().await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Nothing);
    // The address and what to do about it, each said once.
    assert!(error.to_string().ends_with(&socket.address().to_string()), "{error}");
    assert!(!error.source().unwrap().to_string().contains(&socket.address().to_string()));
    error
}

#[tokio::test]
async fn a_missing_socket_is_named_so() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(fault_of(&at(&directory)).await.fault(), SocketFault::Missing));
}

#[tokio::test]
async fn a_socket_without_a_listener_and_a_file_refuse() {
    let directory = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(directory.path().join("admin.sock")).unwrap());
    assert!(matches!(fault_of(&at(&directory)).await.fault(), SocketFault::Refused));
    std::fs::remove_file(directory.path().join("admin.sock")).unwrap();
    std::fs::write(directory.path().join("admin.sock"), "").unwrap();
    assert!(matches!(fault_of(&at(&directory)).await.fault(), SocketFault::Refused));
}

#[tokio::test]
async fn a_full_queue_of_connections_is_waited_for_and_then_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let full = UnixSocket::new_stream().unwrap();
    full.bind(&path).unwrap();
    let listener = full.listen(0).unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = UnixStream::connect(&path).await {
        held.push(stream);
    }
    let mut limits = haproxy_runtime::Limits::default();
    limits.connect = Duration::from_millis(50);
    let error = fault_of(&at(&directory).with_limits(limits)).await;
    assert!(matches!(error.fault(), SocketFault::Full), "{error:?}");

    // Room comes up: the wait is not for nothing.
    limits.connect = DEADLINE;
    limits.batch = DEADLINE;
    let socket = at(&directory).with_limits(limits);
    let room = async {
        for _ in 0..held.len() {
            listener.accept().await.unwrap();
        }
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"not HAProxy\n").await.unwrap();
        stream
    };
    let (error, _stream) = tokio::join!(fault_of(&socket), room);
    assert!(matches!(error.fault(), SocketFault::Garbage { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_says_nothing_is_given_up_at_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(directory.path().join("admin.sock")).unwrap();
    let started = Instant::now();
    let error = fault_of(&at(&directory)).await;
    assert!(matches!(error.fault(), SocketFault::Silent { deadline } if *deadline == Duration::from_secs(5)));
    assert_eq!(started.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn a_process_that_hangs_in_a_batch_leaves_the_outcome_unknown() {
    let fake = Fake::process(&Says::new(7), |command| match command {
        "hang" => Does::Hangs,
        _ => Does::Says(String::new()),
    });
    let target = identity(&fake.socket()).await;
    let socket = fake.with(|limits| limits.batch = Duration::from_millis(200));
    let steps = [silent("a"), silent("b"), silent("hang"), silent("c")];
    let error = socket.batch(target, &steps, None).await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::Deadline { answered: 2, sent: 4, .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_process_that_dies_in_a_batch_leaves_the_outcome_unknown() {
    let fake = Fake::process(&Says::new(7), |command| match command {
        "die" => Does::Closes,
        _ => Does::Says(String::new()),
    });
    let target = identity(&fake.socket()).await;
    let steps = [silent("a"), silent("die"), silent("b")];
    let error = fake.socket().batch(target, &steps, None).await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::Closed { answered: 1, sent: 3, .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_process_that_dies_before_the_changes_has_changed_nothing() {
    let fake = Fake::start(|_| Does::Closes);
    let error = fault_of(&fake.socket()).await;
    assert!(matches!(error.fault(), SocketFault::Closed { answered: 0, .. }), "{error:?}");
}

#[tokio::test]
async fn somebody_else_at_the_address_is_garbage() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = Socket::new(listener.local_addr().unwrap().into());
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad request\r\n\r\n").await.unwrap();
        stream
    };
    let (error, _stream) = tokio::join!(fault_of(&socket), serve);
    assert!(matches!(error.fault(), SocketFault::Garbage { excerpt } if excerpt.contains("400 Bad request")));
}

#[tokio::test]
async fn a_process_without_an_identity_is_garbage() {
    let fake = Fake::start(|_| Does::Says("what?\n".to_owned()));
    let error = fault_of(&fake.socket()).await;
    assert!(matches!(error.fault(), SocketFault::Garbage { excerpt } if excerpt == "what?"), "{error:?}");
}

#[tokio::test]
async fn dropping_a_batch_closes_the_connection() {
    let fake = Fake::process(&Says::new(7), |_| Does::Hangs);
    let target = identity(&fake.socket()).await;
    let socket = fake.socket();
    let steps = [silent("a")];
    let connections = || fake.heard().iter().filter(|line| *line == "closed").count();
    let before = connections();
    {
        let batch = socket.batch(target, &steps, None);
        tokio::pin!(batch);
        // Polled until its change has arrived, and then dropped.
        let arrived = async {
            while !fake.heard().contains(&"a".to_owned()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            result = &mut batch => panic!("nobody has answered: {result:?}"),
            arrived = timeout(DEADLINE, arrived) => arrived.expect("the command arrives"),
        }
    }
    let closed = async {
        while connections() == before {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, closed).await.expect("the connection is closed");
}

#[tokio::test]
async fn each_question_has_a_connection_of_its_own() {
    let fake = Fake::process(&Says::new(7), |_| Does::Says(String::new()));
    for _ in 0..3 {
        fake.socket().ask(&[CommandLine::servers_state()]).await.unwrap();
    }
    let heard = fake.heard();
    assert_eq!(heard.iter().filter(|line| *line == "prompt").count(), 3);
}
