//! The built-in discovery methods.

#[cfg(feature = "docker")]
mod docker;

use std::{path::PathBuf, time::Duration};

use discovery_core::{File, Fixed, Polled, Snapshot};
use serde::Deserialize;

#[cfg(feature = "docker")]
pub(crate) use docker::docker;

#[cfg(any(feature = "etcd", feature = "zk"))]
use crate::config::quoted;
#[cfg(feature = "zk")]
use crate::meter::{Event, ZooKeeper};
#[cfg(any(feature = "dns", feature = "zk"))]
use crate::registry::Context;
use crate::{
    config::{Problem, Section, seconds},
    registry::Source,
};

/// Nothing is discovered: the service has its `default_servers`.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Base {}

/// A catalog on disk, read again when it changes.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogFile {
    /// The file, in JSON or YAML.
    path: PathBuf,
    /// Which of the services in it; the one of the same name unless given.
    service: Option<String>,
    /// How often it is looked at, in seconds, more than 0.
    #[cfg_attr(feature = "schema", schemars(extend("default" = 1)))]
    check_interval: Option<f64>,
}

/// `base`: nothing is discovered; the service has its `default_servers`.
pub(crate) fn base(section: &Section) -> Result<Source, Vec<Problem>> {
    let Base {} = section.parse()?;
    Ok(Source::new(|_| Fixed::new(Snapshot::default())))
}

/// `file`: a catalog on disk, read again when it changes.
pub(crate) fn file(section: &Section) -> Result<Source, Vec<Problem>> {
    let CatalogFile { path, service, check_interval } = section.parse()?;
    let every = match check_interval {
        None => Duration::from_secs(1),
        Some(every) => seconds(every)
            .filter(|every| !every.is_zero())
            .ok_or_else(|| vec![section.problem_at("check_interval", "expected seconds, more than 0")])?,
    };
    if path.as_os_str().is_empty() {
        return Err(vec![section.problem_at("path", "the path is empty")]);
    }
    let place = format!("the file {}", path.display());
    let source = Source::new(move |context| {
        let service = service.clone().unwrap_or_else(|| context.service().to_owned());
        // One document may name every service: it is read once for all of them.
        let document = context.shared(path.clone(), |path| (File::new(path, ""), std::future::ready(())));
        Polled::new(document.for_service(service), every)
    });
    Ok(source.at(place, None))
}

