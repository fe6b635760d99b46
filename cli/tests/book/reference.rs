//! `docs/configuration-reference.md`: every key, made from the schema that the program prints.

use std::{fmt::Write as _, fs, process::Command};

use serde_json::{Map, Value};

use crate::page::root;

const PATH: &str = "docs/configuration-reference.md";
const REFRESH: &str = "BOOK=write cargo test --workspace --all-features --test book reference";

/// The page about each method.
const METHODS: [(&str, &str); 11] = [
    ("file", "file.md"),
    ("etcd", "etcd.md"),
    ("zookeeper", "zookeeper.md"),
    ("zookeeper_poll", "zookeeper.md"),
    ("dns", "dns.md"),
    ("zookeeper_dns", "dns.md"),
    ("zookeeper_dns_poll", "dns.md"),
    ("docker", "docker.md"),
    ("ec2tag", "ec2.md"),
    ("multi", "multi.md"),
    ("base", "file.md"),
];

/// The keys that all methods have.
const OF_ALL: [&str; 3] = ["method", "label_filter", "label_filters"];

/// One line of a table.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    key: String,
    kind: String,
    default: String,
    what: String,
}

/// The page, and the keys that do not say what they do.
fn reference(schema: &Value) -> (String, Vec<String>) {
    let mut page = String::from(
        "# Every key\n\n\
         Made from the types that read the configuration, with all discovery methods; `synapse-rs schema` prints the same for programs.\n\n\
         `a.b` is the key `b` in the map `a`, `a[].b` the same in each element of the list `a`, and `a.NAME` has a name of your choice. Where \
         a list is expected, one element does as well, and a text for a number if it is one: [what may be written \
         how](configuration.md#what-may-be-written-how).\n",
    );
    let mut mute = Vec::new();
    let mut section = |title: &str, intro: &str, rows: &[Row]| {
        let _ = write!(page, "\n## {title}\n\n{intro}");
        if rows.is_empty() {
            return;
        }
        page.push_str("| key | what is written | unless set | |\n|---|---|---|---|\n");
        for Row { key, kind, default, what } in rows {
            if what.is_empty() {
                mute.push(format!("{title}: {key}"));
            }
            let _ = writeln!(page, "| `{key}` | {kind} | {default} | {what} |");
        }
    };
    let top = &schema["properties"];
    let sections: Vec<&str> = ["haproxy", "agent", "status", "statsd", "file_output"]
        .into_iter()
        .filter(|key| top.get(*key).is_some())
        .collect();
    let mut rows = Vec::new();
    for (key, value) in entries(schema) {
        rows.push(row(key, value, schema));
    }
    section("The top level", "", &rows);
    for key in sections {
        section(&format!("`{key}`"), "", &below(&top[key]));
    }
    let service = &schema["$defs"]["service"];
    let own: Vec<Row> = below(service)
        .into_iter()
        .filter(|row| {
            !is_below(&row.key, &["discovery", "haproxy"]) && !row.key.starts_with("discovery_multi.")
        })
        .collect();
    let mut discovery = row("discovery", &service["properties"]["discovery"], service);
    schema["$defs"]["discovery"]["description"].as_str().unwrap_or_default().clone_into(&mut discovery.what);
    section(
        "A service",
        "In `services.NAME`, or in a file of `service_conf_dir`.\n\n",
        &[vec![discovery], own.clone()].concat(),
    );
    section("`haproxy` of a service", "", &below(&service["properties"]["haproxy"]));
    let methods: Vec<(&str, &Value)> = methods(&schema["$defs"]["discovery"]);
    let known = METHODS.map(|(name, _)| name);
    assert!(methods.iter().all(|(name, _)| known.contains(name)), "a method has no page: {methods:?}");
    let common: Vec<Row> = methods
        .first()
        .map(|(_, base)| below(base).into_iter().filter(|row| is_below(&row.key, &OF_ALL)).collect())
        .unwrap_or_default();
    let method =
        row("method", &schema["$defs"]["discovery"]["properties"]["method"], &schema["$defs"]["discovery"]);
    section("`discovery`, whatever the method", "", &[vec![method], common].concat());
    let mut seen: Vec<(&str, Vec<Row>)> = Vec::new();
    for (name, page) in METHODS {
        let Some((_, keys)) = methods.iter().find(|(method, _)| *method == name) else { continue };
        let rows: Vec<Row> = below(keys).into_iter().filter(|row| !is_below(&row.key, &OF_ALL)).collect();
        // The largest one that has nothing else.
        let like =
            seen.iter().filter(|(_, other)| other.len() > 1 && other.iter().all(|row| rows.contains(row)));
        let like = like.max_by_key(|(_, other)| other.len()).cloned();
        let (mut intro, shown) = match like {
            Some((like, other)) => {
                let more: Vec<Row> = rows.iter().filter(|row| !other.contains(row)).cloned().collect();
                (
                    format!("The keys of `{like}`{}\n\n", if more.is_empty() { "." } else { ", and these." }),
                    more,
                )
            }
            None if rows.is_empty() => ("No more keys than those.\n\n".to_owned(), Vec::new()),
            None => (String::new(), rows.clone()),
        };
        intro.insert_str(0, &format!("[What it does]({page}).\n\n"));
        let intro = if shown.is_empty() { intro.trim_end().to_owned() + "\n" } else { intro };
        section(&format!("`discovery`, `method: {name}`"), &intro, &shown);
        seen.push((name, rows));
    }
    (page, mute)
}

