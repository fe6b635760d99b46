//! The document of endpoints.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{
    endpoint::Endpoint,
    record::Record,
    snapshot::{Rejection, Snapshot, printable},
};

/// The longest document that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 64 << 20;
/// How many entries a document may have, over all services.
const MAX_ENTRIES: usize = 1_000_000;
/// How many values a YAML document may have; an endpoint with a name and a weight has nine. They are all held in memory
/// before the first entry is judged, so the bound is one on memory.
const MAX_YAML_VALUES: usize = 2_000_000;

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
/// A text whose first character, white space and comments aside, is `{` or `[` is read as JSON, in which comments (`//`, `#`,
/// `/* */`) and trailing commas are allowed; any other is read as YAML. A byte order mark is skipped.
///
/// The document is whole or it is refused: bad syntax, a service that is there twice, something else than a list where a list
/// is expected, no content at all, more than 64 MiB, more than 1,000,000 entries, or in YAML more than 2,000,000 values. One *entry* that is not a valid endpoint is
/// a [`Rejection`] of its service, named by its place (`web[3]`, counted from 0; `[3]` in a bare list), and the rest stands.
///
/// ```
/// use discovery_core::Catalog;
///
/// let catalog = Catalog::parse("web:\n- {host: 10.0.0.7, port: 8080}\n- {host: 10.0.0.8}\n")?;
/// let web = catalog.service("web").expect("it is in the document");
/// assert_eq!(web.endpoints()[0].to_string(), "10.0.0.7:8080");
/// assert_eq!(web.rejected().named()[0].entry, "web[1]");
/// assert_eq!(web.rejected().named()[0].reason, "missing field `port`");
/// # Ok::<(), discovery_core::InvalidCatalog>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog(Content);

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
        Self { reason: printable(reason), at }
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
        Self(Content::Services(services.into_iter().collect()))
    }

    /// A catalog that says this of any service: the bare list.
    pub fn bare(snapshot: Snapshot) -> Self {
        Self(Content::Bare(snapshot))
    }

    /// Reads a document. See [`Catalog`] for what is accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidCatalog> {
        if text.len() > MAX_BYTES {
            return Err(InvalidCatalog::new("the document is longer than 64 MiB", None));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match first_significant(text) {
            None => Err(InvalidCatalog::new("the document is empty", None)),
            Some('{' | '[') => json(text),
            Some(_) => yaml(text),
        }
    }

    /// What the document says of a service; `None` when it does not name it. A bare list answers for any name.
    pub fn service(&self, name: &str) -> Option<&Snapshot> {
        match &self.0 {
            Content::Services(services) => services.get(name),
            Content::Bare(snapshot) => Some(snapshot),
        }
    }

    /// Whether this is a bare list: what it says is of one service, and it does not say of which.
    pub fn is_bare(&self) -> bool {
        matches!(self.0, Content::Bare(_))
    }

    /// The services that the document names, sorted by name: none when it is a bare list.
    pub fn services(&self) -> impl Iterator<Item = (&str, &Snapshot)> {
        let named = match &self.0 {
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
        let text = match &self.0 {
            Content::Services(services) => {
                let services: BTreeMap<_, _> =
                    services.iter().map(|(name, snapshot)| (name, records(snapshot))).collect();
                serde_json::to_string_pretty(&services)
            }
            Content::Bare(snapshot) => serde_json::to_string_pretty(&records(snapshot)),
        };
        text.expect("maps with text keys, lists, text, whole numbers and booleans are JSON") + "\n"
    }
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

fn json(text: &str) -> Result<Catalog, InvalidCatalog> {
    if let Ok(document) = serde_json::from_str::<Document<&RawValue>>(text) {
        return Ok(document.into_catalog());
    }
    // Comments and trailing commas become spaces, so every place stays what it was.
    let mut plain = text.as_bytes().to_vec();
    json_strip_comments::strip_slice(&mut plain)
        .map_err(|_| InvalidCatalog::new("a `/` that begins no comment", None))?;
    let document: Document<&RawValue> = serde_json::from_slice(&plain)
        .map_err(|error| InvalidCatalog::new(&without_place(&error), Some((error.line(), error.column()))))?;
    Ok(document.into_catalog())
}

fn yaml(text: &str) -> Result<Catalog, InvalidCatalog> {
    let budget = serde_saphyr::budget! { max_events: 2 * MAX_YAML_VALUES, max_nodes: MAX_YAML_VALUES };
    let options = serde_saphyr::options! {
        budget: budget,
        // A label `no`, `012` or `1_000` is that text, not false, 12 or 1000.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    let document: Document<Loose> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let at = error
            .location()
            .and_then(|at| Some((usize::try_from(at.line()).ok()?, usize::try_from(at.column()).ok()?)));
        let at = at.filter(|&(line, _)| line > 0);
        // Its other wording speaks to programmers, of the options of the library.
        let text = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        let text = text.lines().next().unwrap_or_default();
        let place = at.map(|(line, column)| format!(" at line {line}, column {column}"));
        let reason = place.and_then(|place| text.strip_suffix(&place)).unwrap_or(text);
        InvalidCatalog::new(reason, at)
    })?;
    Ok(document.into_catalog())
}

