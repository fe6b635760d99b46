//! Visitors who are slow, many, or want what there is not.

use std::io::ErrorKind;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    site::{Running, endpoints},
    visit::{DEADLINE, Place, Said, Visitor},
};

async fn well() -> (Place, Running, Visitor) {
    let place = Place::new([("web", Said::Answer(endpoints([1])))]);
    let (running, visitor) = place.start().await;
    visitor.until_ready().await;
    (place, running, visitor)
}

#[tokio::test]
async fn it_is_there_to_be_read() {
    let (_place, running, visitor) = well().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let reply =
            visitor.ask(&format!("{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(reply.code, 405, "{method}");
        assert!(reply.head.contains("allow: get, head"), "{}", reply.head);
    }
    for path in ["/nothing", "/status/", "//", "/..%2f", "/metrics.php"] {
        assert_eq!(visitor.get(path).await.code, 404, "{path}");
    }
    assert_eq!(visitor.get("/healthz?verbose").await.code, 200);
    assert_eq!(visitor.ask("hello\r\n\r\n").await.code, 400);
    running.stop().await;
}

#[tokio::test]
async fn whoever_asks_for_the_head_gets_no_body() {
    let (_place, running, visitor) = well().await;
    for path in ["/", "/status", "/metrics", "/healthz", "/readyz"] {
        let reply = visitor.ask(&format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!((reply.code, reply.body.as_str()), (200, ""), "{path}");
        assert!(
            reply.head.contains("content-length: ") && !reply.head.contains("content-length: 0"),
            "{path}"
        );
    }
    running.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let (_place, running, visitor) = well().await;
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_ne!(visitor.ask(&long).await.code, 200);
    let fields = "X: y\r\n".repeat(200);
    assert_eq!(visitor.ask(&format!("GET /healthz HTTP/1.1\r\n{fields}\r\n")).await.code, 431);
    assert_ne!(visitor.get(&format!("/{}", "x".repeat(1 << 20))).await.code, 404);
    assert_eq!(visitor.get("/healthz").await.code, 200);
    running.stop().await;
}

#[tokio::test]
async fn whoever_says_nothing_is_shown_out() {
    let (_place, running, visitor) = well().await;
    let mut silent = TcpStream::connect(visitor.address).await.unwrap();
    let mut slow = TcpStream::connect(visitor.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    for stream in [&mut silent, &mut slow] {
        let mut bytes = Vec::new();
        // However it ends: it ends.
        let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the connection is closed");
        assert!(!String::from_utf8_lossy(&bytes).contains("200 OK"));
    }
    running.stop().await;
}

#[tokio::test]
async fn a_thousand_connections_that_say_nothing_keep_nobody_out() {
    let (_place, running, visitor) = well().await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(TcpStream::connect(visitor.address).await.unwrap());
    }
    for _ in 0..10 {
        assert_eq!(visitor.get("/healthz").await.code, 200);
        assert_eq!(visitor.get("/status").await.code, 200);
    }
    // All but a bounded number were shown out to make room: long before they would have been for being slow.
    let mut buffer = [0; 64];
    let mut is_open = |stream: &TcpStream| matches!(stream.try_read(&mut buffer), Err(error) if error.kind() == ErrorKind::WouldBlock);
    let open = idle.iter().filter(|stream| is_open(stream)).count();
    assert!(open < 64, "{open} are open");
    running.stop().await;
}