fn is_below(key: &str, parents: &[&str]) -> bool {
    let first = key.split(['.', '[']).next().unwrap_or_default();
    parents.contains(&first)
}

fn entries(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object["properties"].as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// The method that this case of a schema is for. It matches the name in any case, letter by letter: `^([uU][nN])$`.
fn method_of(case: &Value) -> String {
    let pattern = case["if"]["properties"]["method"]["pattern"].as_str().unwrap_or_default();
    let name: String = pattern.chars().filter(|letter| !letter.is_uppercase()).collect();
    name.replace(['^', '(', '[', ']', ')', '$'], "")
}

/// Names of the methods, with what their sections have.
fn methods(discovery: &Value) -> Vec<(&str, &Value)> {
    let names = discovery["properties"]["method"]["anyOf"][0]["enum"].as_array().expect("methods have names");
    let cases = discovery["allOf"].as_array().expect("methods have sections");
    let case = |name: &str| cases.iter().find(|case| method_of(case) == name);
    let names = names.iter().filter_map(Value::as_str);
    names.map(|name| (name, &case(name).unwrap_or_else(|| panic!("{name} has no section"))["then"])).collect()
}

/// The keys of a map, and those of maps in it.
fn below(object: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    collect("", object, &mut rows);
    rows
}

fn collect(prefix: &str, object: &Value, rows: &mut Vec<Row>) {
    let mut known: Vec<String> = Vec::new();
    for (key, value) in entries(object) {
        // A condition's `true` says nothing.
        if !value.is_object() {
            continue;
        }
        let key = format!("{prefix}{key}");
        rows.push(row(&key, value, object));
        known.push(key.clone());
        let (inner, list) = inner(value);
        // What has another name is told of there.
        let inner = inner.filter(|_| value["deprecated"] != true);
        if let Some(inner) = inner {
            collect(&format!("{key}{}.", if list { "[]" } else { "" }), inner, rows);
        }
    }
    for case in object["allOf"].as_array().into_iter().flatten() {
        for (key, value) in entries(&case["then"]) {
            let key = format!("{prefix}{key}");
            if value.is_object() && !known.contains(&key) {
                let this = row(&key, value, &case["then"]);
                rows.push(Row { what: format!("With `{}`: {}", method_of(case), lower(&this.what)), ..this });
                known.push(key);
            }
        }
    }
}

fn lower(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// The map that a value is, or a list of which it is; and whether it is a list.
fn inner(value: &Value) -> (Option<&Value>, bool) {
    if value.get("properties").is_some() {
        return (Some(value), false);
    }
    if value["items"].get("properties").is_some() {
        return (Some(&value["items"]), true);
    }
    let forms = value["anyOf"].as_array().into_iter().flatten();
    forms.map(inner).find(|(found, _)| found.is_some()).unwrap_or((None, false))
}

fn row(key: &str, value: &Value, parent: &Value) -> Row {
    let required = parent["required"].as_array().is_some_and(|all| {
        let last = key.rsplit('.').next().unwrap_or(key);
        all.iter().any(|name| name == last)
    });
    let what = value["description"].as_str().unwrap_or_default();
    let what = what.split("\n\n").next().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
    let default = match value.get("default") {
        _ if required => "required".to_owned(),
        None | Some(Value::Null) => String::new(),
        Some(Value::Array(list)) if list.is_empty() => "none".to_owned(),
        Some(Value::Object(map)) if map.is_empty() => "none".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    };
    let what = if value["deprecated"] == true && !what.contains("old name") {
        format!("Out of use. {what}")
    } else {
        what
    };
    Row { key: key.to_owned(), kind: kind(value, &what), default, what }
}

/// What is to be written, in a few words.
fn kind(value: &Value, what: &str) -> String {
    if let Some(reference) = value["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return format!("a {name}");
    }
    let words = |list: &Vec<Value>| {
        let words: Vec<_> = list.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    if let Some(list) = value["enum"].as_array() {
        return words(list);
    }
    if let Some(list) = value["oneOf"].as_array() {
        let consts = list.iter().map(|one| one["const"].clone()).collect();
        return words(&consts);
    }
    if let Some(forms) = value["anyOf"].as_array() {
        let mut said: Vec<String> = Vec::new();
        for form in forms.iter().filter(|form| form["type"] != "null") {
            let one = kind(form, what);
            if !one.is_empty() && !said.contains(&one) {
                said.push(one);
            }
        }
        // One element of a list in place of the list is told once, for all.
        if let Some(list) = said.iter().find(|one| one.starts_with("a list")) {
            return list.clone();
        }
        return said.join(", or ");
    }
    let types: Vec<&str> = match &value["type"] {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let has = |wanted: &str| types.contains(&wanted);
    if has("array") {
        let of = kind(&value["items"], "");
        return if of == "a map" { "a list of maps" } else { "a list of texts" }.to_owned();
    }
    if has("object") {
        let each = &value["additionalProperties"];
        let of = if each.is_object() { kind(each, what) } else { String::new() };
        return if of.is_empty() { "a map".to_owned() } else { format!("a map: {of} for each name") };
    }
    if has("boolean") && !has("number") && !has("integer") {
        return "`true` or `false`".to_owned();
    }
    // A text that looks like something else is one as well.
    if has("boolean") {
        return "a text".to_owned();
    }
    if has("integer") {
        return if value["maximum"] == 65535 && what.to_lowercase().contains("port") {
            "a port"
        } else {
            "a whole number"
        }
        .to_owned();
    }
    if has("number") {
        return if what.to_lowercase().contains("second") { "seconds" } else { "a number" }.to_owned();
    }
    if has("string") { "a text".to_owned() } else { String::new() }
}

fn printed() -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_synapse-rs")).arg("schema").output().expect("the program runs");
    serde_json::from_slice::<Map<String, Value>>(&output.stdout).expect("the schema is JSON").into()
}

#[allow(clippy::disallowed_methods, reason = "a test is a program of its own: its environment configures it")]
fn to_be_written() -> bool {
    std::env::var("BOOK").is_ok_and(|value| value == "write")
}

#[test]
fn the_reference_has_what_the_types_say_and_every_key_says_what_it_does() {
    let (made, mute) = reference(&printed());
    assert!(mute.is_empty(), "no description, to be written at its type: {mute:#?}");
    let path = root().join(PATH);
    if to_be_written() {
        fs::write(&path, &made).expect("the page can be written");
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    let changed = made.lines().find(|line| !page.lines().any(|known| known == *line));
    assert!(page == made, "{PATH} is out of date, at {changed:?} for example; `{REFRESH}` writes it anew");
}

#[test]
fn a_key_that_says_nothing_is_found() {
    let mut schema = printed();
    schema["properties"]["haproxy"]["properties"]["restart_interval"]["description"].take();
    assert_eq!(reference(&schema).1, ["`haproxy`: restart_interval"]);
}
