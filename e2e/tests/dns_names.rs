//! Registrations in ZooKeeper that have names for hosts are resolved.

mod dns_support;

use discovery_core::Backoff;
use discovery_zk::{Ensemble, ZkConfig};
use dns_support::{EVERY, resolver, shown, until_shown, watching};
use e2e::{Knot, Registrar, Registration, Zookeeper};
use serde_json::json;

const PATH: &str = "/nerve/services/web";

#[tokio::test]
async fn names_are_resolved_and_followed_whatever_zookeeper_and_dns_do() {
    let (zookeeper, mut knot) = (Zookeeper::start().await, Knot::start().await);
    let sets: [(&str, &str, u32, &[&str]); 2] = [("a", "A", 1, &["10.0.0.1"]), ("b", "A", 1, &["10.0.0.2"])];
    knot.set_all(&sets).await;
    let registrar = Registrar::connect(&zookeeper.hosts()).await;
    let node = registrar.register(PATH, &Registration::nerve("one", "a.example", 80).with_weight(5)).await;

    let config: ZkConfig =
        serde_json::from_value(json!({ "hosts": zookeeper.hosts(), "path": PATH })).expect("it is right");
    let (ensemble, path) = config.into_parts();
    let (ensemble, driver) = Ensemble::new(ensemble, Backoff::default());
    tokio::spawn(driver);
    let names = resolver(&[knot.address()]);
    let mut web = watching(names.resolving(ensemble.member(path), EVERY));
    until_shown(&mut web, &["one_10.0.0.1:80 id=0 weight=5"]).await;

    knot.set("a", "A", 1, &["10.0.0.7"]).await;
    until_shown(&mut web, &["one_10.0.0.7:80 id=0 weight=5"]).await;
    registrar.register(PATH, &Registration::nerve("two", "b.example", 80)).await;
    until_shown(&mut web, &["two_10.0.0.2:80 id=1", "one_10.0.0.7:80 id=0 weight=5"]).await;

    knot.kill().await;
    registrar.register(PATH, &Registration::nerve("three", "c.example", 80)).await;
    let now = web.until("the name that nobody knows", |now| {
        now.snapshot.as_ref().is_some_and(|snapshot| snapshot.rejected().total() == 1)
    });
    assert_eq!(shown(&now.await).len(), 2, "the others keep the addresses that they had last");
    registrar.delete(&node).await;
    web.until("one to go, without DNS", |now| shown(now) == ["two_10.0.0.2:80 id=1"]).await;

    knot.set("c", "A", 1, &["10.0.0.3"]).await;
    knot.restart().await;
    until_shown(&mut web, &["two_10.0.0.2:80 id=1", "three_10.0.0.3:80 id=2"]).await;
}
