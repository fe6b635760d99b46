use std::{collections::BTreeSet, path::Path, sync::LazyLock};

use jsonschema::Validator;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::*;
use crate::config::{Node, Section, Value as Read, load::Top, raw::DISCOVERY_KEYS};

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&Config::schema(&Registry::builtin())).unwrap());

/// What an editor sees.
fn seen(node: &Node) -> Json {
    match &node.value {
        Read::Null => Json::Null,
        Read::Bool(truth) => json!(truth),
        Read::Int(number) => json!(number),
        Read::Float(number) => json!(number),
        Read::Str(text) => json!(text),
        Read::Seq(items) => items.iter().map(seen).collect(),
        Read::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), seen(&entry.value))).collect())
        }
    }
}

fn document(text: &str) -> Json {
    seen(&crate::config::parse(text).unwrap())
}

/// What the schema has against a text.
fn mistakes(text: &str) -> Vec<String> {
    VALIDATOR
        .iter_errors(&document(text))
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// One service; `discovery` is what stands in its section, `more` are more of its lines, `haproxy` more of that section.
fn service(discovery: &str, more: &str, haproxy: &str) -> String {
    format!(
        "services:\n  web:\n    discovery: {{{discovery}}}\n{more}\n\
         haproxy:\n  do_writes: false\n  do_reloads: false\n  global: []\n  defaults: []\n{haproxy}\n"
    )
}

fn is_read(text: &str) -> Result<(), String> {
    Config::parse(text, None, &Registry::builtin()).map(drop).map_err(|report| report.to_string())
}

#[test]
fn it_is_a_schema_of_the_draft_that_it_names() {
    let schema = Config::schema(&Registry::builtin());
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let text = schema.to_string();
    assert!(!text.contains("x-exact"), "a mark is left");
}

#[test]
fn all_examples_are_right_by_it() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut checked = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let of_kind = path.extension().is_some_and(|kind| kind == "yaml" || kind == "json");
        let is_configuration = of_kind && name != "endpoints.json";
        if !is_configuration {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let needs = |method: &str| {
            text.contains(&format!("method: {method}")) || text.contains(&format!("\"{method}\""))
        };
        if needs("ec2tag") && !cfg!(feature = "ec2")
            || needs("zookeeper") && !cfg!(feature = "zk")
            || needs("etcd") && !cfg!(feature = "etcd")
            || needs("dns") && !cfg!(feature = "dns")
        {
            continue;
        }
        assert_eq!(mistakes(&text), Vec::<String>::new(), "{name}");
        checked += 1;
    }
    assert!(checked >= 2, "only {checked} examples were there to check");
}

