//! One address that can take traffic.

use std::{collections::BTreeMap, fmt, num::NonZeroU16, sync::Arc};

use thiserror::Error;

use crate::host::{Host, InvalidHost};

/// The longest name an endpoint can have, in bytes.
pub(crate) const MAX_NAME: usize = 128;
/// The longest `server_options`, in bytes.
pub(crate) const MAX_OPTIONS: usize = 1024;
/// How many labels an endpoint can have.
pub(crate) const MAX_LABELS: usize = 256;
/// The longest label name or value, in bytes. EC2 allows 128 and 256 characters.
pub(crate) const MAX_LABEL: usize = 1024;

/// One address that can take traffic for a service.
///
/// An endpoint is a value: it is built once, from checked parts, and then only replaced. [`Endpoint::key`] says *which*
/// endpoint it is; `==` says whether anything about it is different, so a changed weight is a change of the same endpoint.
/// Texts have bounded lengths and no control characters, whoever wrote them.
///
/// Cloning costs a few reference counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(alias = "backend")]
#[non_exhaustive]
pub struct Endpoint {
    host: Host,
    port: NonZeroU16,
    name: Option<Arc<str>>,
    available: bool,
    backup: bool,
    id: Option<u64>,
    weight: Option<u32>,
    server_options: Option<Arc<str>>,
    labels: Option<Arc<BTreeMap<String, String>>>,
}

/// Which endpoint: two endpoints of one service with the same key are the same one, seen twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Where it can be reached.
    pub host: Host,
    /// On which TCP port.
    pub port: NonZeroU16,
    /// What it calls itself.
    pub name: Option<Arc<str>>,
}

/// Why something cannot be an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// The host is not one.
    #[error(transparent)]
    Host(#[from] InvalidHost),
    /// Port 0.
    #[error("the port is 0")]
    Port,
    /// A text that is too long.
    #[error("the {field} is longer than {max} bytes")]
    TooLong {
        /// Which text.
        field: &'static str,
        /// What is allowed, in bytes.
        max: usize,
    },
    /// A text with a control character, a line end among them.
    #[error("the {field} has a control character")]
    Control {
        /// Which text.
        field: &'static str,
    },
    /// More labels than allowed.
    #[error("there are more than {MAX_LABELS} labels")]
    TooManyLabels,
}

fn checked(field: &'static str, text: &str, max: usize) -> Result<(), InvalidEndpoint> {
    if text.len() > max {
        Err(InvalidEndpoint::TooLong { field, max })
    } else if text.chars().any(char::is_control) {
        Err(InvalidEndpoint::Control { field })
    } else {
        Ok(())
    }
}

impl Endpoint {
    /// An endpoint with nothing but an address: available, no backup, no name, id, weight, labels or options.
    ///
    /// Fails for port 0.
    pub fn new(host: Host, port: u16) -> Result<Self, InvalidEndpoint> {
        let port = NonZeroU16::new(port).ok_or(InvalidEndpoint::Port)?;
        Ok(Self {
            host,
            port,
            name: None,
            available: true,
            backup: false,
            id: None,
            weight: None,
            server_options: None,
            labels: None,
        })
    }

    /// Sets what the endpoint calls itself, at most 128 bytes. An empty name is no name.
    pub fn with_name(mut self, name: &str) -> Result<Self, InvalidEndpoint> {
        checked("name", name, MAX_NAME)?;
        self.name = (!name.is_empty()).then(|| name.into());
        Ok(self)
    }

    /// Sets the number by which leaders are elected; the smallest leads.
    #[must_use]
    pub fn with_id(mut self, id: Option<u64>) -> Self {
        self.id = id;
        self
    }

    /// Sets the share of traffic this endpoint asks for, relative to the others of its service.
    #[must_use]
    pub fn with_weight(mut self, weight: Option<u32>) -> Self {
        self.weight = weight;
        self
    }

    /// Makes it a backup: it takes traffic only while no endpoint that is none can.
    #[must_use]
    pub fn with_backup(mut self, backup: bool) -> Self {
        self.backup = backup;
        self
    }

    /// Says whether it wants traffic at all.
    #[must_use]
    pub fn with_available(mut self, available: bool) -> Self {
        self.available = available;
        self
    }

    /// Moves it to another host: one of the addresses of its name, say.
    #[must_use]
    pub fn with_host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// Moves it to another port.
    #[must_use]
    pub fn with_port(mut self, port: NonZeroU16) -> Self {
        self.port = port;
        self
    }

