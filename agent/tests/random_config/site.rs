//! Configurations of real keys with mostly right values.

use std::fmt::Write as _;

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::answer::default_server;

const GLOBAL: &[&str] = &[
    "maxconn 100",
    "log 127.0.0.1 local0",
    "stats timeout 1m",
    "# a remark",
    "nbthread 1",
    "grace 1s",
    "stats socket /run/haproxy/r.sock level admin",
    "daemon",
];
const DEFAULTS: &[&str] = &[
    "mode http",
    "mode tcp",
    "balance leastconn",
    "default-server inter 3s fall 2",
    "retries 2",
    "option redispatch",
    "option dontlognull",
    "default-server check",
    "cookie D insert",
    "balance source",
    "log global",
    "default-server init-addr none",
    "default-server maxconn 9 weight 4 # all of them",
];
const FRONTEND: &[&str] = &[
    "option httplog",
    "maxconn 50",
    "acl x src 10.0.0.0/8",
    "timeout client 7s",
    "mode http",
    "mode tcp",
    "option tcplog",
    "http-request deny if { src 10.6.6.6 }",
    "# a remark",
    "id 77",
];
const BACKEND: &[&str] = &[
    "balance roundrobin",
    "balance static-rr",
    "balance first",
    "balance uri",
    "balance hdr(host)",
    "balance random",
    "balance source",
    "hash-type consistent",
    "cookie B insert indirect nocache",
    "cookie B rewrite",
    "cookie B insert dynamic",
    "dynamic-cookie-key k",
    "option httpchk GET /",
    "option tcp-check",
    "retry-on conn-failure",
    "default-server inter 1s",
    "default-server check port 9 weight 9",
    "server mine 10.1.1.1:80",
    "server own 10.1.1.2:80 id 2",
    "timeout server 9s",
    "fullconn 10",
    "mode http",
    "mode tcp",
    "stick-table type ip size 1k",
    "stick on src",
    "option ssl-hello-chk",
    "http-reuse always",
    "http-check expect status 200",
    "tcp-check connect",
    "option abortonclose",
    "http-request set-header A b",
    "default-server agent-check agent-port 5",
];
const OPTIONS: &[&str] = &[
    "check",
    "check inter 2s rise 3 fall 2",
    "weight 8",
    "maxconn 5 # at most",
    "check port %{port}",
    "agent-check agent-port 9000 agent-send \"%{host}%%\"",
    "send-proxy",
    "slowstart 5s",
    "on-marked-down shutdown-sessions",
    "backup",
    "check observe layer4",
    "disabled",
    "agent-send %{name}",
    "ssl verify none",
    "check port %<port>s",
];

fn lines(pool: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => vec(select(pool), 0..5).prop_map(|lines| json!(lines)),
        1 => select(pool).prop_map(|line| json!(line)),
        1 => vec(select(pool), 0..4).prop_map(|lines| json!(lines.join("\n"))),
    ]
}