/// Whoever reads is lenient, and so is the schema: each of these is read.
#[test]
fn every_form_that_is_read_is_right() {
    for text in [
        service("method: base", "    haproxy: {port: '8080', listen: mode http, disabled: 'No'}", ""),
        service("method: BASE", "    haproxy: {port: null, bind_address: 1.10, server_options: 7}", ""),
        service("method: base", "    default_servers: {host: a, port: '1', labels: {a: 1, b: true}}", ""),
        service("method: base", "    default_servers: null\n    haproxy:\n    use_previous_backends: ON", ""),
        service("method: base, label_filters: {label: a, value: 1, condition: equals}", "", ""),
        service("method: base", "", "  restart_interval: '2.5'\n  extra_sections: {listen stats: 'bind :1'}"),
        service(
            "method: base",
            "",
            "  max_server_id: '70000'\n  server_order_seed: -3\n  socket_file_path: /run/h",
        ),
        service("method: base", "", "  init_state: fully-down\n  foreign_servers: null\nagent:"),
        service(
            "method: base",
            "",
            "  reload_command: [a, 1]\n  check_command: a b\nagent: {startup_wait: 1e1}",
        ),
        "services:\nhaproxy: {do_writes: no, do_reloads: no, global: [], defaults: []}\n".to_owned(),
        "services: {}\nfile_output: {output_directory: /x}\nstatsd: {port: '8125', sample_rate: {a: 0.5}}\n"
            .to_owned(),
        service("method: file, path: /a, check_interval: '.5'", "", ""),
        service(
            "method: base",
            "    discovery_multi: {watchers: {b: {method: file, path: /x}}, resolver: {method: Union}}",
            "",
        ),
        service(
            "method: multi, watchers: {a: {method: base}}, resolver: {method: fallback, sequential_order: a}",
            "",
            "",
        ),
        service(
            "method: multi, watchers: {a: {method: base}}, resolver: {method: toggle, file: /x, polling_interval_seconds: 3}",
            "",
            "",
        ),
    ] {
        assert_eq!(is_read(&text), Ok(()), "{text}");
        assert_eq!(mistakes(&text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn mistakes_of_form_are_mistakes_by_it() {
    for text in [
        service("method: base", "    haproxy: {prot: 1}", ""),
        service("method: base", "    haproxy: {port: 0}", ""),
        service("method: base", "    haproxy: {port: 70000}", ""),
        service("method: base", "    haproxy: {port: http}", ""),
        service("method: base", "    haproxy: {port: '080'}", ""),
        service("method: base", "    haproxy: {listen: {a: b}}", ""),
        service("method: base", "    haproxy: {listen: [[a]]}", ""),
        service("method: base", "    haproxy: {disabled: 1}", ""),
        service("method: base", "    haproxy: {cookie_value_method: md5}", ""),
        service("method: base", "    default_servers: [{host: a}]", ""),
        service("method: base, path: /x", "", ""),
        service("method: consul", "", ""),
        service("path: /x", "", ""),
        service("method: file", "", ""),
        service("method: file, path: /x, check_interval: soon", "", ""),
        service("method: base, label_filters: [{label: a, value: b, condition: is}]", "", ""),
        service("method: multi, watchers: {}, resolver: {method: union}", "", ""),
        service("method: multi, watchers: {a: {method: bas}}, resolver: {method: union}", "", ""),
        service("method: multi, watchers: {a: {method: base}}, resolver: {method: union, file: /x}", "", ""),
        service("method: base", "", "  reload_command: 7"),
        service("method: base", "", "  init_state: down"),
        service("method: base", "", "  do_writes2: true"),
        service("method: base", "", "agent: {startup_wait: long}"),
        service("method: base", "", "plugin: {}"),
        "services: {}\n".to_owned(),
        "services: {}\nhaproxy: {global: []}\n".to_owned(),
    ] {
        assert!(is_read(&text).is_err(), "{text}");
        assert!(!mistakes(&text).is_empty(), "{text}");
    }
}

#[test]
fn a_mistake_is_told_of_the_key_that_it_is_in() {
    let text = service("method: file, path: /x, check_intervall: 1", "", "");
    let said = mistakes(&text);
    assert!(
        matches!(&said[..], [one] if one.contains("check_intervall") && one.contains("/web/discovery")),
        "{said:?}"
    );
}

#[test]
fn a_method_of_somebody_elses_has_the_schema_that_it_is_given_or_none() {
    let read = |_: &Section| {
        Ok(crate::Source::new(|_| discovery_core::Fixed::new(discovery_core::Snapshot::default())))
    };
    let own = json!({ "type": "object", "properties": { "rack": { "type": "integer" } }, "additionalProperties": false });
    let registry = Registry::empty().with("mine", read).with_schema("mine", own).with("open", read);
    let validator = jsonschema::validator_for(&Config::schema(&registry)).unwrap();
    for (discovery, right) in [
        ("method: mine, rack: '7'", true),
        ("method: mine, rack: seven", false),
        ("method: mine, shelf: 7", false),
        ("method: open, whatever: 7", true),
        ("method: base", false),
    ] {
        assert_eq!(validator.is_valid(&document(&service(discovery, "", ""))), right, "{discovery}");
    }
}

#[test]
fn keys_say_what_they_mean_and_what_holds_without_them() {
    let schema = Config::schema(&Registry::builtin());
    let haproxy = &schema["properties"]["haproxy"]["properties"];
    assert_eq!(haproxy["restart_interval"]["default"], json!(2));
    assert_eq!(haproxy["do_writes"]["default"], json!(true));
    assert!(haproxy["reload_timeout"]["description"].as_str().unwrap().contains("in seconds"));
    for section in
        [haproxy, &schema["$defs"]["service"]["properties"], &schema["properties"]["agent"]["properties"]]
    {
        for (key, property) in section.as_object().unwrap() {
            assert!(property.get("description").is_some() || property.get("$ref").is_some(), "{key}");
        }
    }
    for rule in schema["$defs"]["discovery"]["allOf"].as_array().unwrap() {
        for (key, property) in rule["then"]["properties"].as_object().unwrap() {
            assert!(key == "method" || property.get("description").is_some(), "{}: {key}", rule["if"]);
        }
    }
}

/// Every method of the build says what may stand in its section.
#[test]
fn no_method_of_the_build_is_without_a_schema() {
    for (method, schema) in Registry::builtin().schemas() {
        assert!(schema.is_some(), "{method}");
    }
}

/// The keys that the reader of `T` knows: what it says that it expected instead of one that nobody has.
fn known<T: DeserializeOwned>() -> BTreeSet<String> {
    let Err(error) = serde_json::from_value::<T>(json!({ "no such key": 1 })) else {
        panic!("a key that nobody knows was read")
    };
    let said = error.to_string();
    let (_, expected) = said.split_once("expected").unwrap_or_default();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn keys(schema: &Json) -> BTreeSet<String> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

fn has<T: DeserializeOwned>(schema: &Json, without: &[&str]) {
    let mut keys = keys(schema);
    keys.retain(|key| !without.contains(&key.as_str()));
    assert_eq!(keys, known::<T>());
}

#[test]
fn the_schema_has_the_keys_that_are_read_and_no_others() {
    let schema = Config::schema(&Registry::builtin());
    has::<Top>(&schema, &["service_conf_dir"]);
    has::<raw::FileOutput>(&schema["properties"]["file_output"], &[]);
    has::<raw::Status>(&schema["properties"]["status"], &[]);
    has::<raw::Statsd>(&schema["properties"]["statsd"], &[]);
    has::<raw::Haproxy>(&schema["properties"]["haproxy"], &[]);
    has::<raw::Agent>(&schema["properties"]["agent"], &[]);
    let service = &schema["$defs"]["service"];
    has::<raw::Service>(service, &["discovery", "discovery_multi"]);
    has::<raw::ServiceHaproxy>(&service["properties"]["haproxy"], &[]);
    has::<raw::LabelFilter>(&of::<raw::LabelFilter>(), &[]);
}

#[test]
fn a_methods_schema_has_the_keys_that_are_read_and_no_others() {
    let schema = Config::schema(&Registry::builtin());
    let then = |method: &str| {
        let rules = schema["$defs"]["discovery"]["allOf"].as_array().unwrap();
        let pattern = any_case([method]);
        let rule =
            rules.iter().find(|rule| rule["if"]["properties"]["method"]["pattern"] == *pattern).unwrap();
        rule["then"].clone()
    };
    assert_eq!(keys(&then("base")), BTreeSet::from(DISCOVERY_KEYS.map(str::to_owned)));
    has::<crate::method::CatalogFile>(&then("file"), &DISCOVERY_KEYS);
    #[cfg(feature = "etcd")]
    has::<discovery_etcd::EtcdConfig>(&then("etcd"), &DISCOVERY_KEYS);
    #[cfg(feature = "docker")]
    has::<discovery_docker::DockerConfig>(&then("docker"), &DISCOVERY_KEYS);
    #[cfg(feature = "dns")]
    has::<discovery_dns::DnsConfig>(&then("dns"), &DISCOVERY_KEYS);
    #[cfg(feature = "ec2")]
    has::<discovery_ec2::Ec2Config>(&then("ec2tag"), &DISCOVERY_KEYS);
    #[cfg(feature = "zk")]
    {
        let with_interval = [&DISCOVERY_KEYS[..], &["polling_interval_sec"]].concat();
        let mut known = known::<discovery_zk::ZkPollConfig>();
        has::<discovery_zk::ZkPollConfig>(&then("zookeeper_poll"), &DISCOVERY_KEYS);
        known.remove("polling_interval_sec");
        let mut zookeeper = keys(&then("zookeeper"));
        zookeeper.retain(|key| !with_interval.contains(&key.as_str()));
        assert_eq!(zookeeper, known);
    }
    #[cfg(all(feature = "dns", feature = "zk"))]
    {
        let names = known::<discovery_dns::NamesConfig>();
        let both: BTreeSet<_> = known::<discovery_zk::ZkPollConfig>().union(&names).cloned().collect();
        let mut polled = keys(&then("zookeeper_dns_poll"));
        polled.retain(|key| !DISCOVERY_KEYS.contains(&key.as_str()));
        assert_eq!(polled, both);
    }
}

#[test]
fn a_section_of_every_method_is_right_as_it_is_read() {
    let right: &[&str] = &[
        #[cfg(feature = "etcd")]
        "method: etcd, hosts: [a, 'b:1'], path: /web, user: u, password: p, request_timeout: '1.5', tls: {ca: /x}",
        #[cfg(feature = "etcd")]
        "method: etcd, endpoints: a, prefix: /web, keep_alive_interval: 6",
        #[cfg(feature = "etcd")]
        "method: etcd, host: a, port: '2379', prefix: /web, tls:",
        #[cfg(feature = "zk")]
        "method: zookeeper, hosts: 'zk1:2181,zk2/chroot', path: /web, decode: nerve, retry_policy: {max_attempts: '3'}",
        #[cfg(feature = "zk")]
        "method: zookeeper_poll, hosts: [zk1], path: /web, decode: {method: serverset, endpoint_name: http}, polling_interval_sec: '60', client: zookeeper-async",
        #[cfg(all(feature = "dns", feature = "zk"))]
        "method: zookeeper_dns, hosts: [zk1], path: /web, nameserver: 10.0.0.2, check_interval: 5",
        #[cfg(feature = "dns")]
        "method: dns, servers: [{host: a, port: '80', labels: {az: 1}}, {srv: _http._tcp.a}], nameserver: ['10.0.0.2', '[::1]:53']",
        #[cfg(feature = "docker")]
        "method: docker, servers: [{host: a, port: '4243'}, {socket: /s}], image_name: [a, b], container_port: '80', labels: {a: 1}",
        #[cfg(feature = "docker")]
        "method: docker, servers: {host: a}, image_name: a, container_port: 80, address: container, network: n",
        #[cfg(feature = "ec2")]
        "method: ec2tag, tag_name: a, tag_value: 80, tags: {b: [c, true]}, aws_region: eu-west-1, address: public_ip",
    ];
    for discovery in right {
        let text = service(discovery, "    backend_port_override: 80", "");
        assert_eq!(is_read(&text), Ok(()), "{text}");
        assert_eq!(mistakes(&text), Vec::<String>::new(), "{text}");
    }
    let wrong: &[&str] = &[
        #[cfg(feature = "etcd")]
        "method: etcd, hosts: [a]",
        #[cfg(feature = "etcd")]
        "method: etcd, hosts: [a], path: /web, prefix: /web",
        #[cfg(feature = "etcd")]
        "method: etcd, hosts: [a], path: /web, user: u, password: 12345",
        #[cfg(feature = "etcd")]
        "method: etcd, hosts: [a], path: /web, request_timeout: -1",
        #[cfg(feature = "zk")]
        "method: zookeeper, hosts: [zk1], path: /web, decode: nrve",
        #[cfg(feature = "zk")]
        "method: zookeeper, hosts: [zk1], path: /web, polling_interval_sec: 1",
        #[cfg(feature = "zk")]
        "method: zookeeper, hosts: 7, path: /web",
        #[cfg(feature = "dns")]
        "method: dns, servers: [{host: a}], nameserver: []",
        #[cfg(feature = "dns")]
        "method: dns, nameserver: 10.0.0.2",
        #[cfg(feature = "docker")]
        "method: docker, servers: [{host: a}], image_name: a",
        #[cfg(feature = "ec2")]
        "method: ec2tag, tag_name: a, tag_value: 1.5",
    ];
    for discovery in wrong {
        let text = service(discovery, "    backend_port_override: 80", "");
        assert!(is_read(&text).is_err(), "{text}");
        assert!(!mistakes(&text).is_empty(), "{text}");
    }
}
