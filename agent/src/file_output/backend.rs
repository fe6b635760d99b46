//! What a file says.

use std::collections::BTreeMap;

use discovery_core::{Endpoint, Snapshot};
use serde::Serialize;
use serde_json::Value;

/// An endpoint as Synapse writes it: its keys, in its order, null where there is nothing to say.
#[derive(Debug, Serialize)]
struct Backend<'a> {
    name: Option<&'a str>,
    host: String,
    port: u16,
    id: Option<u64>,
    weight: Option<u32>,
    haproxy_server_options: Option<&'a str>,
    labels: Option<BTreeMap<&'a str, &'a str>>,
    /// Only where it is true: whoever takes it for one of the others would send it traffic that it should not have.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    backup: bool,
}

impl<'a> From<&'a Endpoint> for Backend<'a> {
    fn from(endpoint: &'a Endpoint) -> Self {
        let labels: BTreeMap<_, _> = endpoint.labels().collect();
        Self {
            name: endpoint.name(),
            host: endpoint.host().to_string(),
            port: endpoint.port().get(),
            id: endpoint.id(),
            weight: endpoint.weight(),
            haproxy_server_options: endpoint.server_options(),
            labels: (!labels.is_empty()).then_some(labels),
            backup: endpoint.backup(),
        }
    }
}

/// The text of the file of a service that has these endpoints.
pub(super) fn text(snapshot: &Snapshot) -> Vec<u8> {
    let backends: Vec<_> = snapshot.endpoints().iter().map(Backend::from).collect();
    let mut text = serde_json::to_vec(&backends)
        .expect("lists, maps with text keys, text, whole numbers and booleans are JSON");
    text.push(b'\n');
    text
}

/// Whether two texts say the same, however it is written.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    let parsed = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
    one == other || parsed(one).zip(parsed(other)).is_some_and(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_has_the_keys_of_synapse_in_its_order() {
        let bare = Endpoint::new("10.0.0.1".parse().unwrap(), 80).unwrap();
        let full = Endpoint::new("b.example".parse().unwrap(), 81)
            .and_then(|endpoint| endpoint.with_name("i-1"))
            .and_then(|endpoint| endpoint.with_server_options("check \"x\""))
            .and_then(|endpoint| endpoint.with_labels([("az".to_owned(), "a".to_owned())].into()))
            .unwrap()
            .with_id(Some(7))
            .with_weight(Some(10));
        let twin = Endpoint::new("fe80::1".parse().unwrap(), 82).unwrap().with_backup(true);
        let text = String::from_utf8(text(&Snapshot::new([bare, full, twin]))).unwrap();
        let expected = concat!(
            r#"[{"name":null,"host":"10.0.0.1","port":80,"id":null,"weight":null,"haproxy_server_options":null,"labels":null},"#,
            r#"{"name":null,"host":"fe80::1","port":82,"id":null,"weight":null,"haproxy_server_options":null,"labels":null,"backup":true},"#,
            r#"{"name":"i-1","host":"b.example","port":81,"id":7,"weight":10,"haproxy_server_options":"check \"x\"","labels":{"az":"a"}}]"#,
            "\n",
        );
        assert_eq!(text, expected);
        assert_eq!(super::text(&Snapshot::default()), b"[]\n");
    }

    #[test]
    fn what_is_written_otherwise_is_the_same() {
        assert!(same(br#"[{"a":1,"b":null}]"#, b"[ {\"b\": null, \"a\": 1} ]\n"));
        assert!(!same(br#"[{"a":1},{"a":2}]"#, br#"[{"a":2},{"a":1}]"#), "an order says something");
        assert!(!same(br#"[{"a":1}]"#, br#"[{"a":"1"}]"#));
        assert!(!same(b"[", b"[]"));
        assert!(!same(b"", b"null"));
    }
}
