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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Service {
    /// Servers that are served while discovery finds none.
    pub(crate) default_servers: Vec<Record>,
    /// Whether `default_servers` are served beside those that are discovered.
    pub(crate) keep_default_servers: bool,
    /// Whether the servers of before stay while discovery says that there are none.
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    pub(crate) use_previous_backends: Option<bool>,
    /// The port of all servers, whatever their registry says.
    pub(crate) backend_port_override: Option<Port>,
    /// Whether only the server with the lowest `id` is served.
    pub(crate) leader_election: bool,
    /// How many copies of the service there are instead of it, from `NAME_0` on; for load tests.
    #[serde(rename = "load_test_concurrency")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u32>"))]
    pub(crate) _load_test_concurrency: Option<IgnoredAny>,
    /// How long its source may fail before the agent is not ready, in seconds; as `status.max_staleness` unless said otherwise.
    pub(crate) max_staleness: Option<f64>,
    /// How HAProxy serves it.
    pub(crate) haproxy: ServiceHaproxy,
    /// Whether a file is written for it.
    pub(crate) file_output: ServiceFileOutput,
}

/// The `file_output` section of a service.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServiceFileOutput {
    /// Whether it has no file.
    pub(crate) disabled: bool,
}

/// The top-level `file_output` section.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct FileOutput {
    /// Where the files of services are written.
    #[serde(default)]
    pub(crate) output_directory: Option<String>,
}

/// The `haproxy` section of a service.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServiceHaproxy {
    /// Whether HAProxy does not serve it.
    pub(crate) disabled: bool,
    /// The port that HAProxy listens on for it. `null`: `bind_address` says all. Absent: there is no frontend.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Port>"))]
    pub(crate) port: Given<Port>,
    /// Where HAProxy listens; what the top-level `haproxy` section says unless given.
    pub(crate) bind_address: Option<String>,
    /// More options of the `bind` line.
    pub(crate) bind_options: Option<String>,
    /// Options of every `server` line; `%{host}`, `%{port}` and `%{name}` are replaced, `%%` is a percent sign.
    pub(crate) server_options: Option<String>,
    /// Lines of the frontend.
    pub(crate) frontend: Vec<String>,
    /// Lines of the backend.
    pub(crate) backend: Vec<String>,
    /// Lines of frontend and backend, each written where HAProxy takes it.
    pub(crate) listen: Vec<String>,
    /// Lines for the frontend that all services share.
    pub(crate) shared_frontend: Vec<String>,
    /// The name of the backend; the service's unless given.
    pub(crate) backend_name: Option<String>,
    /// The name of the frontend; unless given, what the top-level `haproxy` section makes of the service's, or the service's itself.
    /// HAProxy 3.3 and newer take no frontend that is called as a backend is.
    pub(crate) frontend_name: Option<String>,
    /// The order of servers: `shuffle`, `asc`, `desc` or `no_shuffle`.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["shuffle", "asc", "desc", "no_shuffle"]), extend("default" = "shuffle")))]
    pub(crate) backend_order: Option<String>,
    /// What a server's cookie is: its `name`, or a `hash` of it.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["name", "hash", null]), extend("default" = "name")))]
    pub(crate) cookie_value_method: Option<String>,
    /// Whether the weights that registrations have are used. Synapse's manual has it here, its code at the top.
    pub(crate) use_nerve_weights: Option<bool>,
    /// The port of all servers; `backend_port_override` wins.
    pub(crate) server_port_override: Option<Port>,
    /// Adds a backup server at this port for every server.
    pub(crate) server_backup_port: Option<Port>,
}

/// The keys that every `discovery` section may have beside those of its method.
pub(crate) const DISCOVERY_KEYS: [&str; 3] = ["method", "label_filters", "label_filter"];

/// One of `label_filters`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelFilter {
    /// The name of a label.
    pub(crate) label: String,
    /// What is compared with its value.
    pub(crate) value: String,
    /// Whether the label must have that value or must not.
    pub(crate) condition: Condition,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Condition {
    Equals,
    NotEquals,
}

