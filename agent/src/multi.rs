//! The discovery method `multi`: several methods for one service.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use discovery_core::{
    Watcher,
    multi::{Multi, Toggle},
};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    config::{Entry, Node, Problem, Section, Value, nearest, quoted, seconds},
    registry::{Context, Registry, Source},
};

/// How the answers of the watchers become one.
#[derive(Debug, Clone, PartialEq)]
enum Resolver {
    Union,
    /// The watchers are in this order.
    Sequential,
    Toggle {
        file: PathBuf,
        every: Duration,
    },
}

/// The resolvers that a configuration can name.
const RESOLVERS: [&str; 4] = ["union", "sequential", "fallback", "toggle"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Union {}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Sequential {
    /// The names of all watchers: the first that has servers is used. In the order of the file unless given.
    sequential_order: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct ToggleKeys {
    /// The file with the weights of the watchers.
    file: PathBuf,
    /// How often it is looked at, in seconds, more than 0.
    #[cfg_attr(feature = "schema", schemars(extend("default" = Toggle::EVERY.as_secs())))]
    polling_interval_seconds: Option<f64>,
}

/// The schema of a `multi` section; `whole`: of one with its `discovery` within.
#[cfg(feature = "schema")]
pub(crate) fn schema(whole: bool) -> serde_json::Value {
    use serde_json::json;

    use crate::config::schema::{any_discovery, described, of, one_of};

    let nothing = || json!({ "type": "object", "additionalProperties": false });
    let resolvers = RESOLVERS.map(|name| {
        let keys = match name {
            "sequential" | "fallback" => of::<Sequential>(),
            "toggle" => of::<ToggleKeys>(),
            _ => nothing(),
        };
        (name.to_owned(), Some(keys))
    });
    let resolver = one_of("method", "The way.", resolvers, &serde_json::Map::new());
    let mut schema = json!({
        "type": "object",
        "properties": {
            "watchers": {
                "description": "From a watcher's name to its discovery.",
                "type": "object",
                "additionalProperties": any_discovery(),
            },
            "resolver": described(resolver, "How the answers of the watchers become one."),
        },
        "required": ["resolver"],
        "additionalProperties": false,
    });
    if whole {
        schema["required"] = json!(["watchers", "resolver"]);
        schema["properties"]["watchers"]["minProperties"] = json!(1);
        schema["properties"]["watchers"]["x-exact"] = json!(true);
    } else {
        schema["properties"]["method"] = json!({ "type": "string", "pattern": "^[mM][uU][lL][tT][iI]$" });
    }
    schema
}

/// `multi`: the watchers that its section names, and how they are resolved.
pub(crate) fn multi(section: &Section, registry: &Registry) -> Result<Source, Vec<Problem>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Keys {
        #[serde(default, rename = "watchers")]
        _watchers: IgnoredAny,
        #[serde(default, rename = "resolver")]
        _resolver: IgnoredAny,
    }

    let mut problems = section.parse::<Keys>().err().unwrap_or_default();
    let children = children(section, registry, &mut problems);
    let names: Vec<_> = children.iter().map(|(name, _)| name.as_str()).collect();
    let resolver = resolver(section, &names, &mut problems);
    let mut sources = Vec::with_capacity(children.len());
    for (name, source) in children {
        match source {
            Ok(source) => sources.push((name, source)),
            Err(found) => problems.extend(found),
        }
    }
    match resolver {
        Some((resolver, order)) if problems.is_empty() => {
            sources.sort_by_key(|(name, _)| order.get(name).copied());
            Ok(source(sources, resolver))
        }
        _ => Err(problems),
    }
}

fn source(sources: Vec<(String, Source)>, resolver: Resolver) -> Source {
    let needs_port = sources.iter().any(|(_, source)| source.needs_port());
    let warnings: Vec<_> = sources.iter().flat_map(|(_, source)| source.warnings().to_vec()).collect();
    let parts = sources.iter().map(|(name, source)| (name.clone(), source.origin().cloned())).collect();
    let made = Source::new(move |context| {
        let multi = watch(&sources, &resolver, context);
        context.show(multi.view());
        multi
    });
    let made = made.made_of(parts);
    let made = if needs_port { made.without_ports() } else { made };
    warnings.into_iter().fold(made, Source::with_warning)
}

fn watch(sources: &[(String, Source)], resolver: &Resolver, context: &mut Context<'_>) -> Multi {
    let mut children: Vec<(&str, Box<dyn Watcher>)> = Vec::with_capacity(sources.len());
    for (name, source) in sources {
        children.push((name, source.watcher(context)));
    }
    let (service, backoff) = (context.service(), context.backoff());
    match resolver {
        Resolver::Union => Multi::union(service, children, backoff),
        Resolver::Sequential => Multi::sequential(service, children, backoff),
        Resolver::Toggle { file, every } => {
            Multi::toggle(service, children, backoff, Toggle::new(file, *every))
        }
    }
}

type Child = (String, Result<Source, Vec<Problem>>);

/// The watchers, in the order of the file.
fn children(section: &Section, registry: &Registry, problems: &mut Vec<Problem>) -> Vec<Child> {
    let watchers =
        section.section("watchers").filter(|watchers| !matches!(watchers.node().value, Value::Null));
    let Some(watchers) = watchers else {
        problems.push(section.problem("watchers not defined: name them under `watchers`"));
        return Vec::new();
    };
    match &watchers.node().value {
        Value::Map(entries) if entries.is_empty() => {
            problems.push(watchers.problem("watcher config is empty: name at least one watcher"));
            Vec::new()
        }
        Value::Map(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), child(&watchers, entry, registry))).collect()
        }
        _ => {
            problems.push(watchers.problem("expected a map from a watcher's name to its discovery"));
            Vec::new()
        }
    }
}

