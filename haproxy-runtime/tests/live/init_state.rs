//! Servers that begin as down.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use haproxy_render::plan::InitState;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::AbortHandle,
};

use crate::{
    haproxy::until,
    site::{By, Client, Echo, Site, changed, document_with, server},
};

const LINES: [&str; 2] = ["balance roundrobin", "option httpchk GET /"];

/// Answers checks. Ends on drop.
struct Health {
    port: u16,
    well: Arc<AtomicBool>,
    passed: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Health {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (well, passed, failed) = (Arc::<AtomicBool>::default(), Arc::default(), Arc::default());
        let (good, yes, no) = (Arc::clone(&well), Arc::clone(&passed), Arc::clone(&failed));
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let (status, count): (_, &AtomicUsize) =
                    if good.load(Ordering::SeqCst) { ("200 OK", &yes) } else { ("503 No", &no) };
                // Whoever does not ask is not told.
                if stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                    count.fetch_add(1, Ordering::SeqCst);
                    let _ = stream
                        .write_all(format!("HTTP/1.0 {status}\r\nConnection: close\r\n\r\n").as_bytes())
                        .await;
                }
            }
        });
        Self { port, well, passed, failed, task: task.abort_handle() }
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn letter(site: &Site) -> char {
    Client::connect(&site.haproxy).await.expect("a server answers").letter
}

#[tokio::test]
async fn live_a_server_that_begins_as_down_gets_traffic_when_as_many_checks_as_it_takes_have_passed() {
    let (a, b, health) = (Echo::start(b'a').await, Echo::start(b'b').await, Health::start().await);
    let first = document_with(vec![server("a", a.port, 1, "")], &LINES);
    let site = Site::start(&first, By::Nothing).await;
    let mut live = site.live().with_init_state(InitState::FullyDown);
    changed(&mut live, &first).await;

    let checked = format!("check inter 20ms rise 3 fall 2 port {}", health.port);
    let second = document_with(vec![server("a", a.port, 1, ""), server("b", b.port, 2, &checked)], &LINES);
    // Not for a moment: clients come while it is added, too.
    let clients = async {
        while health.failed.load(Ordering::SeqCst) < 5 {
            assert_eq!(letter(&site).await, 'a');
        }
    };
    let (deed, ()) = tokio::join!(changed(&mut live, &second), clients);
    assert!(deed.reloaded.is_none(), "{deed}");
    // It is not taken for one that has to be put right.
    assert_eq!(live.reconcile().await, None);
    assert_eq!((letter(&site).await, letter(&site).await), ('a', 'a'));
    assert!(!site.file().contains("init-state"), "whoever starts from the file has them up");

    health.well.store(true, Ordering::SeqCst);
    until("its traffic", async || (letter(&site).await == 'b').then_some(())).await;
    assert!(health.passed.load(Ordering::SeqCst) >= 3, "three checks have passed");
    assert_eq!((live.reconcile().await, site.reloads()), (None, 0));
}
