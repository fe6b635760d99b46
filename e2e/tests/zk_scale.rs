//! Many children, and many services.

mod zk_support;

use e2e::{NodeKind, Proxy, Registrar, Watching, ZookeeperOptions};
use serde_json::json;
use zk_support::{
    DEADLINE, WEB, connect, over_both_clients, register, registration, section, watch, watching,
};

over_both_clients!(twenty_thousand_children_of_one_path, a_thousand_services_share_one_session,);

async fn twenty_thousand_children_of_one_path(client: &str) {
    let zookeeper = ZookeeperOptions::new().with_heap(512).start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    register(&registrar, 1..=20_000).await;
    // Behind a proxy that can be cut: what is lost with the session is read again.
    let mut proxy = Proxy::start(zookeeper.address()).await;
    let mut web = watch(client, &[proxy.address().to_string()], json!({}));
    web.until_ports(1..=20_000).await;
    proxy.cut().await;
    web.until_failing().await;
    let last = register(&registrar, [20_001]).await;
    proxy.heal().await;
    web.until_ports(1..=20_001).await;
    registrar.delete(&last[0]).await;
    web.until_ports(1..=20_000).await;
}

async fn a_thousand_services_share_one_session(client: &str) {
    let zookeeper = ZookeeperOptions::new().with_heap(512).start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    let path = |service: u16| format!("/services/s{service}");
    registrar.create_path("/services").await;
    registrar.create_many((0..1000).map(|service| (path(service), Vec::new())), NodeKind::Persistent).await;
    let children =
        (0..1000).map(|service| (format!("{}/a", path(service)), registration(1).json().into_bytes()));
    registrar.create_many(children, NodeKind::Persistent).await;
    let (ensemble, _) = connect(section(client, &zookeeper.hosts(), WEB, json!({})));
    let mut services: Vec<Watching> = (0..1000)
        .map(|service| {
            let (_, node) = section(client, &zookeeper.hosts(), &path(service), json!({})).into_parts();
            watching(&ensemble, node)
        })
        .collect();
    for service in &mut services {
        service.until_ports([1]).await;
    }
    e2e::wait_until(DEADLINE, "one session beside the publisher's", async || {
        let sessions = zookeeper.sessions().await;
        if sessions.len() == 2 { Ok(()) } else { Err(format!("{sessions:?}")) }
    })
    .await;
    for service in (0..1000_u16).step_by(10) {
        registrar.register(&path(service), &registration(2)).await;
    }
    for service in (0..1000_u16).step_by(10) {
        services[usize::from(service)].until_ports([1, 2]).await;
    }
    services.clear();
    drop(ensemble);
    e2e::wait_until(DEADLINE, "the session to be closed", async || {
        let sessions = zookeeper.sessions().await;
        if sessions.len() == 1 { Ok(()) } else { Err(format!("{sessions:?}")) }
    })
    .await;
}
