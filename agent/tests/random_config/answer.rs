//! What registries say, hostile things included.

use agent::discovery::Catalog;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

const HOSTS: &[&str] = &[
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "::1",
    "2001:db8::7",
    "fe80::1",
    "web.example.test",
    "WEB-2.example.test",
    "localhost",
    "10.0.0.1\nbind :1",
    "/run/evil.sock",
    "unix@/run/x",
    "$HOME",
    "a b",
    "",
    "é.example",
    "10.0.0.1;x",
    "[::1]",
    "1.2.3",
    "0.0.0.0",
    "fd@3",
    "-a",
    "a..b",
    "*",
];

const NAMES: &[&str] = &[
    "a",
    "b",
    "web-1",
    "i-0a1b",
    "two words",
    "ends\n",
    "a/b",
    "#c",
    "\"",
    "",
    "ü",
    "a:1",
    "_",
    "id",
    "check",
];

/// Options as a registry may have them: those that HAProxy takes, and those that are not to get there.
const OPTIONS: &[&str] = &[
    "check",
    "no-check",
    "inter 2s",
    "fastinter 1s",
    "downinter 5s",
    "rise 2",
    "fall 5",
    "maxconn 10",
    "minconn 2",
    "maxqueue 5",
    "slowstart 30s",
    "weight 0",
    "weight 256",
    "weight 257",
    "weight -1",
    "weight",
    "backup",
    "no-backup",
    "observe layer4",
    "observe layer7",
    "error-limit 5",
    "on-error mark-down",
    "on-error fastinter",
    "on-marked-down shutdown-sessions",
    "on-marked-up shutdown-backup-sessions",
    "agent-check",
    "agent-port 9000",
    "agent-inter 5s",
    "agent-send x",
    "agent-check agent-port 9000",
    "send-proxy",
    "send-proxy-v2",
    "no-send-proxy",
    "check-send-proxy",
    "port 9000",
    "pool-max-conn 5",
    "pool-purge-delay 5s",
    "pool-low-conn 2",
    "tfo",
    "stick",
    "non-stick",
    "disabled",
    "enabled",
    "id 5",
    "id 0",
    "id x",
    "cookie x",
    "ssl",
    "verify none",
    "ca-file /etc/x",
    "crt /x",
    "source 10.0.0.9",
    "addr 10.0.0.9",
    "track a/b",
    "resolvers x",
    "init-addr none",
    "redir http://x",
    "namespace x",
    "proto h2",
    "check-proto h2",
    "tcp-ut 5s",
    "max-reuse 5",
    "ws h1",
    "log-proto octet-count",
    "proxy-v2-options ssl",
    "send-proxy-v2-ssl",
    "no-such 5",
    "# x",
    "\"",
    "\\",
    "$HOME",
    "a;b",
    "check\nserver x y:1",
    "inter",
    "inter -5",
    "inter 99999999999s",
    "rise 0",
    "port 0",
    "port 99999",
    "maxconn x",
    "shard 2",
    "init-state up",
];

fn options() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => vec(select(OPTIONS), 0..5).prop_map(|words| words.join(" ")),
        1 => "[ -~]{0,40}",
        1 => "\\PC{0,20}",
    ]
}

fn labels() -> impl Strategy<Value = Value> {
    let value =
        prop_oneof![Just(json!("a")), Just(json!("b")), Just(json!(1)), Just(json!(true)), Just(json!(null))];
    option::of(value).prop_map(|az| az.map_or_else(|| json!({}), |az| json!({ "az": az })))
}

/// One registration.
pub(crate) fn endpoint() -> impl Strategy<Value = Value> {
    let host = prop_oneof![9 => select(HOSTS).prop_map(str::to_owned), 1 => "\\PC{0,12}"];
    let port = prop_oneof![9 => (1..4i64).prop_map(|n| n * 1000), 1 => -1..70_000i64];
    let name = option::of(prop_oneof![9 => select(NAMES).prop_map(str::to_owned), 1 => "\\PC{0,12}"]);
    let numbers =
        (option::of(0..4u64), option::of(0..400u32), option::of(any::<bool>()), option::of(any::<bool>()));
    (host, port, name, numbers, option::of(options()), labels()).prop_map(
        |(host, port, name, (id, weight, backup, available), options, labels)| {
            json!({
                "host": host, "port": port, "name": name, "id": id, "weight": weight, "backup": backup,
                "available": available, "haproxy_server_options": options, "labels": labels,
            })
        },
    )
}

/// A registration that is right.
pub(crate) fn default_server() -> impl Strategy<Value = Value> {
    (1..9u8, select(&["check", "inter 2s", "maxconn 5", "weight 7"][..]), option::of(select(&["a", "b"][..]))).prop_map(
        |(n, options, name)| {
            json!({ "host": format!("10.0.9.{n}"), "port": 80, "name": name, "haproxy_server_options": options,
                    "labels": { "az": "a" } })
        },
    )
}

fn settings() -> impl Strategy<Value = Value> {
    let lines = &[
        "balance leastconn",
        "timeout server 5s",
        "retries 2",
        "option httpchk",
        "option tcp-check",
        "mode http",
        "mode tcp",
        "bind :1",
        "server x 10.0.0.9:1",
        "cookie A insert",
        "http-check expect status 200",
        "hash-type consistent",
        "option redispatch",
        "maxconn 5",
        "fullconn 9",
        "http-request set-header A b",
        "option forwardfor",
        "no option httpclose",
    ][..];
    (vec(select(lines), 0..3), options(), select(&["asc", "desc", "x"][..])).prop_map(|(listen, options, order)| {
        json!({ "haproxy": { "listen": listen, "server_options": options, "backend_order": order } })
    })
}

/// What is said of the services `a`, `b` and `c`.
pub(crate) fn catalog() -> impl Strategy<Value = Catalog> {
    let service = || (option::weighted(0.9, vec(endpoint(), 0..6)), option::weighted(0.3, settings()));
    (service(), service(), service()).prop_map(|(a, b, c)| {
        let mut services = serde_json::Map::new();
        for (name, (endpoints, settings)) in [("a", a), ("b", b), ("c", c)] {
            let Some(endpoints) = endpoints else { continue };
            let told = match settings {
                None => json!(endpoints),
                Some(settings) => json!({ "endpoints": endpoints, "generators": settings }),
            };
            services.insert(name.to_owned(), told);
        }
        Catalog::parse(&Value::Object(services).to_string()).unwrap()
    })
}
