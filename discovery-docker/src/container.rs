//! Containers, as Docker's list has them.

use std::{collections::BTreeMap, net::IpAddr};

use bollard::models::{
    ContainerSummary, ContainerSummaryHealthStatusEnum, ContainerSummaryStateEnum, EndpointSettings,
    PortSummary, PortSummaryTypeEnum,
};
use discovery_core::printable;

/// How much of an identifier is shown, as Docker does.
const SHORT: usize = 12;
/// How much of a name is shown.
const SHOWN: usize = 100;

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Container(Container),
    /// One that has not the form that Docker documents. `None`: not even its image can be told.
    Unreadable {
        shown: String,
        image: Option<String>,
        reason: String,
    },
}

/// A container that runs, as far as anybody here wants to know. Equal ones mean that nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Container {
    pub(crate) id: String,
    /// For people: `web-1 (0123456789ab)`.
    pub(crate) shown: String,
    /// What it was started as: a name, or an identifier where no name can be found out.
    pub(crate) image: String,
    pub(crate) image_id: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) bindings: Vec<Binding>,
    /// Its addresses by the names of its networks.
    pub(crate) networks: BTreeMap<String, Option<IpAddr>>,
    pub(crate) health: Health,
}

/// A TCP port that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Binding {
    pub(crate) private: u16,
    pub(crate) public: u16,
    /// Where on the host; `None`: Docker does not say, or not in a form that can be read.
    pub(crate) at: Option<IpAddr>,
}

/// What its health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Health {
    /// It has none, or it passes.
    #[default]
    Fine,
    Starting,
    Unhealthy,
}

impl Container {
    /// `None`: it does not run.
    pub(crate) fn read(summary: ContainerSummary) -> Option<Self> {
        // The list is asked for those that run; older daemons and proxies may not listen.
        if !matches!(
            summary.state,
            None | Some(ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::EMPTY)
        ) {
            return None;
        }
        let id = summary.id.unwrap_or_default();
        let name = summary.names.iter().flatten().next();
        let health = match summary.health.and_then(|health| health.status) {
            Some(ContainerSummaryHealthStatusEnum::STARTING) => Health::Starting,
            Some(ContainerSummaryHealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
            Some(ContainerSummaryHealthStatusEnum::HEALTHY | ContainerSummaryHealthStatusEnum::NONE) => {
                Health::Fine
            }
            // The field is new in version 1.52 of the API.
            Some(ContainerSummaryHealthStatusEnum::EMPTY) | None => Health::told(summary.status.as_deref()),
        };
        let networks = summary.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let mut bindings: Vec<_> = summary.ports.iter().flatten().filter_map(Binding::read).collect();
        bindings.sort_unstable();
        Some(Self {
            shown: shown(name.map(String::as_str), &id),
            id,
            image: summary.image.unwrap_or_default(),
            image_id: summary.image_id,
            labels: summary.labels.unwrap_or_default().into_iter().collect(),
            bindings,
            networks: networks.into_iter().map(|(name, settings)| (name, address(&settings))).collect(),
            health,
        })
    }
}

impl Health {
    /// What the text says that `docker ps` shows: `Up 2 hours (healthy)`.
    fn told(status: Option<&str>) -> Self {
        match status {
            Some(status) if status.ends_with("(unhealthy)") => Self::Unhealthy,
            Some(status) if status.ends_with("(health: starting)") => Self::Starting,
            _ => Self::Fine,
        }
    }
}

impl Binding {
    fn read(port: &PortSummary) -> Option<Self> {
        match port.typ {
            None | Some(PortSummaryTypeEnum::EMPTY | PortSummaryTypeEnum::TCP) => {}
            Some(PortSummaryTypeEnum::UDP | PortSummaryTypeEnum::SCTP) => return None,
        }
        let public = port.public_port.filter(|public| *public > 0)?;
        let at = port.ip.as_ref().and_then(|ip| ip.parse().ok());
        Some(Self { private: port.private_port, public, at })
    }
}

/// Its address in a network: that of IPv4 if it has one.
fn address(settings: &EndpointSettings) -> Option<IpAddr> {
    let read = |text: &Option<String>| {
        let address: IpAddr = text.as_deref()?.parse().ok()?;
        (!address.is_unspecified()).then_some(address)
    };
    read(&settings.ip_address).or_else(|| read(&settings.global_ipv6_address))
}

/// What a container is called when people are told of it.
pub(crate) fn shown(name: Option<&str>, id: &str) -> String {
    let id = printable(id.get(..SHORT).unwrap_or(id), SHORT);
    match name.map(|name| name.trim_start_matches('/')) {
        None | Some("") => id,
        Some(name) => format!("{} ({id})", printable(name, SHOWN)),
    }
}
