//! What a user can set.

use std::{fmt, time::Duration};

use serde::Deserialize;
use thiserror::Error;

use crate::{
    Secret, raw,
    selector::{InvalidSelector, Selector},
};

/// The longest interval: nobody means more.
pub(crate) const MAX_INTERVAL: Duration = Duration::from_hours(24);

/// The section of a configuration that names a service in EC2.
///
/// | key | type | |
/// |---|---|---|
/// | `tag_name`, `tag_value` | text | one tag that instances must have; both or none |
/// | `tags` | map of name to value or list of values | more of them: all must match, of a list one value |
/// | `filters` | map of name to list of values | any other filter of `DescribeInstances` |
/// | `address` | `private_ip`, `public_ip`, `ipv6`, `private_dns` | where instances are reached: see [`Address`](crate::Address); `private_ip` unless given |
/// | `check_interval` | seconds, fractions too | how often to ask: 15 unless given, at most a day |
/// | `aws_region` | text | otherwise what the environment, the profile or the instance says |
/// | `aws_endpoint` | URL | of EC2's API, instead of the region's own |
/// | `aws_access_key_id`, `aws_secret_access_key`, `aws_session_token` | text | the first two or none; without them, see below |
/// | `role_arn`, `external_id` | text | a role to assume with those credentials |
/// | `connect_timeout`, `request_timeout`, `poll_timeout` | seconds, fractions too | see [`Deadlines`] |
///
/// At least one of `tag_name`, `tags` and `filters` is required. Other keys are errors. Values may have wildcards, see
/// [`Selector`]. Nothing is connected to, and no environment is read, here.
///
/// Without keys of their own, services have the credentials that the AWS SDKs find, in this order: environment, profile
/// (`credential_process` among it, SSO not), web identity, container, instance metadata (IMDSv2).
///
/// ```
/// use discovery_ec2::Ec2Config;
///
/// let config: Ec2Config = serde_json::from_str(
///     r#"{"tag_name": "role", "tag_value": "web", "tags": {"env": ["prod", "stage"]}, "aws_region": "eu-west-1"}"#,
/// )?;
/// let (region, selector, every) = config.into_parts();
/// assert_eq!(region.to_string(), "EC2 in eu-west-1");
/// assert_eq!(selector.to_string(), "tag:env=prod,stage tag:role=web");
/// assert_eq!(every.as_secs(), 15);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "raw::Section")]
#[cfg_attr(feature = "schema", schemars(into = "raw::Section"))]
pub struct Ec2Config {
    region: RegionConfig,
    selector: Selector,
    every: Duration,
}

impl Ec2Config {
    pub(crate) fn new(
        region: RegionConfig,
        selector: Selector,
        every: Duration,
    ) -> Result<Self, InvalidConfig> {
        if every.is_zero() || every > MAX_INTERVAL {
            return Err(InvalidConfig::Interval);
        }
        Ok(Self { region, selector, every })
    }

    /// Where to ask, which services can share; which instances are wanted; how often to ask.
    pub fn into_parts(self) -> (RegionConfig, Selector, Duration) {
        (self.region, self.selector, self.every)
    }

    /// Where to ask.
    pub fn region(&self) -> &RegionConfig {
        &self.region
    }

    /// Which instances are wanted.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// How often to ask: longer than 0 and at most a day.
    pub fn every(&self) -> Duration {
        self.every
    }
}

/// Where to ask, and as whom. Services whose values are equal can share one [`Region`](crate::Region): it can be the key of a
/// map.
///
/// The default is what the AWS SDKs find for themselves.
///
/// `Display` names the region and the endpoint, never credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RegionConfig {
    region: Option<String>,
    endpoint: Option<String>,
    keys: Option<Keys>,
    role: Option<Role>,
    deadlines: Deadlines,
}

/// Keys that are written in a configuration. `Debug` shows nothing of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Keys {
    pub(crate) id: Secret,
    pub(crate) secret: Secret,
    pub(crate) token: Option<Secret>,
}

impl Keys {
    /// An access key: its id, its secret, and the session token if it has one.
    pub fn new(id: Secret, secret: Secret, token: Option<Secret>) -> Self {
        Self { id, secret, token }
    }
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) external_id: Option<Secret>,
}

/// How long to wait. Each is longer than 0 and at most an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deadlines {
    /// For a connection. By default 3 s.
    pub connect: Duration,
    /// For one page of an answer, connection and credentials included. By default 15 s.
    pub request: Duration,
    /// For all pages of an answer, with the waits between them. By default 120 s.
    pub poll: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            request: Duration::from_secs(15),
            poll: Duration::from_mins(2),
        }
    }
}

