//! The document of endpoints.

mod outline;

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use thiserror::Error;

use crate::{
    record::Record,
    settings::Settings,
    snapshot::Snapshot,
    text::{SHOWN, printable},
};

/// The longest document that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// A document of endpoints: who serves which service.
///
/// The one format for endpoints in files, written by people and programs: a map from the name of a service to a list of
/// [`Record`]s. For one service also the bare list, which then answers for any name.
///
/// ```json
/// {
///   // A comment.
///   "web": [
///     {"host": "10.0.0.7", "port": 8080, "name": "i-1", "weight": 10},
///     {"host": "db-1.internal", "port": 8080, "labels": {"zone": "a"}},
///   ],
///   "search": []
/// }
/// ```
///
/// A registry may also say how a service is to be served ([`Settings`]). Then the service is a map:
///
/// ```json
/// {"web": {"endpoints": [], "generators": {"haproxy": {"listen": ["balance leastconn"]}}}}
/// ```
///
/// The map may also say that this was true once, and may not be now: `"as_of"`, in seconds since 1970.
///
/// A text whose first character, white space and comments aside, is `{` or `[` is read as JSON, in which comments (`//`, `#`,
/// `/* */`) and trailing commas are allowed; any other is read as YAML. A byte order mark is skipped.
///
/// The document is whole or it is refused: bad syntax, a service that is there twice, something else than a list where a list
/// is expected, no content at all, more than 64 MiB, more than 1,000,000 entries, or in YAML more than 2,000,000 values. One
/// *entry* that is not a valid endpoint is a [`Rejection`](crate::Rejection) of its service, named by its place (`web[3]`,
/// counted from 0; `[3]` in a bare list), and the rest stands; so it is with settings that are none (`web.generators`).
///
/// ```
/// use discovery_core::Catalog;
///
/// let catalog = Catalog::parse("web:\n- {host: 10.0.0.7, port: 8080}\n- {host: 10.0.0.8}\n")?;
/// let web = catalog.service("web").expect("it is in the document");
/// assert_eq!(web.endpoints()[0].to_string(), "10.0.0.7:8080");
/// assert_eq!(web.rejected().named()[0].entry(), "web[1]");
/// assert_eq!(web.rejected().named()[0].reason(), "missing field `port`");
/// # Ok::<(), discovery_core::InvalidCatalog>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    content: Content,
    /// When what is not current was.
    as_of: BTreeMap<String, SystemTime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Services(BTreeMap<String, Snapshot>),
    Bare(Snapshot),
}

/// Why a text is not a [`Catalog`]. Shows what is wrong and, where known, the place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}{}", self.place())]
pub struct InvalidCatalog {
    reason: String,
    at: Option<(usize, usize)>,
}

impl InvalidCatalog {
    fn new(reason: &str, at: Option<(usize, usize)>) -> Self {
        Self { reason: printable(reason, SHOWN), at }
    }

    /// The line, from 1, at which reading stopped.
    pub fn line(&self) -> Option<usize> {
        self.at.map(|(line, _)| line)
    }

    /// The column, from 1, at which reading stopped: in bytes in JSON, in characters in YAML.
    pub fn column(&self) -> Option<usize> {
        self.at.map(|(_, column)| column)
    }

    fn place(&self) -> String {
        self.at.map(|(line, column)| format!(" at line {line} column {column}")).unwrap_or_default()
    }
}

impl Catalog {
    /// A catalog of these services. Of several with one name the last stays.
    pub fn new(services: impl IntoIterator<Item = (String, Snapshot)>) -> Self {
        Self { content: Content::Services(services.into_iter().collect()), as_of: BTreeMap::new() }
    }

    /// The same catalog, with a service of which is only known what it was at some time. A bare list stays as it is.
    #[must_use]
    pub fn with_former(mut self, service: String, snapshot: Snapshot, as_of: SystemTime) -> Self {
        if let Content::Services(services) = &mut self.content {
            services.insert(service.clone(), snapshot);
            self.as_of.insert(service, as_of);
        }
        self
    }

