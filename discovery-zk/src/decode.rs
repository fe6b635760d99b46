//! What one child says.

use std::collections::BTreeMap;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use discovery_core::{Endpoint, InvalidRecord, Record, printable};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

/// What one child says: an endpoint, or why it is none.
pub(crate) type Entry = Result<Endpoint, Box<str>>;

/// How the children of a node are read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Decode {
    /// Registrations of nerve or go-nerve: a [`Record`] in JSON.
    #[default]
    Nerve,
    /// A server set as Finagle and Aurora write it: `{"serviceEndpoint": {"host": …, "port": …}, "additionalEndpoints": {…},
    /// "status": "ALIVE", "shard": 0}`.
    ///
    /// The shard is the endpoint's name. An endpoint with another `status` than `ALIVE` is not available; without one it
    /// is.
    ServerSet {
        /// Which of `additionalEndpoints` is meant; `None`: `serviceEndpoint`.
        endpoint_name: Option<String>,
    },
}

const UNPADDED_TOO: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, UNPADDED_TOO);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, UNPADDED_TOO);

/// The longest data that are read as a server set: no node of ZooKeeper's holds more unless it is told to.
const MAX_BYTES: usize = 1 << 20;
/// How much of what a child says is repeated, in characters.
const SHOWN: usize = 200;

impl Decode {
    /// Reads what a child's name says: nerve can write the whole registration there (`use_path_encoding`), and does that in
    /// its own JSON whatever the data are. `None`: the name is only a name, and the data have to be read.
    pub(crate) fn read_name(child: &str) -> Option<Entry> {
        let json = encoded(child)?;
        match Record::parse(&json) {
            Ok(endpoint) => Some(Ok(with_id(endpoint, child))),
            // Not what nerve writes, so something else that looks like it.
            Err(InvalidRecord::Json(_)) => None,
            Err(error) => Some(Err(error.to_string().into())),
        }
    }

    /// Reads the data of a child.
    pub(crate) fn read_data(&self, child: &str, data: &[u8]) -> Entry {
        let data = data.trim_ascii();
        if data.is_empty() {
            return Err("the node is empty".into());
        }
        let endpoint = match self {
            Self::Nerve => Record::parse(data).map_err(|error| error.to_string())?,
            Self::ServerSet { endpoint_name } => server_set(data, endpoint_name.as_deref())?,
        };
        Ok(with_id(endpoint, child))
    }
}

