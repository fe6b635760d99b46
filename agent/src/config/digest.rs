//! What a part of the configuration says, in few bytes.

use sha1::{Digest as _, Sha1};

use super::{Node, Value};

/// Equal for nodes that are the [same](Node::same_as), wherever they stand in the file, and for no others: to find out later what has
/// changed, without keeping the text, which may hold passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 20]);

impl Digest {
    /// Of these, in this order; what is not there counts, too.
    pub(super) fn of<'a>(nodes: impl IntoIterator<Item = Option<&'a Node>>) -> Self {
        let mut hash = Sha1::new();
        for node in nodes {
            match node {
                Some(node) => feed(&mut hash, node),
                None => hash.update([b'-']),
            }
        }
        Self(hash.finalize().into())
    }
}

/// Each value says of what kind and how long it is: no two trees give the same bytes.
fn feed(hash: &mut Sha1, node: &Node) {
    let kind = match &node.value {
        Value::Null => b'n',
        Value::Bool(_) => b'b',
        Value::Int(_) => b'i',
        Value::Float(_) => b'f',
        Value::Str(_) => b's',
        Value::Seq(_) => b'l',
        Value::Map(_) => b'm',
    };
    hash.update([kind]);
    match &node.value {
        Value::Seq(items) => {
            hash.update(items.len().to_be_bytes());
            for item in items {
                feed(hash, item);
            }
        }
        Value::Map(entries) => {
            hash.update(entries.len().to_be_bytes());
            for entry in entries {
                text(hash, &entry.key);
                feed(hash, &entry.value);
            }
        }
        // Numbers as they were written, which is what their text is.
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {
            text(hash, &node.text().unwrap_or_default());
        }
    }
}

fn text(hash: &mut Sha1, text: &str) {
    hash.update(text.len().to_be_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn it_tells_apart_what_is_not_the_same_and_nothing_else() {
        let texts = [
            "a: 1",
            "a: '1'",
            "a: 1.0",
            "a: 1.00",
            "a: true",
            "a: 'true'",
            "a: ~",
            "a: ''",
            "a: []",
            "a: {}",
            "a: [b, c]",
            "a: [bc]",
            "a: [[b], c]",
            "a: [[b, c]]",
            "a: {b: c}",
            "a: {b: c, d: e}",
            "a: {d: e, b: c}",
            "{a: 1, b: 2}",
            "b: 1",
        ];
        for one in texts {
            for other in texts {
                let nodes = [one, other].map(|text| parse(text).unwrap());
                let [first, second] = nodes.each_ref().map(|node| Digest::of([Some(node)]));
                assert_eq!(first == second, nodes[0].same_as(&nodes[1]), "{one} and {other}");
            }
        }
        let [here, there] =
            ["a: [1, x]", "# moved\n\n{\"a\":\n [1, \"x\"]}"].map(|text| parse(text).unwrap());
        assert_eq!(Digest::of([Some(&here)]), Digest::of([Some(&there)]));
        assert_ne!(Digest::of([Some(&here), None]), Digest::of([None, Some(&here)]));
    }
}
