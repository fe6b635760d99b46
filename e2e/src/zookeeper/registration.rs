//! What a publisher says of one server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde::Serialize;

/// Longest data that nerve puts into a name.
const LONGEST_NAME: usize = 65_536;

/// How many of go-nerve's nodes have been named: each has a number that no other has.
static NAMED: AtomicU64 = AtomicU64::new(0);

/// What a publisher says of one server, in the words of nerve or of go-nerve.
#[derive(Debug, Clone)]
pub struct Registration {
    node: String,
    record: Record,
}

/// The fields of both, in the order in which each of the two writes those that it has.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Record {
    Nerve {
        host: String,
        port: u16,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        weight: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        haproxy_server_options: Option<String>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
    },
    GoNerve {
        available: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        unavailable_reason: Option<String>,
        host: String,
        port: u16,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        haproxy_server_options: Option<String>,
        weight: u32,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
    },
}

impl Registration {
    /// Nerve's: a node `ID_0000000012`, and host, port and name.
    pub fn nerve(instance_id: &str, host: &str, port: u16) -> Self {
        let record = Record::Nerve {
            host: host.to_owned(),
            port,
            name: instance_id.to_owned(),
            weight: None,
            haproxy_server_options: None,
            labels: BTreeMap::new(),
        };
        Self { node: format!("{instance_id}_"), record }
    }

    /// go-nerve's: a node `NAME_HOST_c_HEX0000000012`, available and with a weight of 255.
    pub fn go_nerve(name: &str, host: &str, port: u16) -> Self {
        let record = Record::GoNerve {
            available: true,
            unavailable_reason: None,
            host: host.to_owned(),
            port,
            name: name.to_owned(),
            haproxy_server_options: None,
            weight: 255,
            labels: BTreeMap::new(),
        };
        let number = NAMED.fetch_add(1, Ordering::Relaxed);
        Self { node: format!("{name}_{host}_c_{number:032x}"), record }
    }

    /// With a weight.
    pub fn with_weight(mut self, of: u32) -> Self {
        match &mut self.record {
            Record::Nerve { weight, .. } => *weight = Some(of),
            Record::GoNerve { weight, .. } => *weight = of,
        }
        self
    }

    /// With options for the `server` line.
    pub fn with_server_options(mut self, options: &str) -> Self {
        match &mut self.record {
            Record::Nerve { haproxy_server_options, .. } | Record::GoNerve { haproxy_server_options, .. } => {
                *haproxy_server_options = Some(options.to_owned());
            }
        }
        self
    }

    /// With one more label.
    pub fn with_label(mut self, name: &str, value: &str) -> Self {
        match &mut self.record {
            Record::Nerve { labels, .. } | Record::GoNerve { labels, .. } => {
                labels.insert(name.to_owned(), value.to_owned());
            }
        }
        self
    }

    /// Exposed, but not to be used: only go-nerve has words for that.
    pub fn unavailable(mut self, reason: &str) -> Self {
        match &mut self.record {
            Record::Nerve { .. } => panic!("nerve removes what is not available"),
            Record::GoNerve { available, unavailable_reason, .. } => {
                *available = false;
                *unavailable_reason = Some(reason.to_owned());
            }
        }
        self
    }

    /// The node's data.
    pub fn json(&self) -> String {
        serde_json::to_string(&self.record).expect("strings, numbers and a map of strings have a JSON form")
    }

    /// The node's name, before ZooKeeper appends ten digits.
    pub fn node(&self) -> String {
        self.node.clone()
    }

    /// The node's name, before ZooKeeper appends ten digits, as nerve makes it with `use_path_encoding`: the data are in it.
    pub fn encoded_node(&self) -> String {
        let encoded = URL_SAFE.encode(self.json());
        assert!(encoded.len() <= LONGEST_NAME, "nerve does not put that much into a name");
        format!("base64_{}_{encoded}_", encoded.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nerve_writes_its_fields_in_its_order() {
        let plain = Registration::nerve("i-1", "10.0.0.1", 80);
        assert_eq!(plain.json(), r#"{"host":"10.0.0.1","port":80,"name":"i-1"}"#);
        assert_eq!(plain.node(), "i-1_");
        let full = plain.with_label("az", "a").with_server_options("backup").with_weight(3);
        assert_eq!(
            full.json(),
            r#"{"host":"10.0.0.1","port":80,"name":"i-1","weight":3,"haproxy_server_options":"backup","labels":{"az":"a"}}"#
        );
    }

    #[test]
    fn an_encoded_name_says_the_length_of_what_is_encoded() {
        let name = Registration::nerve("i-1", "10.0.0.1", 80).encoded_node();
        assert_eq!(name, "base64_56_eyJob3N0IjoiMTAuMC4wLjEiLCJwb3J0Ijo4MCwibmFtZSI6ImktMSJ9_");
    }

    #[test]
    fn go_nerve_always_says_whether_a_server_is_available_and_its_weight() {
        let one = Registration::go_nerve("web", "10.0.0.1", 80);
        assert_eq!(one.json(), r#"{"available":true,"host":"10.0.0.1","port":80,"name":"web","weight":255}"#);
        let two = Registration::go_nerve("web", "10.0.0.1", 80).unavailable("draining");
        assert_eq!(
            two.json(),
            r#"{"available":false,"unavailable_reason":"draining","host":"10.0.0.1","port":80,"name":"web","weight":255}"#
        );
        assert!(one.node().starts_with("web_10.0.0.1_c_0000"));
        assert_ne!(one.node(), two.node());
    }
}
