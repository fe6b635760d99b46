use serde::de::DeserializeOwned;

use super::de::{from_node_knowing, recover};
use super::node::{Node, Value};
use super::report::{KeyPath, Problem};

/// A part of the configuration that someone else reads: a source's `discovery` map, say.
///
/// It owns its sub-tree and knows its key path, so that whoever reads it can report mistakes at the right place
/// of the user's file without knowing the file. Equality ignores positions: two equal sections mean the same,
/// wherever they stand in the file. `Debug` shows no values.
#[derive(Debug, Clone)]
pub struct Section {
    node: Node,
    path: KeyPath,
    /// Keys that were valid here and have been taken out: still offered as "did you mean".
    taken: Vec<String>,
}

impl Section {
    /// The sub-tree `node`, found at `path`.
    pub fn new(node: Node, path: KeyPath) -> Self {
        Self { node, path, taken: Vec::new() }
    }

    /// The sub-tree.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Where the section stands.
    pub fn path(&self) -> &KeyPath {
        &self.path
    }

    /// The value under `key`; `None` when there is none or the section is no map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.node.get(key)
    }

    /// The section under `key`; `None` when there is none or this section is no map.
    pub fn section(&self, key: &str) -> Option<Section> {
        Some(Self::new(self.get(key)?.clone(), self.path.key(key)))
    }

    /// A copy without `keys`: what the common part of the program has read already. They are still suggested
    /// to who misspells one.
    pub fn without(&self, keys: &[&str]) -> Self {
        let mut rest = self.clone();
        if let Value::Map(entries) = &mut rest.node.value {
            entries.retain(|entry| !keys.contains(&entry.key.as_str()));
        }
        rest.taken.extend(keys.iter().map(|key| (*key).to_owned()));
        rest
    }

    /// A copy with nothing but `keys`: what one of several readers of a section is given. Those that are not there are no mistake.
    pub fn only(&self, keys: &[&str]) -> Self {
        let mut part = self.clone();
        if let Value::Map(entries) = &mut part.node.value {
            entries.retain(|entry| keys.contains(&entry.key.as_str()));
        }
        part
    }

    /// Reads the section as `T`, as leniently as [`from_node`](super::from_node).
    ///
    /// # Errors
    /// Everything that is wrong with it, never empty, sorted by position.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Vec<Problem>> {
        from_node_knowing(&self.node, &self.path, &self.taken)
    }

    /// As [`parse`](Self::parse), with the mistakes going to `problems`. What there is in spite of mistakes is good for finding
    /// further ones, and for nothing else.
    pub(super) fn recover<T: DeserializeOwned>(&self, problems: &mut Vec<Problem>) -> Option<T> {
        let (value, found) = recover(&self.node, &self.path, &self.taken);
        problems.extend(found);
        value
    }

    /// Whether `key` is there with a value other than null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|node| !matches!(node.value, Value::Null))
    }

    /// A problem with the section as a whole.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.node.line, self.node.column, &self.path, message)
    }

    /// A problem with the value under `key`, or with the whole section when it has no such key.
    pub fn problem_at(&self, key: &str, message: impl Into<String>) -> Problem {
        match self.get(key) {
            Some(node) => Problem::new(node.line, node.column, &self.path.key(key), message),
            None => self.problem(message),
        }
    }
}

impl PartialEq for Section {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.node.same_as(&other.node)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::config::parse;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Etcd {
        prefix: String,
    }

    fn section(text: &str) -> Section {
        let path = KeyPath::root().key("services").key("web").key("discovery");
        Section::new(parse(text).unwrap(), path)
    }

    fn lines(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_section_is_read_after_the_common_keys_are_taken_out() {
        let section = section("method: etcd\nprefix: /web\n");
        assert_eq!(section.without(&["method"]).parse::<Etcd>().unwrap().prefix, "/web");
        assert_eq!(
            lines(&section.parse::<Etcd>().unwrap_err()),
            ["1:1: services.web.discovery.method: unknown key; known key is `prefix`"]
        );
    }

    #[test]
    fn a_key_that_was_taken_out_is_still_suggested() {
        let section = section("metod: etcd\nprefix: /web\n").without(&["method", "label_filters"]);
        assert_eq!(
            lines(&section.parse::<Etcd>().unwrap_err()),
            ["1:1: services.web.discovery.metod: unknown key; did you mean `method`?"]
        );
    }

    #[test]
    fn a_semantic_problem_points_at_the_key_or_else_at_the_section() {
        let section = section("\n\nmethod: etcd\nprefix: ''\n");
        assert_eq!(
            section.problem_at("prefix", "must not be empty").to_string(),
            "4:9: services.web.discovery.prefix: must not be empty"
        );
        assert_eq!(section.problem_at("hosts", "needed").to_string(), "3:1: services.web.discovery: needed");
        assert_eq!(section.problem("no").to_string(), "3:1: services.web.discovery: no");
    }

    #[test]
    fn a_section_inside_a_section_knows_its_path() {
        let tls = section("tls: {ca: x}").section("tls").unwrap();
        assert_eq!(
            tls.problem_at("ca", "no such file").to_string(),
            "1:11: services.web.discovery.tls.ca: no such file"
        );
        assert!(tls.section("nothing").is_none());
    }

    #[test]
    fn sections_are_equal_wherever_they_stand_in_the_file() {
        assert_eq!(section("a: 1"), section("# moved\n\n\n{\"a\":   1}"));
        assert_ne!(section("a: 1"), section("a: 2"));
        assert_ne!(Section::new(parse("a: 1").unwrap(), KeyPath::root()), section("a: 1"));
    }
}
