//! What is asked of EC2, and what it answers: the seam between this crate's rules and the SDK.

use std::{collections::BTreeMap, future::Future};

use crate::{failure::Failure, filter::Filters};

/// Answers `DescribeInstances`, one page at a time.
pub(crate) trait Describe: Send {
    /// Asks once for one page: the first, or the one that the page before named. Never asks again by itself: each call is
    /// paid for.
    fn page(
        &mut self,
        filters: &Filters,
        token: Option<&str>,
    ) -> impl Future<Output = Result<Page, Failure>> + Send;
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Page {
    pub(crate) instances: Vec<Instance>,
    /// Names the next page; `None` on the last.
    pub(crate) next: Option<String>,
}

/// One instance, as far as this crate wants to know it. Texts are as EC2 wrote them, and never empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) state: Option<String>,
    pub(crate) private_dns: Option<String>,
    pub(crate) private_ip: Option<String>,
    pub(crate) public_ip: Option<String>,
    pub(crate) ipv6: Option<String>,
    /// `m5.large`
    pub(crate) kind: Option<String>,
    /// `eu-west-1a`
    pub(crate) zone: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) vpc: Option<String>,
    pub(crate) subnet: Option<String>,
    /// Values may be empty.
    pub(crate) tags: BTreeMap<String, String>,
}