    /// A catalog that says this of any service: the bare list, in which there is no place for settings.
    pub fn bare(snapshot: Snapshot) -> Self {
        Self { content: Content::Bare(snapshot.with_settings(None)), as_of: BTreeMap::new() }
    }

    /// Reads a document. See [`Catalog`] for what is accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidCatalog> {
        if text.len() > MAX_BYTES {
            return Err(InvalidCatalog::new("the document is longer than 64 MiB", None));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match first_significant(text) {
            None => Err(InvalidCatalog::new("the document is empty", None)),
            Some('{' | '[') => outline::json(text),
            Some(_) => outline::yaml(text),
        }
    }

    /// What the document says of a service; `None` when it does not name it. A bare list answers for any name.
    pub fn service(&self, name: &str) -> Option<&Snapshot> {
        match &self.content {
            Content::Services(services) => services.get(name),
            Content::Bare(snapshot) => Some(snapshot),
        }
    }

    /// When what the document says of a service was true, if that may have changed since.
    pub fn as_of(&self, name: &str) -> Option<SystemTime> {
        self.as_of.get(name).copied()
    }

    /// Whether this is a bare list: what it says is of one service, and it does not say of which.
    pub fn is_bare(&self) -> bool {
        matches!(self.content, Content::Bare(_))
    }

    /// The services that the document names, sorted by name: none when it is a bare list.
    pub fn services(&self) -> impl Iterator<Item = (&str, &Snapshot)> {
        let named = match &self.content {
            Content::Services(services) => Some(services),
            Content::Bare(_) => None,
        };
        named.into_iter().flatten().map(|(name, snapshot)| (name.as_str(), snapshot))
    }

    /// The document as indented JSON that ends with a line feed: equal catalogs give equal texts, and
    /// [`parse`](Self::parse) gives the catalog back. What was rejected is not in it.
    #[expect(clippy::missing_panics_doc, reason = "what it writes is always JSON")]
    pub fn to_json(&self) -> String {
        let records = |snapshot: &Snapshot| snapshot.into_iter().map(Record::from).collect::<Vec<_>>();
        let service = |name: &str, snapshot: &Snapshot| {
            let since = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            match (snapshot.settings(), self.as_of(name).map(since)) {
                (None, None) => Written::List(records(snapshot)),
                (generators, as_of) => {
                    Written::Map { as_of, endpoints: records(snapshot), generators: generators.cloned() }
                }
            }
        };
        let text = match &self.content {
            Content::Services(services) => {
                let services: BTreeMap<_, _> =
                    services.iter().map(|(name, snapshot)| (name, service(name, snapshot))).collect();
                serde_json::to_string_pretty(&services)
            }
            Content::Bare(snapshot) => serde_json::to_string_pretty(&records(snapshot)),
        };
        text.expect("maps with text keys, lists, text, whole numbers and booleans are JSON") + "\n"
    }
}

/// What is written of one service.
#[derive(Serialize)]
#[serde(untagged)]
enum Written {
    List(Vec<Record>),
    Map {
        #[serde(skip_serializing_if = "Option::is_none")]
        as_of: Option<u64>,
        endpoints: Vec<Record>,
        #[serde(skip_serializing_if = "Option::is_none")]
        generators: Option<Settings>,
    },
}

