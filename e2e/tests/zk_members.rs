//! Services come and go while the session stays.

mod zk_support;

use discovery_zk::{Decode, Node, Path};
use e2e::{Registrar, Zookeeper, wait_until};
use serde_json::json;
use zk_support::{DEADLINE, WEB, connect, over_both_clients, register, registration, section, watching};

over_both_clients!(
    of_two_services_below_one_path_the_one_that_stays_goes_on_seeing,
    services_that_come_and_go_leave_no_watches,
);

async fn of_two_services_below_one_path_the_one_that_stays_goes_on_seeing(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    let nodes = register(&registrar, [1, 2]).await;
    let (ensemble, node) = connect(section(client, &zookeeper.hosts(), WEB, json!({})));
    let mut first = watching(&ensemble, node.clone());
    let mut second = watching(&ensemble, node.clone());
    first.until_ports([1, 2]).await;
    second.until_ports([1, 2]).await;
    drop(first);
    // Once this one was answered, the session has heard that the first has gone.
    watching(&ensemble, node.clone()).until_ports([1, 2]).await;
    registrar.set(&nodes[0], registration(11).json()).await;
    second.until_ports([2, 11]).await;
    register(&registrar, [3]).await;
    second.until_ports([2, 3, 11]).await;
    registrar.delete(&nodes[1]).await;
    second.until_ports([3, 11]).await;
}

async fn services_that_come_and_go_leave_no_watches(client: &str) {
    let zookeeper = Zookeeper::start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    let all: Vec<_> = (1..=10).map(registration).collect();
    registrar.register_many("/others", &all).await;
    register(&registrar, 1..=10).await;
    let (ensemble, node) = connect(section(client, &zookeeper.hosts(), WEB, json!({})));
    let other = Node::new(Path::new("/others").expect("it is one"), Decode::Nerve);
    let mut stays = watching(&ensemble, node.clone());
    stays.until_ports(1..=10).await;
    let before = zookeeper.watches().await.watches;
    for _ in 0..50 {
        watching(&ensemble, node.clone()).until_ports(1..=10).await;
        watching(&ensemble, other.clone()).until_ports(1..=10).await;
    }
    // `zookeeper-async` cannot tell a server to stop watching: that goes on until something happens there, once for each node.
    let left = if client == "zookeeper-async" { before * 2 } else { before };
    let none_left = async || match zookeeper.watches().await.watches {
        watches if watches == left => Ok(()),
        watches => Err(format!("{watches} of {left}")),
    };
    wait_until(DEADLINE, "the watches of those that have gone to go", none_left).await;
    for node in registrar.children("/others").await {
        registrar.delete(&format!("/others/{node}")).await;
    }
    register(&registrar, [11]).await;
    stays.until_ports(1..=11).await;
}
