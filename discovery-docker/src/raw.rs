//! The section as it is written.

use std::{collections::BTreeMap, fmt, num::NonZeroU16, path::PathBuf, time::Duration};

use discovery_core::{Host, Interval};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use tokio_rustls::rustls::pki_types::ServerName;

use crate::{
    config::{DaemonConfig, DockerConfig, InvalidConfig, Server, Tls},
    image::ImageName,
    selector::{Place, Selector},
};

/// What Synapse asks at unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(15);
/// Where Synapse asks unless told otherwise.
const PORT: NonZeroU16 = NonZeroU16::new(4243).expect("4243 is not 0");

/// The running containers of an image.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("required" = ["servers", "image_name", "container_port"])))]
pub(crate) struct Section {
    /// The Dockers that are asked, at least one.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Written>"))]
    servers: Option<Vec<Entry>>,
    /// The name of an image, or a list of them.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "images"))]
    image_name: Option<Images>,
    /// The port that containers listen on.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "u16", range(min = 1)))]
    container_port: Option<u16>,
    /// Whether containers are reached at ports that their host publishes, or at their own.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = "published")))]
    address: Option<Address>,
    /// With `address: container`: the network that addresses are of.
    #[serde(default)]
    network: Option<String>,
    /// Labels that containers must have.
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    /// Whether containers that are not healthy are served, too.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
    ignore_health: Option<bool>,
    /// How often to ask, in seconds: more than 0, at most a day.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<discovery_core::Seconds>", extend("default" = 15)))]
    check_interval: Option<Interval>,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Address {
    Published,
    Container,
}

impl TryFrom<Section> for DockerConfig {
    type Error = InvalidConfig;

    fn try_from(section: Section) -> Result<Self, InvalidConfig> {
        let servers: Vec<_> =
            section.servers.unwrap_or_default().into_iter().map(|Entry(server)| server).collect();
        if servers.is_empty() {
            return Err(InvalidConfig::NoServers);
        }
        let images = section.image_name.map(|Images(images)| images).unwrap_or_default();
        if images.is_empty() {
            return Err(InvalidConfig::NoImage);
        }
        let port = section.container_port.ok_or(InvalidConfig::NoPort)?;
        let port = NonZeroU16::new(port).ok_or(InvalidConfig::PortZero("container_port"))?;
        let place = match (section.address, section.network) {
            (Some(Address::Container), network) => Place::Container { network },
            (None | Some(Address::Published), None) => Place::Published,
            (None | Some(Address::Published), Some(_)) => return Err(InvalidConfig::Network),
        };
        let selector = Selector::new(images, port)
            .at(place)
            .with_labels(section.labels.unwrap_or_default())
            .ignoring_health(section.ignore_health.unwrap_or_default());
        let every = section.check_interval.map_or(INTERVAL, Interval::get);
        Ok(Self { servers, selector, every })
    }
}

/// One of `servers`.
#[derive(Deserialize)]
#[serde(try_from = "Written")]
struct Entry(Server);

/// A Docker that is asked.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a map with a `host`, or with a `socket`")]
struct Written {
    /// What it is called.
    #[serde(default)]
    name: Option<String>,
    /// A name or an address.
    #[serde(default)]
    host: Option<String>,
    /// The port of its API.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 4243)))]
    port: Option<u16>,
    /// The path of its socket, in place of `host`.
    #[serde(default)]
    socket: Option<PathBuf>,
    /// Speaks TLS.
    #[serde(default)]
    tls: Option<Tls>,
}

impl TryFrom<Written> for Entry {
    type Error = InvalidConfig;

    fn try_from(written: Written) -> Result<Self, InvalidConfig> {
        let host = written.host.as_deref().map(Host::parse).transpose()?;
        let daemon = match (written.socket, &host) {
            (None, None) => return Err(InvalidConfig::Nowhere),
            (Some(_), _) if written.port.is_some() => return Err(InvalidConfig::NotForSockets("port")),
            (Some(_), _) if written.tls.is_some() => return Err(InvalidConfig::NotForSockets("tls")),
            (Some(socket), _) if !socket.is_absolute() => return Err(InvalidConfig::RelativeSocket),
            (Some(socket), _) => DaemonConfig::Socket(socket),
            (None, Some(host)) => {
                let port =
                    written.port.map(|port| NonZeroU16::new(port).ok_or(InvalidConfig::PortZero("port")));
                if let Some(tls) = &written.tls {
                    checked(tls)?;
                }
                DaemonConfig::Tcp {
                    host: host.clone(),
                    port: port.transpose()?.unwrap_or(PORT),
                    tls: written.tls,
                }
            }
        };
        let server = Server::new(daemon, host);
        Ok(Self(server.with_name(written.name.as_deref().unwrap_or_default())?))
    }
}

fn checked(tls: &Tls) -> Result<(), InvalidConfig> {
    if tls.certificate.is_some() != tls.key.is_some() {
        return Err(InvalidConfig::HalfCertificate);
    }
    let name = tls.server_name.clone().map(ServerName::try_from);
    if matches!(name, Some(Err(_))) { Err(InvalidConfig::ServerName) } else { Ok(()) }
}

#[cfg(feature = "schema")]
fn images(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": ["string", "array"],
        "x-exact": true,
        "items": { "type": "string" },
        "minItems": 1,
    })
}

