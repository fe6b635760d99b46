//! Configurations in pages, whole ones and parts.
//!
//! A part is completed by its keys: those of the top level get what is missing there, those of a service become the service `web`, and a
//! `method` or `watchers` makes it the `discovery` of that service. So what a part says is read by the code that reads it in a whole.

use std::time::{SystemTime, UNIX_EPOCH};

use agent::{Loader, Registry, discovery::Catalog};
use e2e::Dir;
use serde_json::{Map, Value, json};

use crate::{page::Block, prometheus};

/// The keys of the top level.
const TOP: [&str; 7] =
    ["agent", "file_output", "haproxy", "service_conf_dir", "services", "statsd", "status"];

/// What is wrong with it.
pub(crate) async fn check(block: &Block) -> Result<(), String> {
    if block.language == "haproxy" {
        return e2e::Haproxy::check(&block.text).await.map_err(|rejected| rejected.to_string());
    }
    let value: Value = match block.language.as_str() {
        "json" => serde_json::from_str(&block.text).map_err(|error| error.to_string())?,
        _ => serde_saphyr::from_str(&block.text).map_err(|error| error.to_string())?,
    };
    let catalog = |text: &str| Catalog::parse(text).map_err(|error| error.to_string());
    match block.kind() {
        Some("endpoints") => sound(&catalog(&block.text)?),
        Some("settings") => {
            let beside =
                json!({"web": {"endpoints": [{"host": "10.0.0.7", "port": 80}], "generators": value}});
            sound(&catalog(&beside.to_string())?)?;
            let config = load(&complete(json!({"services": {"web": service(&json!({}))}})).to_string())?;
            let (with, without) =
                (config.render(&catalog(&beside.to_string())?), config.render(&Catalog::new([])));
            let lines = |text: &str| text.lines().filter(|line| !line.contains("server ")).count();
            if lines(&with) > lines(&without) { Ok(()) } else { Err("nothing of it is used".to_owned()) }
        }
        Some("weights") => weights(&value),
        Some("service-file") => service_file(&value),
        Some("state") => state(&block.text).await,
        Some("service") => serve(&complete(json!({"services": {"web": service(&value)}})).to_string()).await,
        Some("compose") => has(&value, &["services"]).or_else(|_| {
            let mut services = value.as_object().into_iter().flat_map(Map::values);
            services.try_for_each(|service| has(service, &["image"]))
        }),
        Some("iam") => has(&value, &["Version", "Statement"]),
        Some("vscode") => has(&value, &["json.schemas"]),
        Some(kind) => Err(format!("nobody knows what a `{kind}` is")),
        None if value.get("groups").is_some() => prometheus::check("rules", &block.text),
        None if value.get("scrape_configs").is_some() => prometheus::check("config", &block.text),
        None => serve(&if whole(&value) { block.text.clone() } else { complete(value).to_string() }).await,
    }
}

/// It can be read, and HAProxy takes what comes of it.
async fn serve(text: &str) -> Result<(), String> {
    let config = load(text)?;
    let served: Value = config
        .services()
        .map(|name| (name.to_owned(), json!([{"host": "10.0.0.7", "port": 8080, "name": "a", "id": 1}])))
        .collect::<Map<_, _>>()
        .into();
    let rendered = config.render(&Catalog::parse(&served.to_string()).map_err(|error| error.to_string())?);
    e2e::Haproxy::check(&rendered).await.map_err(|rejected| format!("{rejected}\n{rendered}"))
}

/// A part of a service with what else a service has.
fn service(part: &Value) -> Value {
    let mut whole = json!({
        "discovery": {"method": "file", "path": "/x.yaml"},
        "haproxy": {"port": 80},
    });
    for (key, value) in part.as_object().into_iter().flatten() {
        match (whole.get_mut(key), value) {
            (Some(Value::Object(section)), Value::Object(more)) if key == "haproxy" => {
                section.extend(more.clone());
            }
            _ => whole[key] = value.clone(),
        }
    }
    whole
}

fn has(value: &Value, keys: &[&str]) -> Result<(), String> {
    match keys.iter().find(|key| value.get(**key).is_none()) {
        Some(missing) => Err(format!("it has no `{missing}`")),
        None => Ok(()),
    }
}

fn whole(value: &Value) -> bool {
    value.get("services").is_some() && (value.get("haproxy").is_some() || value.get("file_output").is_some())
}

/// Reads a configuration as the program does; warnings are mistakes here.
fn load(text: &str) -> Result<agent::Config, String> {
    let dir = Dir::new("configuration");
    // A directory of services that a page names is an empty one.
    let text = text.replace("/etc/synapse/conf.d", &dir.path().display().to_string());
    let loader = Loader::new(dir.join("synapse.yaml"), Registry::builtin())
        .with_environment(|name| Some(if name == "PWD" { "/run/haproxy" } else { "10.0.0.9" }.to_owned()));
    let config = loader.parse(&text, "the block").map_err(|report| format!("{report}\n{text}"))?;
    let warnings = config.warnings();
    if warnings.problems().is_empty() { Ok(config) } else { Err(format!("{warnings}\n{text}")) }
}

