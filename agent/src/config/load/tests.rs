//! Every key that Synapse has, in every notation that its users have it in.

use serde_json::{Value, json};

use super::*;
use crate::discovery::Catalog;

/// A configuration in which every key of the tables has an effect.
fn base() -> Value {
    json!({
        "services": {
            "web": {
                "discovery": {"method": "base"},
                "default_servers": [{"host": "10.0.0.1", "port": 80, "labels": {"az": "1"}}],
                "haproxy": {"port": 81, "listen": ["mode http"], "backend": ["cookie S insert"]},
            },
        },
        "haproxy": {
            "config_file_path": "/etc/haproxy.cfg",
            "candidate_config_file_path": "/etc/candidate.cfg",
            "socket_file_path": "/run/haproxy.sock",
            "state_file_path": "/var/lib/state.json",
            "reload_command": "reload",
            "check_command": "check",
            "global": [],
            "defaults": [],
            "shared_frontend": [],
        },
    })
}

/// With `value` at `pointer`; what is above it is made.
fn with(mut config: Value, pointer: &str, value: &Value) -> Value {
    let mut place = &mut config;
    for key in pointer.split('/').skip(1) {
        place = match key.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[key],
        };
    }
    *place = value.clone();
    config
}

/// All that can be seen of a configuration.
fn seen(config: &Value) -> String {
    match Config::parse(&config.to_string(), None, &Registry::builtin()) {
        Ok(config) => {
            let told = config
                .warnings
                .problems()
                .iter()
                .map(|warning| format!("{}: {}\n", warning.path, warning.message));
            let told = told.collect::<String>();
            let text = config.render(&Catalog::new(Vec::new()));
            let services: Vec<_> =
                config.services.iter().map(|one| (&one.name, &one.method, &one.rules, &one.shape)).collect();
            format!("{:#?}\n{services:#?}\n{told}{text}", config.haproxy)
        }
        Err(report) => panic!("{config}: {report}"),
    }
}

