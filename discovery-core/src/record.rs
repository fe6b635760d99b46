//! One endpoint as registries hold it.

use std::{collections::BTreeMap, num::IntErrorKind};

use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use thiserror::Error;

use crate::{
    endpoint::{Endpoint, InvalidEndpoint},
    host::Host,
    text::{SHOWN, printable},
};

/// One endpoint in the field names of SmartStack's nerve: what nerve and go-nerve write into a registry, what stands in the
/// `default_servers` of a configuration and in a [`Catalog`](crate::Catalog).
///
/// | field | type | |
/// |---|---|---|
/// | `host` | text | required: an IP address or a DNS name |
/// | `port` | 1 to 65535, as a number or digits | required |
/// | `name` | text | |
/// | `weight` | number, 0 or more | |
/// | `haproxy_server_options` | text | |
/// | `labels` | map from text to text, number or true/false | |
/// | `available` | true/false | go-nerve: false means "do not send traffic"; absent or null means true |
/// | `id` | number, 0 or more | for leader election |
/// | `backup` | true/false | |
///
/// `null` is the same as absent. Fields that are not named here are ignored.
///
/// ```
/// use discovery_core::{Endpoint, Record};
///
/// let endpoint = Record::parse(br#"{"host":"10.0.0.7","port":8080,"name":"i-1","weight":10}"#)?;
/// assert_eq!(endpoint.to_string(), "i-1_10.0.0.7:8080");
/// # Ok::<(), discovery_core::InvalidRecord>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "a map with `host` and `port`")]
#[cfg_attr(feature = "schema", schemars(description = "One server."))]
pub struct Record {
    /// An IP address or a DNS name.
    host: String,
    /// 1 to 65535.
    #[serde(deserialize_with = "port")]
    #[cfg_attr(feature = "schema", schemars(with = "u16", range(min = 1)))]
    port: u16,
    /// What it is called, beside its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// For leader election: the lowest wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// How much traffic it gets, relative to the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    /// Whether it serves only when no other does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup: Option<bool>,
    /// `false`: it gets no traffic. Absent or null means `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    available: Option<bool>,
    /// More options for its `server` line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    haproxy_server_options: Option<String>,
    /// What `label_filters` look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, Label>>,
}

/// A label's value as it is written; read, it is text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct Label(String);

/// Why a registration cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// It is longer than a registration may be.
    #[error("the registration is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// It is not JSON, or a field is missing or of the wrong type.
    #[error("not a registration in JSON: {0}")]
    Json(String),
    /// Its fields do not make an endpoint.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
}

/// The longest registration that is read: the most that ZooKeeper and etcd hold in one entry is of the same size.
const MAX_BYTES: usize = 1 << 20;

impl Record {
    /// Reads one registration, as JSON.
    pub fn parse(json: &[u8]) -> Result<Endpoint, InvalidRecord> {
        if json.len() > MAX_BYTES {
            return Err(InvalidRecord::TooLong);
        }
        // What serde_json says of a wrong type repeats the whole value: cut here, so that nobody keeps or shows a megabyte.
        let record: Self = serde_json::from_slice(json)
            .map_err(|error| InvalidRecord::Json(printable(&error.to_string(), SHOWN)))?;
        Ok(Endpoint::try_from(record)?)
    }
}

impl TryFrom<Record> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(record: Record) -> Result<Self, InvalidEndpoint> {
        let labels = record.labels.unwrap_or_default().into_iter().map(|(name, Label(value))| (name, value));
        Ok(Self::new(Host::parse(&record.host)?, record.port)?
            .with_name(record.name.as_deref().unwrap_or_default())?
            .with_server_options(record.haproxy_server_options.as_deref().unwrap_or_default())?
            .with_labels(labels.collect())?
            .with_id(record.id)
            .with_weight(record.weight)
            .with_backup(record.backup.unwrap_or(false))
            .with_available(record.available.unwrap_or(true)))
    }
}

impl From<&Endpoint> for Record {
    fn from(endpoint: &Endpoint) -> Self {
        let labels: BTreeMap<_, _> =
            endpoint.labels().map(|(name, value)| (name.to_owned(), Label(value.to_owned()))).collect();
        Self {
            host: endpoint.host().to_string(),
            port: endpoint.port().get(),
            name: endpoint.name().map(str::to_owned),
            id: endpoint.id(),
            weight: endpoint.weight(),
            backup: endpoint.backup().then_some(true),
            available: (!endpoint.available()).then_some(false),
            haproxy_server_options: endpoint.server_options().map(str::to_owned),
            labels: (!labels.is_empty()).then_some(labels),
        }
    }
}

