//! The order of servers, and the values of their cookies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use agent::discovery::Catalog;
use agent::{Config, Registry};
use serde_json::{Value, json};

/// A service of `count` servers, whose own `haproxy` section and whose seed are these.
fn config(count: usize, service: &Value, seed: Option<i64>) -> Config {
    let servers: Vec<Value> =
        (0..count).map(|n| json!({ "host": format!("10.0.0.{}", n + 1), "port": 80 })).collect();
    let mut text = json!({
        "services": { "web": { "discovery": { "method": "base" }, "default_servers": servers, "haproxy": service } },
        "haproxy": { "do_writes": false, "do_reloads": false, "global": [], "defaults": ["mode http"] },
    });
    text["services"]["web"]["haproxy"]["port"] = json!(1);
    if let Some(seed) = seed {
        text["haproxy"]["server_order_seed"] = json!(seed);
    }
    Config::parse(&text.to_string(), None, &Registry::builtin()).unwrap()
}

/// The last numbers of the servers' addresses, in the order of their lines.
fn order(config: &Config) -> Vec<usize> {
    let file = config.render(&Catalog::new(Vec::new()));
    let name = |line: &str| line.trim().strip_prefix("server 10.0.0.").map(str::to_owned);
    file.lines().filter_map(name).map(|rest| rest.split(':').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn each_word_for_the_order_has_its_own() {
    let of = |word: &str| order(&config(9, &json!({ "backend_order": word }), Some(7)));
    let ascending: Vec<usize> = (1..=9).collect();
    let descending: Vec<usize> = (1..=9).rev().collect();
    assert_eq!(of("asc"), ascending);
    assert_eq!(of("no_shuffle"), ascending, "the order of addresses");
    assert_eq!(of("desc"), descending);
    let shuffled = of("shuffle");
    assert!(shuffled != ascending && shuffled != descending, "{shuffled:?}");
    assert_eq!(of("random"), shuffled, "any other word is shuffle");
    assert_eq!(order(&config(9, &json!({}), Some(7))), shuffled, "and so is none");
}

#[test]
fn a_seed_and_a_host_have_an_order_of_their_own_that_is_always_the_same() {
    let own = json!({});
    let seeded = |seed| order(&config(20, &own, Some(seed)));
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1), seeded(2));
    assert_ne!(seeded(-1), seeded(1));
    let host = |name: &str| order(&config(20, &own, None).with_host_name(name));
    assert_eq!(host("web1"), host("web1"));
    assert_ne!(host("web1"), host("web2"));
    assert_eq!(
        order(&config(20, &own, Some(1)).with_host_name("web1")),
        seeded(1),
        "what is configured counts"
    );
    let ascending: Vec<usize> = (1..=9).collect();
    assert_eq!(order(&config(9, &own, None)), ascending, "without either, by name");
    let asked = config(9, &json!({ "backend_order": "asc" }), None);
    assert_eq!(order(&asked.with_host_name("web1")), ascending);
}

#[test]
fn whoever_stays_keeps_the_place_relative_to_the_others() {
    let all = order(&config(20, &json!({}), Some(3)));
    let fewer = order(&config(15, &json!({}), Some(3)));
    let of_all: Vec<usize> = all.into_iter().filter(|server| *server <= 15).collect();
    assert_eq!(fewer, of_all);
}

#[test]
fn ids_do_not_hang_on_the_order() {
    let file = |seed| config(5, &json!({}), Some(seed)).render(&Catalog::new(Vec::new()));
    let ids = |text: String| {
        let mut ids: Vec<String> =
            text.lines().filter(|line| line.trim().starts_with("server ")).map(str::to_owned).collect();
        ids.sort();
        ids
    };
    assert_ne!(file(1), file(2));
    assert_eq!(ids(file(1)), ids(file(2)));
}

#[test]
fn a_cookie_is_the_name_or_its_digest() {
    let line = |method: Value| {
        let own = json!({ "listen": ["cookie SRV insert"], "cookie_value_method": method });
        let file = config(1, &own, None).render(&Catalog::new(Vec::new()));
        file.lines().find(|line| line.contains("server 10.0.0.1")).unwrap().trim().to_owned()
    };
    assert_eq!(line(json!("name")), "server 10.0.0.1:80 10.0.0.1:80 id 1 cookie 10.0.0.1:80");
    // As `sha1sum` says of the name.
    let hash = "84c5b173056b798612a9d5bebbbc7b98da4e5bfc";
    assert_eq!(line(json!("hash")), format!("server 10.0.0.1:80 10.0.0.1:80 id 1 cookie {hash}"));
    let text = json!({
        "services": { "web": { "discovery": { "method": "base" }, "haproxy": { "cookie_value_method": "md5" } } },
        "haproxy": { "do_writes": false, "do_reloads": false, "global": [], "defaults": [] },
    });
    let report = Config::parse(&text.to_string(), None, &Registry::builtin()).unwrap_err();
    assert_eq!(report.problems()[0].message, "expected `name` or `hash`, not \"md5\"");
}
