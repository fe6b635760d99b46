//! An hour's churn in minutes, with faults: the right set, and nothing left behind.

mod zk_support;

use std::{collections::BTreeMap, time::Duration};

use discovery_core::Health;
use e2e::{Proxy, Registrar, RegistrarOptions, Registration, Zookeeper};
use serde_json::json;
use tokio::time::sleep;
use zk_support::{DEADLINE, WEB, register, registration, watch};

/// How many rounds of changes and faults: an hour's deploys and more faults than a bad year has.
const ROUNDS: usize = 60;
/// After how many of them everything is warm: what is used from then on is compared.
const WARM: usize = 20;

/// What this process uses: threads, open files, memory in KiB.
fn used() -> (usize, usize, usize) {
    let count = |dir: &str| std::fs::read_dir(dir).map_or(0, Iterator::count);
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux shows what is used");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("memory is in it");
    let memory = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    (count("/proc/self/task"), count("/proc/self/fd"), memory)
}

// One after the other, and alone in this program: what a process uses is counted.
#[tokio::test]
async fn churn_with_random_faults_ends_in_the_right_set_and_leaks_nothing() {
    for client in ["zookeeper-async", "zookeeper-client"] {
        churn(client).await;
    }
}

async fn churn(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let mut proxy = Proxy::start(zookeeper.address()).await;
    let long = RegistrarOptions::new().with_session_timeout(Duration::from_mins(1));
    let registrar = Registrar::connect_with(&zookeeper.hosts(), long).await;
    let mut there: BTreeMap<u16, String> = BTreeMap::new();
    for (port, node) in (1..).zip(register(&registrar, 1..=200).await) {
        there.insert(port, node);
    }
    let mut web = watch(client, &[proxy.address().to_string()], json!({}));
    web.until_ports(there.keys().copied()).await;
    let mut random = fastrand::Rng::with_seed(7);
    let (mut next, mut warm) = (1000, None);
    for round in 0..ROUNDS {
        for _ in 0..20 {
            match random.u8(0..3) {
                0 => {
                    next += 1;
                    there.insert(next, register(&registrar, [next]).await.remove(0));
                }
                1 if there.len() > 1 => {
                    let port = *random.choice(there.keys()).expect("some are there");
                    let node = there.remove(&port).expect("it is one of them");
                    registrar.delete(&node).await;
                }
                _ => {
                    // Written under another port.
                    let port = *random.choice(there.keys()).expect("some are there");
                    let node = there.remove(&port).expect("it is one of them");
                    next += 1;
                    registrar.set(&node, registration(next).json()).await;
                    there.insert(next, node);
                }
            }
        }
        let ours = async || {
            let sessions = zookeeper.sessions().await;
            sessions.into_iter().filter(|session| *session != registrar.session()).collect::<Vec<_>>()
        };
        match random.u8(0..5) {
            0 => {
                proxy.cut().await;
                sleep(Duration::from_millis(random.u64(0..200))).await;
                proxy.heal().await;
            }
            1 => {
                proxy.freeze().await;
                sleep(Duration::from_millis(random.u64(0..1500))).await;
                proxy.heal().await;
            }
            2 => {
                for session in ours().await {
                    zookeeper.expire(session).await;
                }
            }
            _ => {}
        }
        web.until_ports(there.keys().copied()).await;
        if round == WARM {
            warm = Some(used());
        }
    }
    let (threads, files, memory) = warm.expect("there are more rounds than it takes to be warm");
    e2e::wait_until(DEADLINE, "as much to be used as after the first rounds", async || {
        let now = used();
        // Memory: what allocators keep is not ours to say; a leak of forty sessions would be more.
        let flat = now.0 <= threads && now.1 <= files + 2 && now.2 <= memory + 8 * 1024;
        if flat { Ok(()) } else { Err(format!("{now:?} instead of {:?}", (threads, files, memory))) }
    })
    .await;
    assert!(matches!(web.now().health, Health::Healthy));
    // One that could not say goodbye stays until its time is up.
    e2e::wait_until(DEADLINE, "nothing to be left behind at the server", async || {
        let sessions = zookeeper.sessions().await;
        if sessions.len() == 2 { Ok(()) } else { Err(format!("{sessions:?}")) }
    })
    .await;
    // One more of a kind that publishers with a name write.
    registrar.register(WEB, &Registration::go_nerve("last", "10.0.0.1", 9)).await;
    let mut all: Vec<u16> = there.keys().copied().collect();
    all.push(9);
    web.until_ports(all).await;
}
