//! What is registered in ZooKeeper is served, whatever happens to ZooKeeper.

mod serving_support;

use std::time::Duration;

use e2e::{
    AgentTask, HttpBackend, NodeKind, Registrar, RegistrarOptions, Registration, Site, Traffic, Zookeeper,
    ZookeeperEnsemble,
};
use serde_json::json;
use serving_support::{all_answered, until, until_state};
use tokio::time::{Instant, sleep};

const PATH: &str = "/nerve/services/web";
const SESSION: Duration = Duration::from_secs(2);

fn registration(backend: &HttpBackend) -> Registration {
    Registration::nerve(backend.name(), "127.0.0.1", backend.port())
}

/// A publisher whose registrations outlast what happens to ZooKeeper.
async fn publisher(hosts: &[String]) -> Registrar {
    let long = RegistrarOptions::new().with_session_timeout(Duration::from_mins(1));
    Registrar::connect_with(hosts, long).await
}

/// A site whose service `web` is found in ZooKeeper, as a configuration of Synapse's says it.
async fn site(hosts: &[String]) -> Site {
    let mut site = Site::start().await;
    site.add_service("web", &[]);
    let discovery = json!({
        "method": "zookeeper", "hosts": hosts, "path": PATH, "decode": { "method": "nerve" },
        "session_timeout": SESSION.as_secs(),
    });
    site.set("/services/web", "discovery", discovery);
    site.set("/haproxy", "use_nerve_weights", true);
    site
}

async fn serve(site: &Site, servers: &[&str]) -> (AgentTask, Traffic) {
    let agent = site.run_agent();
    site.until_serves("web", servers).await;
    (agent, site.traffic("web"))
}

#[tokio::test]
async fn a_registration_is_served_until_its_publishers_session_ends() {
    let zookeeper = Zookeeper::start().await;
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    let (one, other) = (publisher(&zookeeper.hosts()).await, publisher(&zookeeper.hosts()).await);
    one.register(PATH, &registration(&blue)).await;
    let site = site(&zookeeper.hosts()).await;
    let (_agent, traffic) = serve(&site, &["blue"]).await;
    let node = other.register(PATH, &registration(&green)).await;
    site.until_serves("web", &["blue", "green"]).await;
    other.set(&node, registration(&green).with_weight(7).json()).await;
    until("the weight", || {
        let lines = site.server_lines("web");
        if lines.iter().any(|line| line.contains(" weight 7")) { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .await;
    one.close().await;
    site.until_serves("web", &["green"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn bad_registrations_are_counted_and_the_good_ones_served() {
    let zookeeper = Zookeeper::start().await;
    let blue = HttpBackend::start("blue").await;
    let registrar = publisher(&zookeeper.hosts()).await;
    registrar.register(PATH, &registration(&blue)).await;
    let evil = r#"{"host":"127.0.0.1\n  http-request deny","port":80}"#;
    let node = registrar.create(&format!("{PATH}/evil"), evil, NodeKind::EphemeralSequential).await;
    let site = site(&zookeeper.hosts()).await;
    let agent = site.run_agent();
    site.until_serves("web", &["blue"]).await;
    let snapshot = agent.service("web").snapshot.expect("it is served");
    assert_eq!((snapshot.len(), snapshot.rejected().total()), (1, 1));
    assert_eq!(snapshot.rejected().named()[0].entry(), node);
    assert!(!site.file().contains("deny"));
}

#[tokio::test]
async fn a_frozen_zookeeper_stops_no_request() {
    let mut zookeeper = Zookeeper::start().await;
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    let registrar = publisher(&zookeeper.hosts()).await;
    let node = registrar.register(PATH, &registration(&blue)).await;
    registrar.register(PATH, &registration(&green)).await;
    let site = site(&zookeeper.hosts()).await;
    let (agent, traffic) = serve(&site, &["blue", "green"]).await;
    zookeeper.freeze().await;
    until_state(&agent, "failing").await;
    // Not a wait for anything: how long it stays frozen.
    sleep(2 * SESSION).await;
    site.until_serves("web", &["blue", "green"]).await;
    zookeeper.thaw();
    until_state(&agent, "ok").await;
    registrar.delete(&node).await;
    site.until_serves("web", &["green"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn an_ensemble_that_stops_for_longer_than_a_session_stops_no_request() {
    let mut ensemble = ZookeeperEnsemble::start().await;
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    // A session as short as ours would not outlast a second in which the machine is busy.
    let short = RegistrarOptions::new().with_session_timeout(3 * SESSION).abandoning();
    let registrar = Registrar::connect_with(&ensemble.hosts(), short).await;
    registrar.register(PATH, &registration(&blue)).await;
    drop(registrar);
    let site = site(&ensemble.hosts()).await;
    // As long as the publisher that is gone is believed to be there.
    let agent = site.run_agent();
    site.until_serves("web", &["blue"]).await;
    let begun = Instant::now();
    ensemble.kill().await;
    let traffic = site.traffic("web");
    until_state(&agent, "failing").await;
    // How long the outage lasts.
    sleep((begun + 4 * SESSION).saturating_duration_since(Instant::now())).await;
    site.until_serves("web", &["blue"]).await;
    ensemble.restart().await;
    publisher_of(&ensemble, &green).await;
    site.until_serves("web", &["green"]).await;
    until_state(&agent, "ok").await;
    all_answered(traffic).await;
}

/// Registers a backend for as long as the test runs.
async fn publisher_of(ensemble: &ZookeeperEnsemble, backend: &HttpBackend) {
    let registrar = publisher(&ensemble.hosts()).await;
    registrar.register(PATH, &registration(backend)).await;
    std::mem::forget(registrar);
}

#[tokio::test]
async fn the_generator_configuration_of_the_registry_is_served_unless_it_is_dangerous() {
    let zookeeper = Zookeeper::start().await;
    let blue = HttpBackend::start("blue").await;
    let registrar = publisher(&zookeeper.hosts()).await;
    registrar.register(PATH, &registration(&blue)).await;
    let site = site(&zookeeper.hosts()).await;
    let (agent, traffic) = serve(&site, &["blue"]).await;
    registrar
        .set(PATH, r#"{"haproxy":{"server_options":"check inter 3s","backend":["timeout server 7s"]}}"#)
        .await;
    let file_has = |text: &'static str| {
        let site = &site;
        async move {
            until(&format!("{text:?} in the file"), || {
                let file = site.file();
                if file.contains(text) { Ok(()) } else { Err(file) }
            })
            .await;
        }
    };
    file_has("timeout server 7s").await;
    file_has("check inter 3s").await;
    registrar.set(PATH, r#"{"haproxy":{"backend":["external-check command /bin/rm"]}}"#).await;
    until("the rejection", || {
        let snapshot = agent.service("web").snapshot.expect("it is served");
        let status = format!("{:?}", agent.service("web"));
        let named = snapshot.rejected().total() == 1 || status.contains("generator configuration");
        if named && !site.file().contains("timeout server 7s") { Ok(()) } else { Err(status) }
    })
    .await;
    assert!(!site.file().contains("external-check"));
    site.until_serves("web", &["blue"]).await;
    all_answered(traffic).await;
}