/// What serde_json says, without the place.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// An entry as it stands in the document, not yet judged.
trait Entry {
    fn endpoint(self) -> Result<Endpoint, String>;
}

impl Entry for &RawValue {
    fn endpoint(self) -> Result<Endpoint, String> {
        let record: Record = serde_json::from_str(self.get()).map_err(|error| without_place(&error))?;
        Endpoint::try_from(record).map_err(|error| error.to_string())
    }
}

/// Any value: YAML's reader can't go on after a value of the wrong type, so there must be none.
struct Loose(serde_json::Value);

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self)
    }
}

impl Entry for Loose {
    fn endpoint(self) -> Result<Endpoint, String> {
        let record: Record = serde_json::from_value(self.0).map_err(|error| error.to_string())?;
        Endpoint::try_from(record).map_err(|error| error.to_string())
    }
}

/// The outline of a document.
enum Document<E> {
    Services(BTreeMap<String, List<E>>),
    Bare(List<E>),
}

/// The entries of one service, in the order of the document.
struct List<E>(Vec<E>);

impl<E: Entry> Document<E> {
    fn into_catalog(self) -> Catalog {
        match self {
            Self::Services(services) => Catalog::new(services.into_iter().map(|(name, list)| {
                let snapshot = list.into_snapshot(&name);
                (name, snapshot)
            })),
            Self::Bare(list) => Catalog::bare(list.into_snapshot("")),
        }
    }
}

impl<E: Entry> List<E> {
    fn into_snapshot(self, service: &str) -> Snapshot {
        let mut rejections = Vec::new();
        let endpoints = self.0.into_iter().enumerate().filter_map(|(index, entry)| match entry.endpoint() {
            Ok(endpoint) => Some(endpoint),
            Err(reason) => {
                rejections.push(Rejection::new(&format!("{service}[{index}]"), &reason));
                None
            }
        });
        let snapshot: Snapshot = endpoints.collect();
        snapshot.with_rejected(rejections)
    }
}

impl<'de, E: Deserialize<'de>> Deserialize<'de> for Document<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Outline<E>(PhantomData<E>);

        impl<'de, E: Deserialize<'de>> Visitor<'de> for Outline<E> {
            type Value = Document<E>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from services to lists of endpoints, or a list of endpoints")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document<E>, A::Error> {
                let mut services = BTreeMap::new();
                let mut left = MAX_ENTRIES;
                while let Some(name) = map.next_key::<String>()? {
                    let list = map.next_value_seed(Entries::of(&name))?;
                    left = left.checked_sub(list.0.len()).ok_or_else(too_many)?;
                    if services.contains_key(&name) {
                        let name = printable(&name);
                        return Err(A::Error::custom(format_args!("the service `{name}` is there twice")));
                    }
                    services.insert(name, list);
                }
                Ok(Document::Services(services))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Document<E>, A::Error> {
                Entries::of("").visit_seq(list).map(Document::Bare)
            }
        }

        deserializer.deserialize_any(Outline(PhantomData))
    }
}

/// Reads the list of entries of one service.
struct Entries<'a, E> {
    service: &'a str,
    entry: PhantomData<E>,
}

impl<'a, E> Entries<'a, E> {
    fn of(service: &'a str) -> Self {
        Self { service, entry: PhantomData }
    }
}

impl<'de, E: Deserialize<'de>> DeserializeSeed<'de> for Entries<'_, E> {
    type Value = List<E>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<List<E>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, E: Deserialize<'de>> Visitor<'de> for Entries<'_, E> {
    type Value = List<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of endpoints of the service `{}`", printable(self.service))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<E>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            if entries.len() == MAX_ENTRIES {
                return Err(too_many());
            }
            entries.push(entry);
        }
        Ok(List(entries))
    }
}

fn too_many<E: serde::de::Error>() -> E {
    E::custom(format_args!("the document has more than {MAX_ENTRIES} entries"))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

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
            (snapshot.len(), named.map(|one| format!("{} {}", one.entry, one.reason)).collect::<Vec<_>>())
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
        proptest::collection::vec(endpoint, 0..4).prop_map(Snapshot::new)
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
