//! What DNS says is served, and served anew when it says something else.

mod serving_support;

use std::net::{Ipv4Addr, SocketAddr};

use e2e::{HttpBackend, Knot, Port, Registrar, Registration, Zookeeper};
use serde_json::json;
use serving_support::{all_answered, discovering as site, reloaded, until, until_state};

/// Two backends on one port, each on an address of its own.
async fn backends() -> (Port, [HttpBackend; 2]) {
    let port = Port::free();
    let at = |last: u8| SocketAddr::from((Ipv4Addr::new(127, 0, 1, last), port.number()));
    let both = [HttpBackend::start_at("blue", at(1)).await, HttpBackend::start_at("green", at(2)).await];
    (port, both)
}

#[tokio::test]
async fn an_address_that_changes_is_served_without_a_reload() {
    let mut knot = Knot::start().await;
    let (port, _backends) = backends().await;
    knot.set("web", "A", 1, &["127.0.1.1"]).await;
    let site = site(json!({
        "method": "dns", "nameserver": knot.address().to_string(),
        "servers": [{ "host": "web.example", "port": port.number(), "name": "web" }],
    }))
    .await;
    let agent = site.run_agent();
    site.until_serves("web", &["blue"]).await;
    let traffic = site.traffic("web");
    let before = reloaded(&agent, &site).await;

    knot.set("web", "A", 1, &["127.0.1.1", "127.0.1.2"]).await;
    site.until_serves("web", &["blue", "green"]).await;
    knot.set("web", "A", 1, &["127.0.1.2"]).await;
    site.until_serves("web", &["green"]).await;
    assert!(
        site.server_lines("web")[0].starts_with("server web_127.0.1.2:"),
        "{:?}",
        site.server_lines("web")
    );

    knot.kill().await;
    until_state(&agent, "failing").await;
    knot.set("web", "A", 1, &["127.0.1.1"]).await;
    site.until_serves("web", &["green"]).await;
    knot.restart().await;
    site.until_serves("web", &["blue"]).await;
    all_answered(traffic).await;
    assert_eq!(reloaded(&agent, &site).await, before, "no reload, and the same worker");
}

#[tokio::test]
async fn targets_of_another_priority_are_backups() {
    let knot = Knot::start().await;
    let [mut blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    let service = [format!("10 0 {} here", blue.port()), format!("20 0 {} here", green.port())];
    let sets: [(&str, &str, u32, &[&str]); 2] =
        [("_http._tcp.web", "SRV", 1, &[&service[0], &service[1]]), ("here", "A", 1, &["127.0.0.1"])];
    knot.set_all(&sets).await;
    let mut site = site(json!({
        "method": "dns", "nameserver": knot.address().to_string(),
        "servers": { "srv": "_http._tcp.web.example" },
    }))
    .await;
    site.set("/services/web/haproxy", "server_options", "check inter 100ms rise 1 fall 1");
    let _agent = site.run_agent();
    site.until_serves("web", &["blue"]).await;
    blue.stop().await;
    site.until_serves("web", &["green"]).await;
}

#[tokio::test]
async fn registrations_in_zookeeper_may_have_names() {
    let (zookeeper, knot) = (Zookeeper::start().await, Knot::start().await);
    let (port, _backends) = backends().await;
    knot.set("one", "A", 1, &["127.0.1.1"]).await;
    knot.set("two", "A", 1, &["127.0.1.2"]).await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    let path = "/nerve/services/web";
    let one = registrar.register(path, &Registration::nerve("one", "one.example", port.number())).await;
    let site = site(json!({
        "method": "zookeeper_dns", "hosts": zookeeper.hosts(), "path": path,
        "nameserver": [knot.address().to_string()], "check_interval": 5,
    }))
    .await;
    let agent = site.run_agent();
    site.until_serves("web", &["blue"]).await;
    registrar.register(path, &Registration::nerve("two", "two.example", port.number())).await;
    site.until_serves("web", &["blue", "green"]).await;
    registrar.delete(&one).await;
    site.until_serves("web", &["green"]).await;
    registrar.register(path, &Registration::nerve("three", "nobody.example", port.number())).await;
    until("the name that does not exist to be listed", || {
        let snapshot = agent.service("web").snapshot.expect("it is served");
        let named: Vec<_> = snapshot.rejected().named().iter().map(|one| one.reason().to_owned()).collect();
        if named == ["its name does not exist"] { Ok(()) } else { Err(format!("{named:?}")) }
    })
    .await;
    knot.set("two", "A", 1, &["127.0.1.1"]).await;
    site.until_serves("web", &["blue"]).await;
}
