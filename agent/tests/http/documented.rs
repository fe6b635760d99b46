//! What `docs/metrics.md` says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::json;
use tokio::process::Command;

use crate::{
    fake::Fake,
    site::{endpoints, until},
    socket::{a_minute_later, started_from},
    visit::{Place, Said},
};

const PAGE: &str = include_str!("../../../docs/metrics.md");

/// The block of YAML on the page that begins so.
fn block(beginning: &str) -> &'static str {
    let start = PAGE.find(&format!("```yaml\n{beginning}")).expect("it is on the page") + "```yaml\n".len();
    PAGE[start..].split_once("```").expect("it ends").0
}

/// A scrape of an agent that does everything that there are metrics of.
async fn scrape() -> String {
    let (directory, place) =
        (tempfile::tempdir().expect("it can be made"), Place::new([("web", Said::Answer(endpoints([1])))]));
    let path = place.site.path();
    let fake = Fake::start(move |command| started_from(&path, command));
    let place = place
        .set(&["haproxy", "defaults"], json!(["balance roundrobin"]))
        .set(&["haproxy", "socket_file_path"], json!(fake.path()))
        .set(&["haproxy", "state_file_path"], json!(directory.path().join("state.json")))
        .set(&["file_output"], json!({ "output_directory": directory.path().join("files") }))
        .set(&["statsd"], json!({ "host": "127.0.0.1", "port": 9 }));
    let (running, visitor) = place.start().await;
    until("the file to be written", || place.site.file().contains("proc.synapse_rev")).await;
    a_minute_later().await;
    visitor.until("/status", |reply| reply.body.contains("\"revision\":\"")).await;
    let scrape = visitor.get("/metrics").await.body;
    running.stop().await;
    scrape
}

/// The series of a scrape, as Prometheus stores them, with their values.
fn series(scrape: &str) -> BTreeMap<String, String> {
    const TARGET: &str = "job=\"synapse\",instance=\"node1:3455\"";
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    let stored = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a line is a series and its value");
        let name = match name.split_once('{') {
            Some((name, labels)) => format!("{name}{{{TARGET},{labels}"),
            None => format!("{name}{{{TARGET}}}"),
        };
        (name, format!("{value}+0x60"))
    });
    stored.chain([(format!("up{{{TARGET}}}"), "1+0x60".to_owned())]).collect()
}

async fn promtool(directory: &tempfile::TempDir, arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).current_dir(directory.path()).output().await;
    let output = output.expect("promtool is there: Debian's package prometheus has it");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// What is to be seen, and of which values; which alert that is, with more labels than those of where it was; and its words.
type Trouble =
    (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

const TROUBLES: &[Trouble] = &[
    ("up", "0+0x60", "SynapseDown", &[], "HAProxy serves what it had, and nobody keeps it up to date"),
    (
        "synapse_alive",
        "0+0x60",
        "SynapseDown",
        &[],
        "HAProxy serves what it had, and nobody keeps it up to date",
    ),
    (
        "synapse_start_timestamp_seconds",
        "100+60x60",
        "SynapseRestarts",
        &[],
        "it is started again and again; its log says why it ends",
    ),
    ("synapse_service_stale", "1+0x60", "SynapseServiceStale", WEB, "the registry of web does not answer"),
    (
        "synapse_apply_failed",
        "1+0x60",
        "SynapseApplyFailed",
        &[],
        "HAProxy is not brought up to date; /readyz says why",
    ),
    (
        "synapse_haproxy_up",
        "0+0x60",
        "SynapseHaproxyTakesNoCommands",
        &[],
        "HAProxy does not answer on its socket, or takes no commands: it is down, or every change is a reload; synapse-rs doctor says which",
    ),
    (
        "synapse_file_failed",
        "1+0x60",
        "SynapseFileBehind",
        &[],
        "a HAProxy that is started now begins with what was before",
    ),
    (
        "synapse_unloaded_seconds",
        "0+60x60",
        "SynapseFileBehind",
        &[],
        "a HAProxy that is started now begins with what was before",
    ),
    (
        "synapse_file_output_failing",
        "3+0x60",
        "SynapseFilesFail",
        &[],
        "files that it keeps beside HAProxy's are not written; /status says why",
    ),
    (
        "synapse_state_file_failed",
        "1+0x60",
        "SynapseFilesFail",
        &[],
        "files that it keeps beside HAProxy's are not written; /status says why",
    ),
    (
        "synapse_configuration_refused",
        "1+0x60",
        "SynapseConfigurationRefused",
        &[],
        "the new configuration is not in use",
    ),
    ("synapse_service_servers", "0+0x60", "SynapseNobodyServes", WEB, "web has no servers"),
    (
        "synapse_service_endpoints",
        "0+0x60",
        "SynapseNobodyRegistered",
        WEB,
        "nobody is registered for web; those of before, or its default servers, are served",
    ),
    ("synapse_service_rejected", "2+0x60", "SynapseEntriesRefused", WEB, "2 entries of web can't be served"),
    (
        "synapse_reloads_total",
        "0+3x60",
        "SynapseReloadsOften",
        &[],
        "more than two reloads a minute; /status says why",
    ),
];

const WEB: &[(&str, &str)] = &[("service", "web"), ("method", "scripted")];

#[tokio::test]
async fn live_each_alert_is_raised_by_its_trouble_and_by_nothing_else() {
    let (directory, well) = (tempfile::tempdir().unwrap(), series(&scrape().await));
    let rules = block("groups:");
    let alerts: BTreeSet<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let raised: BTreeSet<&str> = TROUBLES.iter().map(|(_, _, alert, ..)| *alert).collect();
    assert_eq!(raised, alerts);
    std::fs::write(directory.path().join("rules.yml"), rules).unwrap();

    let mut tests = "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n".to_owned();
    for trouble in TROUBLES.iter().map(Some).chain([None]) {
        let mut seen = well.clone();
        if let Some((name, values, ..)) = trouble {
            let of_it: Vec<_> =
                seen.iter_mut().filter(|(series, _)| series.split('{').next() == Some(*name)).collect();
            assert!(!of_it.is_empty(), "there is no series {name}");
            for (_, value) in of_it {
                (*values).clone_into(value);
            }
        }
        tests += "- interval: 1m\n  input_series:\n";
        for (series, values) in &seen {
            let _ = writeln!(tests, "  - {{series: {}, values: '{values}'}}", json!(series));
        }
        tests += "  alert_rule_test:\n";
        for alert in &alerts {
            let expected = trouble.filter(|(_, _, raised, ..)| raised == alert).map(|(_, _, _, labels, summary)| {
                let labels: BTreeMap<_, _> =
                    labels.iter().chain(&[("job", "synapse"), ("instance", "node1:3455")]).copied().collect();
                json!({ "exp_labels": labels, "exp_annotations": { "summary": format!("node1:3455: {summary}") } })
            });
            let expected: Vec<_> = expected.into_iter().collect();
            let _ = writeln!(
                tests,
                "  - {{eval_time: 50m, alertname: {alert}, exp_alerts: {}}}",
                json!(expected)
            );
        }
    }
    std::fs::write(directory.path().join("tests.yml"), tests).unwrap();
    promtool(&directory, &["test", "rules", "tests.yml"]).await;
}
