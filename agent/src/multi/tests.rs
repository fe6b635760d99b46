use std::sync::{Arc, Mutex};

use discovery_core::{Fixed, Snapshot};

use crate::{Agent, Config, Registry, Source};

/// `known` says nothing; `portless` needs a port and has a warning.
fn registry() -> Registry {
    Registry::builtin()
        .with("known", |section| {
            #[derive(serde::Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Known {
                #[serde(default, rename = "key")]
                _key: u8,
            }
            section.parse::<Known>()?;
            Ok(Source::new(|_| Fixed::new(Snapshot::default())))
        })
        .with("portless", |section| {
            let source = Source::new(|_| Fixed::new(Snapshot::default())).without_ports();
            Ok(source.with_warning(section.problem_at("odd", "is odd")))
        })
}

/// A configuration with this service, from its second line on.
fn service(text: &str) -> String {
    format!(
        "services: {{web: {{haproxy: {{port: 1}},\n{text}}}}}\n\
         haproxy: {{config_file_path: /tmp/h.cfg, reload_command: \"true\", global: [], defaults: []}}\n"
    )
}

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let config = Config::parse(&service(text), None, &registry());
    config.map_err(|report| report.problems().iter().map(ToString::to_string).collect())
}

fn problems(text: &str) -> Vec<String> {
    parse(text).expect_err(text)
}

