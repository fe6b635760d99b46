//! What is resolved for a service.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
};

use discovery_core::{Endpoint, Host, InvalidEndpoint};

use crate::question::Question;

/// One entry of a service's `servers`: an address, a name that stands for addresses, or a name that has SRV records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    what: What,
    /// What every endpoint of it has. Of an SRV name host and port mean nothing.
    like: Endpoint,
    ported: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    Endpoint,
    Srv(Question),
}

impl Server {
    /// Every address that the endpoint's host has, each as an endpoint that is like this one in all else. A host that is an
    /// address is taken as it is, and nobody is asked.
    pub fn at(endpoint: Endpoint) -> Self {
        Self { what: What::Endpoint, like: endpoint, ported: true }
    }

    /// [`at`](Self::at) a host whose port the service has to say: see [`or_port`](Self::or_port).
    pub fn without_port(host: Host) -> Self {
        Self { what: What::Endpoint, like: stand_in(host), ported: false }
    }

    /// Every address of every target of the SRV records of a name (`_http._tcp.web.example`), on the record's port.
    ///
    /// Targets of the lowest priority take the traffic; those of any other are backups. Weights are the records'; those of a priority
    /// that has one above 256 are made smaller alike, 0 beside others becomes 1, and nothing but 0 is no weight.
    pub fn srv(name: &Host) -> Self {
        let like = stand_in(loopback());
        Self { what: What::Srv(Question::srv(name)), like, ported: true }
    }

    /// Names the endpoints: see [`Endpoint::with_name`].
    pub fn with_name(mut self, name: &str) -> Result<Self, InvalidEndpoint> {
        self.like = self.like.with_name(name)?;
        Ok(self)
    }

    /// Labels the endpoints: see [`Endpoint::with_labels`].
    pub fn with_labels(mut self, labels: BTreeMap<String, String>) -> Result<Self, InvalidEndpoint> {
        self.like = self.like.with_labels(labels)?;
        Ok(self)
    }

    /// Gives the endpoints this port if they have none yet.
    #[must_use]
    pub fn or_port(mut self, port: NonZeroU16) -> Self {
        if !self.ported {
            self.like = self.like.with_port(port);
            self.ported = true;
        }
        self
    }

    /// Whether endpoints of it have a port.
    pub fn has_port(&self) -> bool {
        self.ported
    }

    /// What every endpoint of it has.
    pub(crate) fn like(&self) -> &Endpoint {
        &self.like
    }

    /// What is to be asked before anything else can be; `None` for an address.
    pub(crate) fn question(&self) -> Option<Question> {
        match &self.what {
            What::Srv(question) => Some(question.clone()),
            What::Endpoint => self.like.host().name().map(|_| Question::addresses(self.like.host())),
        }
    }
}

/// What stands for a port, and for an address, until there is one.
fn stand_in(host: Host) -> Endpoint {
    Endpoint::new(host, 1).expect("1 is not 0")
}

fn loopback() -> Host {
    IpAddr::from(Ipv4Addr::LOCALHOST).try_into().expect("127.0.0.1 is not the unspecified address")
}
