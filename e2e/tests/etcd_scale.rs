//! A thousand services in one etcd.

mod etcd_support;

use discovery_core::Health;
use e2e::{Etcd, Proxy};
use etcd_support::{DEADLINE, connect, equal, metric, registration, requests, section, watching};
use serde_json::json;

const SERVICES: u16 = 1000;

fn prefix(service: u16) -> String {
    format!("/services/s{service}")
}

/// How many open connections lead to a port.
fn connections_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux shows its connections");
    let established = "01";
    let remote = format!(":{port:04X}");
    let leads_there = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.len() > 3 && fields[2].ends_with(&remote) && fields[3] == established
    };
    table.lines().filter(leads_there).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_services_share_a_connection_and_a_change_costs_one_event() {
    let etcd = Etcd::start().await;
    let mut proxy = Proxy::start(etcd.address()).await;
    etcd.put_many((0..SERVICES).map(|service| (format!("{}/a", prefix(service)), registration(1)))).await;

    let before = requests(&etcd, "Range").await;
    let (cluster, _) = connect(section(&[proxy.address().to_string()], "/unused", json!({})));
    let mut services: Vec<_> = (0..SERVICES)
        .map(|service| watching(&cluster, &prefix(service).parse().expect("a prefix")))
        .collect();
    for service in &mut services {
        service.until_ports([1]).await;
    }
    e2e::wait_until(DEADLINE, "all watches", async || {
        equal(metric(&etcd, "etcd_debugging_mvcc_watcher_total").await, SERVICES.into())
    })
    .await;
    // Each prefix once, and once where we are.
    assert_eq!(requests(&etcd, "Range").await - before, u64::from(SERVICES) + 1);
    assert_eq!(metric(&etcd, "etcd_debugging_mvcc_watch_stream_total").await, 1);
    assert_eq!(connections_to(proxy.address().port()), 1);

    let before = requests(&etcd, "Range").await;
    let events = metric(&etcd, "etcd_debugging_mvcc_events_total").await;
    for service in (0..SERVICES).step_by(10) {
        etcd.put(&format!("{}/b", prefix(service)), &registration(2)).await;
    }
    for service in (0..SERVICES).step_by(10) {
        services[usize::from(service)].until_ports([1, 2]).await;
    }
    assert_eq!(requests(&etcd, "Range").await - before, 0);
    assert_eq!(metric(&etcd, "etcd_debugging_mvcc_events_total").await - events, 100);

    proxy.cut().await;
    for service in &mut services {
        service.until_failing().await;
    }
    etcd.put(&format!("{}/c", prefix(7)), &registration(3)).await;
    proxy.heal().await;
    services[7].until_ports([1, 3]).await;
    for service in &mut services {
        service.until("recovery", |now| matches!(now.health, Health::Healthy)).await;
    }
    assert_eq!(requests(&etcd, "Range").await - before, 1, "nothing is listed again");
    assert_eq!(connections_to(proxy.address().port()), 1);

    // Those who are dropped are not watched any more.
    services.truncate(10);
    e2e::wait_until(DEADLINE, "the watches to be cancelled", async || {
        equal(metric(&etcd, "etcd_debugging_mvcc_watcher_total").await, 10)
    })
    .await;
    services.clear();
    drop(cluster);
    e2e::wait_until(DEADLINE, "the connection to be closed", async || {
        equal(connections_to(proxy.address().port()), 0)
    })
    .await;
}