    /// Sets the proxy's options that the endpoint asks for, at most 1,024 bytes; nobody has judged yet whether they are
    /// safe to use. Empty options are none.
    pub fn with_server_options(mut self, options: &str) -> Result<Self, InvalidEndpoint> {
        checked("server options", options, MAX_OPTIONS)?;
        self.server_options = (!options.is_empty()).then(|| options.into());
        Ok(self)
    }

    /// Sets the labels: at most 256, each name and value at most 1,024 bytes.
    pub fn with_labels(mut self, labels: BTreeMap<String, String>) -> Result<Self, InvalidEndpoint> {
        if labels.len() > MAX_LABELS {
            return Err(InvalidEndpoint::TooManyLabels);
        }
        for (name, value) in &labels {
            checked("name of a label", name, MAX_LABEL)?;
            checked("value of a label", value, MAX_LABEL)?;
        }
        self.labels = (!labels.is_empty()).then(|| Arc::new(labels));
        Ok(self)
    }

    /// Which endpoint this is.
    pub fn key(&self) -> Key {
        Key { host: self.host.clone(), port: self.port, name: self.name.clone() }
    }

    /// Compares by key, without building one.
    pub(crate) fn cmp_key(&self, other: &Self) -> std::cmp::Ordering {
        (&self.host, self.port, &self.name).cmp(&(&other.host, other.port, &other.name))
    }

    /// Where it can be reached.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// On which TCP port, 1 to 65535.
    pub fn port(&self) -> NonZeroU16 {
        self.port
    }

    /// What it calls itself; never empty.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The number by which leaders are elected.
    pub fn id(&self) -> Option<u64> {
        self.id
    }

    /// The share of traffic it asks for, in no unit; what an output makes of it is the output's affair.
    pub fn weight(&self) -> Option<u32> {
        self.weight
    }

    /// Whether it takes traffic only while no other endpoint can.
    pub fn backup(&self) -> bool {
        self.backup
    }

    /// Whether it wants traffic. An endpoint that does not is known, and not served.
    pub fn available(&self) -> bool {
        self.available
    }

    /// The proxy's options that it asks for, as it wrote them: untrusted.
    pub fn server_options(&self) -> Option<&str> {
        self.server_options.as_deref()
    }

    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// All labels, by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels
            .iter()
            .flat_map(|labels| labels.iter())
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Display for Endpoint {
    /// `name_host:port`, or `host:port` without a name; an IPv6 address stands in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}_")?;
        }
        match self.host.ip() {
            Some(std::net::IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(id) = self.id {
            write!(f, " id={id}")?;
        }
        if let Some(weight) = self.weight {
            write!(f, " weight={weight}")?;
        }
        if self.backup {
            f.write_str(" backup")?;
        }
        if !self.available {
            f.write_str(" unavailable")?;
        }
        if let Some(options) = &self.server_options {
            write!(f, " options={options:?}")?;
        }
        if let Some(labels) = &self.labels {
            write!(f, " labels={labels:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new("10.0.0.1".parse().unwrap(), 80).unwrap().with_name("a").unwrap()
    }

    #[test]
    fn identity_is_not_equality() {
        let heavier = endpoint().with_weight(Some(9));
        assert_eq!(heavier.key(), endpoint().key());
        assert_ne!(heavier, endpoint());
    }

    #[test]
    fn nothing_that_ends_a_line_gets_in() {
        assert_eq!(endpoint().with_name("a\nb").unwrap_err(), InvalidEndpoint::Control { field: "name" });
        assert!(endpoint().with_server_options("check\r").is_err());
        assert!(endpoint().with_labels(BTreeMap::from([("a".into(), "\0".into())])).is_err());
        assert_eq!(Endpoint::new("10.0.0.1".parse().unwrap(), 0).unwrap_err(), InvalidEndpoint::Port);
    }

    #[test]
    fn texts_are_bounded() {
        assert!(endpoint().with_name(&"x".repeat(128)).is_ok());
        assert!(endpoint().with_name(&"x".repeat(129)).is_err());
        let many = (0..257).map(|i| (i.to_string(), String::new())).collect();
        assert_eq!(endpoint().with_labels(many).unwrap_err(), InvalidEndpoint::TooManyLabels);
    }

    #[test]
    fn an_ipv6_address_is_shown_in_brackets() {
        let six = Endpoint::new("::1".parse().unwrap(), 80).unwrap();
        assert_eq!(six.to_string(), "[::1]:80");
    }
}