fn warnings(text: &str) -> Vec<String> {
    let config = parse(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    config.warnings().problems().iter().map(ToString::to_string).collect()
}

/// The children of the service's source, in order.
fn children(text: &str) -> Vec<String> {
    let config = parse(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let services = Agent::new(config).status().services();
    services[0].children.iter().map(|child| child.name.to_string()).collect()
}

#[test]
fn each_resolver_of_synapse_is_known_and_the_samples_fallback_too() {
    for resolver in [
        "{method: union}",
        "{method: Union}",
        "{method: sequential, sequential_order: [b, a]}",
        "{method: fallback, sequential_order: [b, a]}",
        "{method: fallback}",
        "{method: toggle, file: /etc/weights.yaml}",
        "{method: toggle, file: /etc/weights.yaml, polling_interval_seconds: '15'}",
    ] {
        let text = format!(
            "discovery: {{method: multi, watchers: {{a: {{method: known}}, b: {{method: base}}}}, resolver: {resolver}}}"
        );
        assert_eq!(warnings(&text), [] as [&str; 0], "{resolver}");
        let expected = if resolver.contains("[b, a]") { ["b", "a"] } else { ["a", "b"] };
        assert_eq!(children(&text), expected, "{resolver}");
    }
}

/// That one of the mistakes in a `multi` with these keys is told so.
fn refused(rest: &str, expected: &str) {
    let found = problems(&format!("discovery: {{method: multi, {rest}}}"));
    assert!(found.iter().any(|problem| problem.starts_with(expected)), "{rest}\n{found:#?}");
}

#[test]
fn what_synapse_refuses_is_refused_in_its_words_where_it_stands() {
    let resolver = "resolver: {method: union}";
    let watchers = "watchers: {a: {method: known}}";
    for (rest, expected) in [
        (
            resolver.to_owned(),
            "2:12: services.web.discovery: watchers not defined: name them under `watchers`",
        ),
        (
            format!("watchers: null, {resolver}"),
            "2:12: services.web.discovery: watchers not defined: name them under `watchers`",
        ),
        (
            format!("watchers: {{}}, {resolver}"),
            "2:38: services.web.discovery.watchers: watcher config is empty: name at least one watcher",
        ),
        (
            format!("watchers: [], {resolver}"),
            "2:38: services.web.discovery.watchers: expected a map from a watcher's name to its discovery",
        ),
        (
            watchers.to_owned(),
            "2:12: services.web.discovery: resolver not defined: say how the watchers become one under `resolver`",
        ),
        (
            format!("{watchers}, resolver: {{}}"),
            "2:70: services.web.discovery.resolver: resolver config is empty: name its `method`",
        ),
        (
            format!("{watchers}, resolver: union"),
            "2:70: services.web.discovery.resolver: expected a map with `method`",
        ),
        (
            format!("{watchers}, resolver: {{metod: union}}"),
            "2:70: services.web.discovery.resolver: resolver method undefined: it is one of `union`, `sequential`, `fallback`, `toggle`",
        ),
        (
            format!("{watchers}, resolver: {{method: unoin}}"),
            "2:79: services.web.discovery.resolver.method: unknown resolver method \"unoin\"; did you mean `union`?",
        ),
        (
            format!("{watchers}, resolver: {{method: random}}"),
            "2:79: services.web.discovery.resolver.method: unknown resolver method \"random\"; known are `union`, `sequential`, `fallback`, `toggle`",
        ),
        (
            format!(
                "{watchers}, resolver: {{method: s3_toggle, s3_url: 's3://b/k', s3_polling_interval_seconds: 10}}"
            ),
            "2:79: services.web.discovery.resolver.method: unknown resolver method \"s3_toggle\"; nothing is read from S3 here: have the object copied to a file, and use the resolver `toggle` with `file`",
        ),
        (
            format!("{watchers}, resolver: {{method: union, sequential_order: [a]}}"),
            "2:86: services.web.discovery.resolver.sequential_order: unknown key",
        ),
    ] {
        refused(&rest, expected);
    }
}

#[test]
fn what_a_resolver_or_a_child_lacks_is_told_where_it_stands() {
    let resolver = "resolver: {method: union}";
    let watchers = "watchers: {a: {method: known}}";
    for (rest, expected) in [
        (
            format!("{watchers}, resolver: {{method: sequential, sequential_order: []}}"),
            "2:109: services.web.discovery.resolver.sequential_order: sequential_order does not contain: \"a\"",
        ),
        (
            format!("{watchers}, resolver: {{method: sequential, sequential_order: [a, a]}}"),
            "2:113: services.web.discovery.resolver.sequential_order[1]: sequential_order has \"a\" twice",
        ),
        (
            format!("{watchers}, resolver: {{method: sequential, sequential_order: [a, nobody]}}"),
            "2:113: services.web.discovery.resolver.sequential_order[1]: sequential_order has unknown watcher: \"nobody\"",
        ),
        (
            format!("{watchers}, resolver: {{method: toggle}}"),
            "2:70: services.web.discovery.resolver: missing key `file`",
        ),
        (
            format!("{watchers}, resolver: {{method: toggle, file: ''}}"),
            "2:93: services.web.discovery.resolver.file: the path is empty",
        ),
        (
            format!("{watchers}, resolver: {{method: toggle, file: f, polling_interval_seconds: 0}}"),
            "2:122: services.web.discovery.resolver.polling_interval_seconds: expected seconds, more than 0",
        ),
        (
            format!("watchers: {{a: known}}, {resolver}"),
            "2:42: services.web.discovery.watchers.a: child watcher is not a hash for watcher \"a\": expected a map with `method`",
        ),
        (
            format!("watchers: {{a: {{key: 1}}}}, {resolver}"),
            "2:42: services.web.discovery.watchers.a: discovery method not included in config for watcher \"a\"",
        ),
        (
            format!("watchers: {{a: {{method: know}}}}, {resolver}"),
            "2:51: services.web.discovery.watchers.a.method: unknown discovery method \"know\"; did you mean `known`?",
        ),
        (
            format!("watchers: {{a: {{method: known, kye: 1}}}}, {resolver}"),
            "2:58: services.web.discovery.watchers.a.kye: unknown key; did you mean `key`?",
        ),
        (
            format!("watchers: {{a: {{method: known, label_filters: [{{label: x}}]}}}}, {resolver}"),
            "2:74: services.web.discovery.watchers.a.label_filters[0]: missing key `condition`",
        ),
        (
            format!("watcher: {{}}, {watchers}, {resolver}"),
            "2:28: services.web.discovery.watcher: unknown key; did you mean `watchers`?",
        ),
    ] {
        refused(&rest, expected);
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let found = problems(
        "discovery: {method: multi, watchers: {a: {method: known, key: x}, b: 1, c: {method: marathon}},\n\
         resolver: {method: sequential, sequential_order: [a, cc]}}",
    );
    assert_eq!(
        found,
        [
            "2:63: services.web.discovery.watchers.a.key: expected an integer from 0 to 255, found a string",
            "2:70: services.web.discovery.watchers.b: child watcher is not a hash for watcher \"b\": expected a map with `method`",
            "2:85: services.web.discovery.watchers.c.method: unknown discovery method \"marathon\"; Marathon is not asked: have its tasks written to a file and use the method `file`, or registered in a registry",
            "3:50: services.web.discovery.resolver.sequential_order: sequential_order does not contain: \"b\"",
            "3:50: services.web.discovery.resolver.sequential_order: sequential_order does not contain: \"c\"",
            "3:54: services.web.discovery.resolver.sequential_order[1]: sequential_order has unknown watcher: \"cc\"",
        ]
    );
}

#[test]
fn what_a_child_needs_or_warns_of_is_told_of_the_service() {
    let text =
        "discovery: {method: multi, watchers: {a: {method: portless, odd: 1}}, resolver: {method: union}}";
    let expected = "1:17: services.web: missing key `backend_port_override`: the method `multi` does not know which port endpoints listen on";
    assert_eq!(problems(text), [expected]);
    let text = format!("backend_port_override: 80, {text}");
    assert_eq!(warnings(&text), ["2:93: services.web.discovery.watchers.a.odd: is odd"]);
}

#[test]
fn a_multi_can_be_one_of_a_multis_watchers() {
    let inner =
        "{method: multi, watchers: {b: {method: known}, c: {method: known}}, resolver: {method: fallback}}";
    let text = format!("discovery: {{method: multi, watchers: {{a: {inner}}}, resolver: {{method: union}}}}");
    assert_eq!(children(&text), ["a"]);
    let found = problems(&text.replace("c: {method: known}", "c: {}"));
    assert!(found[0].contains("discovery.watchers.a.watchers.c: discovery method not included"), "{found:?}");
}

#[test]
fn discovery_multi_adds_watchers_to_the_services_own() {
    let multi = "discovery_multi: {watchers: {spare: {method: base}}, resolver: {method: fallback}}";
    let text = format!("discovery: {{method: known}}, {multi}");
    assert_eq!(warnings(&text), [] as [&str; 0]);
    assert_eq!(children(&text), ["primary", "spare"]);
    let alone = "discovery: {method: known}, discovery_multi: {resolver: {method: union}}";
    assert_eq!(children(alone), ["primary"]);
    let ordered = text.replace("fallback", "sequential, sequential_order: [spare, primary]");
    assert_eq!(children(&ordered), ["spare", "primary"]);
}

#[test]
fn a_null_discovery_multi_is_none() {
    assert_eq!(children("discovery: {method: known}, discovery_multi: null"), [] as [&str; 0]);
}

#[test]
fn a_primary_beside_discovery_is_overwritten_with_a_warning() {
    let text = "discovery: {method: known},\n\
                discovery_multi: {method: multi, watchers: {b: {method: base}, primary: {method: nonsense}}, resolver: {method: union}}";
    assert_eq!(children(text), ["primary", "b"]);
    assert_eq!(
        warnings(text),
        [
            "3:73: services.web.discovery_multi.watchers.primary: has no effect: the watcher `primary` is what `discovery` says"
        ]
    );
}

#[test]
fn what_is_wrong_with_either_is_told_where_it_stands() {
    let text = "discovery: {method: known, kye: 1},\n\
                discovery_multi: {watchers: {b: {method: know}}, resolver: {method: union}}";
    assert_eq!(
        problems(text),
        [
            "2:28: services.web.discovery.kye: unknown key; did you mean `key`?",
            "3:42: services.web.discovery_multi.watchers.b.method: unknown discovery method \"know\"; did you mean `known`?",
        ]
    );
    for (multi, expected) in [
        ("5", "3:18: services.web.discovery_multi: expected a map with `watchers` and `resolver`"),
        (
            "{watchers: 5}",
            "3:29: services.web.discovery_multi.watchers: expected a map from a watcher's name to its discovery",
        ),
        (
            "{}",
            "3:18: services.web.discovery_multi: resolver not defined: say how the watchers become one under `resolver`",
        ),
        (
            "{method: muti}",
            "3:27: services.web.discovery_multi.method: unknown discovery method \"muti\"; did you mean `multi`?",
        ),
    ] {
        let found = problems(&format!("discovery: {{method: known}},\ndiscovery_multi: {multi}"));
        assert!(found.iter().any(|problem| problem == expected), "{multi}\n{found:#?}");
    }
    let found = problems("discovery_multi: {resolver: {method: union}}");
    assert_eq!(found, ["1:17: services.web: missing key `discovery`"]);
    let warned = "discovery: {method: portless, odd: 1}, backend_port_override: 1, discovery_multi: {resolver: {method: union}}";
    assert_eq!(warnings(warned), ["2:36: services.web.discovery.odd: is odd"]);
}

#[test]
fn a_composite_from_outside_reads_its_parts_by_the_registry() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let registry = registry().with_composite("wrapped", move |section, registry| {
        let Some(part) = section.section("of") else { return Err(vec![section.problem("missing key `of`")]) };
        let part = registry.source(&part)?;
        let told = Arc::clone(&told);
        Ok(Source::new(move |context| {
            told.lock().expect("no holder panics").push(context.service().to_owned());
            part.watcher(context)
        }))
    });
    let parse = |text: &str| Config::parse(&service(text), None, &registry);
    let config = parse("discovery: {method: wrapped, of: {method: known}}").unwrap();
    let _agent = Agent::new(config);
    assert_eq!(*seen.lock().unwrap(), ["web"]);
    let report = parse("discovery: {method: wrapped, of: {method: unknown}}").unwrap_err().to_string();
    assert!(report.contains("2:43: services.web.discovery.of.method: unknown discovery method"), "{report}");
}
