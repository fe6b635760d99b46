//! What users write: Synapse's key names, each once, with no meaning yet.
//!
//! Every key of Synapse 0.18 is known here. Ours, which Synapse does not have, are marked so. Reading is lenient (one text
//! for a list of lines, digits for a number): see [`from_node`](super::from_node).

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use discovery_core::Record;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::Port;

/// The keys of a service, but for its `discovery`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Service {
    pub(crate) default_servers: Vec<Record>,
    pub(crate) keep_default_servers: bool,
    pub(crate) use_previous_backends: Option<bool>,
    pub(crate) backend_port_override: Option<Port>,
    pub(crate) leader_election: bool,
    #[serde(rename = "load_test_concurrency")]
    pub(crate) _load_test_concurrency: Option<IgnoredAny>,
    pub(crate) haproxy: ServiceHaproxy,
    pub(crate) file_output: ServiceFileOutput,
}

/// The `file_output` section of a service.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServiceFileOutput {
    pub(crate) disabled: bool,
}

/// The top-level `file_output` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileOutput {
    #[serde(default)]
    pub(crate) output_directory: Option<String>,
}

/// The `haproxy` section of a service.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServiceHaproxy {
    pub(crate) disabled: bool,
    pub(crate) port: Given<Port>,
    pub(crate) bind_address: Option<String>,
    pub(crate) bind_options: Option<String>,
    pub(crate) server_options: Option<String>,
    pub(crate) frontend: Vec<String>,
    pub(crate) backend: Vec<String>,
    pub(crate) listen: Vec<String>,
    pub(crate) shared_frontend: Vec<String>,
    pub(crate) backend_name: Option<String>,
    pub(crate) backend_order: Option<String>,
    pub(crate) cookie_value_method: Option<String>,
    /// Synapse's manual has it here, its code at the top.
    pub(crate) use_nerve_weights: Option<bool>,
    pub(crate) server_port_override: Option<Port>,
    pub(crate) server_backup_port: Option<Port>,
}

/// The keys that every `discovery` section may have beside those of its method.
pub(crate) const DISCOVERY_KEYS: [&str; 3] = ["method", "label_filters", "label_filter"];

/// One of `label_filters`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelFilter {
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) condition: Condition,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Condition {
    Equals,
    NotEquals,
}

/// The top-level `haproxy` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Haproxy {
    pub(crate) global: Vec<String>,
    pub(crate) defaults: Vec<String>,
    #[serde(default)]
    pub(crate) extra_sections: InOrder<Vec<String>>,
    #[serde(default)]
    pub(crate) shared_frontend: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) bind_address: Option<String>,
    #[serde(default = "yes")]
    pub(crate) do_writes: bool,
    #[serde(default = "yes")]
    pub(crate) do_reloads: bool,
    #[serde(default)]
    pub(crate) do_checks: bool,
    #[serde(default)]
    pub(crate) do_socket: Option<bool>,
    #[serde(default)]
    pub(crate) socket_file_path: Option<Vec<String>>,
    /// Ours: how long connections to a server that has left may go on, in seconds.
    #[serde(default)]
    pub(crate) drain_timeout: Option<f64>,
    /// Ours: how servers with health checks begin.
    #[serde(default)]
    pub(crate) init_state: Option<String>,
    /// Ours: what becomes of servers that somebody else adds to our backends.
    #[serde(default)]
    pub(crate) foreign_servers: Option<String>,
    #[serde(default)]
    pub(crate) config_file_path: Option<String>,
    #[serde(default)]
    pub(crate) candidate_config_file_path: Option<String>,
    #[serde(default)]
    pub(crate) reload_command: Option<Command>,
    /// Ours: HAProxy's master, which reloads instead of a command.
    #[serde(default)]
    pub(crate) master_socket_path: Option<String>,
    #[serde(default)]
    pub(crate) check_command: Option<Command>,
    /// Ours: how long a reload may take, in seconds.
    #[serde(default)]
    pub(crate) reload_timeout: Option<f64>,
    /// Ours: how long the check command may take, in seconds.
    #[serde(default)]
    pub(crate) check_timeout: Option<f64>,
    #[serde(default)]
    pub(crate) restart_interval: Option<f64>,
    #[serde(default)]
    pub(crate) restart_jitter: Option<f64>,
    #[serde(default)]
    pub(crate) state_file_path: Option<String>,
    #[serde(default)]
    pub(crate) state_file_ttl: Option<f64>,
    #[serde(default)]
    pub(crate) server_order_seed: Option<i64>,
    #[serde(default)]
    pub(crate) max_server_id: Option<u32>,
    #[serde(default)]
    pub(crate) use_nerve_weights: bool,
}

/// The top-level `statsd` section.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Statsd {
    pub(crate) host: Option<String>,
    pub(crate) port: Option<Port>,
    pub(crate) sample_rate: BTreeMap<String, f64>,
}

/// The top-level `agent` section, which is ours.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Agent {
    pub(crate) startup_wait: Option<f64>,
    pub(crate) settle: Option<f64>,
    pub(crate) settle_max: Option<f64>,
    pub(crate) backoff_min: Option<f64>,
    pub(crate) backoff_max: Option<f64>,
    pub(crate) watch_config: Option<bool>,
}

fn yes() -> bool {
    true
}

/// A key that means one thing when it is absent and another when it is null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Given<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// A shell line, or a program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Shell(String),
    Program(Vec<String>),
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Command;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a shell line, or a list of a program and its arguments")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Command, E> {
                Ok(Command::Shell(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<Command, A::Error> {
                let mut program = Vec::new();
                while let Some(word) = words.next_element()? {
                    program.push(word);
                }
                Ok(Command::Program(program))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// A map whose order counts.
#[derive(Debug)]
pub(crate) struct InOrder<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for InOrder<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = InOrder<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InOrder<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(InOrder(pairs))
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}
