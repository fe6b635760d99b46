//! The section as it is written.

use std::{collections::BTreeMap, fmt, time::Duration};

use discovery_core::{Endpoint, Host, Interval};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};

use crate::{
    config::{DnsConfig, InvalidConfig, NamesConfig},
    nameserver::{Nameserver, Nameservers},
    server::Server,
};

/// What Synapse asks at unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(30);

/// The addresses of names, asked again when they expire.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("required" = ["servers"])))]
pub(crate) struct Section {
    /// The names, at least one.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Written>"))]
    servers: Option<Vec<Entry>>,
    /// Who is asked, in this order: an IP address, with a port or without, or a list of them. Those of `/etc/resolv.conf` unless given.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "nameservers"))]
    nameserver: Option<List>,
    /// The longest time between two questions, in seconds: more than 0, at most a day.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<discovery_core::Seconds>", extend("default" = 30)))]
    check_interval: Option<Interval>,
}

/// How names are resolved.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Names {
    /// Who is asked, in this order: an IP address, with a port or without, or a list of them. Those of `/etc/resolv.conf` unless given.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "nameservers"))]
    nameserver: Option<List>,
    /// The longest time between two questions, in seconds: more than 0, at most a day.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<discovery_core::Seconds>", extend("default" = 30)))]
    check_interval: Option<Interval>,
}

impl TryFrom<Section> for DnsConfig {
    type Error = InvalidConfig;

    fn try_from(section: Section) -> Result<Self, InvalidConfig> {
        let Section { servers, nameserver, check_interval } = section;
        let servers: Vec<_> = servers.unwrap_or_default().into_iter().map(|Entry(server)| server).collect();
        if servers.is_empty() {
            return Err(InvalidConfig::NoServers);
        }
        let names = Names { nameserver, check_interval }.into();
        Ok(Self { names, servers })
    }
}

#[cfg(feature = "schema")]
fn nameservers(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": ["string", "array", "null"],
        "x-exact": true,
        "items": { "type": "string" },
        "minItems": 1,
    })
}

impl From<Names> for NamesConfig {
    fn from(names: Names) -> Self {
        let nameservers = names.nameserver.map(|List(list)| Nameservers::Listed(list));
        let every = names.check_interval.map_or(INTERVAL, Interval::get);
        Self { nameservers: nameservers.unwrap_or_default(), every }
    }
}

/// One of `servers`.
#[derive(Deserialize)]
#[serde(try_from = "Written")]
struct Entry(Server);

