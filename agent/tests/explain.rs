//! What differs from Synapse for a configuration, in words: `synapse-rs check --explain`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use agent::config::{Explanation, explain, parse};

fn of(text: &str, file: Option<&str>) -> Explanation {
    explain(&parse(text).unwrap(), file)
}

#[test]
fn a_site_of_smartstack_is_told_what_differs_for_it() {
    let explained = of(include_str!("fixtures/smartstack.yaml"), Some("synapse.yaml"));
    assert_eq!(explained.to_string(), include_str!("fixtures/smartstack.explained.txt"));
}

#[test]
fn clays_site_is_told_what_differs_for_it() {
    let explained = of(include_str!("fixtures/clay.synapse.conf.json"), Some("synapse.conf.json"));
    assert_eq!(explained.to_string(), include_str!("fixtures/clay.explained.txt"));
}

/// A configuration for which nothing differs but that no metrics are sent.
const QUIET: &str = "
services:
  web:
    discovery: {method: file, path: /x}
    haproxy: {port: 1, backend_order: asc, listen: [mode tcp, balance source]}
haproxy:
  config_file_path: /h.cfg
  do_reloads: false
  do_socket: false
  global: []
  defaults: []
";

/// The paths and what Synapse did, for the quiet configuration with one text in place of another.
fn with(old: &str, new: &str) -> Vec<(Vec<String>, String)> {
    assert!(QUIET.contains(old), "{old}");
    let mut found = all(&QUIET.replacen(old, new, 1));
    assert_eq!(found.remove(0), no_metrics(), "{new}");
    found
}

fn all(text: &str) -> Vec<(Vec<String>, String)> {
    let explained = of(text, None);
    let paths = |places: &[agent::config::Problem]| places.iter().map(|place| place.path.clone()).collect();
    explained.differences().iter().map(|one| (paths(&one.places), one.synapse.to_string())).collect()
}

fn no_metrics() -> (Vec<String>, String) {
    let synapse = "sends metrics to `localhost:8125`, whether it is told to or not";
    (vec![String::new()], synapse.to_owned())
}

#[test]
fn what_is_as_in_synapse_is_passed_over_in_silence() {
    assert_eq!(
        of(QUIET, None).to_string(),
        "1 difference from Synapse\n\nthe whole (2:1)\n  \
         Synapse: sends metrics to `localhost:8125`, whether it is told to or not\n  \
         here:    sends none without a section `statsd`\n  instead: `statsd: {}`\n"
    );
    assert_eq!(of("services: {}", Some("a")).to_string(), "a: nothing differs from Synapse\n");
    for (old, new) in [
        ("backend_order: asc", "backend_order: desc"),
        ("[mode tcp, balance source]", "[mode http, cookie A insert, 'balance source # x']"),
        ("defaults: []", "defaults: [balance source, cookie A insert]"),
        (
            "method: file, path: /x",
            "method: file, path: /x, label_filters: [{label: a, value: b, condition: equals}]",
        ),
        ("do_socket: false", "do_socket: 'no'\n  socket_file_path: /s"),
        ("do_reloads: false", "do_reloads: true\n  reload_command: x\n  reload_timeout: 60"),
        ("do_reloads: false", "do_reloads: true\n  master_socket_path: /m"),
        ("do_reloads: false", "do_reloads: false\n  reload_command: x\n  check_command: x"),
        (
            "  global: []",
            "  global: []\n  extra_sections: {peers here: [block, grace 5], 'listen x': ['bind :1']}",
        ),
        ("global: []", "global: [grace 5s, bind-process]"),
        ("port: 1", "disabled: true, port: 1, server_backup_port: 2, frontend: [reqadd x]"),
    ] {
        assert_eq!(with(old, new), [], "{new}");
    }
}

