//! One child of many may not be read.

mod zk_support;

use ::zookeeper_client::{Acl, AuthId, Permission};
use e2e::{NodeKind, Registrar, RegistrarOptions, ZookeeperOptions, wait_until};
use serde_json::json;
use zk_support::{DEADLINE, WEB, asked, over_both_clients, register, registration, watch};

over_both_clients!(
    a_child_that_may_not_be_read_costs_one_request_a_retry_until_it_may,
    what_happens_meanwhile_is_served_with_the_child_once_that_may_be_read,
);

const CHILDREN: u16 = 200;

/// Registers a port that is the writer's alone, and returns its node.
async fn register_alone(writer: &Registrar, port: u16) -> String {
    let path = format!("{WEB}/alone_");
    writer.create(&path, registration(port).json(), NodeKind::EphemeralSequential).await
}

/// Lets everybody read a node.
async fn mend(writer: &Registrar, node: &str) {
    let everybody = [Acl::new(Permission::ALL, AuthId::anyone())];
    writer.client().set_acl(node, &everybody, None).await.expect("it is the writer's");
}

async fn a_child_that_may_not_be_read_costs_one_request_a_retry_until_it_may(client: &str) {
    let zookeeper = ZookeeperOptions::new().with_request_log().start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    let writer =
        Registrar::connect_with(&zookeeper.hosts(), RegistrarOptions::new().with_auth("writer", "w")).await;
    register(&registrar, 1..CHILDREN).await;
    let alone = register_alone(&writer, CHILDREN).await;

    let more = json!({ "generator_config_path": "disabled" });
    let mut web = watch(client, &zookeeper.hosts(), more);
    let error = web.until_failing().await;
    assert!(error.contains("alone_") && error.contains("grant `read`"), "{error}");
    assert!(web.now().snapshot.is_none(), "half of it is told to nobody");

    let ours = || asked(&zookeeper, 0, registrar.session());
    let tries = |asked: &[(String, String)]| asked.iter().filter(|(_, path)| *path == alone).count();
    // Publishers read nothing.
    let again = async |times: usize| {
        let asked = ours();
        if tries(&asked) >= times { Ok(asked) } else { Err(format!("{} times", tries(&asked))) }
    };
    let asked = wait_until(DEADLINE, "eight tries", async || again(8).await).await;
    let first = usize::from(CHILDREN) + 1;
    assert_eq!(asked.len() - tries(&asked), first - 1, "one list, and one read of each other child");

    mend(&writer, &alone).await;
    web.until_ports(1..=CHILDREN).await;
    let asked = ours();
    assert_eq!(asked.len() - tries(&asked), first - 1, "nothing but that child was asked for");
}

async fn what_happens_meanwhile_is_served_with_the_child_once_that_may_be_read(client: &str) {
    let zookeeper = ZookeeperOptions::new().start().await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    let writer =
        Registrar::connect_with(&zookeeper.hosts(), RegistrarOptions::new().with_auth("writer", "w")).await;
    let nodes = register(&registrar, [1, 2, 3]).await;
    let mut web = watch(client, &zookeeper.hosts(), json!({}));
    web.until_ports([1, 2, 3]).await;

    let alone = register_alone(&writer, 4).await;
    web.until_failing().await;
    registrar.delete(&nodes[0]).await;
    registrar.set(&nodes[1], registration(12).json()).await;
    register(&registrar, [5]).await;
    let known = web.now().snapshot.expect("the last good set");
    assert_eq!(known.iter().map(|endpoint| endpoint.port().get()).collect::<Vec<_>>(), [1, 2, 3]);
    mend(&writer, &alone).await;
    web.until_ports([3, 4, 5, 12]).await;
    // Each of them is watched.
    writer.delete(&alone).await;
    registrar.set(&nodes[2], registration(13).json()).await;
    web.until_ports([5, 12, 13]).await;
}
