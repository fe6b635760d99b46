//! The network to etcd is slow.

mod etcd_support;

use discovery_core::Watcher as _;
use e2e::{Etcd, Proxy};
use etcd_support::{DEADLINE, connect, ports_of, registration, requests, section, streams};
use serde_json::json;
use tokio::time::timeout;

const KEYS: u16 = 1000;
/// Bytes per second.
const RATE: u32 = 1_000_000;

/// A registration of some five thousand bytes.
fn large(port: u16) -> String {
    let filler = "x".repeat(1000);
    let labels = json!({ "a": filler, "b": filler, "c": filler, "d": filler, "e": filler });
    json!({ "host": "10.0.0.1", "port": port, "labels": labels }).to_string()
}

#[tokio::test]
async fn a_service_too_large_for_one_answer_in_time_is_known_and_disturbs_no_other() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::start(etcd.address()).await;
    etcd.put_many((1..=KEYS).map(|port| (format!("/big/{port}"), large(port)))).await;
    etcd.put("/small/1", &registration(1)).await;
    // All of it takes more than twice as long as an answer may, of a thousand keys at a time.
    let slow = json!({ "request_timeout": 2 });
    let (cluster, _) = connect(section(&[proxy.address().to_string()], "/unused", slow));
    let mut small = cluster.member("/small".parse().expect("a prefix"));
    let first = timeout(DEADLINE, small.next()).await.expect("in time").expect("etcd runs");
    assert_eq!(ports_of(&first).collect::<Vec<_>>(), [1]);

    proxy.throttle(Some(RATE));
    let before = requests(&etcd, "Range").await;
    let mut big = cluster.member("/big".parse().expect("a prefix"));
    let mut heard = 1;
    let known = loop {
        tokio::select! {
            known = big.next() => break known.expect("in smaller pages it is not too large"),
            // Whenever the last change was heard, there is another.
            changed = async {
                heard += 1;
                etcd.put(&format!("/small/{heard}"), &registration(heard)).await;
                timeout(DEADLINE, async {
                    loop {
                        let snapshot = small.next().await.expect("its watch is in place");
                        if snapshot.len() == usize::from(heard) {
                            break;
                        }
                    }
                })
                .await
            } => changed.expect("a change is heard in time"),
        }
    };
    assert_eq!(known.len(), usize::from(KEYS));
    assert!(heard > 3, "changes were heard meanwhile");
    assert!(requests(&etcd, "Range").await - before > 2, "it was too large for one answer");
    assert_eq!((requests(&etcd, "Watch").await, streams(&etcd).await), (1, 1), "nothing was connected again");
}
