//! What a process of HAProxy can do.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Version;
use crate::server_keyword;

/// The first version of which everything here is known to work.
const OLDEST: Version = Version::new(2, 6);

/// Most keywords that a list of HAProxy's is believed to have.
const MAX_KEYWORDS: usize = 1_000;

/// What one process of HAProxy can do: the only place where versions are compared.
///
/// ```
/// use haproxy_render::plan::{Capabilities, Version};
///
/// let old = Capabilities::of(Version::parse("2.6.12")?);
/// assert!(old.adds_servers() && old.takes("check") && !old.takes("cookie"));
/// # Ok::<(), haproxy_render::plan::Unreadable>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    version: Option<Version>,
    /// What HAProxy itself says that it takes.
    listed: Option<Arc<BTreeSet<Box<str>>>>,
}

impl Capabilities {
    /// Those of a version.
    pub fn of(version: Version) -> Self {
        Self { version: Some(version), listed: None }
    }

    /// None at all: every change is a reload.
    pub fn none() -> Self {
        Self { version: None, listed: None }
    }

    /// Corrects what is known of the version by what the process says itself, in its reply to
    /// [`Query::ServerHelp`](super::Query::ServerHelp): how it was built matters too. A reply that is not a list changes nothing.
    pub fn with_server_help(mut self, reply: &str) -> Self {
        let mut lines = reply.lines().map(str::trim).filter(|line| !line.is_empty());
        let title = lines.next().unwrap_or_default();
        let keywords: BTreeSet<Box<str>> = lines.take(MAX_KEYWORDS).map(Into::into).collect();
        // Every version that has a list has this in it.
        if title.starts_with("List of keywords") && keywords.contains("id") && keywords.contains("weight") {
            self.listed = Some(Arc::new(keywords));
        }
        self
    }

    fn since(&self, major: u16, minor: u16) -> bool {
        self.version.is_some_and(|version| version >= Version::new(major, minor))
    }

    /// Whether servers can be added and deleted at run time at all.
    pub fn adds_servers(&self) -> bool {
        self.version.is_some_and(|version| version >= OLDEST)
    }

    /// Whether [`Query::ServerHelp`](super::Query::ServerHelp) is worth asking: from 3.2 on.
    pub fn lists_server_options(&self) -> bool {
        self.since(3, 2)
    }

    /// Whether `add server` takes this option.
    pub fn takes(&self, keyword: &str) -> bool {
        let keyword = server_keyword::base(keyword);
        match (&self.listed, self.version) {
            (Some(listed), _) => listed.contains(keyword),
            (None, Some(version)) => {
                server_keyword::at_run_time(version).is_some_and(|keywords| keywords.contains(keyword))
            }
            (None, None) => false,
        }
    }

    /// Whether a server can be added as one that is down until its checks pass (`init-state`, from 3.2 on). Without, it
    /// takes a few commands more.
    pub fn init_state(&self) -> bool {
        self.takes("init-state")
    }

    /// Whether `wait 1s srv-removable BACKEND/SERVER` is there: from 3.0 on.
    pub fn waits_for_removable(&self) -> bool {
        self.since(3, 0)
    }

    /// Whether `reload` on the master's socket answers when it is done, and how it went: from 2.7 on.
    pub fn reload_answers(&self) -> bool {
        self.since(2, 7)
    }

    /// Whether a server that is added to a backend with dynamic cookies gets one: from 3.0 on. Before, they have to be
    /// computed anew.
    pub(crate) fn computes_cookies(&self) -> bool {
        self.since(3, 0)
    }

    /// Whether a backend that does not state its algorithm is [`BALANCE`](crate::directive::BALANCE)d: before 3.3.
    pub(crate) fn takes_turns(&self) -> bool {
        self.version.is_some() && !self.since(3, 3)
    }

    /// What makes an added server keep idle connections as one from the file does: nothing from 3.0 on.
    pub(crate) fn idle_pool(&self) -> &'static [(&'static str, &'static str)] {
        // Before, these two begin at zero instead of at their defaults, and connections to the server are never used twice.
        if self.since(3, 0) { &[] } else { &[("pool-max-conn", "-1"), ("pool-purge-delay", "5s")] }
    }

    /// The version in words, for reasons.
    pub(crate) fn version(&self) -> Cow<'static, str> {
        self.version.map_or(Cow::Borrowed("unknown"), |version| Cow::Owned(version.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Capabilities {
        Capabilities::of(Version::parse(version).unwrap())
    }

    #[test]
    fn versions_can_what_they_can() {
        let asked = |version: &str| {
            let can = of(version);
            [
                can.adds_servers(),
                can.takes("cookie"),
                can.waits_for_removable(),
                can.init_state(),
                can.lists_server_options(),
                can.reload_answers(),
                can.computes_cookies(),
                can.idle_pool().is_empty(),
            ]
        };
        let (no, yes) = (false, true);
        assert_eq!(asked("2.5"), [no, no, no, no, no, no, no, no]);
        assert_eq!(asked("2.6"), [yes, no, no, no, no, no, no, no]);
        assert_eq!(asked("2.8"), [yes, no, no, no, no, yes, no, no]);
        assert_eq!(asked("3.0"), [yes, yes, yes, no, no, yes, yes, yes]);
        assert_eq!(asked("3.1"), [yes, yes, yes, no, no, yes, yes, yes]);
        assert_eq!(asked("3.2"), [yes; 8]);
        assert_eq!(asked("3.5-dev5"), [yes; 8]);
        assert!(!Capabilities::none().adds_servers() && !Capabilities::none().takes("weight"));
    }

    #[test]
    fn the_process_knows_best_what_it_takes() {
        let list = "List of keywords supported for dynamic server:\nssl\nid\nweight\nset-proxy-v2-tlv-fmt\nnew-one\n\n";
        let can = of("3.2").with_server_help(list);
        assert!(can.takes("ssl") && can.takes("new-one") && can.takes("set-proxy-v2-tlv-fmt(0x20)"));
        assert!(!can.takes("check"));
        for other in
            ["", "Require 'backend/server'.\n", "List of keywords:\nssl\n", "Unknown command\nid\nweight\n"]
        {
            assert_eq!(of("3.2").with_server_help(other), of("3.2"), "{other:?}");
        }
    }
}
