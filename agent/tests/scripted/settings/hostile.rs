//! Whatever a registry says, no line gets into the file that could do harm.

use agent::{
    Config, Registry,
    discovery::{Catalog, Settings},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::site::endpoints;

/// What a registry may begin a line with, and no more than that; written down once more, so that a slip in the code shows.
const ALLOWED: &[&str] = &[
    "balance",
    "cookie",
    "fullconn",
    "hash-type",
    "http-check disable-on-404",
    "http-check expect",
    "http-check send",
    "http-check send-state",
    "http-request add-header",
    "http-request del-header",
    "http-request set-header",
    "http-response add-header",
    "http-response del-header",
    "http-response set-header",
    "http-reuse",
    "maxconn",
    "mode",
    "no option",
    "option",
    "rate-limit sessions",
    "retries",
    "retry-on",
    "tcp-check expect",
    "tcp-check send",
    "tcp-check send-binary",
    "timeout",
];

/// Words that no line of a registry may have, wherever they stand: what they do is done to this machine, or to others.
const FORBIDDEN: &[&str] = &[
    "-f",
    "if",
    "unless",
    "lua",
    "use-service",
    "file",
    "external-check",
    "connect",
    "ca-file",
    "crt",
    "addr",
    "source",
    "set-var",
    "set-map",
    "%[env(HOME)]",
    "bind",
    "server",
    "log",
    "track",
];

fn config() -> Config {
    let text = json!({
        "services": { "web": {
            "discovery": { "method": "base" },
            "haproxy": { "port": 8000, "server_options": "check", "listen": ["mode http", "option httpchk"] },
        } },
        "haproxy": { "do_writes": false, "do_reloads": false, "global": [], "defaults": ["retries 2"] },
    });
    Config::parse(&text.to_string(), None, &Registry::builtin()).expect("it is right")
}

fn rendered(config: &Config, told: &Value) -> String {
    let settings = Settings::parse(told.to_string().as_bytes()).expect("it is a map");
    let snapshot = endpoints([1, 2]).with_settings(settings);
    config.render(&Catalog::new([("web".to_owned(), snapshot)]))
}

/// What would be wrong with the text.
fn harm(plain: &str, text: &str) -> Option<String> {
    let sections = |text: &str| -> Vec<String> {
        let own = |line: &&str| {
            !line.starts_with('\t') || line.starts_with("\tbind ") || line.starts_with("\tdefault_b")
        };
        text.split('\n').filter(own).map(str::to_owned).collect()
    };
    if sections(plain) != sections(text) {
        return Some("other sections, or another address to listen at".to_owned());
    }
    let servers = |text: &str| text.lines().filter(|line| line.starts_with("\tserver ")).count();
    if servers(text) != servers(plain) {
        return Some("more or fewer servers".to_owned());
    }
    let new = text.split('\n').filter(|line| !plain.split('\n').any(|known| known == *line));
    for line in new {
        let line = line.strip_prefix('\t').unwrap_or(line);
        let server =
            (1..=2).find_map(|n| line.strip_prefix(&format!("server 10.0.0.{n}:80 10.0.0.{n}:80 id {n} ")));
        let known = server.is_some()
            || ALLOWED.iter().any(|start| {
                line.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            });
        let odd = |char: char| !char.is_ascii_graphic() && char != ' ' || "\"'\\#$`;{}<>|".contains(char);
        let harmful = server.unwrap_or(line).split(' ').any(|word| FORBIDDEN.contains(&word));
        // Names of timeouts only sound like some of them.
        if !known || line.chars().any(odd) || (harmful && !line.starts_with("timeout ")) {
            return Some(format!("the line {line:?}"));
        }
    }
    None
}

const FINE: &[&str] = &[
    "balance leastconn",
    "timeout server 5s",
    "timeout connect 1s",
    "option redispatch",
    "http-check expect status 200",
    "http-request set-header X-A b",
    "mode http",
    "cookie SRV insert",
    "retries 3",
    "no option http-keep-alive",
];

const HARMFUL: &[&str] = &[
    "bind :80",
    "server evil 10.6.6.6:80",
    "errorfile 503 /etc/shadow",
    "external-check command /bin/sh",
    "option external-check",
    "log 10.6.6.6 local0",
    "http-request lua.x",
    "http-request use-service lua.x",
    "http-request return file /etc/shadow if TRUE",
    "acl a src -f /etc/shadow",
    "use_backend other if TRUE",
    "http-request set-header X %[env(HOME)]",
    "http-request set-header X \"$HOME\"",
    "stats admin if TRUE",
    "tcp-check connect addr 10.6.6.6 port 22",
    "filter lua.x",
    "balance leastconn\nbind :80",
    "mode http\r\tbind :80",
    "mode tcp",
    "source 10.0.0.1",
    "default-server ssl verify none",
    "retries 3 # \nbind :80",
    "timeout server 5s\\\nbind :80",
    "\tbind :80",
    "balance\u{b}leastconn\u{85}bind :80",
    "option httpchk GET /\\r\\nHost:\\ x",
    "defaults",
    "frontend x",
];

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(FINE).prop_map(str::to_owned),
        2 => proptest::sample::select(HARMFUL).prop_map(str::to_owned),
        1 => (proptest::sample::select(ALLOWED), ".{0,20}").prop_map(|(start, rest)| format!("{start} {rest}")),
        1 => (proptest::sample::select(FINE), "[ \\-a-z\"'#${}\\\\\r\n\t\u{0}]{0,20}")
            .prop_map(|(start, rest)| format!("{start}{rest}")),
        1 => any::<String>(),
    ]
}