/// The data in a name like `base64_<length>_<data>_<sequence>`, where the length is that of the base64 text, as nerve counts.
fn encoded(child: &str) -> Option<Vec<u8>> {
    let (length, rest) = child.strip_prefix("base64_")?.split_once('_')?;
    // `parse` alone would take a sign.
    let length: usize = length.parse().ok().filter(|_| length.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (data, sequence) = rest.split_at_checked(length)?;
    if !(sequence.is_empty() || sequence.starts_with('_')) {
        return None;
    }
    let engine = if data.contains(['+', '/']) { STANDARD } else { URL_SAFE };
    engine.decode(data).ok()
}

fn with_id(endpoint: Endpoint, child: &str) -> Endpoint {
    if endpoint.id().is_some() { endpoint } else { endpoint.with_id(id(child)) }
}

/// The last `_`-separated part of a name, if it is a number: the sequence that ZooKeeper counts up.
fn id(child: &str) -> Option<u64> {
    let last = child.rsplit('_').next()?;
    // `parse` alone would take a sign.
    last.parse().ok().filter(|_| last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A member of a server set. Its endpoints are maps with the fields that nerve's registrations have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a map with `serviceEndpoint`")]
struct Instance {
    #[serde(default)]
    service_endpoint: Option<Value>,
    // What is not asked for may be anything.
    #[serde(default)]
    additional_endpoints: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    shard: Option<Shard>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Shard {
    Number(i64),
    Text(String),
    Other(IgnoredAny),
}

fn server_set(data: &[u8], endpoint_name: Option<&str>) -> Entry {
    if data.len() > MAX_BYTES {
        return Err(format!("the data are longer than {MAX_BYTES} bytes").into());
    }
    let unreadable = |error: serde_json::Error| {
        format!("not a member of a server set in JSON: {}", printable(&error.to_string(), SHOWN))
    };
    let instance: Instance = serde_json::from_slice(data).map_err(unreadable)?;
    let endpoint = match endpoint_name {
        None => instance.service_endpoint.ok_or("there is no `serviceEndpoint`")?,
        Some(name) => {
            let mut others = instance.additional_endpoints.unwrap_or_default();
            others.remove(name).ok_or_else(|| missing(name, &others))?
        }
    };
    let name = match instance.shard {
        Some(Shard::Number(number)) => number.to_string(),
        Some(Shard::Text(text)) => text,
        Some(Shard::Other(IgnoredAny)) | None => String::new(),
    };
    let record: Record = serde_json::from_value(endpoint).map_err(unreadable)?;
    let endpoint = Endpoint::try_from(record).map_err(|error| error.to_string())?;
    let alive = instance.status.is_none_or(|status| status.eq_ignore_ascii_case("alive"));
    let endpoint = endpoint.with_name(&name).map_err(|error| error.to_string())?;
    let available = endpoint.available() && alive;
    Ok(endpoint.with_available(available))
}

fn missing(name: &str, others: &BTreeMap<String, Value>) -> String {
    let name = printable(name, SHOWN);
    if others.is_empty() {
        return format!("there is no additional endpoint `{name}`, and no other");
    }
    // Enough to see what was meant.
    let names: Vec<_> = others.keys().take(10).map(String::as_str).collect();
    format!("there is no additional endpoint `{name}`; there are: {}", printable(&names.join(", "), SHOWN))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: &str = r#"{"host":"10.0.0.1","port":80,"name":"a?~a"}"#;

    fn nerve(child: &str, data: &str) -> Entry {
        Decode::Nerve.read_data(child, data.as_bytes())
    }

    fn set(endpoint_name: Option<&str>, data: &str) -> Entry {
        Decode::ServerSet { endpoint_name: endpoint_name.map(str::to_owned) }
            .read_data("member_0000000007", data.as_bytes())
    }

    fn named(data: &str) -> String {
        format!("base64_{}_{data}_0000000012", data.len())
    }

    #[test]
    fn registrations_of_nerve_and_go_nerve_are_read() {
        let endpoint =
            nerve("i-1_0000000003", r#" {"host":"h","port":80,"name":"i-1","weight":5} "#).unwrap();
        assert_eq!(
            (endpoint.to_string(), endpoint.weight(), endpoint.id()),
            ("i-1_h:80".into(), Some(5), Some(3))
        );
        let hidden = nerve(
            "web_h_c_0123456789abcdef0123456789abcdef0000000009",
            r#"{"available":false,"host":"h","port":"80","name":"h:80","weight":255}"#,
        );
        let hidden = hidden.unwrap();
        assert_eq!((hidden.available(), hidden.id()), (false, None));
    }

    #[test]
    fn the_id_is_the_number_at_the_end_of_the_name_unless_the_registration_has_one() {
        for (child, id) in [
            ("i-1_0000000003", Some(3)),
            ("12", Some(12)),
            ("a_b_18446744073709551615", Some(u64::MAX)),
            ("a_18446744073709551616", None),
            ("a_-000000001", None),
            ("a_+1", None),
            ("a_", None),
            ("", None),
            ("a-7", None),
        ] {
            assert_eq!(nerve(child, r#"{"host":"h","port":1}"#).unwrap().id(), id, "{child}");
        }
        assert_eq!(nerve("a_1", r#"{"host":"h","port":1,"id":9}"#).unwrap().id(), Some(9));
    }

    #[test]
    fn what_is_no_registration_is_refused_with_the_reason() {
        for (data, reason) in [
            ("", "the node is empty"),
            (" \n", "the node is empty"),
            ("hello", "not a registration in JSON: expected value"),
            (r#"{"port":1}"#, "missing field `host`"),
            (r#"{"host":"h","port":0}"#, "expected a port (1 to 65535)"),
            (r#"{"host":"a\nserver evil","port":1}"#, "the host has a character"),
        ] {
            let refused = nerve("a", data).unwrap_err();
            assert!(refused.contains(reason), "{data:?}: {refused}");
        }
        assert!(Decode::Nerve.read_data("a", b"\xff\xfe").is_err());
        assert!(Decode::Nerve.read_data("a", &vec![b'x'; 2_000_000]).is_err());
    }

    #[test]
    fn a_name_that_has_the_registration_in_it_is_all_that_is_needed() {
        let padded = URL_SAFE.encode(JSON);
        assert!(padded.ends_with('=') && padded.contains('_'), "{padded}");
        let bare = padded.trim_end_matches('=');
        for data in [&padded, bare] {
            let plain = named(data);
            let endpoint = Decode::read_name(&plain).unwrap().unwrap();
            assert_eq!((endpoint.port().get(), endpoint.id()), (80, Some(12)), "{plain}");
        }
        // Nodes that are not sequential end otherwise.
        for end in ["", "_", "_x"] {
            let name = format!("base64_{}_{padded}{end}", padded.len());
            assert_eq!(Decode::read_name(&name).unwrap().unwrap().id(), None, "{name}");
        }
    }

    #[test]
    fn both_alphabets_are_read() {
        let json = r#"{"host":"h","port":1,"name":"~~~???"}"#;
        let (url_safe, standard) = (URL_SAFE.encode(json), STANDARD.encode(json));
        assert_ne!(url_safe, standard);
        for data in [url_safe, standard] {
            let endpoint = Decode::read_name(&named(&data)).unwrap().unwrap();
            assert_eq!(endpoint.name(), Some("~~~???"));
        }
    }

    #[test]
    fn a_name_that_only_looks_like_a_registration_means_that_the_data_are_read() {
        let data = URL_SAFE.encode(JSON);
        for name in [
            "i-1_0000000001".to_owned(),
            "base64_".to_owned(),
            "base64_5".to_owned(),
            "base64__abc_1".to_owned(),
            "base64_99999999999999999999_abc_1".to_owned(),
            format!("base64_{}_{data}_1", data.len() - 1),
            format!("base64_{}_{data}_1", data.len() + 100),
            format!("base64_+{}_{data}_1", data.len()),
            format!("base64_1_é_{data}"),
            named("!!!!"),
            named(&URL_SAFE.encode("hello")),
            named(&URL_SAFE.encode("[1,2]")),
            named(&URL_SAFE.encode(r#"{"port":80}"#)),
        ] {
            assert_eq!(Decode::read_name(&name), None, "{name}");
        }
    }

    #[test]
    fn a_registration_in_a_name_that_makes_no_endpoint_is_refused_with_the_reason() {
        let name = named(&URL_SAFE.encode(r#"{"host":"a\nb","port":80}"#));
        let refused = Decode::read_name(&name).unwrap().unwrap_err();
        assert!(refused.contains("the host has a character"), "{refused}");
    }

    #[test]
    fn members_of_server_sets_are_read() {
        let json = r#"{"serviceEndpoint":{"host":"h","port":31943},"shard":0,"status":"ALIVE",
            "additionalEndpoints":{"http":{"host":"h","port":31944},"odd":null}}"#;
        let endpoint = set(None, json).unwrap();
        assert_eq!((endpoint.to_string(), endpoint.id()), ("0_h:31943".into(), Some(7)));
        assert_eq!(set(Some("http"), json).unwrap().to_string(), "0_h:31944");
        let bare = set(None, r#"{"serviceEndpoint":{"host":"h","port":1}}"#).unwrap();
        assert_eq!((bare.name(), bare.available()), (None, true));
        let text = set(None, r#"{"serviceEndpoint":{"host":"h","port":1},"shard":"a"}"#).unwrap();
        assert_eq!(text.name(), Some("a"));
    }

    #[test]
    fn only_what_is_alive_in_a_server_set_is_available() {
        for (status, available) in [
            ("\"ALIVE\"", true),
            ("\"alive\"", true),
            ("null", true),
            ("\"STARTING\"", false),
            ("\"DEAD\"", false),
            ("\"WARNING\"", false),
            ("\"\"", false),
        ] {
            let json = format!(r#"{{"serviceEndpoint":{{"host":"h","port":1}},"status":{status}}}"#);
            assert_eq!(set(None, &json).unwrap().available(), available, "{status}");
        }
    }

    #[test]
    fn what_is_no_member_of_a_server_set_is_refused_with_the_reason() {
        for (name, json, reason) in [
            (None, "", "the node is empty"),
            (None, "x", "not a member of a server set in JSON: expected value"),
            (None, "{}", "there is no `serviceEndpoint`"),
            (None, r#"{"serviceEndpoint":{"host":"h"}}"#, "missing field `port`"),
            (None, r#"{"serviceEndpoint":{"host":"h","port":0}}"#, "expected a port (1 to 65535)"),
            (None, r#"{"serviceEndpoint":{"host":"","port":1}}"#, "the host is empty"),
            (None, r#"{"serviceEndpoint":{"host":"h","port":1},"status":1}"#, "expected a string"),
            (
                Some("http"),
                r#"{"serviceEndpoint":{"host":"h","port":1}}"#,
                "no additional endpoint `http`, and no other",
            ),
            (
                Some("http"),
                r#"{"additionalEndpoints":{"admin":{},"h\nttp":{}}}"#,
                "there is no additional endpoint `http`; there are: admin, h\\nttp",
            ),
        ] {
            let refused = set(name, json).unwrap_err();
            assert!(refused.contains(reason), "{json}: {refused}");
        }
        let long = format!(r#"{{"additionalEndpoints":{{"{}":1}}}}"#, "x".repeat(500_000));
        assert!(set(Some("http"), &long).unwrap_err().len() < 1000);
        assert!(set(None, &" 1".repeat(MAX_BYTES)).unwrap_err().contains("longer than"));
    }

    proptest! {
        #[test]
        fn no_data_make_it_panic(child in ".{0,20}", data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let set = Decode::ServerSet { endpoint_name: Some("http".to_owned()) };
            let _ = (Decode::Nerve.read_data(&child, &data), set.read_data(&child, &data));
        }

        #[test]
        fn no_name_makes_it_panic(name in "base64_[0-9]{0,3}_?[-_=+A-Za-z0-9é]{0,40}(_[0-9]{0,12})?") {
            let _ = Decode::read_name(&name);
        }

        #[test]
        fn whatever_nerve_writes_into_a_name_reads_as_what_it_writes_into_the_data(
            name in "[^\\p{Cc}]{0,30}", port in 1u16.., sequence in 0u32..,
        ) {
            let json = serde_json::json!({"host": "h", "port": port, "name": name}).to_string();
            let data = URL_SAFE.encode(&json);
            let child = format!("base64_{}_{data}_{sequence:010}", data.len());
            prop_assert_eq!(Decode::read_name(&child), Some(Decode::Nerve.read_data(&child, json.as_bytes())));
        }
    }
}
