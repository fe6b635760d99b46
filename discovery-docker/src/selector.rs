//! Which containers are wanted, and as what.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU16,
};

use discovery_core::{Endpoint, Host, Rejection, Snapshot};
use thiserror::Error;

use crate::{
    config::{DaemonConfig, Server},
    container::{Binding, Container, Entry, Health},
    image::ImageName,
};

/// How many endpoints one server has at most.
const MAX_ENDPOINTS: usize = 10_000;
/// How many labels an endpoint has at most, and how long one is, as [`Endpoint::with_labels`] has it.
const MAX_LABELS: usize = 256;
const MAX_LABEL: usize = 1024;

/// Where the endpoints of containers are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Place {
    /// Where their port is published on their host.
    #[default]
    Published,
    /// At their own address, on their own port: of this network, or of the only one in which they have an address. One that uses
    /// its host's network is at the host.
    Container {
        /// The network's name.
        network: Option<String>,
    },
}

/// Which containers are a service's, and where its endpoints are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    images: Vec<ImageName>,
    port: NonZeroU16,
    place: Place,
    labels: BTreeMap<String, String>,
    ignore_health: bool,
}

/// Why a container that is wanted is no endpoint.
#[derive(Debug, PartialEq, Eq, Error)]
enum Misplaced {
    #[error("port {0}/tcp is not published")]
    Unpublished(NonZeroU16),
    #[error("port {0}/tcp is not published; it uses its host's network, where `address: container` finds it")]
    UnpublishedOnHost(NonZeroU16),
    #[error("port {0}/tcp is published for its own host only, at {1}")]
    Loopback(NonZeroU16, IpAddr),
    #[error("it has no address in any network")]
    NoAddress,
    #[error("it has no address in the network `{0}`")]
    NotInNetwork(String),
    #[error("it is in several networks ({0}): name one of them under `network`")]
    SeveralNetworks(String),
    #[error(transparent)]
    Host(#[from] discovery_core::InvalidHost),
}

impl Selector {
    /// The containers of one of these images, where their TCP port `port` is published.
    pub fn new(images: impl IntoIterator<Item = ImageName>, port: NonZeroU16) -> Self {
        Self {
            images: images.into_iter().collect(),
            port,
            place: Place::Published,
            labels: BTreeMap::new(),
            ignore_health: false,
        }
    }

    /// The same, elsewhere.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// The same, of containers that have all these labels, each with this value.
    #[must_use]
    pub fn with_labels(mut self, labels: BTreeMap<String, String>) -> Self {
        self.labels = labels;
        self
    }

    /// Whether containers take traffic while their health check fails, or has not passed yet. They do not unless this says so.
    #[must_use]
    pub fn ignoring_health(mut self, ignore: bool) -> Self {
        self.ignore_health = ignore;
        self
    }

    /// The images.
    pub fn images(&self) -> &[ImageName] {
        &self.images
    }

    fn covers(&self, image: &str) -> bool {
        self.images.iter().any(|wanted| wanted.covers(image))
    }

    fn wants(&self, container: &Container) -> bool {
        self.covers(&container.image)
            && self.labels.iter().all(|(name, value)| container.labels.get(name) == Some(value))
    }

    /// What a server's list means for the service.
    pub(crate) fn snapshot(&self, server: &Server, entries: &[Entry]) -> Snapshot {
        let (mut endpoints, mut rejected, mut beyond) = (Vec::new(), Vec::new(), 0_usize);
        for entry in entries {
            match entry {
                Entry::Container(container) if self.wants(container) => {
                    match self.endpoint(server, container) {
                        Ok(_) if endpoints.len() == MAX_ENDPOINTS => beyond += 1,
                        Ok(endpoint) => endpoints.push(endpoint),
                        Err(reason) => rejected.push(Rejection::new(&container.shown, &reason)),
                    }
                }
                Entry::Unreadable { shown, image, reason }
                    if image.as_ref().is_none_or(|image| self.covers(image)) =>
                {
                    rejected.push(Rejection::new(shown, reason));
                }
                Entry::Container(_) | Entry::Unreadable { .. } => {}
            }
        }
        if beyond > 0 {
            let reason = format!("{} containers: only {MAX_ENDPOINTS} are used", MAX_ENDPOINTS + beyond);
            rejected.push(Rejection::new(&server.to_string(), &reason));
        }
        Snapshot::new(endpoints).with_rejected(rejected)
    }

