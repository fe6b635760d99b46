//! A real HAProxy that is full, hangs, is killed, or is not the one that was meant.

use std::time::Duration;

use haproxy_runtime::{Limits, MasterError, Outcome, Socket, SocketFault};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::{
    fake::{identity, silent},
    haproxy::{Haproxy, config, until},
};

fn hurried(socket: Socket) -> Socket {
    let mut limits = Limits::default();
    limits.connect = Duration::from_millis(100);
    limits.batch = Duration::from_millis(300);
    socket.with_limits(limits)
}

#[tokio::test]
async fn live_sessions_that_are_all_taken_are_named() {
    let full = config("r1", "").replace("stats timeout", "stats maxconn 2\n    stats timeout");
    let haproxy = Haproxy::alone(&full).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = UnixStream::connect(haproxy.path("admin.sock")).await.unwrap();
        stream.write_all(b"prompt\n").await.unwrap();
        let mut prompt = [0; 3];
        stream.read_exact(&mut prompt).await.unwrap();
        held.push(stream);
    }
    let error = hurried(haproxy.socket()).process().await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::Silent { .. }), "{error:?}");

    // Those that wait are counted by the system, until it lets nobody wait any more.
    while let Ok(stream) = UnixStream::connect(haproxy.path("admin.sock")).await {
        held.push(stream);
    }
    let error = hurried(haproxy.socket()).process().await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::Full), "{error:?}");

    drop(held);
    until("a session", async || haproxy.socket().process().await.ok()).await;
}

#[tokio::test]
async fn live_a_process_that_hangs_is_given_up() {
    let haproxy = Haproxy::alone(&config("r1", "")).await;
    let target = identity(&haproxy.socket()).await;
    haproxy.freeze().await;
    let steps = [silent("set server web/old weight 5")];
    let error = hurried(haproxy.socket()).batch(target, &steps, None).await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::Silent { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Nothing);
    haproxy.thaw();
    assert!(haproxy.socket().batch(target, &steps, None).await.unwrap().succeeded());
}

#[tokio::test]
async fn live_a_process_that_was_killed_refuses() {
    let mut haproxy = Haproxy::alone(&config("r1", "")).await;
    let target = identity(&haproxy.socket()).await;
    haproxy.kill();
    let error = haproxy.socket().batch(target, &[silent("show info")], None).await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::Refused), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Nothing);
}

#[tokio::test]
async fn live_a_process_that_was_restarted_is_another() {
    let mut haproxy = Haproxy::alone(&config("r1", "")).await;
    let before = identity(&haproxy.socket()).await;
    haproxy.restart().await;
    let after = identity(&haproxy.socket()).await;
    assert_ne!(before, after);
    let error =
        haproxy.socket().batch(before, &[silent("set server web/old weight 5")], None).await.unwrap_err();
    assert!(
        matches!(error.fault(), SocketFault::OtherProcess { expected, found } if (*expected, *found) == (before, after))
    );
}

#[tokio::test]
async fn live_the_masters_socket_and_the_workers_are_not_mixed_up() {
    let haproxy = Haproxy::mastered(&config("r1", "")).await;
    let error = haproxy.socket_at("master.sock").process().await.unwrap_err();
    assert!(matches!(error.fault(), SocketFault::Master), "{error:?}");
    let worker = haproxy_runtime::Master::new(haproxy.socket().address().clone());
    assert!(matches!(worker.processes().await, Err(MasterError::Worker { .. })));
    assert!(matches!(worker.reload(Duration::from_secs(5)).await, Err(MasterError::Worker { .. })));
}
