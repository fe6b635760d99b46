//! What differs beside HAProxy: metrics, files of services, and copies of services. A table.

use super::{
    super::copies::{MAX, MAX_EACH},
    rule::{Rule, takes_settings},
    site::{Service, at, here, method, text},
};

/// Metrics of Synapse that are not sent.
const NOT_SENT: [&str; 5] = [
    "synapse.watcher.multi.resolver.s3_toggle.fetch_failure",
    "synapse.watcher.zk.children.bytes",
    "synapse.watcher.zk.create_path.elapsed_time",
    "synapse.watcher.zk.register_failed",
    "synapse.watcher.zookeeper_poll.discover",
];

const COPIES: &str = "load_test_concurrency";

pub(super) const RULES: &[Rule] = &[
    Rule {
        synapse: "sends metrics to `localhost:8125`, whether it is told to or not",
        here: "sends none without a section `statsd`",
        instead: "`statsd: {}`",
        at: |site| {
            let quiet = !site.root.has("statsd") && (site.root.has("haproxy") || site.files.is_some());
            if quiet { vec![here(&site.root)] } else { Vec::new() }
        },
    },
    Rule {
        synapse: "tags metrics with texts of errors and its version, and sends `synapse.main_loop.elapsed_time` once, at its end",
        here: "has no such tags, and sends that each time HAProxy is brought up to date. `docs/statsd.md` names each metric",
        instead: "",
        at: |site| at(&site.root, "statsd").into_iter().collect(),
    },
    Rule {
        synapse: "sends this share of the metric",
        here: "does not have the metric: nothing happens here that it counts, or another one counts it",
        instead: "",
        at: |site| {
            let rates = site.root.section("statsd").and_then(|statsd| statsd.section("sample_rate"));
            let Some(rates) = rates else { return Vec::new() };
            NOT_SENT.iter().filter_map(|metric| at(&rates, metric)).collect()
        },
    },
    Rule {
        synapse: "deletes every `*.json` in it that is of no service",
        here: "deletes those alone that it has written itself, and lists them in `.synapse-files`. One directory is for one agent",
        instead: "delete by hand, once, what Synapse has left there of services that are gone",
        at: |site| site.files.iter().filter_map(|files| at(files, "output_directory")).collect(),
    },
    Rule {
        synapse: "writes backends in the order in which the registry lists them",
        here: "sorts them; and until its source has answered a service keeps the file that it has",
        instead: "",
        at: |site| site.files.iter().filter_map(|files| at(files, "output_directory")).collect(),
    },
    Rule {
        synapse: "lets the registry's generator configuration switch the file of a service off",
        here: "refuses `file_output` there, and says so",
        instead: "`file_output: {disabled: true}` in the service",
        at: |site| {
            let with_files = site.services.iter().filter(|service| service.has_file);
            let sections = with_files.flat_map(|service| &service.discoveries);
            let can = sections.filter(|section| takes_settings(&method(section), section));
            can.map(here).collect()
        },
    },
    Rule {
        synapse: "gives all copies of the service this name, and HAProxy refuses the second",
        here: "numbers it, as the copies are",
        instead: "",
        at: |site| {
            let copied = site.served().filter(|service| service.has(COPIES));
            copied.filter_map(|service| at(&service.haproxy, "backend_name")).collect()
        },
    },
    Rule {
        synapse: "makes as many copies as it says",
        here: "refuses more than 1,000 of a service, and more than 10,000 in all: each has a watcher of its own",
        instead: "",
        at: |site| {
            let count = |service: &Service| text(&service.section, COPIES).parse().unwrap_or(0usize);
            let all = site.services.iter().map(count).fold(0, usize::saturating_add);
            let many =
                site.services.iter().filter(|service| count(service) > if all > MAX { 0 } else { MAX_EACH });
            many.filter_map(|service| at(&service.section, COPIES)).collect()
        },
    },
];