/// A port as a number, or as digits: both are in use.
fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    struct Port;

    impl serde::de::Visitor<'_> for Port {
        type Value = u16;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a port (1 to 65535)")
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u16, E> {
            let port = u16::try_from(number).ok().filter(|&port| port > 0);
            port.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self))
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u16, E> {
            let unsigned = u64::try_from(number);
            unsigned
                .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))
                .and_then(|number| self.visit_u64(number))
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u16, E> {
            let digits = !text.starts_with('+');
            match text.parse::<u64>() {
                Ok(number) if digits => self.visit_u64(number),
                Err(error) if *error.kind() == IntErrorKind::PosOverflow => self.visit_u64(u64::MAX),
                _ => Err(E::custom("the port is neither a number nor digits")),
            }
        }
    }

    deserializer.deserialize_any(Port)
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Label {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Label".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"], "x-exact": true })
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Truth(bool),
            Whole(i64),
            Large(u64),
            Number(f64),
            Other(IgnoredAny),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Ok(Self(text)),
            Written::Truth(truth) => Ok(Self(truth.to_string())),
            Written::Whole(number) => Ok(Self(number.to_string())),
            Written::Large(number) => Ok(Self(number.to_string())),
            Written::Number(number) => Ok(Self(number.to_string())),
            Written::Other(_) => Err(serde::de::Error::custom(
                "a label's value is neither text nor a number nor true or false",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nerves_and_go_nerves_registrations_are_read() {
        let nerve = br#"{"host":"10.0.0.7","port":3000,"name":"i-1","weight":5,"haproxy_server_options":"backup","labels":{"az":"a","n":1,"t":true}}"#;
        let endpoint = Record::parse(nerve).unwrap();
        assert_eq!(endpoint.name(), Some("i-1"));
        assert_eq!(endpoint.weight(), Some(5));
        assert_eq!(endpoint.server_options(), Some("backup"));
        assert_eq!(endpoint.labels().collect::<Vec<_>>(), [("az", "a"), ("n", "1"), ("t", "true")]);

        let go_nerve = br#"{"available":false,"unavailable_reason":"x","host":"h","port":"80","name":"h:80","weight":255}"#;
        let endpoint = Record::parse(go_nerve).unwrap();
        assert!(!endpoint.available());
        assert_eq!(endpoint.port().get(), 80);

        let bare =
            Record::parse(br#"{"host":"h","port":1,"available":null,"weight":null,"labels":null}"#).unwrap();
        assert!(bare.available());
        assert_eq!(bare.weight(), None);
    }

    #[test]
    fn what_is_wrong_with_a_registration_is_said() {
        for (json, reason) in [
            ("{", "not a registration in JSON: EOF while parsing an object at line 1 column 1"),
            ("\u{0}\u{1}", "not a registration in JSON: expected value at line 1 column 1"),
            (r#"{"port":1}"#, "not a registration in JSON: missing field `host` at line 1 column 10"),
            (
                r#"{"host":"h","port":0}"#,
                "not a registration in JSON: invalid value: integer `0`, expected a port (1 to 65535) at line 1 column 20",
            ),
            (
                r#"{"host":"h","port":70000}"#,
                "not a registration in JSON: invalid value: integer `70000`, expected a port (1 to 65535) at line 1 column 24",
            ),
            (
                r#"{"host":"h","port":"http"}"#,
                "not a registration in JSON: the port is neither a number nor digits at line 1 column 25",
            ),
            (
                r#"{"host":"a\nserver evil","port":1}"#,
                "the host has a character that neither an IP address nor a DNS name may have",
            ),
            (r#"{"host":"h","port":1,"name":"a\nb"}"#, "the name has a control character"),
        ] {
            assert_eq!(Record::parse(json.as_bytes()).unwrap_err().to_string(), reason, "{json}");
        }
        assert!(matches!(Record::parse(&vec![b' '; MAX_BYTES + 1]), Err(InvalidRecord::TooLong)));
    }

    #[test]
    fn what_is_said_of_a_value_is_short_however_long_the_value() {
        let json = format!(r#"{{"host":"h","port":1,"weight":"{}"}}"#, "x".repeat(500_000));
        assert!(Record::parse(json.as_bytes()).unwrap_err().to_string().len() < 1000);
    }

    #[test]
    fn large_numbers_stay_what_they_are_as_labels() {
        let json = br#"{"host":"h","port":1,"labels":{"n":12345678901234567890}}"#;
        assert_eq!(Record::parse(json).unwrap().label("n"), Some("12345678901234567890"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::parse(&bytes);
        }

        #[test]
        fn what_is_written_reads_as_the_same_endpoint(
            port in 1u16..,
            name in "[a-z\" \\\\]{0,9}",
            id in proptest::option::of(any::<u64>()),
            weight in proptest::option::of(any::<u32>()),
            backup in any::<bool>(),
            available in any::<bool>(),
            labels in proptest::collection::btree_map("[a-z]{1,5}", "[^\\p{Cc}]{0,5}", 0..4),
        ) {
            let endpoint = Endpoint::new("10.0.0.1".parse().unwrap(), port).unwrap()
                .with_name(&name).unwrap()
                .with_labels(labels).unwrap()
                .with_id(id).with_weight(weight).with_backup(backup).with_available(available);
            let written = serde_json::to_vec(&Record::from(&endpoint)).unwrap();
            prop_assert_eq!(Record::parse(&written).unwrap(), endpoint);
        }
    }
}
