//! The servers of an ensemble as they are written.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use thiserror::Error;

use crate::{
    address::{Address, InvalidAddress},
    path::{InvalidPath, Path},
};

/// The servers of an ensemble, and the chroot that paths are below: a connect string (`zk1:2181,zk2:2181/chroot`), or a list of
/// such, where the chroot stands behind any.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hosts {
    pub(crate) servers: Vec<Address>,
    pub(crate) chroot: Option<Path>,
}

/// Why something is not [`Hosts`]. None of these repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum InvalidHosts {
    #[error("missing or invalid zookeeper host: {0}")]
    Address(#[from] InvalidAddress),
    #[error("the chroot stands once, after the last host")]
    Comma,
    #[error("the chroot is no path: {0}")]
    Chroot(#[from] InvalidPath),
}

impl Hosts {
    fn parse(text: &str) -> Result<Self, InvalidHosts> {
        // Before a slash is looked for: there are two in it.
        if text.contains("://") {
            return Err(InvalidAddress::Scheme.into());
        }
        let (hosts, chroot) = match text.find('/') {
            None => (text, None),
            Some(slash) => {
                let (hosts, chroot) = text.split_at(slash);
                // ZooKeeper would take what follows the comma for a part of the path; whoever writes it means a host.
                if chroot.contains(',') {
                    return Err(InvalidHosts::Comma);
                }
                (hosts, Some(Path::new(chroot.trim_end())?))
            }
        };
        let servers = hosts.split(',').map(|host| host.trim().parse()).collect::<Result<_, _>>()?;
        Ok(Self { servers, chroot })
    }
}

/// One item of a list.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Part(Hosts);

impl TryFrom<String> for Part {
    type Error = InvalidHosts;

    fn try_from(text: String) -> Result<Self, InvalidHosts> {
        Hosts::parse(&text).map(Self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Hosts {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hosts".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "array"],
            "x-exact": true,
            "items": { "type": "string" },
        })
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Hosts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of servers (host:port), or a connect string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hosts, E> {
                Hosts::parse(text).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Hosts, A::Error> {
                let mut all = Hosts { servers: Vec::new(), chroot: None };
                while let Some(Part(hosts)) = list.next_element()? {
                    all.servers.extend(hosts.servers);
                    match (&all.chroot, hosts.chroot) {
                        (Some(one), Some(other)) if *one != other => {
                            return Err(A::Error::custom("there are two different chroots"));
                        }
                        (_, None) => {}
                        (_, chroot) => all.chroot = chroot,
                    }
                }
                Ok(all)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<(String, Option<String>), String> {
        let hosts: Hosts = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let servers: Vec<_> = hosts.servers.iter().map(ToString::to_string).collect();
        Ok((servers.join(" "), hosts.chroot.map(|chroot| chroot.to_string())))
    }

    #[test]
    fn lists_and_connect_strings_mean_the_same() {
        for (json, servers, chroot) in [
            (r#"["a:1", "b"]"#, "a:1 b:2181", None),
            (r#""a:1,b""#, "a:1 b:2181", None),
            (r#""a:1, b:2 ""#, "a:1 b:2", None),
            (r#"["a:1,b:2", "c:3"]"#, "a:1 b:2 c:3", None),
            (r#""a:1,b:2/x/y""#, "a:1 b:2", Some("/x/y")),
            (r#"["a:1", "b:2/x/y/"]"#, "a:1 b:2", Some("/x/y")),
            (r#"["b:2/x", "a:1"]"#, "b:2 a:1", Some("/x")),
            (r#"["a:1/x", "b:2/x"]"#, "a:1 b:2", Some("/x")),
            (r#"["a:1/"]"#, "a:1", Some("/")),
            ("[]", "", None),
        ] {
            assert_eq!(read(json), Ok((servers.to_owned(), chroot.map(str::to_owned))), "{json}");
        }
    }

    #[test]
    fn what_names_no_servers_is_refused_with_the_reason_and_not_repeated() {
        for (json, reason) in [
            (r#""""#, "missing or invalid zookeeper host: the host is empty"),
            (r#""a:1,""#, "missing or invalid zookeeper host: the host is empty"),
            (r#""/x""#, "missing or invalid zookeeper host: the host is empty"),
            (r#"["hunter2:x"]"#, "missing or invalid zookeeper host: the port is not a number"),
            (r#""u:hunter2@a""#, "`user` and `password`"),
            (r#""zk://a/x""#, "without a scheme"),
            (r#""a/x,b""#, "the chroot stands once, after the last host"),
            (r#""a/x//y""#, "the chroot is no path: invalid zookeeper path: there is nothing between"),
            (r#"["a/x", "b/y"]"#, "there are two different chroots"),
            ("{}", "expected a list of servers (host:port), or a connect string"),
            ("[{}]", "invalid type"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(reason) && !error.contains("hunter2"), "{json}: {error}");
        }
    }
}