/// Why a configuration makes no sense. None of these repeats a value: some are secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// A tag's value without its name, or nothing at all to find instances by.
    #[error("aws tag name is required: set `tag_name` and `tag_value`, or `tags`, or `filters`")]
    NoTagName,
    /// A tag's name without its value.
    #[error("aws tag value required: `tag_name` comes with `tag_value`")]
    NoTagValue,
    /// Tags or filters that EC2 would not take.
    #[error(transparent)]
    Selector(#[from] InvalidSelector),
    /// An interval of nothing, or of more than a day.
    #[error("`check_interval` is not longer than 0 s and at most 86400 s")]
    Interval,
    /// One key without the other.
    #[error("`aws_access_key_id` and `aws_secret_access_key` go together")]
    HalfKeys,
    /// A session token without the keys it belongs to.
    #[error("`aws_session_token` needs `aws_access_key_id` and `aws_secret_access_key`")]
    TokenAlone,
    /// An external id without a role.
    #[error("`external_id` needs `role_arn`")]
    ExternalIdAlone,
    /// Not a role's ARN.
    #[error("`role_arn` does not look like arn:aws:iam::123456789012:role/name")]
    Role,
    /// Not the name of a region.
    #[error("`aws_region` is not the name of a region, such as us-east-1")]
    Region,
    /// Not a URL.
    #[error(
        "`aws_endpoint` is not a URL of the form http://host:port or https://host:port, without user, query or fragment"
    )]
    Endpoint,
    /// A text that is there and empty.
    #[error("`{0}` is empty: leave it out")]
    Empty(&'static str),
    /// A deadline of nothing, or of more than an hour.
    #[error("`{0}` is not longer than 0 s and at most 3600 s")]
    Deadline(&'static str),
}

impl RegionConfig {
    /// Asks in this region.
    pub fn with_region(mut self, region: &str) -> Result<Self, InvalidConfig> {
        let of_names = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edges = region.starts_with('-') || region.ends_with('-');
        if !(1..=63).contains(&region.len()) || edges || !region.bytes().all(of_names) {
            return Err(InvalidConfig::Region);
        }
        self.region = Some(region.to_owned());
        Ok(self)
    }

    /// Asks EC2's API at this URL. It must be `http` or `https`, and may have a path.
    pub fn with_endpoint(mut self, url: &str) -> Result<Self, InvalidConfig> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidConfig::Endpoint)?;
        let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"@?#\\\"<>".contains(&byte);
        let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        if !known || !is_authority(authority) || !rest.bytes().all(plain) {
            return Err(InvalidConfig::Endpoint);
        }
        self.endpoint = Some(format!("{}://{}", scheme.to_ascii_lowercase(), rest.trim_end_matches('/')));
        Ok(self)
    }

    /// Asks with these keys, instead of what the SDK finds.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Assumes this role, with the external id that its owner may have asked for.
    pub fn with_role(mut self, arn: &str, external_id: Option<Secret>) -> Result<Self, InvalidConfig> {
        let mut parts = arn.splitn(6, ':');
        let of_iam = parts.next() == Some("arn") && parts.nth(1) == Some("iam");
        let named =
            parts.nth(2).and_then(|name| name.strip_prefix("role/")).is_some_and(|name| !name.is_empty());
        if !of_iam || !named || !arn.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidConfig::Role);
        }
        self.role = Some(Role { arn: arn.to_owned(), external_id });
        Ok(self)
    }

    /// Waits for as long as this.
    pub fn with_deadlines(mut self, deadlines: Deadlines) -> Result<Self, InvalidConfig> {
        let Deadlines { connect, request, poll } = deadlines;
        for (name, value) in
            [("connect_timeout", connect), ("request_timeout", request), ("poll_timeout", poll)]
        {
            if value.is_zero() || value > Duration::from_hours(1) {
                return Err(InvalidConfig::Deadline(name));
            }
        }
        self.deadlines = deadlines;
        Ok(self)
    }

    /// The region, unless the SDK is to find it.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The URL of EC2's API, unless it is the region's own.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// As whom EC2 is asked, for people: where the credentials come from, and which role is assumed. Never a secret.
    pub fn account(&self) -> String {
        let from = match self.keys {
            Some(_) => "keys of the configuration",
            None => "credentials that the AWS SDK finds",
        };
        match &self.role {
            Some(role) => format!("role {}, assumed with {from}", role.arn),
            None => from.to_owned(),
        }
    }

    pub(crate) fn keys(&self) -> Option<&Keys> {
        self.keys.as_ref()
    }

    pub(crate) fn role(&self) -> Option<&Role> {
        self.role.as_ref()
    }

    pub(crate) fn deadlines(&self) -> Deadlines {
        self.deadlines
    }
}

/// `host` or `host:port`; an IPv6 address stands in brackets.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bare_ipv6 = host.contains(':') && !host.starts_with('[');
    let port_fits = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    !bare_ipv6 && discovery_core::Host::parse(host).is_ok() && port.is_none_or(port_fits)
}

impl fmt::Display for RegionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.region {
            Some(region) => write!(f, "EC2 in {region}")?,
            None => f.write_str("EC2 in the default region")?,
        }
        match &self.endpoint {
            Some(endpoint) => write!(f, " at {endpoint}"),
            None => Ok(()),
        }
    }
}
