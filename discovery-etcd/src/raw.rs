//! The section as it is written.

use std::num::NonZeroU16;

use discovery_core::{Host, Seconds, Secret};
use serde::Deserialize;

use crate::{
    address::Address,
    config::{ClusterConfig, EtcdConfig, InvalidConfig, Timeouts, Tls},
    prefix::Prefix,
};

/// Endpoints registered below a prefix in etcd v3.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(transform = with_second_names))]
pub(crate) struct Section {
    /// The members of the cluster: `host`, `host:port` or a URL. `hosts` is another word for it.
    #[serde(default, alias = "hosts")]
    endpoints: Option<Vec<Address>>,
    /// One member, instead of `endpoints`.
    #[serde(default)]
    host: Option<HostName>,
    /// The port of `host`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 2379)))]
    port: Option<NonZeroU16>,
    /// The directory that the endpoints are registered below. `path` is another word for it.
    #[serde(alias = "path")]
    prefix: Prefix,
    /// Who to authenticate as. Comes with `password`.
    #[serde(default)]
    user: Option<String>,
    /// The password of `user`.
    #[serde(default)]
    password: Option<Secret>,
    /// Speaks TLS. Without it, so do endpoints that are `https://`.
    #[serde(default)]
    tls: Option<Tls>,
    /// For a connection, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 3)))]
    connect_timeout: Option<Seconds>,
    /// For the answer to one request, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 5)))]
    request_timeout: Option<Seconds>,
    /// After how many seconds of silence a connection is asked whether it lives; at least 5.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 6)))]
    keep_alive_interval: Option<Seconds>,
    /// How many seconds it then has to answer.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 4)))]
    keep_alive_timeout: Option<Seconds>,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", schemars(into = "String"))]
struct HostName(Host);

impl TryFrom<String> for HostName {
    type Error = discovery_core::InvalidHost;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Host::parse(&text).map(Self)
    }
}

/// Adds the other names that keys may have, which a derived schema does not know.
#[cfg(feature = "schema")]
fn with_second_names(schema: &mut schemars::Schema) {
    use schemars::json_schema;

    let Some(properties) = schema.get_mut("properties").and_then(|properties| properties.as_object_mut())
    else {
        return;
    };
    for (name, second) in [("endpoints", "hosts"), ("prefix", "path")] {
        if let Some(property) = properties.get(name).cloned() {
            properties.insert(second.to_owned(), property);
        }
    }
    schema.remove("required");
    let one = |name: &str| json_schema!({ "required": [name] }).to_value();
    schema.insert("oneOf".to_owned(), [one("prefix"), one("path")].into_iter().collect());
}

impl TryFrom<Section> for EtcdConfig {
    type Error = InvalidConfig;

