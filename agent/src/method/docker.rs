//! The running containers of an image.

use discovery_core::{Watcher, multi::Multi};
use discovery_docker::{Daemon, DockerConfig, Server};

use crate::{
    config::{Problem, Section},
    registry::{Origin, Source},
};

/// `docker`: the containers of an image on one server, or on several.
pub(crate) fn docker(section: &Section) -> Result<Source, Vec<Problem>> {
    let (servers, selector, every) = section.parse::<DockerConfig>()?.into_parts();
    let origins =
        |server: &Server| (server.to_string(), Some(Origin::new(format!("Docker at {server}"), None)));
    let parts: Vec<_> = servers.iter().map(origins).collect();
    let alone = match &parts[..] {
        [(_, Some(origin))] => Some(origin.clone()),
        _ => None,
    };
    let source = Source::new(move |context| -> Box<dyn Watcher> {
        let backoff = context.backoff();
        let member = |server: &Server| {
            let daemon = context.shared(server.daemon().clone(), |config| Daemon::new(config, backoff));
            let member = daemon.member(server.clone(), selector.clone(), every);
            (server.to_string(), Box::new(member) as Box<dyn Watcher>)
        };
        let mut members: Vec<_> = servers.iter().map(member).collect();
        if members.len() == 1
            && let Some((_, only)) = members.pop()
        {
            return only;
        }
        // One server that is down must neither hide the news of the others nor lose its own containers.
        let union = Multi::union(context.service(), members, backoff);
        context.show(union.view());
        Box::new(union)
    });
    let source = source.made_of(parts);
    Ok(match alone {
        Some(Origin { place, account }) => source.at(place, account),
        None => source,
    })
}

#[cfg(test)]
mod tests {
    use crate::{Config, Registry};

    /// Reads one service; `discovery` is what stands in its section.
    fn read(discovery: &str) -> Result<Config, Vec<String>> {
        let text = format!(
            "services:\n  web:\n    discovery: {{method: docker, {discovery}}}\n    haproxy: {{port: 1}}\n\
             haproxy: {{config_file_path: /tmp/h.cfg, reload_command: \"true\", global: [], defaults: []}}\n"
        );
        let config = Config::parse(&text, None, &Registry::builtin());
        config.map_err(|report| report.problems().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_service_can_have_all_that_synapse_has_and_more() {
        for discovery in [
            "servers: [{name: one, host: 10.0.0.5, port: '4243'}, {host: docker2}], image_name: app, \
             container_port: '80', check_interval: '15'",
            "servers: {socket: /var/run/docker.sock}, image_name: ['reg:5000/app:1', app], container_port: 80, \
             address: container, network: front, labels: {env: prod, version: 2}, ignore_health: true, \
             label_filters: [{label: env, value: prod, condition: equals}]",
            "servers: [{host: docker1, port: 2376, tls: {ca: /ca.pem, certificate: /c.pem, key: /k.pem}}], \
             image_name: app, container_port: 80",
        ] {
            let config = read(discovery).unwrap();
            assert!(config.warnings().problems().is_empty(), "{discovery}: {}", config.warnings());
        }
    }

    #[test]
    fn each_mistake_is_told_where_it_stands() {
        for (discovery, expected) in [
            ("image_name: app, container_port: 80", "web.discovery: a non-empty list of servers is required"),
            ("servers: [{host: a}], container_port: 80", "web.discovery: non-empty image_name required"),
            ("servers: [{host: a}], image_name: app", "web.discovery: container_port required"),
            (
                "servers: [{hots: a}], image_name: app, container_port: 80",
                "servers[0].hots: unknown key; did you mean `host`?",
            ),
            (
                "servers: [{socket: run}], image_name: app, container_port: 80",
                "servers[0]: the path of `socket` does not begin with /",
            ),
            (
                "servers: [{host: a}], image_name: 'app:', container_port: 80",
                "image_name: an image's name is",
            ),
            (
                "servers: [{host: a}], image_nam: app, container_port: 80",
                "image_nam: unknown key; did you mean `image_name`?",
            ),
            ("servers: [{host: a}], image_name: app, container_port: 80, address: host", "address: "),
        ] {
            let problems = read(discovery).unwrap_err();
            assert!(problems.iter().any(|one| one.contains(expected)), "{discovery}: {problems:?}");
        }
    }
}
