//! The JSON Schema of the configuration, made of the types that read it.

mod lenient;
#[cfg(test)]
mod tests;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{Config, raw};
use crate::{multi, registry::Registry};

/// What schemas point to for a whole `discovery` section.
const DISCOVERY: &str = "#/$defs/discovery";

impl Config {
    /// The JSON Schema (draft 2020-12) of what [`parse`](Self::parse) reads with the methods of `registry`: what editors complete and
    /// check by.
    ///
    /// It takes every form that is read: one text for a list, digits for a number. What it takes may have mistakes all the same, which
    /// only reading it finds: a port that is used twice, say. A method without a [schema](Registry::with_schema) of its own may have
    /// any keys.
    pub fn schema(registry: &Registry) -> Value {
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "synapse-rs",
            "description": "The configuration of synapse-rs.",
            "type": "object",
            "properties": {
                "services": {
                    "description": "From a service's name to the service.",
                    "type": "object",
                    "additionalProperties": { "$ref": "#/$defs/service" },
                },
                "haproxy": of::<raw::Haproxy>(),
                "agent": described(of::<raw::Agent>(), "How long things may take."),
                "file_output": described(of::<raw::FileOutput>(), "Where services are written as files of their own."),
                "service_conf_dir": {
                    "description": "A directory with a file for each service.",
                    "type": ["string", "null"],
                },
                "status": described(of::<raw::Status>(), "The status over HTTP."),
                "statsd": described(of::<raw::Statsd>(), "Where Synapse's metrics are sent."),
            },
            "anyOf": [{ "required": ["haproxy"] }, { "required": ["file_output"] }],
            "additionalProperties": false,
            "$defs": {
                "service": service(),
                "discovery": discovery(registry),
            },
        });
        lenient::loosen(&mut schema);
        schema
    }
}

/// The schema of one type, without references to others.
pub(crate) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    // The name of the type, which says nothing to people who do not know it.
    schema.remove("title");
    schema.to_value()
}

fn service() -> Value {
    let mut several = described(multi::schema(false), "More sources, beside `discovery`.");
    for (name, property) in filters() {
        put(&mut several, &name, property);
    }
    let mut service = described(of::<raw::Service>(), "A service.");
    put(&mut service, "discovery", any_discovery());
    put(&mut service, "discovery_multi", several);
    service["required"] = json!(["discovery"]);
    service
}

/// What every `discovery` section may have beside its method.
fn filters() -> Map<String, Value> {
    let filters = described(of::<Vec<raw::LabelFilter>>(), "What the labels of servers must be like.");
    let mut deprecated = described(filters.clone(), "The old name of `label_filters`.");
    deprecated["deprecated"] = json!(true);
    Map::from_iter([("label_filters".to_owned(), filters), ("label_filter".to_owned(), deprecated)])
}

/// A `discovery` section: one of the methods.
fn discovery(registry: &Registry) -> Value {
    let common = filters();
    let methods = registry.schemas().map(|(method, schema)| (method.to_owned(), schema));
    let schema = one_of("method", "How servers are found.", methods, &common);
    described(schema, "Where the servers of a service are found.")
}

/// A map with a key that says what its other keys are. All may have those of `common`; what has no schema may have any.
///
/// Conditions rather than `oneOf`: so a mistake is told of the key that it is in, and not of all alternatives.
pub(crate) fn one_of(
    key: &str,
    description: &str,
    variants: impl IntoIterator<Item = (String, Option<Value>)>,
    common: &Map<String, Value>,
) -> Value {
    let (mut names, mut rules) = (Vec::new(), Vec::new());
    for (name, schema) in variants {
        let this = json!({ "properties": { key: { "pattern": any_case([&name]) } }, "required": [key] });
        if let Some(mut schema) = schema {
            for (name, property) in common {
                put(&mut schema, name, property.clone());
            }
            put(&mut schema, key, json!(true));
            rules.push(json!({ "if": this, "then": schema }));
        }
        names.push(name);
    }
    json!({
        "type": "object",
        "properties": { key: {
            "description": description,
            "type": "string",
            "x-exact": true,
            "anyOf": [{ "enum": &names }, { "pattern": any_case(&names) }],
        } },
        "required": [key],
        "allOf": rules,
    })
}

/// A regular expression for these words in upper and lower case, which is all that every dialect knows.
fn any_case(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let letter = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' => format!("[{}{}]", letter.to_ascii_lowercase(), letter.to_ascii_uppercase()),
        '0'..='9' | '_' => letter.to_string(),
        other if other.is_ascii() => format!("\\{other}"),
        other => other.to_string(),
    };
    let words: Vec<String> =
        words.into_iter().map(|word| word.as_ref().chars().map(letter).collect()).collect();
    format!("^({})$", words.join("|"))
}

/// Adds a property, or replaces one.
pub(crate) fn put(schema: &mut Value, name: &str, property: Value) {
    if let Some(schema) = schema.as_object_mut() {
        let properties = schema.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert(name.to_owned(), property);
        }
    }
}

/// All properties of `more` beside those of `schema`.
#[cfg(all(feature = "dns", feature = "zk"))]
pub(crate) fn with_properties_of(mut schema: Value, more: &Value) -> Value {
    for (name, property) in more["properties"].as_object().into_iter().flatten() {
        put(&mut schema, name, property.clone());
    }
    schema
}

pub(crate) fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

/// A whole `discovery` section, within another.
pub(crate) fn any_discovery() -> Value {
    json!({ "$ref": DISCOVERY })
}