/// A name, or a service of SRV records.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a map with `host` and `port`, or with `srv`")]
struct Written {
    /// An IP address or a name.
    #[serde(default)]
    host: Option<String>,
    /// A name that has SRV records, instead of `host` and `port`.
    #[serde(default)]
    srv: Option<String>,
    /// The port of `host`; that of `backend_port_override` unless given.
    #[serde(default)]
    port: Option<u16>,
    /// What its endpoints are called.
    #[serde(default)]
    name: Option<String>,
    /// What `label_filters` look at.
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl TryFrom<Written> for Entry {
    type Error = InvalidConfig;

    fn try_from(written: Written) -> Result<Self, InvalidConfig> {
        let server = match (written.host, written.srv, written.port) {
            (None, None, _) => return Err(InvalidConfig::NoHost),
            (Some(_), Some(_), _) => return Err(InvalidConfig::Both),
            (None, Some(_), Some(_)) => return Err(InvalidConfig::SrvPort),
            (None, Some(srv), None) => {
                let name = Host::parse(&srv)?;
                if name.ip().is_some() {
                    return Err(InvalidConfig::SrvAddress);
                }
                Server::srv(&name)
            }
            (Some(host), None, Some(port)) => Server::at(Endpoint::new(Host::parse(&host)?, port)?),
            (Some(host), None, None) => Server::without_port(Host::parse(&host)?),
        };
        let server = server.with_name(written.name.as_deref().unwrap_or_default())?;
        Ok(Self(server.with_labels(written.labels.unwrap_or_default())?))
    }
}

/// One nameserver or several, each once.
struct List(Vec<Nameserver>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a nameserver (an IP address, with a port or without), or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<List, E> {
                Ok(List(vec![text.parse().map_err(E::custom)?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List, A::Error> {
                let mut list = Vec::new();
                while let Some(nameserver) = items.next_element()? {
                    if !list.contains(&nameserver) {
                        list.push(nameserver);
                    }
                }
                if list.is_empty() {
                    return Err(A::Error::custom(InvalidConfig::NoNameservers));
                }
                Ok(List(list))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn read(json: &str) -> Result<DnsConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn server(json: &str) -> Result<Server, String> {
        Ok(read(&format!(r#"{{"servers": [{json}]}}"#))?.servers.remove(0))
    }

    #[test]
    fn everything_but_servers_has_a_default() {
        let config = read(r#"{"servers": [{"host": "web.example", "port": 80}]}"#).unwrap();
        let (nameservers, servers, every) = config.into_parts();
        assert_eq!(nameservers, Nameservers::system());
        assert_eq!(every, Duration::from_secs(30));
        let endpoint = Endpoint::new("web.example".parse().unwrap(), 80).unwrap();
        assert_eq!(servers, [Server::at(endpoint)]);
    }

    #[test]
    fn a_server_has_all_that_synapses_has_or_is_a_service_of_srv_records() {
        let web = server(r#"{"host": "web", "port": 80, "name": "a", "labels": {"az": "b"}}"#).unwrap();
        assert_eq!((web.like().name(), web.like().label("az")), (Some("a"), Some("b")));
        let srv = server(r#"{"srv": "_http._tcp.web.example", "name": "a"}"#).unwrap();
        assert!(srv.has_port());
        assert_eq!(srv.question().unwrap().to_string(), "_http._tcp.web.example (SRV)");
        assert!(server(r#"{"host": "10.0.0.1", "port": 80}"#).unwrap().question().is_none());
    }

    #[test]
    fn the_service_can_say_the_port() {
        let config = read(r#"{"servers": [{"host": "web"}, {"host": "db", "port": 1}]}"#).unwrap();
        assert!(config.needs_port());
        let config = config.or_port(NonZeroU16::new(9).unwrap());
        let ports: Vec<_> = config.servers.iter().map(|server| server.like().port().get()).collect();
        assert_eq!((ports, config.needs_port()), (vec![9, 1], false));
    }

    #[test]
    fn a_nameserver_is_one_or_a_list() {
        for (written, shown) in [
            (r#""10.0.0.2""#, "10.0.0.2:53"),
            (r#"["10.0.0.2", "10.0.0.3:5353", "10.0.0.2"]"#, "10.0.0.2:53, 10.0.0.3:5353"),
            ("null", "/etc/resolv.conf"),
        ] {
            let names: NamesConfig =
                serde_json::from_str(&format!(r#"{{"nameserver": {written}}}"#)).unwrap();
            assert_eq!(names.nameservers.to_string(), shown, "{written}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (json, expected) in [
            ("{}", "a non-empty list of servers is required"),
            (r#"{"servers": []}"#, "a non-empty list of servers is required"),
            (r#"{"servers": [{}]}"#, "a server has a `host`, or an `srv`"),
            (r#"{"servers": [{"host": "a", "srv": "b"}]}"#, "not both"),
            (r#"{"servers": [{"srv": "b", "port": 1}]}"#, "SRV records have their own"),
            (r#"{"servers": [{"srv": "::1"}]}"#, "not an address"),
            (r#"{"servers": [{"host": "a b", "port": 1}]}"#, "the host has a character"),
            (r#"{"servers": [{"host": "a", "port": 0}]}"#, "the port is 0"),
            (r#"{"servers": [{"host": "a", "port": 1, "prot": 1}]}"#, "unknown field `prot`"),
            (r#"{"servers": [{"host": "a", "port": 1}], "nameserver": []}"#, "name a nameserver"),
            (
                r#"{"servers": [{"host": "a", "port": 1}], "nameserver": "ns1"}"#,
                "a nameserver is an IP address",
            ),
            (r#"{"servers": [{"host": "a", "port": 1}], "check_interval": 0}"#, "more than 0 s"),
            (r#"{"servers": [{"host": "a", "port": 1}], "check_interval": 86401}"#, "at most 86400"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