/// The first character that is neither white space nor in a comment of JSON or YAML.
fn first_significant(text: &str) -> Option<char> {
    let mut rest = text.trim_start();
    loop {
        rest = if rest.starts_with('#') || rest.starts_with("//") {
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return rest.chars().next();
        }
        .trim_start();
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::{outline::MAX_ENTRIES, *};
    use crate::Endpoint;

    fn shown(catalog: &Catalog) -> Vec<String> {
        let line = |(name, snapshot): (&str, &Snapshot)| format!("{name} {snapshot:?}");
        catalog.services().map(line).collect()
    }

    #[test]
    fn one_document_in_json_with_comments_and_in_yaml_is_the_same() {
        let plain = r#"{"web":[{"host":"a","port":1},{"host":"b","port":2,"weight":7}],"idle":[]}"#;
        let commented = "\u{feff} // c\n# c\n/* { */ {\n\"web\": [ // http://x\n{\"host\":\"a\",\"port\":1},\n{\"host\":\"b\",\"port\":2,\"weight\":7,},],\n\"idle\": [],}";
        let yaml = "# c\nidle: []\nweb:\n- {host: a, port: 1}\n- host: b\n  port: 2\n  weight: 7\n";
        let dashed = "---\n{\"idle\":[],\"web\":[{\"host\":\"a\",\"port\":\"1\"},{\"host\":\"b\",\"port\":2,\"weight\":7}]}\n";
        let expected = Catalog::parse(plain).unwrap();
        assert_eq!(shown(&expected), ["idle []", "web [a:1, b:2 weight=7]"]);
        for text in [commented, yaml, dashed] {
            assert_eq!(Catalog::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_bare_list_answers_for_any_name() {
        for text in [r#"[{"host":"a","port":1}]"#, "- host: a\n  port: 1\n"] {
            let catalog = Catalog::parse(text).unwrap();
            assert!(catalog.is_bare());
            assert_eq!(catalog.service("anything").map(Snapshot::len), Some(1));
            assert_eq!(catalog.services().count(), 0);
        }
    }

    #[test]
    fn a_service_may_come_with_settings() {
        let json = r#"{"web":{"endpoints":[{"host":"a","port":1}],"generators":{"haproxy":{"listen":["retries 2"]}}},"x":[]}"#;
        let yaml = "web:\n  generators: {haproxy: {listen: [retries 2]}}\n  endpoints:\n  - {host: a, port: 1}\nx: {endpoints: []}\n";
        let expected = Catalog::parse(json).unwrap();
        assert_eq!(shown(&expected), [r#"web [a:1] settings={"haproxy"}"#, "x []"]);
        assert_eq!(Catalog::parse(yaml).unwrap(), expected);
        assert_eq!(Catalog::parse(&expected.to_json()).unwrap(), expected);
        let bad =
            Catalog::parse(r#"{"web": {"endpoints": [{"host":"a","port":1}], "generators": [1]}}"#).unwrap();
        let web = bad.service("web").unwrap();
        assert_eq!(
            (web.len(), web.settings(), web.rejected().named()[0].entry()),
            (1, None, "web.generators")
        );
    }

    #[test]
    fn what_was_true_once_is_told_from_what_is() {
        let snapshot = Snapshot::new([Endpoint::new("a".parse().unwrap(), 1).unwrap()]);
        let then = UNIX_EPOCH + std::time::Duration::from_secs(1_760_000_000);
        let catalog = Catalog::new([("x".to_owned(), Snapshot::default())]);
        let catalog = catalog.with_former("web".to_owned(), snapshot, then);
        let json = r#"{"web":{"as_of":1760000000,"endpoints":[{"host":"a","port":1}]},"x":[]}"#;
        let written: serde_json::Value = serde_json::from_str(&catalog.to_json()).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(json).unwrap());
        let yaml = "web:\n  as_of: 1760000000\n  endpoints:\n  - {host: a, port: 1}\nx: []\n";
        for text in [json, yaml] {
            assert_eq!(Catalog::parse(text).unwrap(), catalog);
        }
        assert_eq!((catalog.as_of("web"), catalog.as_of("x")), (Some(then), None));
        for bad in ["-1", "\"now\"", "1, \"as_of\": 1"] {
            assert!(Catalog::parse(&json.replace("1760000000", bad)).is_err(), "{bad}");
        }
        assert_eq!(
            Catalog::parse(&json.replace("1760000000", &u64::MAX.to_string())).unwrap().as_of("web"),
            None
        );
    }

    #[test]
    fn of_a_map_nothing_may_be_missing_double_or_unknown() {
        for (text, said) in [
            ("{\"web\": {}}", "missing field `endpoints`"),
            (
                "{\"web\": {\"endpoint\": []}}",
                "unknown field `endpoint`, expected one of `endpoints`, `generators`, `as_of`",
            ),
            ("{\"web\": {\"endpoints\": [], \"endpoints\": []}}", "duplicate field `endpoints`"),
            (
                "{\"web\": {\"endpoints\": {\"endpoints\": []}}}",
                "invalid type: map, expected a list of endpoints of the service `web`",
            ),
        ] {
            let error = Catalog::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_service_that_is_not_named_is_told_from_one_that_nobody_serves() {
        let catalog = Catalog::parse(r#"{"web":[]}"#).unwrap();
        assert_eq!(catalog.service("web"), Some(&Snapshot::default()));
        assert_eq!(catalog.service("wbe"), None);
    }

    #[test]
    fn an_entry_that_is_no_endpoint_is_rejected_by_its_place_and_the_rest_stands() {
        let json = r#"{"web":[{"host":"a","port":1},{"host":"b"},7,null,{"host":"c","port":99999},
            {"host":"a\nserver evil","port":1},{"host":"d","port":4,"host":"d"},[[]]],"x":["b:2"]}"#;
        let reasons = |text: &str, service: &str| {
            let catalog = Catalog::parse(text).unwrap();
            let snapshot = catalog.service(service).unwrap();
            let named = snapshot.rejected().named().iter();
            (snapshot.len(), named.map(|one| format!("{} {}", one.entry(), one.reason())).collect::<Vec<_>>())
        };
        let (stand, rejected) = reasons(json, "web");
        assert_eq!(stand, 1);
        assert_eq!(
            rejected,
            [
                "web[1] missing field `port`",
                "web[2] invalid type: integer `7`, expected a map with `host` and `port`",
                "web[3] invalid type: null, expected a map with `host` and `port`",
                "web[4] invalid value: integer `99999`, expected a port (1 to 65535)",
                "web[5] the host has a character that neither an IP address nor a DNS name may have",
                "web[6] duplicate field `host`",
                "web[7] invalid type: sequence, expected a string",
            ]
        );
        let of_yaml = "web:\n- host: b\n- 7\n- {host: a, port: 1, labels: {ok: no, n: 012, v: 1_0}}\n- {host: [], port: 1}\n";
        let (stand, rejected) = reasons(of_yaml, "web");
        assert_eq!(stand, 1);
        assert_eq!(rejected.len(), 3, "{rejected:?}");
        let catalog = Catalog::parse(of_yaml).unwrap();
        let labels: Vec<_> = catalog.service("web").unwrap().endpoints()[0].labels().collect();
        assert_eq!(labels, [("n", "012"), ("ok", "no"), ("v", "1_0")]);
    }

    #[test]
    fn what_is_wrong_with_a_document_is_said_with_its_place() {
        for (text, said) in [
            ("", "the document is empty"),
            (" \n// only a comment", "the document is empty"),
            ("{\"web\": [\n {\"host\":\"a\",", "EOF while parsing an object at line 2 column 13"),
            (
                "{\"web\": 7}",
                "invalid type: integer `7`, expected a list of endpoints of the service `web` at line 1 column 9",
            ),
            ("{\"web\": [],\n \"web\": []}", "the service `web` is there twice at line 2 column 11"),
            ("{\"web\": []} x", "trailing characters at line 1 column 13"),
            ("{ / }", "a `/` that begins no comment"),
            (
                "web",
                "invalid type: string \"web\", expected a map from services to lists of endpoints, or a list of endpoints",
            ),
            (
                "web: 7\n",
                "invalid type: integer `7`, expected a list of endpoints of the service `web` at line 1 column 1",
            ),
            ("a: []\nb: [\n", "unclosed bracket '[' at line 2 column 4"),
            ("a: []\na: []\n", "duplicate mapping key `a` is not allowed here at line 2 column 1"),
        ] {
            assert_eq!(Catalog::parse(text).expect_err(text).to_string(), said, "{text}");
        }
        let error = Catalog::parse("a: []\nb: [\n").unwrap_err();
        assert_eq!((error.line(), error.column()), (Some(2), Some(4)));
    }

    #[test]
    fn null_where_a_list_belongs_is_not_taken_for_nobody() {
        for text in ["web:\n", r#"{"web":null}"#, "null", "~"] {
            assert!(Catalog::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_hundred_thousand_endpoints_are_read() {
        let snapshot: Snapshot = (0..100_000u32)
            .map(|n| {
                let address = std::net::IpAddr::from(0x0a00_0001u32.wrapping_add(n).to_be_bytes());
                Endpoint::new(address.try_into().unwrap(), 80).unwrap().with_weight(Some(n))
            })
            .collect();
        let catalog = Catalog::new([("web".to_owned(), snapshot)]);
        let text = catalog.to_json();
        assert_eq!(Catalog::parse(&text).unwrap(), catalog);
        assert_eq!(Catalog::parse(&format!("// c\n{text}")).unwrap(), catalog);
        assert_eq!(Catalog::parse(&format!("---\n{text}")).unwrap(), catalog);
    }

    #[test]
    fn hostile_documents_are_refused() {
        let error = |text: &str| Catalog::parse(text).unwrap_err().to_string();
        assert_eq!(error(&" ".repeat(MAX_BYTES + 1)), "the document is longer than 64 MiB");
        let many = format!("[{}0]", "0,".repeat(MAX_ENTRIES));
        assert_eq!(
            error(&many),
            format!("the document has more than 1000000 entries at line 1 column {}", many.len())
        );
        let halves = "0,".repeat(MAX_ENTRIES / 2);
        assert!(error(&format!(r#"{{"a":[{halves}0],"b":[{halves}0]}}"#)).contains("more than 1000000"));

        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let last = format!("*a{}", n - 1);
            writeln!(bomb, "a{n}: &a{n} [{}]", [last.as_str(); 10].join(", ")).unwrap();
        }
        assert!(Catalog::parse(&bomb).is_err());
        assert!(Catalog::parse(&format!("a: {}", "[".repeat(100_000))).is_err());
        assert!(Catalog::parse(&"[".repeat(1_000_000)).is_err());
        // Whole, but no endpoint.
        let deep = format!("[{}{}]", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(Catalog::parse(&deep).unwrap().service("").unwrap().rejected().total(), 1);
    }

    fn snapshots() -> impl Strategy<Value = Snapshot> {
        let endpoint = (1u16.., "[^\\p{Cc}]{0,4}", proptest::option::of(any::<u32>()), any::<bool>());
        let endpoint = endpoint.prop_map(|(port, name, weight, available)| {
            let endpoint = Endpoint::new("db-1.internal".parse().unwrap(), port).unwrap();
            endpoint.with_name(&name).unwrap().with_weight(weight).with_available(available)
        });
        let settings = proptest::option::of("[^\\p{Cc}]{0,4}");
        (proptest::collection::vec(endpoint, 0..4), settings).prop_map(|(endpoints, line)| {
            let json = line.map(|line| serde_json::json!({ "haproxy": { "listen": [line] } }).to_string());
            let settings = Settings::parse(json.unwrap_or_default().as_bytes()).unwrap();
            Snapshot::new(endpoints).with_settings(settings)
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same_catalog(
            services in proptest::collection::btree_map(any::<String>(), snapshots(), 0..4),
            bare in snapshots(),
        ) {
            for catalog in [Catalog::new(services), Catalog::bare(bare)] {
                let text = catalog.to_json();
                prop_assert!(text.ends_with('\n'));
                prop_assert_eq!(Catalog::parse(&text).unwrap(), catalog);
            }
        }

        #[test]
        fn no_text_makes_it_panic(
            text in any::<String>(),
            tokens in proptest::collection::vec("[{}\\[\\],:\"/*#\n \\-&?!|>%@'é\\\\]|//|/\\*|\\*/|host|port|<<|80", 0..40),
        ) {
            let _ = Catalog::parse(&text);
            let tokens = tokens.concat();
            for start in ["", "{", "[", "web: ", "- "] {
                let _ = Catalog::parse(&format!("{start}{tokens}"));
            }
        }
    }
}
