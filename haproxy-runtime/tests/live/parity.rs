//! A server that was added is as one of the file, where HAProxy does not see to it by itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use haproxy_render::{Document, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixStream},
};

use crate::site::{By, Site, changed, document_with, line, server};

/// A service in HTTP mode, with these lines in its backend.
fn http(servers: Vec<Server>, lines: &[&str]) -> Document {
    let mut document = document_with(servers, lines);
    document.defaults[0] = line("mode http");
    document
}

/// Answers requests on connections that stay, and counts these. Ends with the test.
async fn answering() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut heard = Vec::new();
                while stream.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {
                    if heard.ends_with(b"\r\n\r\n") {
                        heard.clear();
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                    }
                }
            });
        }
    });
    (port, connections)
}

async fn ask(site: &Site) {
    let mut stream = UnixStream::connect(site.haproxy.path("web.sock")).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn live_idle_connections_to_a_server_that_was_added_are_used_again() {
    const REQUESTS: usize = 40;
    let (port, connections) = answering().await;
    let lines = ["balance roundrobin", "http-reuse always"];
    let site = Site::start(&http(vec![], &lines), By::Nothing).await;
    let mut live = site.live();
    changed(&mut live, &http(vec![], &lines)).await;
    let deed = changed(&mut live, &http(vec![server("a", port, 1, "")], &lines)).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    for _ in 0..REQUESTS {
        ask(&site).await;
    }
    // Each thread has a pool of its own.
    let connections = connections.load(Ordering::SeqCst);
    assert!(connections <= REQUESTS / 2, "{connections} connections for {REQUESTS} requests");
}

/// Names and cookies of the servers, as HAProxy has them.
async fn cookies(site: &Site) -> Vec<(String, String)> {
    let stat = site.tell(&["show stat -1 4 -1"]).await.remove(0);
    let mut lines = stat.lines().map(|line| line.trim_start_matches("# ").split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let at = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let (name, cookie) = (at("svname"), at("cookie"));
    let servers = lines.filter(|line| line.len() > cookie);
    let mut found: Vec<_> = servers.map(|line| (line[name].to_owned(), line[cookie].to_owned())).collect();
    found.sort();
    found
}

#[tokio::test]
async fn live_a_server_that_was_added_has_the_cookie_that_a_new_process_gives_it() {
    let lines = ["balance roundrobin", "cookie SRV insert dynamic", "dynamic-cookie-key secret"];
    let (a, b, c) = (server("a", 1001, 1, ""), server("b", 1002, 2, ""), server("c", 1003, 3, "check"));
    let first = http(vec![a.clone()], &lines);
    let site = Site::start(&first, By::Master).await;
    let mut live = site.live();
    changed(&mut live, &first).await;
    let all = vec![a, b, c];
    let deed = changed(&mut live, &http(all.clone(), &lines)).await;
    assert!(deed.reloaded.is_none(), "{deed}");
    let added = cookies(&site).await;
    assert!(added.len() == 3 && added.iter().all(|(_, cookie)| !cookie.is_empty()), "{added:?}");

    let mut other = http(all, &lines);
    other.defaults.push(line("retries 2"));
    assert!(changed(&mut live, &other).await.reloaded.is_some());
    assert_eq!(cookies(&site).await, added);
}
