//! How a document is read: its outline strictly, each entry by itself.

use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    time::{Duration, UNIX_EPOCH},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Catalog, Content, InvalidCatalog};
use crate::{
    endpoint::Endpoint,
    record::Record,
    settings::Settings,
    snapshot::{Rejection, Snapshot},
    text::{SHOWN, printable},
};

/// How many entries a document may have, over all services.
pub(super) const MAX_ENTRIES: usize = 1_000_000;
/// How many values a YAML document may have; an endpoint with a name and a weight has nine. They are all held in memory
/// before the first entry is judged, so the bound is one on memory.
const MAX_YAML_VALUES: usize = 2_000_000;

/// Reads JSON, with comments and trailing commas.
pub(super) fn json(text: &str) -> Result<Catalog, InvalidCatalog> {
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

/// Reads YAML.
pub(super) fn yaml(text: &str) -> Result<Catalog, InvalidCatalog> {
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

/// A part of the document as it stands there, not yet judged.
trait Entry {
    fn endpoint(self) -> Result<Endpoint, String>;

    fn settings(self) -> Result<Option<Settings>, String>;
}

impl Entry for &RawValue {
    fn endpoint(self) -> Result<Endpoint, String> {
        let record: Record = serde_json::from_str(self.get()).map_err(|error| without_place(&error))?;
        Endpoint::try_from(record).map_err(|error| error.to_string())
    }

    fn settings(self) -> Result<Option<Settings>, String> {
        Settings::parse(self.get().as_bytes()).map_err(|error| error.to_string())
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

    fn settings(self) -> Result<Option<Settings>, String> {
        Settings::parse(self.0.to_string().as_bytes()).map_err(|error| error.to_string())
    }
}

/// The outline of a document.
enum Document<E> {
    Services(BTreeMap<String, List<E>>),
    Bare(List<E>),
}

/// What the document says of one service: its entries in the order of the document, and its settings.
struct List<E> {
    entries: Vec<E>,
    generators: Option<E>,
    as_of: Option<u64>,
}

impl<E: Entry> Document<E> {
    fn into_catalog(self) -> Catalog {
        match self {
            Self::Services(services) => {
                let mut as_of = BTreeMap::new();
                let services = services.into_iter().map(|(name, list)| {
                    // What no clock shows is no time.
                    let at = list.as_of.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
                    as_of.extend(at.map(|at| (name.clone(), at)));
                    let snapshot = list.into_snapshot(&name);
                    (name, snapshot)
                });
                Catalog { content: Content::Services(services.collect()), as_of }
            }
            Self::Bare(list) => Catalog::bare(list.into_snapshot("")),
        }
    }
}

impl<E: Entry> List<E> {
    fn into_snapshot(self, service: &str) -> Snapshot {
        let mut rejections = Vec::new();
        let entries = self.entries.into_iter().enumerate();
        let endpoints = entries.filter_map(|(index, entry)| match entry.endpoint() {
            Ok(endpoint) => Some(endpoint),
            Err(reason) => {
                rejections.push(Rejection::new(&format!("{service}[{index}]"), &reason));
                None
            }
        });
        let snapshot: Snapshot = endpoints.collect();
        let settings = self.generators.map_or(Ok(None), Entry::settings).unwrap_or_else(|reason| {
            rejections.push(Rejection::new(&format!("{service}.generators"), &reason));
            None
        });
        snapshot.with_settings(settings).with_rejected(rejections)
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
                    let list = map.next_value_seed(Service(Entries::of(&name)))?;
                    left = left.checked_sub(list.entries.len()).ok_or_else(too_many)?;
                    if services.contains_key(&name) {
                        let name = printable(&name, SHOWN);
                        return Err(A::Error::custom(format_args!("the service `{name}` is there twice")));
                    }
                    services.insert(name, list);
                }
                Ok(Document::Services(services))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Document<E>, A::Error> {
                Service(Entries::of("")).visit_seq(list).map(Document::Bare)
            }
        }

        deserializer.deserialize_any(Outline(PhantomData))
    }
}

/// Reads what is said of one service: a list of entries, or a map that has it under `endpoints`.
struct Service<'a, E>(Entries<'a, E>);

impl<'de, E: Deserialize<'de>> DeserializeSeed<'de> for Service<'_, E> {
    type Value = List<E>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<List<E>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, E: Deserialize<'de>> Visitor<'de> for Service<'_, E> {
    type Value = List<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<List<E>, A::Error> {
        Ok(List { entries: self.0.visit_seq(list)?, generators: None, as_of: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List<E>, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Key {
            Endpoints,
            Generators,
            #[serde(rename = "as_of")]
            AsOf,
        }

        let (mut entries, mut generators, mut as_of) = (None, None, None);
        while let Some(key) = map.next_key()? {
            match key {
                Key::Endpoints if entries.is_some() => return Err(A::Error::duplicate_field("endpoints")),
                Key::Endpoints => entries = Some(map.next_value_seed(Entries::of(self.0.service))?),
                Key::Generators if generators.is_some() => {
                    return Err(A::Error::duplicate_field("generators"));
                }
                Key::Generators => generators = Some(map.next_value()?),
                Key::AsOf if as_of.is_some() => return Err(A::Error::duplicate_field("as_of")),
                Key::AsOf => as_of = Some(map.next_value()?),
            }
        }
        let entries = entries.ok_or_else(|| A::Error::missing_field("endpoints"))?;
        Ok(List { entries, generators, as_of })
    }
}

/// Reads a list of entries of one service.
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
    type Value = Vec<E>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<E>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, E: Deserialize<'de>> Visitor<'de> for Entries<'_, E> {
    type Value = Vec<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of endpoints of the service `{}`", printable(self.service, SHOWN))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<E>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            if entries.len() == MAX_ENTRIES {
                return Err(too_many());
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

fn too_many<E: serde::de::Error>() -> E {
    E::custom(format_args!("the document has more than {MAX_ENTRIES} entries"))
}
