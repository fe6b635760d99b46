//! What is registered is served; what is not, is not.

mod serving_support;

use std::time::Duration;

use e2e::{Etcd, Haproxy, HttpBackend, Site, get};
use serving_support::{Web, all_answered, key, named, register, registration, servers, until};

#[tokio::test]
async fn a_registration_is_served_until_it_is_deleted() {
    let web = Web::prepare().await;
    let (_agent, traffic) = web.serve().await;
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.site.until_serves("web", &["blue", "green", "red"]).await;

    web.etcd.delete(&key("blue")).await;
    web.site.until_serves("web", &["green", "red"]).await;
    let before = web.blue.requests();
    web.etcd.delete(&key("red")).await;
    web.site.until_serves("web", &["green"]).await;

    let spread = all_answered(traffic).await;
    assert_eq!(spread.servers(), ["blue", "green", "red"]);
    assert_eq!(web.blue.requests(), before, "blue was asked after it had gone");
}

#[tokio::test]
async fn an_endpoint_whose_lease_expires_is_gone() {
    let web = Web::prepare().await;
    let (_agent, traffic) = web.serve().await;
    let red = HttpBackend::start("red").await;
    web.etcd.put_with_lease(&key("red"), &registration(&red), 2).await;
    until("red to be asked", || if red.requests() > 0 { Ok(()) } else { Err("not yet".to_owned()) }).await;
    web.site.until_serves("web", &["blue", "green"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn the_last_endpoint_stays_unless_the_service_says_otherwise() {
    let etcd = Etcd::start().await;
    let blue = HttpBackend::start("blue").await;
    let mut site = Site::start().await;
    for name in ["kept", "empty"] {
        site.add_service(name, &etcd.endpoints());
        etcd.put(&format!("/services/{name}/blue"), &registration(&blue)).await;
    }
    site.set("/services/empty", "use_previous_backends", false);
    let _agent = site.run_agent();
    for name in ["kept", "empty"] {
        site.until_serves(name, &["blue"]).await;
    }
    etcd.delete("/services/kept/blue").await;
    etcd.delete("/services/empty/blue").await;
    e2e::wait_until(serving_support::DEADLINE, "nobody to serve", async || {
        match get(site.front("empty"), "/").await {
            Ok(response) if response.status == 503 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    site.until_serves("kept", &["blue"]).await;
}

#[tokio::test]
async fn of_two_puts_a_millisecond_apart_the_later_one_is_served() {
    const ROUNDS: usize = 8;
    let etcd = Etcd::start().await;
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    let mut site = Site::start().await;
    site.add_service("web", &etcd.endpoints());
    let _agent = site.run_agent();
    for round in 0..ROUNDS {
        let [first, later] = if round % 2 == 0 { [&blue, &green] } else { [&green, &blue] };
        etcd.put(&key("one"), &registration(first)).await;
        // The distance is the scenario, nothing is waited for.
        tokio::time::sleep(Duration::from_millis(1)).await;
        etcd.put(&key("one"), &registration(later)).await;
        site.until_serves("web", &[later.name()]).await;
    }
}

#[tokio::test]
async fn a_thousand_registrations_are_a_thousand_servers() {
    let web = Web::prepare().await;
    let (agent, traffic) = web.serve().await;
    let names: Vec<String> = (0..1000).map(|n| format!("n{n:03}")).collect();
    web.etcd.put_many(names.iter().map(|name| (key(name), named(name, &web.blue)))).await;
    for name in ["blue", "green"] {
        web.etcd.delete(&key(name)).await;
    }
    until("a thousand servers in the file", || match servers(&web.site).len() {
        1000 => Ok(()),
        other => Err(format!("{other}")),
    })
    .await;
    assert_eq!(servers(&web.site), names);
    Haproxy::check(&web.site.file()).await.unwrap();
    // All of them are blue under other names.
    web.site.until_serves("web", &["blue"]).await;
    assert_eq!(agent.service("web").servers, 1000);
    all_answered(traffic).await;
}