/// What stands in place of what, and which place is told of it in which words.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    ("  do_socket: false\n", "", "haproxy", "`do_socket` is true unless said otherwise"),
    (
        "do_socket: false\n  global: []",
        "global: [stats socket /s level admin]\n  socket_file_path: /s",
        "haproxy.socket_file_path",
        "a server that is new is a reload",
    ),
    (
        "do_reloads: false",
        "do_reloads: true\n  reload_command: x",
        "haproxy.reload_command",
        "however long it takes",
    ),
    (
        "do_reloads: false",
        "do_reloads: false\n  do_checks: true\n  check_command: x",
        "haproxy.check_command",
        "reloads HAProxy all the same",
    ),
    (
        "do_reloads: false",
        "do_reloads: false\n  candidate_config_file_path: /c",
        "haproxy.candidate_config_file_path",
        "writes each file there first",
    ),
    ("global: []", "global: []\n  state_file_path: /s", "haproxy.state_file_path", "`disabled`, for"),
    ("backend_order: asc, ", "", "services.web", "drawn at each start"),
    ("backend_order: asc", "backend_order: whatever", "services.web", "drawn at each start"),
    (
        "backend_order: asc",
        "backend_order: no_shuffle",
        "services.web.haproxy.backend_order",
        "in which the registry lists",
    ),
    ("mode tcp, ", "", "services.web", "`cookie NAME` on each server line"),
    (", balance source", "", "services.web", "leaves the algorithm to HAProxy"),
    (
        "defaults: []",
        "defaults: [default-server check]",
        "haproxy.defaults[0]",
        "leaves it to HAProxy what servers inherit",
    ),
    (
        "port: 1",
        "port: 1, server_backup_port: 2",
        "services.web.haproxy.server_backup_port",
        "Clay.io's fork does",
    ),
    (
        "port: 1",
        "port: 1, server_options: 'cookie %<name>s'",
        "services.web.haproxy.server_options",
        "puts nothing for the name",
    ),
    (
        "    haproxy: {",
        "    leader_election: true\n    haproxy: {",
        "services.web.leader_election",
        "for the next 30 s",
    ),
    (
        "path: /x",
        "path: /x, label_filter: {label: a, value: 1}",
        "services.web.discovery.label_filter.value",
        "with its type",
    ),
    (
        "path: /x",
        "path: /x, label_filters: [{label: a, value: '1'}, {label: a, value: true}]",
        "services.web.discovery.label_filters[1].value",
        "with its type",
    ),
    ("method: file, path: /x", "method: etcd", "services.web.discovery", "for `haproxy_server_options`"),
    (
        "method: file, path: /x",
        "method: dns, check_interval: 9",
        "services.web.discovery.check_interval",
        "whatever the TTL",
    ),
    (
        "method: file, path: /x",
        "method: ec2tag, tag_name: a",
        "services.web.discovery.tag_name",
        "on one tag",
    ),
    (
        "    haproxy: {",
        "    use_previous_backends: false\n    discovery_multi: {watchers: {}}\n    haproxy: {",
        "services.web.use_previous_backends",
        "gives each watcher",
    ),
    ("mode tcp", "mode tcp, reqadd X", "services.web.haproxy.listen[1]", "writes the line"),
    ("mode tcp", "mode tcp, bind-process 1", "services.web.haproxy.listen[1]", "writes the line"),
    ("port: 1", "port: 1, frontend: clitimeout 5", "services.web.haproxy.frontend", "writes the line"),
    ("global: []", "global: [nbproc 2]", "haproxy.global[0]", "writes the line"),
    ("defaults: []", "defaults: [redispatch]", "haproxy.defaults[0]", "writes the line"),
    (
        "global: []",
        "global: []\n  extra_sections: {listen x: [option forceclose]}",
        "haproxy.extra_sections.\"listen x\"[0]",
        "writes the line",
    ),
    (
        "global: []",
        "global: []\n  extra_sections: {'frontend x 10.0.0.1:80': []}",
        "haproxy.extra_sections.\"frontend x 10.0.0.1:80\"",
        "refuses since 1.7",
    ),
    ("mode tcp", "mode tcp, http-check connect", "services.web.haproxy.listen[1]", "drops the line"),
    ("mode tcp", "mode tcp, brand-new x", "services.web.haproxy.listen[1]", "drops the line"),
    ("mode tcp", "mode tcp, option tcplog", "services.web.haproxy.listen[1]", "to frontend and backend"),
];

#[test]
fn each_difference_is_told_of_what_has_it_and_nothing_else() {
    let zookeeper = "method: zookeeper, hosts: [a], generator_config_path: disabled";
    for (old, new, path, said) in DIFFERENCES {
        let found = with(old, new);
        let matching =
            |(paths, synapse): &&(Vec<String>, String)| paths[..] == [*path] && synapse.contains(said);
        assert_eq!(found.iter().filter(matching).count(), 1, "{new}: {found:?}");
        let own = found.len() == 1 || new.contains("multi");
        assert!(own, "{new}: {found:?}");
    }
    for (more, key, said) in [
        (", path: /x", ".path", "makes the path"),
        (", retry_policy: {max_delay: 5}", ".retry_policy", "gives up after"),
        (", discovery_jitter: 5", ".discovery_jitter", "pauses for this long"),
        (", decode: {method: serverset}", ".decode", "whatever their `status`"),
    ] {
        let found = with("method: file, path: /x", &format!("{zookeeper}{more}"));
        let path = format!("services.web.discovery{key}");
        assert!(
            found.iter().any(|(paths, synapse)| paths[..] == [path.as_str()] && synapse.contains(said)),
            "{found:?}"
        );
        assert_eq!(found.len(), 2, "and the options that registrations have: {found:?}");
    }
    let found = with("method: file, path: /x", "method: zookeeper_poll, hosts: [a]");
    assert!(
        found.iter().any(|(_, synapse)| synapse.starts_with("puts the generator configuration")),
        "{found:?}"
    );
    let found = with("do_socket: false", "do_writes: false\n  socket_file_path: /s");
    assert!(found.iter().any(|(_, synapse)| synapse.starts_with("talks to the socket")), "{found:?}");
    let found = with("do_socket: false", "socket_file_path: /s");
    let added = (vec!["haproxy.global".to_owned()], "writes `global` as it is".to_owned());
    assert!(found.contains(&added) && found.len() == 2, "{found:?}");
    let found = with("global: []", "global: []\n  server_order_seed: 1");
    assert_eq!(found, [], "nobody is shuffled");
}