fn child(watchers: &Section, entry: &Entry, registry: &Registry) -> Result<Source, Vec<Problem>> {
    let section = Section::new(entry.value.clone(), watchers.path().key(&entry.key));
    let name = quoted(&entry.key);
    if !matches!(entry.value.value, Value::Map(_)) {
        let message = format!("child watcher is not a hash for watcher {name}: expected a map with `method`");
        return Err(vec![section.problem(message)]);
    }
    if section.get("method").is_none_or(|method| matches!(method.value, Value::Null)) {
        let message = format!("discovery method not included in config for watcher {name}");
        return Err(vec![section.problem(message)]);
    }
    registry.source(&section)
}

/// The resolver, and the place of each watcher.
fn resolver(
    section: &Section,
    names: &[&str],
    problems: &mut Vec<Problem>,
) -> Option<(Resolver, HashMap<String, usize>)> {
    let Some(resolver) =
        section.section("resolver").filter(|resolver| !matches!(resolver.node().value, Value::Null))
    else {
        problems
            .push(section.problem("resolver not defined: say how the watchers become one under `resolver`"));
        return None;
    };
    match &resolver.node().value {
        Value::Map(entries) if entries.is_empty() => {
            problems.push(resolver.problem("resolver config is empty: name its `method`"));
            return None;
        }
        Value::Map(_) => {}
        _ => {
            problems.push(resolver.problem("expected a map with `method`"));
            return None;
        }
    }
    let Some(Node { value: Value::Str(method), .. }) = resolver.get("method") else {
        problems.push(
            resolver.problem_at("method", format!("resolver method undefined: it is one of {}", known())),
        );
        return None;
    };
    let as_written = || names.iter().enumerate().map(|(index, name)| ((*name).to_owned(), index)).collect();
    let rest = resolver.without(&["method"]);
    let read = match method.to_lowercase().as_str() {
        "union" => union(&rest).map(|()| (Resolver::Union, as_written())),
        "sequential" | "fallback" => {
            order(&rest, names).map(|order| (Resolver::Sequential, order.unwrap_or_else(as_written)))
        }
        "toggle" => toggle(&rest).map(|toggle| (toggle, as_written())),
        other => Err(vec![resolver.problem_at("method", unknown(other))]),
    };
    read.map_err(|found| problems.extend(found)).ok()
}

fn known() -> String {
    RESOLVERS.map(|resolver| format!("`{resolver}`")).join(", ")
}

fn unknown(method: &str) -> String {
    let hint = match (method, nearest(method, RESOLVERS.into_iter())) {
        ("s3_toggle", _) => {
            "nothing is read from S3 here: have the object copied to a file, and use the resolver `toggle` \
                             with `file`"
                .to_owned()
        }
        (_, Some(meant)) => format!("did you mean `{meant}`?"),
        (_, None) => format!("known are {}", known()),
    };
    format!("unknown resolver method {}; {hint}", quoted(method))
}

fn union(section: &Section) -> Result<(), Vec<Problem>> {
    section.parse().map(|Union {}| ())
}

/// The place of each watcher in `sequential_order`, if that is there.
fn order(section: &Section, names: &[&str]) -> Result<Option<HashMap<String, usize>>, Vec<Problem>> {
    let Sequential { sequential_order: Some(order) } = section.parse()? else { return Ok(None) };
    let (mut places, mut problems) = (HashMap::with_capacity(order.len()), Vec::new());
    let mut wrong = |index: Option<usize>, message: String| {
        let list = section.section("sequential_order");
        let item = list.as_ref().zip(index).and_then(|(list, index)| match &list.node().value {
            Value::Seq(items) => Some((items.get(index)?.clone(), list.path().index(index))),
            _ => None,
        });
        problems.push(match item {
            Some((node, path)) => Section::new(node, path).problem(message),
            None => section.problem_at("sequential_order", message),
        });
    };
    for (index, name) in order.iter().enumerate() {
        if !names.contains(&name.as_str()) {
            let meant =
                nearest(name, names.iter().copied()).map(|meant| format!("; did you mean `{meant}`?"));
            let meant = meant.unwrap_or_default();
            wrong(Some(index), format!("sequential_order has unknown watcher: {}{meant}", quoted(name)));
        } else if places.insert(name.clone(), index).is_some() {
            wrong(Some(index), format!("sequential_order has {} twice", quoted(name)));
        }
    }
    for name in names.iter().filter(|name| !places.contains_key(**name)) {
        wrong(None, format!("sequential_order does not contain: {}", quoted(name)));
    }
    if problems.is_empty() { Ok(Some(places)) } else { Err(problems) }
}

fn toggle(section: &Section) -> Result<Resolver, Vec<Problem>> {
    let ToggleKeys { file, polling_interval_seconds } = section.parse()?;
    let mut problems = Vec::new();
    if file.as_os_str().is_empty() {
        problems.push(section.problem_at("file", "the path is empty"));
    }
    let every =
        polling_interval_seconds.map_or(Some(Toggle::EVERY), seconds).filter(|every| !every.is_zero());
    match every {
        Some(every) if problems.is_empty() => Ok(Resolver::Toggle { file, every }),
        Some(_) => Err(problems),
        None => {
            problems.push(section.problem_at("polling_interval_seconds", "expected seconds, more than 0"));
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests;