/// The top-level `haproxy` section.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Haproxy {
    /// Lines of the section `global`.
    pub(crate) global: Vec<String>,
    /// Lines of the section `defaults`.
    pub(crate) defaults: Vec<String>,
    /// More sections, from title to lines.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Vec<String>>"))]
    pub(crate) extra_sections: InOrder<Vec<String>>,
    /// Lines of the frontend that all services share; there is none unless given.
    #[serde(default)]
    pub(crate) shared_frontend: Option<Vec<String>>,
    /// Where HAProxy listens for services that do not say.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = "localhost")))]
    pub(crate) bind_address: Option<String>,
    /// What frontends are called, with `%{name}` for the service's name: `%{name}-in`, say. The service's name alone unless given,
    /// which is the backend's, too, and then refused by HAProxy 3.3 and newer.
    pub(crate) frontend_name: Option<String>,
    /// Whether HAProxy's configuration file is written.
    #[serde(default = "yes")]
    pub(crate) do_writes: bool,
    /// Whether HAProxy is reloaded.
    #[serde(default = "yes")]
    pub(crate) do_reloads: bool,
    /// Whether `check_command` decides about a new file before it goes live.
    #[serde(default)]
    pub(crate) do_checks: bool,
    /// Whether HAProxy is told of changes over its socket. It is, unless given, where a socket is known.
    #[serde(default)]
    pub(crate) do_socket: Option<bool>,
    /// The stats sockets of HAProxy: a path or an IP address with a port; those of `global` unless given.
    #[serde(default)]
    pub(crate) socket_file_path: Option<Vec<String>>,
    /// Ours: how long connections to a server that has left may go on, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 300)))]
    pub(crate) drain_timeout: Option<f64>,
    /// Ours: how servers with health checks begin.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["up", "fully-down", null]), extend("default" = "up")))]
    pub(crate) init_state: Option<String>,
    /// Ours: what becomes of servers that somebody else adds to our backends.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["remove", "report", null]), extend("default" = "remove")))]
    pub(crate) foreign_servers: Option<String>,
    /// HAProxy's configuration file. Required while `do_writes` is true.
    #[serde(default)]
    pub(crate) config_file_path: Option<String>,
    /// Where a new file lies while it is checked. Required while `do_checks` is true.
    #[serde(default)]
    pub(crate) candidate_config_file_path: Option<String>,
    /// Reloads HAProxy: a shell line, or a program with its arguments. This or `master_socket_path` is required while `do_reloads` is true.
    #[serde(default)]
    pub(crate) reload_command: Option<Command>,
    /// Ours: the socket of HAProxy's master (`haproxy -W -S`), which reloads instead of a command.
    #[serde(default)]
    pub(crate) master_socket_path: Option<String>,
    /// Checks a new file, `$SYNAPSE_CANDIDATE`. Required while `do_checks` is true.
    #[serde(default)]
    pub(crate) check_command: Option<Command>,
    /// Ours: how long a reload may take, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 30)))]
    pub(crate) reload_timeout: Option<f64>,
    /// Ours: how long the check command may take, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 30)))]
    pub(crate) check_timeout: Option<f64>,
    /// The least time between two reloads, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 2)))]
    pub(crate) restart_interval: Option<f64>,
    /// By how much of itself that time is stretched at most, at random: from 0 to 10.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 0)))]
    pub(crate) restart_jitter: Option<f64>,
    /// Where what sources said last is kept across restarts; nowhere unless given.
    #[serde(default)]
    pub(crate) state_file_path: Option<String>,
    /// How old what it has may be to be used, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 86400)))]
    pub(crate) state_file_ttl: Option<f64>,
    /// What servers are shuffled by; the host's name unless given.
    #[serde(default)]
    pub(crate) server_order_seed: Option<i64>,
    /// The highest id of a server.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 65535)))]
    pub(crate) max_server_id: Option<u32>,
    /// Whether the weights that registrations have are used.
    #[serde(default)]
    pub(crate) use_nerve_weights: bool,
}

/// The top-level `statsd` section.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Statsd {
    /// Where metrics are sent: a name or an address.
    #[cfg_attr(feature = "schema", schemars(extend("default" = "localhost")))]
    pub(crate) host: Option<String>,
    /// The port there (UDP).
    #[cfg_attr(feature = "schema", schemars(extend("default" = 8125)))]
    pub(crate) port: Option<Port>,
    /// From a metric's name to the share of it that is sent: from 0 to 1.
    pub(crate) sample_rate: BTreeMap<String, f64>,
}

/// The top-level `agent` section, which is ours.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Agent {
    /// How long the first answers are waited for before anything is written, in seconds.
    #[cfg_attr(feature = "schema", schemars(extend("default" = 10)))]
    pub(crate) startup_wait: Option<f64>,
    /// How long no news must come before what has come is applied, in seconds.
    #[cfg_attr(feature = "schema", schemars(extend("default" = 0.005)))]
    pub(crate) settle: Option<f64>,
    /// How long news may be held back by further news, in seconds.
    #[cfg_attr(feature = "schema", schemars(extend("default" = 0.1)))]
    pub(crate) settle_max: Option<f64>,
    /// The first pause after a failure of a source, in seconds.
    #[cfg_attr(feature = "schema", schemars(extend("default" = 0.5)))]
    pub(crate) backoff_min: Option<f64>,
    /// The longest pause after failures of a source, in seconds.
    #[cfg_attr(feature = "schema", schemars(extend("default" = 30)))]
    pub(crate) backoff_max: Option<f64>,
    /// Whether the configuration is read again when its files change.
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    pub(crate) watch_config: Option<bool>,
}

/// The top-level `status` section, which is ours.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Status {
    /// Where the status is served over HTTP: an address and a port.
    #[cfg_attr(feature = "schema", schemars(extend("default" = "127.0.0.1:3455")))]
    pub(crate) listen: Option<String>,
    /// How long the source of a service may fail before the agent is not ready, in seconds.
    #[cfg_attr(feature = "schema", schemars(extend("default" = 60)))]
    pub(crate) max_staleness: Option<f64>,
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

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Command {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Command".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "array"],
            "x-exact": true,
            "items": { "type": "string" },
            "minItems": 1,
        })
    }
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
