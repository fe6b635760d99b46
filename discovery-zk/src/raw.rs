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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    #[serde(default)]
    hosts: Option<Hosts>,
    #[serde(default)]
    path: Option<Path>,
    #[serde(default)]
    decode: Option<Decoding>,
    #[serde(default)]
    generator_config_path: Option<Settings>,
    #[serde(default)]
    retry_policy: Option<RetryPolicy>,
    #[serde(default)]
    discovery_jitter: Option<Jitter>,
    #[serde(default)]
    polling_interval_sec: Option<Interval>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    tls: Option<Tls>,
    #[serde(default)]
    sasl: Option<SaslLogin>,
    #[serde(default)]
    client: Option<Client>,
    #[serde(default)]
    session_timeout: Option<Seconds>,
    #[serde(default)]
    connect_timeout: Option<Seconds>,
    #[serde(default)]
    request_timeout: Option<Seconds>,
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
#[serde(deny_unknown_fields, expecting = "a map with `user` and `password`")]
struct SaslLogin {
    #[serde(default, rename = "mechanism")]
    _mechanism: Mechanism,
    user: String,
    password: Secret,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Mechanism {
    #[default]
    DigestMd5,
}

#[cfg(test)]
mod tests;
