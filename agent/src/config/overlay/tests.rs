use serde_json::{Value, json};

use super::*;
use crate::{Config, Registry, desired::Order};

fn config(haproxy: &Value, defaults: &Value) -> Config {
    let text = json!({
        "services": { "web": { "discovery": { "method": "base" }, "haproxy": haproxy } },
        "haproxy": { "do_writes": false, "do_reloads": false, "global": [], "defaults": defaults,
                     "bind_address": "127.0.0.1" },
    });
    Config::parse(&text.to_string(), None, &Registry::builtin()).unwrap_or_else(|report| panic!("{report}"))
}

/// What comes of `told` over a service's section `own`; the problems as paths and messages.
fn over(own: &Value, told: &Value) -> Result<Option<Shape>, Vec<String>> {
    let config = config(own, &json!(["timeout server 1m"]));
    config.services[0].overlaid(&told.to_string(), &config.haproxy).map_err(|problems| {
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    })
}

fn shape(own: &Value, told: &Value) -> Shape {
    over(own, told).unwrap_or_else(|problems| panic!("{problems:?}")).expect("something is told")
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(Line::as_str).collect()
}

fn problems(own: &Value, told: &Value) -> Vec<String> {
    over(own, told).expect_err("it is refused")
}

#[test]
fn lines_stand_behind_the_sections_own_and_take_the_place_of_what_sets_the_same() {
    let own = json!({
        "port": 80,
        "backend": ["balance roundrobin", "http-request deny if { src 10.0.0.0/8 }", "server mine 10.9.9.9:80"],
        "listen": ["timeout server 5s", "timeout  queue 1s", "no option redispatch"],
    });
    let told =
        json!({ "backend": ["balance leastconn", "option redispatch"], "listen": ["timeout server 9s"] });
    assert_eq!(
        texts(&shape(&own, &told).backend),
        [
            "http-request deny if { src 10.0.0.0/8 }",
            "server mine 10.9.9.9:80",
            "timeout  queue 1s",
            "balance leastconn",
            "option redispatch",
            "timeout server 9s",
        ]
    );
}

#[test]
fn a_listen_line_goes_where_haproxy_takes_it_and_another_must_be_in_its_place() {
    let told = json!({ "listen": ["timeout client 9s", "timeout server 9s", "option forwardfor"] });
    let shape = shape(&json!({ "port": 80 }), &told);
    assert_eq!(texts(&shape.frontend), ["timeout client 9s", "option forwardfor"]);
    assert_eq!(texts(&shape.backend), ["timeout server 9s", "option forwardfor"]);
    let told =
        json!({ "frontend": ["timeout server 9s"], "backend": ["balance first", "timeout client 9s"] });
    assert_eq!(
        problems(&json!({}), &told),
        [
            "haproxy.frontend[0]: HAProxy does not take this line in such a section",
            "haproxy.backend[1]: HAProxy does not take this line in such a section",
        ]
    );
}