/// Key, a value, and the same in other notations.
type Row = (&'static str, Value, Vec<Value>);

fn check(rows: &[Row]) {
    let plain = seen(&base());
    for (pointer, value, others) in rows {
        let one = seen(&with(base(), pointer, value));
        assert_ne!(one, plain, "{pointer}: {value} makes no difference");
        for other in others {
            assert_eq!(seen(&with(base(), pointer, other)), one, "{pointer}: {other}");
        }
    }
}

/// What means true, and what means false.
fn truths() -> Vec<Value> {
    ["true", "yes", "On"].map(Value::from).to_vec()
}

fn falsehoods() -> Vec<Value> {
    ["false", "no", "off"].map(Value::from).to_vec()
}

#[test]
fn every_key_of_haproxy_takes_what_people_write() {
    check(&[
        ("/haproxy/global", json!(["maxconn 5"]), vec![json!("maxconn 5")]),
        ("/haproxy/global", json!(["maxconn 5", "daemon"]), vec![json!("maxconn 5\n\n daemon\n")]),
        ("/haproxy/defaults", json!(["retries 3"]), vec![json!("retries 3"), json!([" retries 3 "])]),
        (
            "/haproxy/extra_sections",
            json!({"listen stats": ["bind :1"]}),
            vec![json!({"listen stats": "bind :1"})],
        ),
        ("/haproxy/shared_frontend", json!(["bind :9"]), vec![json!("bind :9")]),
        ("/haproxy/bind_address", json!("127.0.0.1"), vec![]),
        ("/haproxy/do_writes", json!(false), falsehoods()),
        ("/haproxy/do_reloads", json!(false), falsehoods()),
        ("/haproxy/do_checks", json!(true), truths()),
        ("/haproxy/do_socket", json!(false), falsehoods()),
        ("/haproxy/config_file_path", json!("/etc/7"), vec![]),
        ("/haproxy/socket_file_path", json!("/run/7"), vec![json!(["/run/7"])]),
        ("/haproxy/reload_command", json!("7"), vec![]),
        ("/haproxy/restart_interval", json!(7), vec![json!("7"), json!(7.0), json!("7.0")]),
        ("/haproxy/restart_jitter", json!(0.5), vec![json!("0.5")]),
        ("/haproxy/restart_jitter", json!(1), vec![json!("1"), json!(1.0)]),
        ("/haproxy/state_file_path", json!("/var/7"), vec![]),
        ("/haproxy/state_file_ttl", json!(60), vec![json!("60"), json!(60.0)]),
        ("/haproxy/server_order_seed", json!(7), vec![json!("7"), json!(7.0)]),
        ("/haproxy/max_server_id", json!(100), vec![json!("100")]),
        ("/haproxy/use_nerve_weights", json!(true), truths()),
    ]);
}

#[test]
fn the_keys_of_a_check_take_what_people_write() {
    let checked = || with(base(), "/haproxy/do_checks", &json!(true));
    for (key, value) in [("check_command", "/bin/7"), ("candidate_config_file_path", "/etc/7")] {
        let pointer = format!("/haproxy/{key}");
        assert_ne!(seen(&with(checked(), &pointer, &json!(value))), seen(&checked()), "{key}");
    }
}

#[test]
fn every_key_of_a_service_takes_what_people_write() {
    let server = json!({"host": "10.0.0.2", "port": 81});
    check(&[
        ("/services/web/default_servers", json!([server]), vec![server.clone()]),
        ("/services/web/default_servers/0/port", json!(90), vec![json!("90")]),
        ("/services/web/default_servers/0/name", json!("7"), vec![json!(7)]),
        ("/services/web/default_servers/0/id", json!(7), vec![json!("7")]),
        ("/services/web/default_servers/0/weight", json!(7), vec![json!("7")]),
        ("/services/web/default_servers/0/haproxy_server_options", json!("weight 7"), vec![]),
        ("/services/web/default_servers/0/labels/az", json!("2"), vec![json!(2)]),
        ("/services/web/keep_default_servers", json!(true), truths()),
        ("/services/web/use_previous_backends", json!(false), falsehoods()),
        ("/services/web/backend_port_override", json!(8080), vec![json!("8080"), json!(8080.0)]),
        ("/services/web/leader_election", json!(true), truths()),
        ("/services/web/load_test_concurrency", json!(2), vec![json!("2"), json!(2.0)]),
    ]);
}

#[test]
fn every_key_of_a_services_haproxy_takes_what_people_write() {
    check(&[
        ("/services/web/haproxy/disabled", json!(true), truths()),
        ("/services/web/haproxy/port", json!(82), vec![json!("82"), json!(82.0)]),
        ("/services/web/haproxy/port", Value::Null, vec![]),
        ("/services/web/haproxy/bind_address", json!("10.0.0.9"), vec![]),
        ("/services/web/haproxy/bind_options", json!("transparent"), vec![]),
        ("/services/web/haproxy/server_options", json!("check inter 2s"), vec![]),
        ("/services/web/haproxy/frontend", json!(["maxconn 7"]), vec![json!("maxconn 7")]),
        ("/services/web/haproxy/backend", json!(["fullconn 7"]), vec![json!("fullconn 7")]),
        (
            "/services/web/haproxy/listen",
            json!(["mode http", "option httplog"]),
            vec![json!("mode http\noption httplog")],
        ),
        ("/services/web/haproxy/listen", json!([]), vec![Value::Null, json!("")]),
        ("/services/web/haproxy/shared_frontend", json!(["acl a path /"]), vec![json!("acl a path /")]),
        ("/services/web/haproxy/backend_name", json!("7"), vec![json!(7)]),
        ("/services/web/haproxy/backend_order", json!("desc"), vec![]),
        ("/services/web/haproxy/cookie_value_method", json!("hash"), vec![]),
        ("/services/web/haproxy/server_port_override", json!("8081"), vec![json!(8081)]),
        ("/services/web/haproxy/server_backup_port", json!(8090), vec![json!("8090")]),
    ]);
}

#[test]
fn a_service_without_a_section_for_haproxy_is_one_without_a_port() {
    let pointer = "/services/web/haproxy";
    let none = seen(&with(base(), pointer, &json!({})));
    assert!(none.contains("services.web.haproxy: there is no `port`"), "{none}");
    assert!(none.contains("\nbackend web\n") && !none.contains("\nfrontend web\n"), "{none}");
    assert_eq!(seen(&with(base(), pointer, &Value::Null)), none);
    let mut config = base();
    config["services"]["web"].as_object_mut().unwrap().remove("haproxy");
    assert_eq!(seen(&config), none);
}

#[test]
fn label_filters_take_what_people_write() {
    let pointer = "/services/web/discovery";
    let filter = json!({"label": "az", "value": "2", "condition": "equals"});
    let number = json!({"label": "az", "value": 2, "condition": "equals"});
    let filters = |key: &str, value: Value| json!({"method": "base", key: value});
    let one = filters("label_filters", json!([filter]));
    let others = [
        filters("label_filters", filter.clone()),
        filters("label_filters", json!([number])),
        filters("label_filter", filter.clone()),
        filters("label_filter", json!([filter])),
    ];
    check(&[(pointer, one, others.to_vec())]);
}

/// A `discovery` section is accepted without a word, and so is it with each of these keys. What they mean is for the tests of the methods.
fn takes(discovery: &Value, keys: &[(&str, Value)]) {
    let accepted = |discovery: &Value| {
        // Which EC2 needs.
        let config = with(base(), "/services/web/backend_port_override", &json!(80));
        let config = with(config, "/services/web/discovery", discovery);
        let said = Config::parse(&config.to_string(), None, &Registry::builtin());
        let silent = said.as_ref().is_ok_and(|config| config.warnings.problems().is_empty());
        assert!(silent, "{discovery}: {said:?}");
    };
    accepted(discovery);
    for (pointer, value) in keys {
        accepted(&with(discovery.clone(), pointer, value));
    }
}

#[test]
fn every_key_of_a_multi_takes_what_people_write() {
    let sequence = |order: Value| json!({"method": "sequential", "sequential_order": order});
    takes(
        &json!({"method": "multi", "watchers": {"a": {"method": "BASE"}}, "resolver": {"method": "union"}}),
        &[("/resolver", sequence(json!(["a"]))), ("/resolver", sequence(json!("a")))],
    );
}

#[cfg(feature = "zk")]
#[test]
fn every_key_of_zookeeper_takes_what_people_write() {
    let retry = |attempts: Value, seconds: Value| json!({"max_attempts": attempts, "max_delay": 9, "base_interval": seconds, "max_interval": 6});
    takes(
        &json!({"method": "zookeeper", "hosts": ["a:2181"], "path": "/web"}),
        &[
            ("/method", json!("ZooKeeper")),
            ("/hosts", json!("a:2181")),
            ("/hosts", json!(["a:2181", "b:2181"])),
            ("/hosts", json!("a:2181,b:2181")),
            ("/decode", json!({"method": "nerve"})),
            ("/decode", json!({"method": "serverset", "endpoint_name": "http"})),
            ("/retry_policy", retry(json!(3), json!(0.5))),
            ("/retry_policy", retry(json!("3"), json!("0.5"))),
            ("/discovery_jitter", json!(5)),
            ("/discovery_jitter", json!("5")),
            ("/generator_config_path", json!("disabled")),
            ("/generator_config_path", json!("/settings")),
        ],
    );
    takes(
        &json!({"method": "zookeeper_poll", "hosts": "a:2181", "path": "/web"}),
        &[("/polling_interval_sec", json!(30)), ("/polling_interval_sec", json!("30"))],
    );
}

#[cfg(feature = "dns")]
#[test]
fn every_key_of_dns_takes_what_people_write() {
    takes(
        &json!({"method": "dns", "servers": [{"host": "web", "port": 80}]}),
        &[
            ("/servers", json!({"host": "web", "port": 80})),
            ("/servers/0/port", json!("80")),
            ("/servers/0/name", json!(7)),
            ("/servers/0/labels", json!({"az": 1})),
            ("/nameserver", json!("10.0.0.1")),
            ("/check_interval", json!(7)),
            ("/check_interval", json!("7")),
        ],
    );
}

#[cfg(all(feature = "dns", feature = "zk"))]
#[test]
fn every_key_of_names_in_zookeeper_takes_what_people_write() {
    takes(
        &json!({"method": "zookeeper_dns", "hosts": "a:2181", "path": "/web"}),
        &[
            ("/nameserver", json!("10.0.0.1")),
            ("/check_interval", json!(7)),
            ("/check_interval", json!("7")),
            ("/generator_config_path", json!("disabled")),
        ],
    );
    takes(
        &json!({"method": "zookeeper_dns_poll", "hosts": "a:2181", "path": "/web"}),
        &[
            ("/polling_interval_sec", json!("30")),
            ("/check_interval", json!("7")),
            ("/nameserver", json!("10.0.0.1")),
        ],
    );
}

#[cfg(feature = "ec2")]
#[test]
fn every_key_of_ec2tag_takes_what_people_write() {
    takes(
        &json!({
            "method": "ec2tag", "tag_name": "role", "tag_value": "web", "aws_region": "eu-west-1",
            "aws_access_key_id": "id", "aws_secret_access_key": "key",
        }),
        &[("/tag_value", json!(7)), ("/check_interval", json!(7)), ("/check_interval", json!("7"))],
    );
}