/// A part with what else a configuration has.
fn complete(part: Value) -> Value {
    let has = |key: &str| part.get(key).is_some();
    let part = if has("method") || has("watchers") {
        let mut section = part;
        if section.get("method").is_none() {
            section["method"] = "multi".into();
        }
        json!({"services": {"web": {"discovery": section, "haproxy": {"port": 80, "server_port_override": 80}}}})
    } else if part.as_object().is_some_and(|keys| keys.keys().all(|key| TOP.contains(&key.as_str()))) {
        part
    } else {
        json!({"services": {"web": part}})
    };
    let mut whole = json!({
        "services": {"other": {"discovery": {"method": "file", "path": "/x.yaml"}, "haproxy": {"port": 81}}},
        "haproxy": {
            "config_file_path": "/etc/haproxy/haproxy.cfg",
            "reload_command": "systemctl reload haproxy",
            "global": [],
            "defaults": ["mode http", "timeout connect 5s", "timeout client 1m", "timeout server 1m"],
        },
    });
    if part["haproxy"].get("master_socket_path").is_some() {
        whole["haproxy"].as_object_mut().expect("it is a map").remove("reload_command");
    }
    for (key, value) in part.as_object().into_iter().flatten() {
        match (whole.get_mut(key), value) {
            (Some(Value::Object(section)), Value::Object(more)) => section.extend(more.clone()),
            _ => whole[key] = value.clone(),
        }
    }
    whole
}

fn sound(catalog: &Catalog) -> Result<(), String> {
    let mut found = 0;
    for (name, snapshot) in catalog.services() {
        found += snapshot.iter().count();
        if snapshot.rejected().total() > 0 {
            return Err(format!("{name}: {:?}", snapshot.rejected()));
        }
    }
    // A list without services.
    if found > 0 || catalog.is_bare() { Ok(()) } else { Err("it has no endpoints".to_owned()) }
}

fn weights(value: &Value) -> Result<(), String> {
    let weights = value.as_object().ok_or("it is no map")?;
    let whole = weights.values().all(Value::is_u64);
    let positive = weights.values().any(|weight| weight.as_u64() > Some(0));
    if whole && positive { Ok(()) } else { Err("it has no whole numbers above 0".to_owned()) }
}

/// What `file_output` writes is read by the method `file`.
fn service_file(value: &Value) -> Result<(), String> {
    let first = value.get(0).and_then(Value::as_object).ok_or("it is no list of endpoints")?;
    let keys = ["haproxy_server_options", "host", "id", "labels", "name", "port", "weight"];
    let unknown = first.keys().find(|key| !keys.contains(&key.as_str()) && *key != "backup");
    unknown.map_or(Ok(()), |key| Err(format!("no file of a service has `{key}`")))
}

/// The program knows a service from it whose registry does not answer, if it is as old as it was when it was written.
async fn state(text: &str) -> Result<(), String> {
    let dir = Dir::new("state");
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let path =
        dir.write("state.json", text.replace(&value["written"].to_string(), &now.as_secs_f64().to_string()));
    let mut config = complete(json!({
        "services": {"web": {"discovery": {"method": "file", "path": "/nowhere/endpoints.json"}, "haproxy": {"port": 80}}},
        "haproxy": {"state_file_path": path},
        "agent": {"startup_wait": 0.1},
    }));
    config["haproxy"]["config_file_path"] = dir.join("haproxy.cfg").display().to_string().into();
    let config = dir.write("synapse.json", config.to_string());
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_synapse-rs"));
    let output =
        command.args(["services", "-c"]).arg(config).output().await.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains("10.0.1.7:8080") {
        Ok(())
    } else {
        Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

#[tokio::test]
async fn live_what_is_wrong_in_a_configuration_is_found() {
    let told = async |language: &str, words: &[&str], text: &str| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let block =
            Block { place: "a:1".to_owned(), language: language.to_owned(), words, text: text.to_owned() };
        check(&block).await
    };
    for right in [
        "method: file\npath: /x\n",
        "status: {}\n",
        "discovery: {method: file, path: /x}\nhaproxy: {port: 80}\n",
        "haproxy: {state_file_path: /x}\n",
    ] {
        assert_eq!(told("yaml", &[], right).await, Ok(()), "{right}");
    }
    for (text, problem) in [
        ("method: fil\n", "unknown discovery method"),
        ("haproxy: {stat_file_path: /x}\n", "unknown key"),
        (
            "discovery: {method: file, path: /x}\nhaproxy: {port: 80, listen: [balance rondrobin]}\n",
            "rondrobin",
        ),
        ("groups: [{name: a, rules: [{alert: B, expr: '('}]}]\n", "parse error"),
    ] {
        let told = told("yaml", &[], text).await.unwrap_err();
        assert!(told.contains(problem), "{text}: {told}");
    }
    assert!(told("json", &["settings"], r#"{"haproxy": {"listen": ["use_backend x"]}}"#).await.is_err());
    assert!(told("yaml", &["weights"], "a: b\n").await.is_err());
    assert!(told("json", &["riddle"], "{}").await.is_err());
    assert!(told("json", &["state"], r#"{"format": "synapse-rs state", "version": 1}"#).await.is_err());
}