    fn try_from(section: Section) -> Result<Self, InvalidConfig> {
        let endpoints = match (section.endpoints, section.host, section.port) {
            (Some(_), Some(_), _) => return Err(InvalidConfig::TwiceEndpoints),
            (_, None, Some(_)) => return Err(InvalidConfig::PortAlone),
            (Some(endpoints), None, None) => endpoints,
            (None, Some(HostName(host)), port) => vec![Address::at(host, port)],
            (None, None, None) => return Err(InvalidConfig::NoEndpoints),
        };
        let mut cluster = ClusterConfig::new(endpoints)?;
        if let Some(tls) = section.tls {
            cluster = cluster.with_tls(tls)?;
        }
        match (section.user, section.password) {
            (Some(user), Some(password)) => cluster = cluster.with_user(user, password),
            (None, None) => {}
            _ => return Err(InvalidConfig::HalfUser),
        }
        let or = |written: Option<Seconds>, default| written.map_or(default, Seconds::get);
        let default = Timeouts::default();
        let cluster = cluster.with_timeouts(Timeouts {
            connect: or(section.connect_timeout, default.connect),
            request: or(section.request_timeout, default.request),
            keep_alive_interval: or(section.keep_alive_interval, default.keep_alive_interval),
            keep_alive_timeout: or(section.keep_alive_timeout, default.keep_alive_timeout),
        })?;
        Ok(Self::new(cluster, section.prefix))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(json: &str) -> Result<EtcdConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn urls(json: &str) -> Vec<String> {
        let (cluster, _) = read(json).unwrap().into_parts();
        cluster.endpoints().iter().map(|endpoint| cluster.url(endpoint)).collect()
    }

    #[test]
    fn endpoints_can_be_written_in_four_ways() {
        for json in [
            r#"{"endpoints": ["10.0.0.1:2379"], "prefix": "/web"}"#,
            r#"{"hosts": ["10.0.0.1"], "path": "/web"}"#,
            r#"{"host": "10.0.0.1", "prefix": "/web"}"#,
            r#"{"host": "10.0.0.1", "port": 2379, "prefix": "/web"}"#,
            r#"{"endpoints": ["http://10.0.0.1"], "prefix": "/web"}"#,
        ] {
            assert_eq!(urls(json), ["http://10.0.0.1:2379"], "{json}");
        }
        assert_eq!(urls(r#"{"host": "::1", "port": 1, "prefix": "/web"}"#), ["http://[::1]:1"]);
    }

    #[test]
    #[cfg(feature = "tls")]
    fn tls_is_wanted_by_a_section_or_by_the_urls() {
        for json in [
            r#"{"host": "etcd", "tls": {}, "prefix": "/web"}"#,
            r#"{"hosts": ["https://etcd"], "path": "/web"}"#,
        ] {
            assert_eq!(urls(json), ["https://etcd:2379"], "{json}");
        }
    }

    #[test]
    fn equal_sections_share_a_cluster_whatever_they_watch_there() {
        let one = read(r#"{"endpoints": ["a", "b"], "prefix": "/web"}"#).unwrap();
        let other = read(r#"{"hosts": ["b:2379", "a:2379"], "path": "/db"}"#).unwrap();
        assert_eq!(one.cluster(), other.cluster());
        assert_ne!(one.prefix(), other.prefix());
        let third = read(r#"{"hosts": ["b", "a"], "path": "/db", "request_timeout": 1.5}"#).unwrap();
        assert_ne!(one.cluster(), third.cluster());
        assert_eq!(third.cluster().timeouts().request, Duration::from_millis(1500));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        for (json, reason) in [
            (r#"{"prefix": "/a"}"#, "no member of the cluster is named"),
            (r#"{"endpoints": [], "prefix": "/a"}"#, "no member of the cluster is named"),
            (r#"{"host": "a"}"#, "missing field `prefix`"),
            (r#"{"host": "a", "prefix": "/"}"#, "names no directory"),
            (r#"{"host": "a", "hosts": ["b"], "prefix": "/a"}"#, "exclude each other"),
            (r#"{"hosts": ["b"], "port": 1, "prefix": "/a"}"#, "`port` needs `host`"),
            (r#"{"host": "a", "port": 0, "prefix": "/a"}"#, "nonzero"),
            (r#"{"host": "a", "prefix": "/a", "user": "u"}"#, "`user` and `password` go together"),
            (r#"{"host": "a", "prefix": "/a", "preffix": "/a"}"#, "unknown field `preffix`"),
            (
                r#"{"host": "a", "prefix": "/a", "request_timeout": 0}"#,
                "`request_timeout` is not longer than 0 s",
            ),
            (r#"{"host": "a", "prefix": "/a", "request_timeout": -1}"#, "not a number of seconds"),
            (r#"{"host": "a", "prefix": "/a", "connect_timeout": 1e300}"#, "not a number of seconds"),
            (r#"{"host": "a", "prefix": "/a", "connect_timeout": 1e9}"#, "at most 3600 s"),
            (r#"{"host": "a", "prefix": "/a", "keep_alive_interval": 1}"#, "shorter than 5 s"),
            (r#"{"hosts": ["https://a", "b"], "prefix": "/a"}"#, "some endpoints are https://"),
            (r#"{"hosts": ["http://a"], "tls": {}, "prefix": "/a"}"#, "an endpoint says http://"),
            (r#"{"host": "a", "tls": {"key": "/k"}, "prefix": "/a"}"#, "`certificate` and `key` go together"),
        ] {
            // Without TLS in the build, that is what is said first.
            if cfg!(feature = "tls") || !json.contains("tls") {
                let error = read(json).unwrap_err();
                assert!(error.contains(reason), "{json}: {error}");
            }
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let config = read(r#"{"host": "a", "prefix": "/a", "user": "u", "password": "hunter2"}"#).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        for json in [
            r#"{"hosts": ["http://u:hunter2@a"], "prefix": "/a"}"#,
            r#"{"host": "a", "prefix": "/a", "password": "hunter2"}"#,
            r#"{"host": "a", "prefix": "/a", "user": "u", "password": ["hunter2"]}"#,
        ] {
            let error = read(json).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
