//! What is another in a configuration that takes the place of one.

use haproxy_runtime::ConfigFile;

use super::{
    Config,
    haproxy::{Haproxy, Output},
};
use crate::state::StateFile;

impl Config {
    /// What differs apart from services, by the names of the sections and keys that say it.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (a, b) = (&self.haproxy, &other.haproxy);
        let parts = [
            ("haproxy.global", a.global == b.global),
            ("haproxy.defaults", a.defaults == b.defaults),
            ("haproxy.extra_sections", a.extra_sections == b.extra_sections),
            ("haproxy.shared_frontend", a.shared_frontend == b.shared_frontend),
            ("what services inherit", a.inherited() == b.inherited()),
            ("how HAProxy is told", a.output.is_like(&b.output)),
            ("haproxy.state_file", a.keeps_state_like(b)),
            ("agent", self.times == other.times),
            ("file_output", self.file_output == other.file_output),
            ("statsd", self.statsd == other.statsd),
            ("status", self.window == other.window && self.staleness == other.staleness),
        ];
        parts.into_iter().filter(|(_, same)| !same).map(|(part, _)| part).collect()
    }
}

impl Haproxy {
    /// Whether a service that says the same is served alike by both.
    pub(crate) fn shapes_like(&self, other: &Self) -> bool {
        self.inherited() == other.inherited()
            && self.defaults == other.defaults
            && self.extra_sections == other.extra_sections
            && self.shared_frontend.is_some() == other.shared_frontend.is_some()
    }

    /// Whether the state is kept at the same place and for as long, or by neither.
    pub(crate) fn keeps_state_like(&self, other: &Self) -> bool {
        both(self.state.as_ref(), other.state.as_ref(), StateFile::is_like)
    }

    fn inherited(&self) -> impl PartialEq {
        (&self.bind_address, &self.frontend_name, self.use_nerve_weights, self.max_server_id, self.order_seed)
    }
}

impl Output {
    /// Whether both write to the same file and talk through the same sockets.
    pub(crate) fn is_at_place_of(&self, other: &Self) -> bool {
        let sockets = |output: &Self| output.socket.as_ref().map(|socket| socket.sockets.clone());
        both(self.file.as_ref(), other.file.as_ref(), ConfigFile::is_like) && sockets(self) == sockets(other)
    }

    fn is_like(&self, other: &Self) -> bool {
        self.is_at_place_of(other)
            && (&self.check, &self.reload, self.pace, &self.socket)
                == (&other.check, &other.reload, other.pace, &other.socket)
    }
}

/// Whether neither is there, or both are and alike.
fn both<T>(one: Option<&T>, other: Option<&T>, alike: impl Fn(&T, &T) -> bool) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => alike(one, other),
        (None, None) => true,
        _ => false,
    }
}