#[test]
fn another_kind_of_check_takes_the_place_of_the_old_one_and_of_its_rules() {
    let own = json!({ "listen": ["option httpchk GET /", "http-check expect status 200", "balance first"] });
    let backend = |told: &Value| -> Vec<String> {
        texts(&shape(&own, &json!({ "listen": told })).backend).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(backend(&json!(["option redis-check"])), ["balance first", "option redis-check"]);
    assert_eq!(
        backend(&json!(["http-check expect status 204"])),
        ["option httpchk GET /", "balance first", "http-check expect status 204"]
    );
}

#[test]
fn what_a_check_sends_stands_before_what_it_expects() {
    let told = json!({ "backend": ["http-check expect status 200", "option httpchk"],
                       "listen": ["http-check send-state", "http-check send hdr Host www"] });
    assert_eq!(
        texts(&shape(&json!({}), &told).backend),
        [
            "http-check send hdr Host www",
            "http-check expect status 200",
            "option httpchk",
            "http-check send-state"
        ]
    );
}

#[test]
fn a_line_that_adds_is_not_added_twice_and_rules_of_a_check_may_repeat() {
    let own = json!({ "backend": ["http-request add-header X-A b"] });
    let told = json!({ "backend": ["http-request add-header X-A b", "tcp-check send A", "tcp-check expect string B",
                                   "tcp-check send A"] });
    assert_eq!(
        texts(&shape(&own, &told).backend),
        [
            "http-request add-header X-A b",
            "tcp-check send A",
            "tcp-check expect string B",
            "tcp-check send A"
        ]
    );
}

#[test]
fn every_line_that_is_allowed_is_taken_by_a_service_of_its_mode() {
    for line in directive::tests::ALLOWED.iter().filter(|line| **line != "mode tcp") {
        let shape = shape(&json!({ "port": 80, "listen": ["mode http"] }), &json!({ "listen": [line] }));
        let lines = [texts(&shape.frontend), texts(&shape.backend)].concat();
        assert!(lines.contains(line), "{line}: {lines:?}");
    }
}

#[test]
fn the_mode_stays_what_it_is() {
    for (own, told, fine) in [
        (json!(["mode http"]), "mode http", true),
        (json!(["mode http"]), "mode tcp", false),
        // HAProxy's own default.
        (json!([]), "mode tcp", true),
        (json!([]), "mode http", false),
    ] {
        let result = over(&json!({ "listen": own }), &json!({ "listen": [told] }));
        assert_eq!(result.is_ok(), fine, "{own} {told}");
    }
    let told = json!({ "backend": ["mode tcp"] });
    assert_eq!(
        problems(&json!({ "listen": ["mode http"] }), &told),
        ["haproxy: `mode tcp`: the service is served in mode http"]
    );
}

#[test]
fn options_stand_behind_the_sections_own_and_are_those_of_a_stranger() {
    let own = json!({ "server_options": "check ssl verify required ca-file /etc/ca.pem" });
    let asked = shape(&own, &json!({ "server_options": "check inter 5s port %{port}" })).asked.unwrap();
    assert_eq!(asked.fill("10.0.0.1", 8080, ""), "check inter 5s port 8080");
    for (options, reason) in [
        ("verify none", "by TLS"),
        ("ca-file /etc/shadow", "read a file"),
        ("addr 10.6.6.6", "elsewhere"),
        ("cookie x", "two servers share it"),
        ("disabled", "whether a server is in use"),
        ("check\n\tbind :80", "HAProxy has no such server option"),
        ("check # x", "only letters, digits"),
        ("%{host}", "HAProxy has no such server option"),
        ("agent-send %{name}", "not every endpoint has a name"),
        ("check 5%", "a `%` stands alone"),
    ] {
        let said = problems(&own, &json!({ "server_options": options })).join("; ");
        assert!(said.starts_with("haproxy.server_options: ") && said.contains(reason), "{options}: {said}");
    }
    let many = json!({ "server_options": "check ".repeat(45) });
    let said = problems(&own, &many);
    assert_eq!(
        said,
        [
            "haproxy.server_options: behind the service's own options: server option \"check\": more than 47 words"
        ]
    );
}

#[test]
fn what_is_the_operators_alone_is_refused_unless_it_says_what_the_section_says() {
    let own = json!({ "port": "3212", "backend_name": "pool", "bind_options": "accept-proxy",
                      "server_port_override": 8080, "shared_frontend": ["acl a path /"] });
    let same = json!({ "port": 3212, "backend_name": "pool", "bind_options": "accept-proxy",
                       "server_port_override": "8080", "shared_frontend": "acl a path /",
                       "bind_address": "127.0.0.1", "disabled": false, "server_backup_port": null });
    assert!(over(&own, &same).unwrap().is_some());
    for (key, value) in [
        ("port", json!(80)),
        ("port", json!(null)),
        ("bind_address", json!("0.0.0.0")),
        ("bind_options", json!("")),
        ("backend_name", json!("other")),
        ("shared_frontend", json!(["use_backend pool if TRUE"])),
        ("server_port_override", json!(22)),
        ("server_backup_port", json!(22)),
        ("disabled", json!(true)),
    ] {
        let said = problems(&own, &json!({ key: value }));
        let start = format!("haproxy.{key}: a registry may not change it: ");
        assert!(matches!(&said[..], [one] if one.starts_with(&start)), "{said:?}");
    }
    assert!(over(&json!({}), &json!({ "port": 80 })).is_err());
    assert!(over(&json!({ "port": null }), &json!({ "port": null })).is_ok());
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_nothing_is_used() {
    let told = json!({ "port": 80, "server_options": "ssl", "cookie_value_method": "md5",
                       "listen": ["balance leastconn", "bind :80", "timeout server never"] });
    let said = problems(&json!({}), &told);
    let paths: Vec<_> = said.iter().filter_map(|problem| problem.split(": ").next()).collect();
    assert_eq!(
        paths,
        [
            "haproxy.port",
            "haproxy.listen[1]",
            "haproxy.listen[2]",
            "haproxy.cookie_value_method",
            "haproxy.server_options"
        ]
    );
    let said = problems(&json!({}), &json!({ "lisen": [], "frontend": {}, "server_options": [] })).join("; ");
    assert!(said.contains("haproxy.lisen: unknown key; did you mean `listen`?"), "{said}");
    assert!(said.contains("haproxy.frontend: ") && said.contains("haproxy.server_options: "), "{said}");
}

#[test]
fn what_is_no_map_or_says_nothing_changes_nothing() {
    for told in [json!({}), json!(null)] {
        assert_eq!(over(&json!({}), &told).unwrap(), None);
    }
    for told in [json!([]), json!("mode http"), json!(7), json!(true)] {
        assert!(over(&json!({}), &told).is_err(), "{told}");
    }
    let disabled = json!({ "disabled": true });
    assert_eq!(over(&disabled, &json!({ "listen": ["bind :80"] })).unwrap(), None);
}

#[test]
fn what_follows_from_the_lines_follows_from_those_of_the_registry_too() {
    let own = json!({ "listen": ["mode http"] });
    assert!(!shape(&own, &json!({ "listen": ["balance first"] })).cookie);
    let told =
        json!({ "listen": "cookie SRV insert", "backend_order": "desc", "cookie_value_method": "name" });
    let shape = shape(&own, &told);
    assert!(shape.cookie);
    assert_eq!(shape.order, Order::Descending);
}

#[test]
fn lines_are_bounded_in_number() {
    let hundred: Vec<_> = (0..100).map(|n| format!("http-request set-header X-{n} y")).collect();
    assert!(over(&json!({}), &json!({ "backend": hundred })).is_ok());
    let said = problems(&json!({}), &json!({ "backend": vec!["retries 1"; 5000].join("\n") }));
    assert_eq!(said, ["haproxy.backend: more than 100 lines"]);
}

#[test]
fn what_nests_too_deep_is_refused() {
    let deep = format!("{{\"listen\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let config = config(&json!({}), &json!([]));
    assert!(config.services[0].overlaid(&deep, &config.haproxy).is_err());
}
