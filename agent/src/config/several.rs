//! `discovery_multi`: what a service's `discovery` is one of.

use super::{
    Entry, Node, Problem, Section, Value,
    service::{Discovery, Findings, read_discovery},
};
use crate::registry::Registry;

/// The name that the service's own `discovery` has among its watchers.
const PRIMARY: &str = "primary";

/// Reads a service's `discovery_multi`, with its `discovery`, `one`, as the first of its watchers.
pub(super) fn read(
    section: &Section,
    one: &Section,
    registry: &Registry,
    found: &mut Findings<'_>,
) -> Option<Discovery> {
    let several = section.section("discovery_multi")?;
    if !matches!(several.node().value, Value::Map(_)) {
        found.problems.push(several.problem("expected a map with `watchers` and `resolver`"));
        return None;
    }
    if several.section("watchers").is_some_and(|watchers| watchers.has(PRIMARY)) {
        let note = "has no effect: the watcher `primary` is what `discovery` says";
        let watchers = several.section("watchers")?;
        found.warnings.push(watchers.problem_at(PRIMARY, note));
    }
    let joined = Section::new(join(several.node(), one.node()), several.path().clone());
    let before = found.problems.len();
    let read = read_discovery(&joined, registry, found.problems);
    // What is wrong with `primary` stands where `discovery` does.
    let inside = several.path().key("watchers").key(PRIMARY).to_string();
    let place = |problem: &mut Problem| {
        if let Some(rest) = problem.path.strip_prefix(&inside)
            && (rest.is_empty() || rest.starts_with(['.', '[']))
        {
            problem.path = format!("{}{rest}", one.path());
        }
    };
    found.problems[before..].iter_mut().for_each(place);
    read.map(|read| Discovery { source: read.source.map_warnings(place), ..read })
}

/// `several` with the method `multi` unless it names one, and with `one` as the first of its watchers.
fn join(several: &Node, one: &Node) -> Node {
    let entry = |key: &str, value: Node| {
        let (line, column) = (value.line, value.column);
        Entry { key: key.to_owned(), line, column, value }
    };
    let mut entries = several.entries().to_vec();
    if !entries.iter().any(|entry| entry.key == "method") {
        let method = Node::new(Value::Str("multi".to_owned()), several.line, several.column);
        entries.push(entry("method", method));
    }
    let primary = entry(PRIMARY, one.clone());
    match entries.iter_mut().find(|entry| entry.key == "watchers").map(|watchers| &mut watchers.value) {
        Some(Node { value: Value::Map(watchers), .. }) => {
            watchers.retain(|watcher| watcher.key != PRIMARY);
            watchers.insert(0, primary);
        }
        Some(watchers) if matches!(watchers.value, Value::Null) => watchers.value = Value::Map(vec![primary]),
        // Whoever reads it says what is wrong.
        Some(_) => {}
        None => {
            let watchers = Node::new(Value::Map(vec![primary]), several.line, several.column);
            entries.push(entry("watchers", watchers));
        }
    }
    Node::new(Value::Map(entries), several.line, several.column)
}