    fn endpoint(&self, server: &Server, container: &Container) -> Result<Endpoint, Misplaced> {
        let (host, port) = match &self.place {
            Place::Published => self.published(server, container)?,
            Place::Container { network } => (inside(server, container, network.as_deref())?, self.port),
        };
        let endpoint = Endpoint::new(host, port.get())
            .and_then(|endpoint| endpoint.with_name(server.name.as_deref().unwrap_or_default()))
            .and_then(|endpoint| endpoint.with_labels(labels(container)))
            .expect("no port is 0, the server's name was checked, and labels that cannot be were left out");
        Ok(endpoint.with_available(self.ignore_health || container.health == Health::Fine))
    }

    fn published(&self, server: &Server, container: &Container) -> Result<(Host, NonZeroU16), Misplaced> {
        let candidates = container.bindings.iter().filter(|binding| binding.private == self.port.get());
        let Some(best) = candidates.min_by_key(|binding| (rank(binding), binding.public, binding.at)) else {
            let on_host = container.bindings.is_empty() && container.networks.contains_key("host");
            return Err(if on_host {
                Misplaced::UnpublishedOnHost(self.port)
            } else {
                Misplaced::Unpublished(self.port)
            });
        };
        let public = NonZeroU16::new(best.public).ok_or(Misplaced::Unpublished(self.port))?;
        let host = match (&server.host, best.at) {
            // What serves only its own host is nowhere but there, whatever the host is called.
            (Some(host), Some(at)) if at.is_loopback() && host.name() != Some("localhost") => {
                if !is_local(server, host) {
                    return Err(Misplaced::Loopback(self.port, at));
                }
                Host::try_from(at)?
            }
            (Some(host), _) => host.clone(),
            (None, Some(at)) if !at.is_unspecified() => Host::try_from(at)?,
            (None, Some(IpAddr::V6(_))) => Host::try_from(IpAddr::from(Ipv6Addr::LOCALHOST))?,
            (None, Some(IpAddr::V4(_)) | None) => here()?,
        };
        Ok((host, public))
    }
}

/// Bindings that serve everybody before those that serve some, IPv4 before IPv6.
fn rank(binding: &Binding) -> (bool, bool, bool) {
    let Some(at) = binding.at else { return (false, false, false) };
    (at.is_loopback(), !at.is_unspecified(), at.is_ipv6())
}

/// Whether what serves only its own host can be reached from here.
fn is_local(server: &Server, host: &Host) -> bool {
    matches!(server.daemon, DaemonConfig::Socket(_))
        || host.ip().is_some_and(|ip| ip.is_loopback())
        || host.name() == Some("localhost")
}

fn here() -> Result<Host, Misplaced> {
    Ok(Host::try_from(IpAddr::from(Ipv4Addr::LOCALHOST))?)
}

fn inside(server: &Server, container: &Container, network: Option<&str>) -> Result<Host, Misplaced> {
    // Such a container is in no other network.
    if container.networks.contains_key("host") {
        return server.host.clone().map_or_else(here, Ok);
    }
    let address = if let Some(network) = network {
        let address = container.networks.get(network).copied().flatten();
        address.ok_or_else(|| Misplaced::NotInNetwork(network.to_owned()))?
    } else {
        let with_address = container.networks.iter().filter_map(|(name, address)| Some((name, (*address)?)));
        match with_address.collect::<Vec<_>>()[..] {
            [] => return Err(Misplaced::NoAddress),
            [(_, address)] => address,
            ref several => {
                let names: Vec<_> = several.iter().map(|(name, _)| name.as_str()).collect();
                return Err(Misplaced::SeveralNetworks(names.join(", ")));
            }
        }
    };
    Ok(Host::try_from(address)?)
}

/// The container's labels, without those that no endpoint can have: many images describe themselves at length, which is nobody's
/// mistake.
fn labels(container: &Container) -> BTreeMap<String, String> {
    let fits = |text: &String| text.len() <= MAX_LABEL && !text.chars().any(char::is_control);
    let fitting = container.labels.iter().filter(|(name, value)| fits(name) && fits(value));
    fitting.take(MAX_LABELS).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests;
