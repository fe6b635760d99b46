//! One question to one nameserver.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hickory_resolver::proto::rr::{Name, Record, RecordType};

/// Asks nameservers: the seam for tests without any.
#[async_trait]
pub(crate) trait Exchange: Send + Sync {
    /// Asks one nameserver once, as often as UDP needs, and over TCP if the answer was cut. Takes not much longer than `within`.
    async fn ask(
        &self,
        nameserver: SocketAddr,
        name: &Name,
        kind: RecordType,
        within: Duration,
    ) -> Result<Response, Refusal>;
}

/// What a nameserver answered, if it is an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Response {
    /// Not NXDOMAIN.
    pub(crate) exists: bool,
    /// As they came: whatever stands there, and in any order.
    pub(crate) answers: Vec<Record>,
    /// There is an SOA record: what is not there does not exist. How long that is so, in seconds.
    pub(crate) negative_ttl: Option<u32>,
    /// It has nothing to say, and names other nameservers.
    pub(crate) refers: bool,
}

/// A nameserver that was no help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It could not be reached, or did not answer in time.
    Silent(String),
    /// It said something that is no answer.
    Useless(String),
}

impl Refusal {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Silent(reason) | Self::Useless(reason) => reason,
        }
    }
}