fn options() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "check",
        "inter",
        "5s",
        "port",
        "%{port}",
        "%{host}",
        "%{name}",
        "addr",
        "10.6.6.6",
        "ca-file",
        "/etc/shadow",
        "ssl",
        "verify",
        "none",
        "weight",
        "backup",
        "track",
        "other/a",
        "source",
        "\n",
        "\"",
        "#",
        "disabled",
        "id",
        "7",
        "cookie",
        "resolvers",
        "%",
        "%%",
        "maxconn",
        "100",
        "send-proxy",
    ];
    proptest::collection::vec(proptest::sample::select(WORDS), 0..6).prop_map(|words| words.join(" "))
}

/// Any JSON.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        line().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn section() -> impl Strategy<Value = Value> {
    const KEYS: &[&str] = &[
        "disabled",
        "port",
        "bind_address",
        "bind_options",
        "backend_name",
        "shared_frontend",
        "backend_order",
        "cookie_value_method",
        "server_port_override",
        "server_backup_port",
        "global",
        "reload_command",
        "<<",
    ];
    let lists = proptest::collection::btree_map(
        proptest::sample::select(&["frontend", "backend", "listen"][..]),
        proptest::collection::vec(line(), 0..4).prop_map(Value::from),
        0..3,
    );
    let other = proptest::option::weighted(0.2, (proptest::sample::select(KEYS), anything()));
    (lists, proptest::option::of(options()), other).prop_map(|(lists, options, other)| {
        let mut map: Map<String, Value> =
            lists.into_iter().map(|(key, lines)| (key.to_owned(), lines)).collect();
        map.extend(options.map(|options| ("server_options".to_owned(), options.into())));
        map.extend(other.map(|(key, value)| (key.to_owned(), value)));
        Value::Object(map)
    })
}

proptest! {
    #[test]
    fn no_map_gets_a_harmful_line_into_the_file(told in prop_oneof![4 => section(), 1 => anything()], other in anything()) {
        let config = config();
        let plain = rendered(&config, &json!({}));
        let text = rendered(&config, &json!({ "haproxy": told, "file_output": other }));
        prop_assert_eq!(harm(&plain, &text), None, "{}", text);
    }

    #[test]
    fn one_harmful_line_among_fine_ones_leaves_the_section_as_it_is(
        mut lines in proptest::collection::vec(proptest::sample::select(FINE), 0..4),
        harmful in proptest::sample::select(HARMFUL),
        place in any::<proptest::sample::Index>(),
    ) {
        let config = config();
        lines.insert(place.index(lines.len() + 1), harmful);
        let told = json!({ "haproxy": { "listen": lines, "server_options": "inter 5s" } });
        prop_assert_eq!(rendered(&config, &told), rendered(&config, &json!({})));
    }
}

#[test]
fn the_check_for_harm_finds_harm() {
    let plain = rendered(&config(), &json!({}));
    for line in HARMFUL.iter().filter(|line| **line != "mode tcp") {
        let text = plain.replacen("\tserver ", &format!("\t{line}\n\tserver "), 1);
        assert!(harm(&plain, &text).is_some(), "{line:?}");
    }
    let fine = rendered(&config(), &json!({ "haproxy": { "listen": FINE, "server_options": "inter 5s" } }));
    assert_ne!(fine, plain);
    assert_eq!(harm(&plain, &fine), None);
}
