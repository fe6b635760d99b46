//! `docs/synapse-parity.md` says the truth: its samples are accepted or refused as it says, and its tests are tests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use agent::{
    Config, Registry,
    config::{Node, Value as Written, parse},
    discovery::Catalog,
};
use serde_json::{Map, Value, json};

/// A row of a table.
struct Row {
    key: String,
    sample: String,
    here: String,
    shown: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/synapse-parity.md")).unwrap();
    let cells = |line: &str| {
        let line = line.strip_prefix("| ")?.strip_suffix('|')?;
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        assert_eq!(cells.len(), 5, "{line}");
        (cells[0] != "Synapse").then_some(cells)
    };
    let row = |cells: Vec<String>| match <[String; 5]>::try_from(cells) {
        Ok([key, sample, here, _, shown]) => Row { key, sample: code(&sample).concat(), here, shown },
        Err(cells) => panic!("{cells:?}"),
    };
    text.lines().filter_map(cells).map(row).collect()
}

/// What stands between backquotes, single ones or double ones.
fn code(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find('`') {
        let fence = if rest[start..].starts_with("``") { "``" } else { "`" };
        let inside = &rest[start + fence.len()..];
        let Some(end) = inside.find(fence) else { break };
        found.push(inside[..end].trim().to_owned());
        rest = &inside[end + fence.len()..];
    }
    found
}

fn json_of(node: &Node) -> Value {
    match &node.value {
        Written::Null => Value::Null,
        Written::Bool(truth) => json!(truth),
        Written::Int(number) => json!(number),
        Written::Float(number) => json!(number),
        Written::Str(text) => json!(text),
        Written::Seq(items) => items.iter().map(json_of).collect(),
        Written::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json_of(&entry.value)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// The configuration that samples are laid over.
fn base() -> Value {
    json!({
        "services": { "web": { "discovery": { "method": "file", "path": "/x" }, "haproxy": { "port": 1 } } },
        "haproxy": {
            "config_file_path": "/nowhere/h.cfg", "do_reloads": false, "global": [], "defaults": ["timeout connect 1s"],
        },
    })
}

fn lay_over(section: &mut Value, sample: Value) {
    let Value::Object(sample) = sample else { panic!("a sample is a map: {sample}") };
    section.as_object_mut().unwrap().extend(sample);
}

fn with(sample: &str) -> Value {
    let parsed = parse(sample).unwrap_or_else(|error| panic!("{sample}: {error}"));
    let [entry] = parsed.entries() else { panic!("{sample}: one place") };
    let (mut config, sample) = (base(), json_of(&entry.value));
    match entry.key.as_str() {
        "top" => lay_over(&mut config, sample),
        "haproxy" => lay_over(&mut config["haproxy"], sample),
        "service" => lay_over(&mut config["services"]["web"], sample),
        "service.haproxy" => lay_over(&mut config["services"]["web"]["haproxy"], sample),
        "discovery" => config["services"]["web"]["discovery"] = sample,
        "ec2tag" => {
            config["services"]["web"]["discovery"] = sample;
            config["services"]["web"]["backend_port_override"] = json!(80);
        }
        other => panic!("no such place: {other}"),
    }
    config
}

/// Whether this build has what the sample needs.
fn built_for(sample: &str) -> bool {
    let needs = |method: &str| sample.contains(&format!("method: {method}"));
    let missing = [
        ("zookeeper_dns", cfg!(all(feature = "zk", feature = "dns"))),
        ("zookeeper", cfg!(feature = "zk")),
        ("dns", cfg!(feature = "dns")),
        ("docker", cfg!(feature = "docker")),
        ("ec2tag", cfg!(feature = "ec2")),
    ];
    // A method that is misspelt is in no build.
    missing.iter().all(|(method, built)| !needs(method) || *built)
}

fn read(config: &Value) -> Result<Config, Vec<String>> {
    Config::parse(&config.to_string(), None, &Registry::builtin())
        .map_err(|report| report.problems().iter().map(ToString::to_string).collect())
}

fn rendered(config: &Config) -> String {
    let catalog = r#"{"web": [
        {"host": "10.0.0.1", "port": 80, "name": "a", "weight": 10, "labels": {"az": "a"}},
        {"host": "10.0.0.2", "port": 80, "name": "b", "labels": {"az": "b"}}
    ]}"#;
    config.render(&Catalog::parse(catalog).unwrap())
}