/// Keys, each there or not.
fn some(keys: Vec<(&'static str, f64, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let each: Vec<_> = keys
        .into_iter()
        .map(|(key, chance, value)| {
            let entry = value.prop_map(move |value| (key.to_owned(), value));
            if chance < 1.0 { option::weighted(chance, entry).boxed() } else { entry.prop_map(Some).boxed() }
        })
        .collect();
    each.prop_map(|entries| Value::Object(entries.into_iter().flatten().collect()))
}

fn one_of(values: &[Value]) -> BoxedStrategy<Value> {
    select(values.to_vec()).boxed()
}

fn discovery() -> BoxedStrategy<Value> {
    let filter = json!({ "label": "az", "value": "a", "condition": "equals" });
    one_of(&[
        json!({ "method": "file", "path": "/x" }),
        json!({ "method": "base" }),
        json!({ "method": "file", "path": "/x", "label_filters": [filter] }),
        json!({ "method": "FILE", "path": "/x", "label_filter": { "label": "az", "value": 1, "condition": "not-equals" } }),
        json!({ "method": "multi", "watchers": { "x": { "method": "base" } }, "resolver": { "method": "union" } }),
    ])
}

fn service(port: u16) -> impl Strategy<Value = Value> {
    let ports = [json!(port), json!(port.to_string())];
    let haproxy = some(vec![
        ("port", 0.8, one_of(&ports)),
        ("bind_address", 0.3, one_of(&[json!("127.0.0.1"), json!("::1"), json!("*")])),
        ("bind_options", 0.2, one_of(&[json!("maxconn 5"), json!("name x")])),
        ("server_options", 0.6, select(OPTIONS).prop_map(|text| json!(text)).boxed()),
        ("frontend", 0.2, lines(FRONTEND).boxed()),
        ("backend", 0.4, lines(BACKEND).boxed()),
        ("listen", 0.4, lines(BACKEND).boxed()),
        (
            "shared_frontend",
            0.2,
            lines(&["acl y src 10.0.0.0/8", "http-request deny if { src 10.7.7.7 }"]).boxed(),
        ),
        (
            "backend_order",
            0.4,
            one_of(&[json!("asc"), json!("desc"), json!("no_shuffle"), json!("shuffle"), json!("?")]),
        ),
        ("cookie_value_method", 0.3, one_of(&[json!("name"), json!("hash")])),
        ("use_nerve_weights", 0.3, any::<bool>().prop_map(|on| json!(on)).boxed()),
        ("server_port_override", 0.1, one_of(&[json!(81), json!("82")])),
        ("server_backup_port", 0.2, one_of(&[json!(83), json!("84")])),
        ("disabled", 0.05, one_of(&[json!(true), json!("no")])),
    ]);
    let backend_name = option::weighted(0.2, Just(json!(format!("pool{port}"))));
    let haproxy = (haproxy, backend_name).prop_map(|(mut haproxy, name)| {
        if let Some(name) = name {
            haproxy["backend_name"] = name;
        }
        haproxy
    });
    some(vec![
        ("discovery", 1.0, discovery()),
        ("default_servers", 0.3, vec(default_server(), 0..3).prop_map(|servers| json!(servers)).boxed()),
        ("keep_default_servers", 0.3, any::<bool>().prop_map(|on| json!(on)).boxed()),
        ("use_previous_backends", 0.3, any::<bool>().prop_map(|on| json!(on)).boxed()),
        ("backend_port_override", 0.2, one_of(&[json!(85), json!("86")])),
        ("leader_election", 0.2, any::<bool>().prop_map(|on| json!(on)).boxed()),
        (
            "discovery_multi",
            0.1,
            one_of(&[
                json!({ "watchers": { "y": { "method": "base" } }, "resolver": { "method": "fallback" } }),
            ]),
        ),
        ("haproxy", 0.95, haproxy.boxed()),
    ])
}

/// A configuration of the services `a`, `b` and `c`, or some of them.
pub(crate) fn site() -> impl Strategy<Value = Value> {
    let timeouts = ["timeout connect 1s", "timeout client 1s", "timeout server 1s"];
    let defaults = vec(select(DEFAULTS), 0..6)
        .prop_map(move |lines| json!(timeouts.iter().copied().chain(lines).collect::<Vec<_>>()));
    let extra = one_of(&[
        json!({ "listen stats :1937": ["mode http", "stats enable"] }),
        json!({ "frontend health": ["mode http", "bind 127.0.0.1:8404", "monitor-uri /x"], "userlist u": "user a insecure-password b" }),
        json!({ "defaults other": ["mode http", "default-server check", "timeout connect 1s", "timeout client 1s", "timeout server 1s"] }),
        json!({}),
    ]);
    let haproxy = some(vec![
        ("config_file_path", 1.0, Just(json!("/nowhere/haproxy.cfg")).boxed()),
        ("reload_command", 1.0, one_of(&[json!("true"), json!(["true"])])),
        ("global", 1.0, lines(GLOBAL).boxed()),
        ("defaults", 1.0, defaults.boxed()),
        ("extra_sections", 0.4, extra),
        (
            "shared_frontend",
            0.3,
            one_of(&[json!(["bind 127.0.0.1:8000", "mode http"]), json!("bind 127.0.0.1:8000")]),
        ),
        ("bind_address", 0.3, one_of(&[json!("0.0.0.0"), json!("127.0.0.1")])),
        ("do_socket", 0.3, one_of(&[json!(true), json!(false), json!("yes")])),
        ("socket_file_path", 0.4, one_of(&[json!("/run/haproxy/s.sock"), json!(["/run/haproxy/s.sock"])])),
        ("server_order_seed", 0.4, one_of(&[json!(1), json!("2"), json!(-3)])),
        ("max_server_id", 0.2, one_of(&[json!(2), json!("65535")])),
        ("use_nerve_weights", 0.4, any::<bool>().prop_map(|on| json!(on)).boxed()),
        ("restart_interval", 0.2, one_of(&[json!(1), json!("2")])),
    ]);
    let services = some(vec![
        ("a", 0.9, service(3001).boxed()),
        ("b", 0.6, service(3002).boxed()),
        ("c", 0.3, service(3003).boxed()),
    ]);
    (services, haproxy).prop_map(|(services, haproxy)| json!({ "services": services, "haproxy": haproxy }))
}

/// The same without a server of ours.
pub(crate) fn without_servers(config: &Value) -> Value {
    let mut config = config.clone();
    for (_, service) in config["services"].as_object_mut().into_iter().flatten() {
        if let Some(service) = service.as_object_mut() {
            service.remove("default_servers");
        }
    }
    config
}

/// Anything that a file can hold.
pub(crate) fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|truth| json!(truth)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,20}".prop_map(|text| json!(text)),
        select(
            &[
                "",
                "%",
                "%{x}",
                "a\nb",
                "a\rb",
                "\0",
                "-1",
                "1e9",
                "<%= x %>",
                "$HOME",
                "65536",
                "\"",
                "shared-frontend"
            ][..]
        )
        .prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let entries = vec(("[a-z_]{1,8}", inner.clone()), 0..3);
        let map = entries.prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>()));
        prop_oneof![vec(inner, 0..3).prop_map(Value::Array), map]
    })
}

/// Where there is a value, as JSON pointers.
pub(crate) fn places(value: &Value) -> Vec<String> {
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    let below =
        |key: String, value: &Value| places(value).into_iter().map(move |place| format!("/{key}{place}"));
    let mut all = vec![String::new()];
    match value {
        Value::Object(entries) => {
            all.extend(entries.iter().flat_map(|(key, value)| below(escape(key), value)));
        }
        Value::Array(items) => {
            all.extend(items.iter().enumerate().flat_map(|(index, value)| below(index.to_string(), value)));
        }
        _ => {}
    }
    all
}

/// As JSON, with the keys of maps the other way round where their order says nothing.
pub(crate) fn in_order(value: &Value, reversed: bool) -> String {
    let mut text = String::new();
    write(&mut text, "", value, reversed);
    text
}

fn write(text: &mut String, key: &str, value: &Value, reversed: bool) {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            // Services, sections and watchers come out in the order of the file.
            if reversed && !["services", "extra_sections", "watchers"].contains(&key) {
                entries.reverse();
            }
            text.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma}{}:", Value::String(key.clone()));
                write(text, key, value, reversed);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                write(text, "", item, reversed);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}
