//! Where the status can be seen, and what it is judged by.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::{Config, Problem, Section, Service, raw, seconds};

/// Where the status is served over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) listen: SocketAddr,
}

/// How long the source of a service may fail before the agent is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staleness {
    all: Duration,
    own: HashMap<String, Duration>,
}

impl Default for Staleness {
    fn default() -> Self {
        Self { all: Duration::from_mins(1), own: HashMap::new() }
    }
}

impl Staleness {
    #[cfg_attr(not(feature = "status"), allow(dead_code, reason = "the status is not served by this build"))]
    pub(crate) fn of(&self, service: &str) -> Duration {
        self.own.get(service).copied().unwrap_or(self.all)
    }

    /// Adds what services say of themselves.
    pub(super) fn with(mut self, services: &[Service]) -> Self {
        let own =
            services.iter().filter_map(|service| Some((service.name.to_string(), service.max_staleness?)));
        self.own.extend(own);
        self
    }
}

impl Config {
    /// Where the status of an agent with this configuration is found by whoever is on its machine; `None`: it is not served.
    pub fn status_address(&self) -> Option<SocketAddr> {
        let mut address = self.window.as_ref()?.listen;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Some(address)
    }
}

/// Unless said otherwise.
const LISTEN: &str = "127.0.0.1:3455";

/// Reads the section `status` at the top. Without it nobody listens.
pub(super) fn read(
    root: &Section,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> (Option<Window>, Staleness) {
    let mut staleness = Staleness::default();
    if !root.has("status") {
        return (None, staleness);
    }
    let Some(section) = root.section("status") else { return (None, staleness) };
    let Some(raw) = section.recover::<raw::Status>(problems) else { return (None, staleness) };
    if let Some(longest) = max_staleness(&section, raw.max_staleness, problems) {
        staleness.all = longest;
    }
    if cfg!(not(feature = "status")) {
        warnings.push(section.problem("has no effect: this build was made without the feature `status`"));
    }
    let listen = raw.listen.as_deref().unwrap_or(LISTEN);
    let listen = listen.replacen("localhost:", "127.0.0.1:", usize::from(listen.starts_with("localhost:")));
    let window = listen.parse().map(|listen| Window { listen });
    let expected = format!("expected an address and a port, such as `{LISTEN}` or `[::]:3455`");
    (window.map_err(|_| problems.push(section.problem_at("listen", expected))).ok(), staleness)
}

/// Reads a key of that name, in seconds.
pub(super) fn max_staleness(
    section: &Section,
    written: Option<f64>,
    problems: &mut Vec<Problem>,
) -> Option<Duration> {
    let longest = seconds(written?);
    if longest.is_none() {
        problems.push(section.problem_at("max_staleness", "expected seconds, 0 to a year"));
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    const SECOND: Duration = Duration::from_secs(1);

    fn read(text: &str) -> Result<Config, Vec<String>> {
        let text =
            format!("haproxy: {{do_writes: false, do_reloads: false, global: [], defaults: []}}\n{text}");
        Config::parse(&text, None, &Registry::builtin())
            .map_err(|report| report.problems().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nobody_listens_unless_asked_to_and_then_on_this_machine_alone() {
        let listen = |text| read(text).unwrap().window.map(|window| window.listen.to_string());
        assert_eq!(listen(""), None);
        assert_eq!(listen("status: null\n"), None);
        assert_eq!(listen("status: {}\n").as_deref(), Some("127.0.0.1:3455"));
        assert_eq!(listen("status: {listen: 'localhost:9'}\n").as_deref(), Some("127.0.0.1:9"));
        assert_eq!(listen("status: {listen: '[::]:9'}\n").as_deref(), Some("[::]:9"));
    }

    #[test]
    fn who_listens_everywhere_is_found_on_this_machine() {
        let address = |text| read(text).unwrap().status_address().map(|address| address.to_string());
        assert_eq!(address("status: {listen: '0.0.0.0:9'}\n").as_deref(), Some("127.0.0.1:9"));
        assert_eq!(address("status: {listen: '[::]:9'}\n").as_deref(), Some("[::1]:9"));
        assert_eq!(address("status: {listen: '10.0.0.1:9'}\n").as_deref(), Some("10.0.0.1:9"));
        assert_eq!(address(""), None);
    }

    #[test]
    fn a_service_knows_best_how_stale_it_may_be() {
        let services = "services:\n  web: {discovery: {method: base}, haproxy: {port: 1}, max_staleness: 5}\n  \
                        db: {discovery: {method: base}, haproxy: {port: 2}}\n";
        let config = read(services).unwrap();
        assert_eq!(config.staleness.of("web"), 5 * SECOND);
        assert_eq!(config.staleness.of("db"), 60 * SECOND);
        let config = read(&format!("{services}status: {{max_staleness: 0.5}}\n")).unwrap();
        assert_eq!(config.staleness.of("web"), 5 * SECOND);
        assert_eq!(config.staleness.of("db"), SECOND / 2);
    }

    #[test]
    fn mistakes_are_told_where_they_stand() {
        let problems = read("status: {listen: 3455, max_staleness: -1, path: /}\n").unwrap_err();
        assert_eq!(
            problems,
            [
                "2:18: status.listen: expected an address and a port, such as `127.0.0.1:3455` or `[::]:3455`",
                "2:39: status.max_staleness: expected seconds, 0 to a year",
                "2:43: status.path: unknown key; known keys are `listen`, `max_staleness`",
            ]
        );
        let service = "services: {web: {discovery: {method: base}, haproxy: {port: 1}, max_staleness: -1}}\n";
        assert_eq!(read(service).unwrap_err().len(), 1);
    }
}
