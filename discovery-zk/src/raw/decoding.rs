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
#[serde(rename_all = "lowercase")]
enum Method {
    #[default]
    Nerve,
    Serverset,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecodeMap {
    #[serde(default)]
    method: Method,
    #[serde(default)]
    endpoint_name: Option<String>,
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