#[test]
fn what_many_have_is_one_difference_with_some_of_the_places() {
    let services: Vec<_> = (0..50).map(|n| format!("  s{n}:\n    discovery: {{method: dns}}\n")).collect();
    let services = services.concat();
    let explained = of(&format!("services:\n{services}haproxy: {{do_socket: false}}\n"), None);
    let said = explained.to_string();
    assert!(
        said.contains("services.s0 (3:5), services.s1 (5:5), services.s2 (7:5), and 47 more\n"),
        "{said}"
    );
    assert_eq!(explained.differences().len(), 4, "{said}");
}

/// A configuration that serves no HAProxy.
const FILES: &str = "
services:
  web:
    discovery: {method: zookeeper, hosts: [a], path: /x, generator_config_path: disabled}
    haproxy: {port: 1, backend_name: pool, listen: [reqadd x]}
file_output: {output_directory: /d}
statsd: {}
";

#[test]
fn files_and_metrics_are_explained_and_what_is_said_of_haproxy_is_not_where_there_is_none() {
    let places = |text: &str| -> Vec<(String, String)> {
        let first = |synapse: &str| synapse.split(' ').take(3).collect::<Vec<_>>().join(" ");
        all(text).into_iter().map(|(places, synapse)| (places.join(" "), first(&synapse))).collect()
    };
    let told = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(path, synapse)| ((*path).to_owned(), (*synapse).to_owned())).collect()
    };
    let path = ("services.web.discovery.path", "makes the path");
    let files = [
        ("file_output.output_directory", "deletes every `*.json`"),
        ("file_output.output_directory", "writes backends in"),
    ];
    let metrics = ("statsd", "tags metrics with");
    assert_eq!(places(FILES), told(&[path, files[0], files[1], metrics]));
    let settings = FILES.replace(", generator_config_path: disabled", "");
    let off = ("services.web.discovery", "lets the registry's");
    assert_eq!(places(&settings), told(&[off, path, files[0], files[1], metrics]));
    // Neither HAProxy nor anybody else wants it.
    let nobody = FILES.replace("    haproxy: {", "    file_output: {disabled: true}\n    haproxy: {");
    assert_eq!(places(&nobody), told(&[files[0], files[1], metrics]));
    let rates = "statsd: {sample_rate: {synapse.retry: 1, synapse.watcher.zk.register_failed: 0.5}}";
    let sampled = places(&nobody.replace("statsd: {}", rates));
    let rate = ("statsd.sample_rate.\"synapse.watcher.zk.register_failed\"", "sends this share");
    assert_eq!(sampled, told(&[files[0], files[1], metrics, rate]));
    for text in ["statsd: {}\nfile_output: null\n", "file_output: null\nservices: {a: {}}\n"] {
        assert!(places(text).iter().all(|(path, _)| path == "statsd"), "{text}");
    }
}

#[test]
fn copies_of_a_service_are_explained() {
    let copies =
        |count: &str| with("    haproxy: {", &format!("    load_test_concurrency: {count}\n    haproxy: {{"));
    for count in ["3", "'3'", "1000", "x", "-1"] {
        assert_eq!(copies(count), [], "{count}");
    }
    let place = |path: &str| vec![path.to_owned()];
    let many = [(place("services.web.load_test_concurrency"), "makes as many copies as it says".to_owned())];
    assert_eq!(copies("1001"), many);
    let named = with("    haproxy: {", "    load_test_concurrency: 2\n    haproxy: {backend_name: pool, ");
    assert_eq!(named.len(), 1);
    assert_eq!(named[0].0, place("services.web.haproxy.backend_name"));
    let services: Vec<_> = (0..11)
        .map(|n| format!("  s{n}: {{discovery: {{method: base}}, load_test_concurrency: 1000, haproxy: {{backend_order: asc, listen: [mode tcp, balance source]}}}}\n"))
        .collect();
    let found = with("services:\n", &format!("services:\n{}", services.concat()));
    assert_eq!((found.len(), found[0].0.len()), (1, 11), "ten thousand in all: {found:?}");
}

#[test]
fn whatever_is_written_it_says_something() {
    for text in [
        "null",
        "[]",
        "7",
        "services: 7",
        "services: [a]",
        "services: {a: null, b: [], c: {discovery: [1], haproxy: 3}}",
        "haproxy: {global: {a: b}, defaults: 7, extra_sections: [x]}",
        "services: {a: {discovery: {label_filters: {a: b}, method: [], watchers: 3}, discovery_multi: [1], haproxy: {listen: [[a], {b: c}, null]}}}",
    ] {
        assert!(of(text, None).to_string().ends_with('\n'), "{text}");
    }
}