/// What people see of a list.
#[cfg(any(feature = "etcd", feature = "zk"))]
fn listed(items: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// `etcd`: the keys below a prefix.
#[cfg(feature = "etcd")]
pub(crate) fn etcd(section: &Section) -> Result<Source, Vec<Problem>> {
    let (cluster, prefix) = section.parse::<discovery_etcd::EtcdConfig>()?.into_parts();
    let place = format!("etcd at {}", listed(cluster.endpoints()));
    let account = cluster.user_name().map(|user| format!("user {}", quoted(user)));
    let source = Source::new(move |context| {
        let backoff = context.backoff();
        let cluster = context.shared(cluster.clone(), |config| discovery_etcd::Cluster::new(config, backoff));
        cluster.member(prefix.clone())
    });
    Ok(source.at(place, account))
}

/// `zookeeper`: the children of a node, watched.
#[cfg(feature = "zk")]
pub(crate) fn zookeeper(section: &Section) -> Result<Source, Vec<Problem>> {
    let config = section.parse::<discovery_zk::ZkConfig>()?;
    let ignored = config.ignored();
    Ok(children(section, ignored, config.into_parts()))
}

/// `zookeeper_poll`: the children of a node, listed no more often than asked for.
#[cfg(feature = "zk")]
pub(crate) fn zookeeper_poll(section: &Section) -> Result<Source, Vec<Problem>> {
    let config = section.parse::<discovery_zk::ZkPollConfig>()?;
    let ignored = config.ignored();
    Ok(children(section, ignored, config.into_parts()))
}

/// What to watch in which ensemble.
#[cfg(feature = "zk")]
type Children = (discovery_zk::EnsembleConfig, discovery_zk::Node);

#[cfg(feature = "zk")]
fn children(section: &Section, ignored: Option<discovery_zk::Ignored>, parts: Children) -> Source {
    let (place, account) = ensemble(&parts);
    let source = Source::new(move |context| member(&parts, context)).at(place, account);
    warned(source, section, ignored)
}

/// Where an ensemble is, and as whom it is asked.
#[cfg(feature = "zk")]
fn ensemble((ensemble, _): &Children) -> (String, Option<String>) {
    let digest = ensemble.auth().first().and_then(|auth| auth.credentials.reveal().split_once(':'));
    let account = match (ensemble.sasl(), digest) {
        (Some(sasl), _) => Some(format!("user {} by SASL", quoted(&sasl.user))),
        (None, Some((user, _))) => Some(format!("user {} by digest", quoted(user))),
        (None, None) => None,
    };
    (format!("ZooKeeper at {}", listed(ensemble.servers())), account)
}

#[cfg(feature = "zk")]
fn member((ensemble, node): &Children, context: &mut Context<'_>) -> discovery_zk::Member {
    let backoff = context.backoff();
    let (service, meter) = (context.service().to_owned(), context.meter.clone());
    let cluster = crate::statsd::cluster(ensemble.servers());
    let (mut alone, counts, of) = (false, meter.clone(), cluster.clone());
    let ensemble = context.shared(ensemble.clone(), |config| {
        alone = true;
        discovery_zk::Ensemble::witnessed(config, backoff, move |deed| {
            counts.tell(Event::ZooKeeper { cluster: &of, deed: ZooKeeper::Driver(deed) });
        })
    });
    meter.tell(Event::ZooKeeper { cluster: &cluster, deed: ZooKeeper::Joined { service: &service, alone } });
    ensemble.member(node.clone())
}

#[cfg(feature = "zk")]
fn warned(source: Source, section: &Section, ignored: Option<discovery_zk::Ignored>) -> Source {
    match ignored {
        None => source,
        Some(ignored) => source.with_warning(section.problem_at(ignored.key(), ignored.to_string())),
    }
}

/// `dns`: the addresses of names.
#[cfg(feature = "dns")]
pub(crate) fn dns(section: &Section) -> Result<Source, Vec<Problem>> {
    let config = section.parse::<discovery_dns::DnsConfig>()?;
    let needs_port = config.needs_port();
    let (nameservers, _, _) = config.clone().into_parts();
    let source = Source::new(move |context| {
        let mut config = config.clone();
        if let Some(port) = context.port() {
            config = config.or_port(port);
        }
        let (nameservers, servers, every) = config.into_parts();
        resolver(nameservers, context).member(servers, every)
    });
    let source = source.at(format!("DNS by {nameservers}"), None);
    Ok(if needs_port { source.without_ports() } else { source })
}

#[cfg(feature = "dns")]
fn resolver(nameservers: discovery_dns::Nameservers, context: &mut Context<'_>) -> discovery_dns::Resolver {
    let backoff = context.backoff();
    context.shared(nameservers, |nameservers| discovery_dns::Resolver::new(nameservers, backoff))
}

/// `zookeeper_dns`: as `zookeeper`, where registrations have names for hosts.
#[cfg(all(feature = "dns", feature = "zk"))]
pub(crate) fn zookeeper_dns(section: &Section) -> Result<Source, Vec<Problem>> {
    let (rest, names) = names(section);
    let config = rest.parse::<discovery_zk::ZkConfig>();
    named_children(section, config.map(|config| (config.ignored(), config.into_parts())), names)
}

/// `zookeeper_dns_poll`: as `zookeeper_poll`, where registrations have names for hosts.
#[cfg(all(feature = "dns", feature = "zk"))]
pub(crate) fn zookeeper_dns_poll(section: &Section) -> Result<Source, Vec<Problem>> {
    let (rest, names) = names(section);
    let config = rest.parse::<discovery_zk::ZkPollConfig>();
    named_children(section, config.map(|config| (config.ignored(), config.into_parts())), names)
}

/// The section without what says how names are resolved, and that.
#[cfg(all(feature = "dns", feature = "zk"))]
fn names(section: &Section) -> (Section, Result<discovery_dns::NamesConfig, Vec<Problem>>) {
    const KEYS: [&str; 2] = ["nameserver", "check_interval"];
    (section.without(&KEYS), section.only(&KEYS).parse())
}

#[cfg(all(feature = "dns", feature = "zk"))]
fn named_children(
    section: &Section,
    children: Result<(Option<discovery_zk::Ignored>, Children), Vec<Problem>>,
    names: Result<discovery_dns::NamesConfig, Vec<Problem>>,
) -> Result<Source, Vec<Problem>> {
    let ((ignored, parts), names) = match (children, names) {
        (Ok(children), Ok(names)) => (children, names),
        (Err(mut problems), Err(others)) => {
            problems.extend(others);
            return Err(problems);
        }
        (Err(problems), _) | (_, Err(problems)) => return Err(problems),
    };
    let (nameservers, every) = names.into_parts();
    let (place, account) = ensemble(&parts);
    let place = format!("{place}, names by {nameservers}");
    let source = Source::new(move |context| {
        let children = member(&parts, context);
        resolver(nameservers.clone(), context).resolving(children, every)
    });
    let source = source.at(place, account);
    Ok(warned(source, section, ignored))
}

/// `ec2tag`: the instances of EC2 that have certain tags.
#[cfg(feature = "ec2")]
pub(crate) fn ec2tag(section: &Section) -> Result<Source, Vec<Problem>> {
    let (region, selector, every) = section.parse::<discovery_ec2::Ec2Config>()?.into_parts();
    let (place, account) = (region.to_string(), region.account());
    let source = Source::new(move |context| {
        let backoff = context.backoff();
        let region = context.shared(region.clone(), |config| discovery_ec2::Region::new(config, backoff));
        let port = context.port().expect("a service without one is refused: the source is `without_ports`");
        region.member(selector.clone(), port, every)
    });
    Ok(source.without_ports().at(place, Some(account)))
}

#[cfg(all(test, feature = "zk"))]
mod tests {
    use crate::{Config, Registry};

    fn read(text: &str) -> Result<Config, Vec<String>> {
        let config = Config::parse(text, None, &Registry::builtin());
        config.map_err(|report| report.problems().iter().map(ToString::to_string).collect())
    }

    /// Two services; `first` and `second` are what stands in their `discovery`.
    fn services(first: &str, second: &str) -> String {
        format!(
            "services:\n  web:\n    discovery: {{{first}}}\n    haproxy: {{port: 1}}\n\
             \n  db:\n    discovery: {{{second}}}\n    haproxy: {{port: 2}}\n\
             haproxy: {{config_file_path: /tmp/h.cfg, reload_command: \"true\", global: [], defaults: []}}\n"
        )
    }

    #[test]
    fn a_service_in_zookeeper_can_have_all_that_synapse_has() {
        let text = services(
            "method: zookeeper, hosts: [zk1:2181, zk2:2181], path: /web, \
             decode: {method: serverset, endpoint_name: http}, generator_config_path: disabled, \
             retry_policy: {max_attempts: 10, max_delay: 600, base_interval: 0.5, max_interval: '60'}, \
             discovery_jitter: 5, label_filters: [{label: az, value: a, condition: equals}]",
            "method: zookeeper_poll, hosts: zk1:2181/chroot, path: /db, decode: nerve, \
             polling_interval_sec: '60', user: u, password: p, session_timeout: 20, connect_timeout: 3, \
             request_timeout: 5, client: zookeeper-async",
        );
        let config = read(&text).unwrap();
        assert_eq!(config.services().collect::<Vec<_>>(), ["web", "db"]);
        assert!(config.warnings().problems().is_empty(), "{}", config.warnings());
    }

    #[test]
    fn each_mistake_is_told_where_it_stands() {
        let text = services(
            "method: zookeeper, hosts: [zk1, 'zk2:0'], path: web, decode: {method: nerv}, \
             discovery_jitter: soon, retry_policy: {max_attempts: 0}, genrator_config_path: /x",
            "method: zookeeper_poll, hosts: [zk1], path: /db, polling_interval_sec: -1, client: zk",
        );
        let expected = [
            "3:49: services.web.discovery.hosts[1]: missing or invalid zookeeper host: the port is not a number from 1 to 65535",
            "3:65: services.web.discovery.path: invalid zookeeper path: it does not begin with /",
            "3:87: services.web.discovery.decode.method: unknown value \"nerv\"; did you mean `nerve`?",
            "3:112: services.web.discovery.discovery_jitter: expected a number, found \"soon\"",
            "3:132: services.web.discovery.retry_policy: `max_attempts` must be greater than 0; it has no effect, for nothing gives up here",
            "3:151: services.web.discovery.genrator_config_path: unknown key; did you mean `generator_config_path`?",
            "7:88: services.db.discovery.polling_interval_sec: not a number of seconds, 0 or more",
            "7:100: services.db.discovery.client: expected one of `zookeeper-async`, `zookeeper-client`, found \"zk\"",
        ];
        assert_eq!(read(&text).unwrap_err(), expected);
    }

    #[test]
    fn what_synapse_warns_of_and_ignores_is_warned_of_and_ignored() {
        let text = services(
            "method: zookeeper, hosts: zk1, path: /web, discovery_jitter: 300",
            "method: zookeeper_poll, hosts: zk1, path: /db, discovery_jitter: -1",
        );
        let config = read(&text).unwrap();
        let warnings: Vec<_> = config.warnings().problems().iter().map(ToString::to_string).collect();
        let expected = [
            "3:78: services.web.discovery.discovery_jitter: has no effect: it is not from 0 to 120 s",
            "7:82: services.db.discovery.discovery_jitter: has no effect: it is not from 0 to 120 s",
        ];
        assert_eq!(warnings, expected);
    }

    #[cfg(feature = "dns")]
    #[test]
    fn names_can_be_resolved_as_in_synapse() {
        let text = services(
            "method: dns, servers: [{host: web.example, port: '80', name: web, labels: {az: a, n: 1}}, \
             {srv: _http._tcp.web.example}], nameserver: 10.0.0.2, check_interval: '15'",
            "method: zookeeper_dns_poll, hosts: [zk1:2181], path: /db, nameserver: ['10.0.0.2', '10.0.0.3:5353'], \
             check_interval: 5, polling_interval_sec: 60, discovery_jitter: 300, \
             label_filter: [{label: az, value: a, condition: equals}]",
        );
        let config = read(&text).unwrap();
        let warnings: Vec<_> = config.warnings().problems().iter().map(ToString::to_string).collect();
        assert!(
            matches!(&warnings[..], [one] if one.contains("db.discovery.discovery_jitter")),
            "{warnings:?}"
        );
        let text = services(
            "method: dns, servers: {host: web.example}",
            "method: zookeeper_dns, hosts: zk1, path: /db, generator_config_path: disabled",
        );
        let expected = "3:5: services.web: missing key `backend_port_override`: the method `dns` does not know which port endpoints listen on";
        assert_eq!(read(&text).unwrap_err(), [expected]);
    }

    #[cfg(feature = "dns")]
    #[test]
    fn mistakes_in_names_are_told_where_they_stand() {
        let text = services(
            "method: dns, servers: [{host: web.example, port: 0}, {hots: a, port: 1}], nameserver: ns1, \
             check_interval: 0",
            "method: zookeeper_dns, hosts: zk1, path: db, nameserver: '10.0.0.2:0', polling_interval_sec: 1, \
             nameservers: 10.0.0.2",
        );
        let expected = [
            "3:40: services.web.discovery.servers[0]: the port is 0",
            "3:71: services.web.discovery.servers[1].hots: unknown key; did you mean `host`?",
            "3:103: services.web.discovery.nameserver: a nameserver is an IP address, or one with a port: `10.0.0.2`, `10.0.0.2:5353`, `[::1]:5353`",
            "3:124: services.web.discovery.check_interval: expected more than 0 s, and at most 86400 s",
            "7:58: services.db.discovery.path: invalid zookeeper path: it does not begin with /",
            "7:74: services.db.discovery.nameserver: the port of the nameserver is 0",
            "7:113: services.db.discovery.nameservers: unknown key; did you mean `nameserver`?",
        ];
        assert_eq!(read(&text).unwrap_err(), expected);
        let text = services("method: dns, nameserver: 10.0.0.2", "method: dns, servers: []");
        let problems = read(&text).unwrap_err();
        assert!(
            problems.len() == 2
                && problems.iter().all(|one| one.contains("a non-empty list of servers is required"))
        );
    }

    #[test]
    fn what_is_missing_and_what_belongs_elsewhere_is_told_of_the_section() {
        let text = services(
            "method: zookeeper, path: /web",
            "method: zookeeper, hosts: zk1, path: /db, polling_interval_sec: 5",
        );
        let expected = [
            "3:16: services.web.discovery: missing or invalid zookeeper host: name the servers under `hosts`",
            "7:16: services.db.discovery: `polling_interval_sec` is for the method `zookeeper_poll`; here changes are seen at once",
        ];
        assert_eq!(read(&text).unwrap_err(), expected);
    }
}
