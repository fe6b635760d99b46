//! How children are read, as it is written.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::decode::Decode;

/// `decode`: the name of a method, or a map.
pub(super) struct Decoding(pub(super) Decode);

#[derive(Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Method {
    #[default]
    Nerve,
    Serverset,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct DecodeMap {
    /// The format of registrations.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = "nerve")))]
    method: Method,
    /// Which of the endpoints of a server set; the main one unless given.
    #[serde(default)]
    endpoint_name: Option<String>,
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Decoding {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decoding".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (name, map) = (generator.subschema_for::<Method>(), generator.subschema_for::<DecodeMap>());
        schemars::json_schema!({ "anyOf": [name, map] })
    }
}

impl<'de> Deserialize<'de> for Decoding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Decoding;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nerve, serverset, or a map with `method`")
            }

            fn visit_str<E: serde::de::Error>(self, method: &str) -> Result<Decoding, E> {
                Ok(Decoding(match Method::deserialize(method.into_deserializer())? {
                    Method::Nerve => Decode::Nerve,
                    Method::Serverset => Decode::ServerSet { endpoint_name: None },
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Decoding, A::Error> {
                let map = DecodeMap::deserialize(MapAccessDeserializer::new(map))?;
                match map {
                    DecodeMap { method: Method::Nerve, endpoint_name: None } => Ok(Decoding(Decode::Nerve)),
                    DecodeMap { method: Method::Nerve, endpoint_name: Some(_) } => {
                        Err(serde::de::Error::custom("`endpoint_name` needs `method: serverset`"))
                    }
                    DecodeMap { method: Method::Serverset, endpoint_name } => {
                        Ok(Decoding(Decode::ServerSet { endpoint_name }))
                    }
                }
            }
        }

        deserializer.deserialize_any(Written)
    }
}