#[test]
fn samples_are_accepted_or_refused_as_the_page_says() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for row in rows().into_iter().filter(|row| !row.sample.is_empty() && built_for(&row.sample)) {
        seen += 1;
        let read = read(&with(&row.sample)).map(|config| config.warnings().problems().len());
        let told = code(&row.here).first().cloned().unwrap_or_default();
        let right = match &read {
            Ok(warnings) => {
                let warned = row.here.starts_with("accepted: a warning") || row.here.contains("warned of");
                row.here.starts_with("accepted") && (!warned || *warnings > 0)
            }
            Err(problems) => {
                row.here.starts_with("refused: `") && problems.iter().any(|problem| problem.contains(&told))
            }
        };
        if !right {
            wrong.push(format!("{}: {}\n  {} - {read:?}", row.key, row.sample, row.here));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 80, "{seen}");
}

#[test]
fn what_a_sample_renders_is_there_with_it_alone() {
    let without = rendered(&read(&base()).unwrap());
    let mut wrong = Vec::new();
    for row in rows() {
        let Some(text) = row.shown.strip_prefix("renders ").and_then(|rest| code(rest).into_iter().next())
        else {
            continue;
        };
        let with = read(&with(&row.sample)).map(|config| rendered(&config)).unwrap_or_default();
        if !with.contains(&text) || without.contains(&text) {
            wrong.push(format!("{}: {text}\n{with}", row.key));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names of all tests in the workspace's sources.
fn tests(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            tests(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let (text, mut is_test) = (fs::read_to_string(&path).unwrap(), false);
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[") {
                    is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                } else {
                    let function = line.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
                    names.extend(function.filter(|_| is_test).map(|(name, _)| name.to_owned()));
                    is_test = false;
                }
            }
        }
    }
}

#[test]
fn each_row_is_shown_by_a_test_that_exists() {
    let mut names = BTreeSet::new();
    tests(&root(), &mut names);
    let mut wrong = Vec::new();
    for row in rows() {
        let shown = row.shown.strip_prefix("renders ").unwrap_or(&row.shown);
        let skipped = usize::from(row.shown.starts_with("renders "));
        wrong.extend(code(shown).into_iter().skip(skipped).filter(|name| !names.contains(name)));
        if row.shown.is_empty() && row.sample.is_empty() {
            wrong.push(format!("nothing shows {}", row.key));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_key_of_synapse_has_a_row() {
    let keys = "services service_conf_dir statsd file_output discovery_multi default_servers keep_default_servers \
        use_previous_backends backend_port_override leader_election load_test_concurrency label_filters label_filter \
        hosts path decode endpoint_name retry_policy max_attempts max_delay base_interval max_interval discovery_jitter \
        generator_config_path polling_interval_sec nameserver check_interval servers image_name container_port tag_name \
        tag_value aws_region aws_access_key_id aws_secret_access_key marathon watchers resolver sequential_order s3_toggle \
        global defaults do_writes do_socket do_reloads do_checks config_file_path socket_file_path reload_command \
        check_command candidate_config_file_path extra_sections bind_address shared_frontend restart_interval restart_jitter \
        state_file_path state_file_ttl server_order_seed max_server_id use_nerve_weights disabled port bind_options \
        server_options frontend backend listen backend_name backend_order cookie_value_method server_port_override \
        server_backup_port output_directory haproxy_server_options base zookeeper zookeeper_poll zookeeper_dns \
        zookeeper_dns_poll dns docker ec2tag multi";
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows() {
        for word in row.key.split(|c: char| !c.is_alphanumeric() && c != '_') {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    let missing: Vec<_> = keys.split_whitespace().filter(|key| !words.contains_key(*key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
