//! A service with two registries: while the first is down HAProxy serves what the second says, and no longer.

mod serving_support;

use std::time::Duration;

use e2e::{AgentTask, Dir, Etcd, HttpBackend, Site};
use serde_json::{Value, json};
use serving_support::{all_answered, key, register, registration, until};
use tokio::time::Instant;

/// When the second registry is served after the first was killed: the second within which a lost connection is told, two
/// failures to connect again with half a second between them, and the two seconds that one failure may last.
const BOUND: Duration = Duration::from_secs(1 + 1 + 2);
/// What a busy machine adds to it.
const GRACE: Duration = Duration::from_secs(4);

/// A `discovery` section of what is registered in `etcd`.
fn registered(etcd: &Etcd) -> Value {
    json!({ "method": "etcd", "endpoints": etcd.endpoints(), "prefix": "/services/web" })
}

/// Several sources of `web`, and how they become one.
async fn site(watchers: Value, resolver: Value) -> Site {
    let mut site = Site::start().await;
    site.add_service("web", &[]);
    let discovery = json!({ "method": "multi", "watchers": watchers, "resolver": resolver });
    site.set("/services/web", "discovery", discovery);
    site
}

/// The children of `web`: name, state, and whether it is in use.
fn children(agent: &AgentTask) -> Vec<(String, &'static str, bool)> {
    let shown = agent.service("web").children;
    shown.iter().map(|child| (child.name.to_string(), child.observed.health.state(), child.in_use)).collect()
}

async fn until_children(agent: &AgentTask, wanted: [(&str, &'static str, bool); 2]) {
    let wanted = wanted.map(|(name, state, in_use)| (name.to_owned(), state, in_use));
    until(&format!("the children to be {wanted:?}"), || {
        let now = children(agent);
        if now == wanted { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_dead_registry_is_left_for_the_other_in_time_and_taken_back_with_no_request_lost() {
    let (mut primary, spare) = tokio::join!(Etcd::start(), Etcd::start());
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    register(&primary, &blue).await;
    register(&spare, &green).await;
    let watchers = json!({ "spare": registered(&spare), "primary": registered(&primary) });
    let resolver = json!({ "method": "sequential", "sequential_order": ["primary", "spare"] });
    let site = site(watchers, resolver).await;
    let agent = site.run_agent();
    site.until_serves("web", &["blue"]).await;
    let traffic = site.traffic("web");
    for _ in 0..2 {
        let killed = Instant::now();
        primary.kill().await;
        site.until_serves("web", &["green"]).await;
        let took = killed.elapsed();
        assert!(took < BOUND + GRACE, "{took:?}");
        until_children(&agent, [("primary", "failing", false), ("spare", "ok", true)]).await;
        assert_eq!(agent.service("web").state(), "ok");

        primary.restart().await;
        site.until_serves("web", &["blue"]).await;
        until_children(&agent, [("primary", "ok", true), ("spare", "ok", false)]).await;
    }
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_registry_that_says_nobody_is_left_for_the_other_until_it_says_somebody() {
    let (primary, spare) = tokio::join!(Etcd::start(), Etcd::start());
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    register(&primary, &blue).await;
    register(&spare, &green).await;
    let mut site = Site::start().await;
    site.add_service("web", &primary.endpoints());
    let several =
        json!({ "watchers": { "spare": registered(&spare) }, "resolver": { "method": "fallback" } });
    site.set("/services/web", "discovery_multi", several);
    let _agent = site.run_agent();
    site.until_serves("web", &["blue"]).await;
    let traffic = site.traffic("web");
    primary.delete(&key("blue")).await;
    site.until_serves("web", &["green"]).await;
    primary.put(&key("blue"), &registration(&blue)).await;
    site.until_serves("web", &["blue"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_union_goes_on_with_what_a_dead_registry_said_and_the_news_of_the_other() {
    let (mut one, two) = tokio::join!(Etcd::start(), Etcd::start());
    let [blue, green, red] = ["blue", "green", "red"].map(HttpBackend::start);
    let (blue, green, red) = tokio::join!(blue, green, red);
    register(&one, &blue).await;
    register(&two, &green).await;
    let watchers = json!({ "one": registered(&one), "two": registered(&two) });
    let site = site(watchers, json!({ "method": "union" })).await;
    let agent = site.run_agent();
    site.until_serves("web", &["blue", "green"]).await;
    let traffic = site.traffic("web");
    one.kill().await;
    until_children(&agent, [("one", "failing", true), ("two", "ok", true)]).await;
    register(&two, &red).await;
    site.until_serves("web", &["blue", "green", "red"]).await;
    two.delete(&key("green")).await;
    site.until_serves("web", &["blue", "red"]).await;
    one.restart().await;
    until_children(&agent, [("one", "ok", true), ("two", "ok", true)]).await;
    site.until_serves("web", &["blue", "red"]).await;
    all_answered(traffic).await;
}

#[tokio::test]
async fn a_file_moves_the_traffic_from_blue_to_green_and_back() {
    let dir = Dir::new("weights");
    dir.write("weights.yaml", "primary: 1\n");
    let (old, new) = tokio::join!(Etcd::start(), Etcd::start());
    let [blue, green] = [HttpBackend::start("blue").await, HttpBackend::start("green").await];
    register(&old, &blue).await;
    register(&new, &green).await;
    let watchers = json!({ "primary": registered(&old), "green": registered(&new) });
    let resolver = json!({ "method": "toggle", "file": dir.join("weights.yaml") });
    let site = site(watchers, resolver).await;
    let agent = site.run_agent();
    site.until_serves("web", &["blue"]).await;
    let traffic = site.traffic("web");
    dir.write("weights.yaml", "primary: 0\ngreen: 100\n");
    site.until_serves("web", &["green"]).await;
    dir.write("weights.yaml", "nonsense");
    until("the mistake to be told", || match agent.service("web").rejected.named() {
        [] => Err("nothing is refused".to_owned()),
        _ => Ok(()),
    })
    .await;
    site.until_serves("web", &["green"]).await;
    dir.write("weights.yaml", "primary: 1\ngreen: 0\n");
    site.until_serves("web", &["blue"]).await;
    all_answered(traffic).await;
}
