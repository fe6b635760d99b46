//! What a registry says about how a service is to be served.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// What a registry says about *how* a service is to be served, beside who serves it: SmartStack's generator configuration.
///
/// A map from the name of a generator (the output that is meant: `haproxy`, say) to that generator's configuration, which
/// nobody has judged yet: whoever uses it has to treat it as written by a stranger. Each configuration is kept as JSON in one
/// form (keys sorted, no blanks), so two registries that say the same are equal however they wrote it.
///
/// Never without a generator: a registry that says nothing has no settings. Cloning costs one reference count. `Debug` shows
/// the names of the generators only: configurations may hold passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings(Arc<BTreeMap<String, String>>);

impl Settings {
    /// What is said to `generator`, as JSON.
    pub fn generator(&self, generator: &str) -> Option<&str> {
        self.0.get(generator).map(String::as_str)
    }

    /// The generators that something is said to, sorted. The names are the registry's: fit for a log only after
    /// [`printable`](crate::printable).
    pub fn generators(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.generators()).finish()
    }
}

#[cfg(feature = "serde")]
mod parse {
    use std::{collections::BTreeMap, sync::Arc};

    use serde::{Serialize, Serializer};
    use serde_json::{Map, Value};
    use thiserror::Error;

    use super::Settings;
    use crate::text::{SHOWN, printable};

    /// The longest settings that are read, in bytes. A znode holds no more.
    const MAX_BYTES: usize = 1 << 20;

    /// Why something is not [`Settings`]. Printable and short, whatever it was.
    #[derive(Debug, Clone, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum InvalidSettings {
        /// More than 1 MiB.
        #[error("more than {MAX_BYTES} bytes")]
        TooLong,
        /// No JSON, or JSON that is no map.
        #[error("no JSON map: {0}")]
        Json(String),
    }

    impl Settings {
        /// Reads what a registry holds: a JSON map from generators to their configurations.
        ///
        /// Nothing, white space and an empty map are `None`: no settings. What a generator is told may be any JSON, up to 128
        /// levels deep; of a key that stands twice in a map the last counts.
        ///
        /// ```
        /// use discovery_core::Settings;
        ///
        /// let settings = Settings::parse(br#"{"haproxy": {"server_options": "check", "listen": ["balance leastconn"]}}"#)?;
        /// let told = settings.as_ref().and_then(|settings| settings.generator("haproxy"));
        /// assert_eq!(told, Some(r#"{"listen":["balance leastconn"],"server_options":"check"}"#));
        /// assert_eq!(Settings::parse(b"{}")?, None);
        /// # Ok::<(), discovery_core::InvalidSettings>(())
        /// ```
        ///
        /// # Errors
        ///
        /// Anything else: no JSON, no map, more than 1 MiB. A watcher lists it among what it rejected, and serves what it
        /// knows without settings.
        pub fn parse(data: &[u8]) -> Result<Option<Self>, InvalidSettings> {
            if data.len() > MAX_BYTES {
                return Err(InvalidSettings::TooLong);
            }
            if data.trim_ascii().is_empty() {
                return Ok(None);
            }
            let read: Result<Map<String, Value>, _> = serde_json::from_slice(data);
            // What serde_json says of a wrong type repeats the whole value.
            let map = read.map_err(|error| InvalidSettings::Json(printable(&error.to_string(), SHOWN)))?;
            Ok(Self::of(map))
        }

        fn of(map: Map<String, Value>) -> Option<Self> {
            let one_form = |mut value: Value| {
                // Other crates of a program may have asked serde_json to keep the order of keys.
                value.sort_all_objects();
                value.to_string()
            };
            let generators: BTreeMap<_, _> =
                map.into_iter().map(|(generator, value)| (generator, one_form(value))).collect();
            (!generators.is_empty()).then(|| Self(Arc::new(generators)))
        }
    }

    impl Serialize for Settings {
        /// As the map that [`parse`](Settings::parse) reads.
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let value = |json: &String| -> Value {
                serde_json::from_str(json).expect("it was written from a value, no deeper than what is read")
            };
            serializer.collect_map(self.0.iter().map(|(generator, json)| (generator, value(json))))
        }
    }
}

#[cfg(feature = "serde")]
pub use parse::InvalidSettings;

#[cfg(feature = "serde")]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<Settings> {
        Settings::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn nothing_blanks_and_an_empty_map_are_no_settings() {
        for text in ["", " \r\n\t", "{}", " { } \n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_map_is_refused_and_so_is_half_of_one() {
        for text in ["null", "[]", "7", "\"haproxy\"", "{\"haproxy\":", "{} {}", "10.0.0.1", "\0", "{a: 1}"] {
            let error = Settings::parse(text.as_bytes()).expect_err(text).to_string();
            assert!(error.starts_with("no JSON map: "), "{text}: {error}");
        }
        assert!(Settings::parse(b"\xff\xfe").is_err());
    }

    #[test]
    fn equal_is_what_says_the_same_however_it_is_written() {
        let one = parse(r#"{"haproxy": {"b": [1, "x"], "a": {"d": null, "c": true}}, "nginx": 1}"#);
        let other =
            parse("{\"nginx\":1,\n \"haproxy\":{\"a\":{\"c\":true,\"d\":null},\"b\":[1,\"\\u0078\"]}}");
        assert_eq!(one, other);
        assert_ne!(one, parse(r#"{"haproxy": {"b": ["x", 1], "a": {"d": null, "c": true}}, "nginx": 1}"#));
        assert_eq!(one.unwrap().generators().collect::<Vec<_>>(), ["haproxy", "nginx"]);
    }

    #[test]
    fn length_and_depth_are_bounded() {
        let long = format!(r#"{{"haproxy":"{}"}}"#, "x".repeat(1 << 20));
        assert_eq!(Settings::parse(long.as_bytes()), Err(InvalidSettings::TooLong));
        let deep = format!(r#"{{"haproxy":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
        assert!(Settings::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn an_error_is_printable_and_short() {
        let error = Settings::parse(format!("\"{}\u{1b}\"", "x".repeat(100_000)).as_bytes()).unwrap_err();
        let shown = error.to_string();
        assert!(shown.chars().count() < 300 && !shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn debug_shows_no_configuration() {
        let settings = parse(r#"{"haproxy": {"listen": ["stats auth admin:hunter2"]}}"#).unwrap();
        assert_eq!(format!("{settings:?}"), r#"{"haproxy"}"#);
    }

    proptest! {
        #[test]
        fn no_data_makes_it_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Settings::parse(&data);
        }
    }
}