/// One name of an image or several, each once.
struct Images(Vec<ImageName>);

impl<'de> Deserialize<'de> for Images {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        fn image<E: serde::de::Error>(text: &str) -> Result<ImageName, E> {
            if text.is_empty() {
                return Err(E::custom(InvalidConfig::NoImage));
            }
            text.parse().map_err(E::custom)
        }

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Images;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an image, or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Images, E> {
                Ok(Images(vec![image(text)?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Images, A::Error> {
                let mut list = Vec::new();
                while let Some(text) = items.next_element::<String>()? {
                    let image = image(&text)?;
                    if !list.contains(&image) {
                        list.push(image);
                    }
                }
                Ok(Images(list))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<DockerConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn server(json: &str) -> Result<Server, String> {
        let json = format!(r#"{{"servers": [{json}], "image_name": "a", "container_port": 80}}"#);
        Ok(read(&json)?.servers.remove(0))
    }

    #[test]
    fn what_synapse_has_is_enough() {
        let server = server(r#"{"name": "one", "host": "docker1"}"#).unwrap();
        assert_eq!((server.to_string(), server.daemon().to_string()), ("one".into(), "docker1:4243".into()));
        let config = read(
            r#"{"servers": [{"host": "::1", "port": 2375}], "image_name": ["a", "b:1", "a"], "container_port": 80}"#,
        );
        let (servers, selector, every) = config.unwrap().into_parts();
        assert_eq!((servers[0].to_string(), every), ("[::1]:2375".into(), INTERVAL));
        assert_eq!(selector.images().len(), 2);
    }

    #[test]
    fn a_server_can_be_a_socket_or_have_tls() {
        let socket = server(r#"{"socket": "/var/run/docker.sock"}"#).unwrap();
        assert_eq!((socket.to_string(), &socket.host), ("/var/run/docker.sock".into(), &None));
        let other =
            server(r#"{"socket": "/var/run/docker.sock", "host": "10.0.0.1", "name": "here"}"#).unwrap();
        assert_eq!(socket.daemon(), other.daemon(), "one connection for both");
        let tls = r#"{"ca": "/ca.pem", "certificate": "/c.pem", "key": "/k.pem", "server_name": "10.0.0.5"}"#;
        let tls = server(&format!(r#"{{"host": "a", "port": 2376, "tls": {tls}}}"#)).unwrap();
        assert!(matches!(tls.daemon(), DaemonConfig::Tcp { tls: Some(_), .. }));
    }

    #[test]
    fn mistakes_are_told() {
        for (json, expected) in [
            (r#"{"image_name": "a", "container_port": 80}"#, "a non-empty list of servers is required"),
            (r#"{"servers": [{"host": "a"}], "container_port": 80}"#, "non-empty image_name required"),
            (
                r#"{"servers": [{"host": "a"}], "image_name": "", "container_port": 80}"#,
                "non-empty image_name required",
            ),
            (
                r#"{"servers": [{"host": "a"}], "image_name": [], "container_port": 80}"#,
                "non-empty image_name required",
            ),
            (r#"{"servers": [{"host": "a"}], "image_name": "a b", "container_port": 80}"#, "without blanks"),
            (r#"{"servers": [{"host": "a"}], "image_name": "a"}"#, "container_port required"),
            (
                r#"{"servers": [{"host": "a"}], "image_name": "a", "container_port": 0}"#,
                "the container_port is 0",
            ),
            (
                r#"{"servers": [{"host": "a"}], "image_name": "a", "container_port": 1, "network": "n"}"#,
                "`network` goes with",
            ),
            (
                r#"{"servers": [{"host": "a"}], "image_name": "a", "container_port": 1, "address": "host"}"#,
                "unknown variant",
            ),
            (
                r#"{"servers": [{"host": "a"}], "image_name": "a", "container_port": 1, "check_interval": 0}"#,
                "more than 0 s",
            ),
            (
                r#"{"servers": [{"host": "a"}], "image_name": "a", "container_port": 1, "image": "b"}"#,
                "unknown field",
            ),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
        for (json, expected) in [
            ("{}", "a server has a `host`, or a `socket`"),
            (r#"{"host": "a b"}"#, "the host has a character"),
            (r#"{"host": "a", "port": 0}"#, "the port is 0"),
            (r#"{"socket": "/s", "port": 1}"#, "`port` goes with a `host`"),
            (r#"{"socket": "/s", "tls": {"ca": "/x"}}"#, "`tls` goes with a `host`"),
            (r#"{"socket": "s"}"#, "does not begin with /"),
            (r#"{"host": "a", "tls": {}}"#, "missing field `ca`"),
            (r#"{"host": "a", "tls": {"ca": "/x", "key": "/y"}}"#, "go together"),
            (
                r#"{"host": "a", "tls": {"ca": "/x", "server_name": "a b"}}"#,
                "neither a name nor an IP address",
            ),
        ] {
            let error = server(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
