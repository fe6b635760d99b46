//! The section as it is written.

mod decoding;
mod retry;

use std::time::Duration;

use discovery_core::{Seconds, Secret};
use serde::Deserialize;

use self::{decoding::Decoding, retry::RetryPolicy};
use crate::{
    config::{Client, EnsembleConfig, Ignored, InvalidConfig, Sasl, Timeouts, Tls, ZkConfig, ZkPollConfig},
    decode::Decode,
    hosts::Hosts,
    node::Node,
    path::{InvalidPath, Path},
};

/// What Synapse polls at unless told otherwise.
const INTERVAL: Duration = Duration::from_mins(1);

/// Endpoints registered as the children of a node in ZooKeeper.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    /// The servers of the ensemble: a list of `host:port`, or a connect string; with a chroot after the last or without.
    #[serde(default)]
    hosts: Option<Hosts>,
    /// The node whose children are the endpoints; below the chroot.
    #[serde(default)]
    path: Option<Path>,
    /// How children are read.
    #[serde(default)]
    decode: Option<Decoding>,
    /// The node that says how the service is to be served, or `disabled`; that at `path` unless given.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    generator_config_path: Option<Settings>,
    /// The pauses between attempts to connect.
    #[serde(default)]
    retry_policy: Option<RetryPolicy>,
    /// How many seconds after a change the children are read, at most: drawn at random. Ignored unless from 0 to 120.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 0)))]
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    discovery_jitter: Option<Jitter>,
    /// How often the children are listed at most, in seconds, up to a day.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 60)))]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Seconds>"))]
    polling_interval_sec: Option<Interval>,
    /// Who to authenticate as (digest). Comes with `password`.
    #[serde(default)]
    user: Option<String>,
    /// The password of `user`.
    #[serde(default)]
    password: Option<Secret>,
    /// Speaks TLS.
    #[serde(default)]
    tls: Option<Tls>,
    /// Logs in by SASL.
    #[serde(default)]
    sasl: Option<SaslLogin>,
    /// The client that speaks with the servers; what `tls` and `sasl` need unless given.
    #[serde(default)]
    client: Option<Client>,
    /// After how many seconds of silence a session ends, from 2 to 600.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 10)))]
    session_timeout: Option<Seconds>,
    /// For an established session, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 3)))]
    connect_timeout: Option<Seconds>,
    /// For the answer to one request, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 10)))]
    request_timeout: Option<Seconds>,
}

/// Takes out what only a service that is polled may have.
#[cfg(feature = "schema")]
pub(crate) fn without_interval(schema: &mut schemars::Schema) {
    if let Some(properties) = schema.get_mut("properties").and_then(|properties| properties.as_object_mut()) {
        properties.remove("polling_interval_sec");
    }
}

impl TryFrom<Section> for ZkConfig {
    type Error = InvalidConfig;

    fn try_from(section: Section) -> Result<Self, InvalidConfig> {
        if section.polling_interval_sec.is_some() {
            return Err(InvalidConfig::NotPolled);
        }
        section.read(Duration::ZERO)
    }
}

impl TryFrom<Section> for ZkPollConfig {
    type Error = InvalidConfig;

    fn try_from(section: Section) -> Result<Self, InvalidConfig> {
        let every = section.polling_interval_sec.as_ref().map_or(INTERVAL, |&Interval(every)| every);
        section.read(every).map(Self::new)
    }
}

impl Section {
    fn read(self, every: Duration) -> Result<ZkConfig, InvalidConfig> {
        let Hosts { servers, chroot } = self.hosts.ok_or(InvalidConfig::NoHosts)?;
        // Below the root of the ensemble: services with different chroots share one session.
        let whole = |path: &Path| match &chroot {
            None => Ok(path.clone()),
            Some(chroot) => path.below(chroot),
        };
        let path = whole(&self.path.ok_or(InvalidConfig::NoPath)?)?;
        let settings = match &self.generator_config_path {
            None => Some(path.clone()),
            Some(Settings::Disabled) => None,
            Some(Settings::At(path)) => Some(whole(path)?),
        };
        let Decoding(decode) = self.decode.unwrap_or(Decoding(Decode::Nerve));
        let (jitter, ignored) = match self.discovery_jitter {
            None => (Duration::ZERO, None),
            Some(Jitter(Some(jitter))) => (jitter, None),
            Some(Jitter(None)) => (Duration::ZERO, Some(Ignored::Jitter)),
        };
        let node = Node::new(path, decode).with_settings(settings).with_jitter(jitter).with_every(every);

        let mut ensemble = EnsembleConfig::new(servers)?;
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => ensemble = ensemble.with_user(user, password)?,
            (None, None) => {}
            _ => return Err(InvalidConfig::HalfUser),
        }
        if let Some(client) = self.client {
            ensemble = ensemble.with_client(client)?;
        }
        if let Some(tls) = self.tls {
            ensemble = ensemble.with_tls(tls)?;
        }
        if let Some(SaslLogin { user, password, .. }) = self.sasl {
            ensemble = ensemble.with_sasl(Sasl { user, password })?;
        }
        if let Some(RetryPolicy(Some(retry))) = self.retry_policy {
            ensemble = ensemble.with_retry(retry);
        }
        let or = |written: Option<Seconds>, default| written.map_or(default, Seconds::get);
        let default = Timeouts::default();
        let ensemble = ensemble.with_timeouts(Timeouts {
            session: or(self.session_timeout, default.session),
            connect: or(self.connect_timeout, default.connect),
            request: or(self.request_timeout, default.request),
        })?;
        Ok(ZkConfig::new(ensemble, node, ignored))
    }
}

/// `generator_config_path`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
enum Settings {
    Disabled,
    At(Path),
}

impl TryFrom<String> for Settings {
    type Error = InvalidPath;

    fn try_from(text: String) -> Result<Self, InvalidPath> {
        if text == "disabled" { Ok(Self::Disabled) } else { Path::new(&text).map(Self::At) }
    }
}

/// Synapse ignores numbers that are out of range, so there are configurations with such. `None`: that is one.
#[derive(Deserialize)]
#[serde(from = "f64")]
struct Jitter(Option<Duration>);

impl From<f64> for Jitter {
    fn from(seconds: f64) -> Self {
        let jitter = Duration::try_from_secs_f64(seconds).ok();
        Self(jitter.filter(|jitter| *jitter <= Duration::from_mins(2)))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "Seconds")]
struct Interval(Duration);

impl TryFrom<Seconds> for Interval {
    type Error = InvalidConfig;

    fn try_from(seconds: Seconds) -> Result<Self, InvalidConfig> {
        let every = seconds.get();
        if every > Duration::from_hours(24) { Err(InvalidConfig::Interval) } else { Ok(Self(every)) }
    }
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a map with `user` and `password`")]
struct SaslLogin {
    /// The one that there is.
    #[serde(default, rename = "mechanism")]
    #[cfg_attr(feature = "schema", schemars(extend("default" = "digest-md5")))]
    _mechanism: Mechanism,
    /// Who logs in.
    user: String,
    /// With which password.
    password: Secret,
}

#[derive(Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Mechanism {
    #[default]
    DigestMd5,
}

#[cfg(test)]
mod tests;
