//! A hundred services in EC2, through the agent's configuration, on an API that counts what it is asked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../discovery-ec2/tests/endpoint/mod.rs"]
mod endpoint;

use std::{collections::BTreeMap, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use agent::{Config, Registry};
use e2e::{AgentTask, Dir, wait_until};
use endpoint::{Endpoint, Instance};
use serde_json::{Map, Value, json};

const DEADLINE: Duration = Duration::from_mins(2);
const SERVICES: u16 = 100;
const INSTANCES: u16 = 1050;
/// Two pages cost two calls, and one call a second is what there is.
const EVERY: Duration = Duration::from_secs(2);
const POLLS: usize = 11;

fn config(endpoint: &Endpoint, file: &Path) -> Config {
    let service = |number: u16| {
        let section = json!({
            "discovery": {
                "method": "ec2tag",
                "tag_name": "role",
                "tag_value": format!("r{number}"),
                "check_interval": EVERY.as_secs(),
                "aws_region": "us-east-1",
                "aws_endpoint": endpoint.url(),
                "aws_access_key_id": "x",
                "aws_secret_access_key": "x",
            },
            "haproxy": { "port": 20_000 + number, "server_port_override": "8080" },
        });
        (format!("s{number}"), section)
    };
    let config = json!({
        "services": (0..SERVICES).map(service).collect::<Map<String, Value>>(),
        "haproxy": {
            "config_file_path": file,
            "reload_command": ["true"],
            "restart_interval": 0,
            "global": [],
            "defaults": ["mode http"],
        },
    });
    let config = Config::parse(&config.to_string(), None, &Registry::builtin());
    config.unwrap_or_else(|report| panic!("{report}"))
}

/// Ten or eleven for each service.
fn instances(numbers: impl Iterator<Item = u16>) -> Vec<Instance> {
    let of = |number: u16| Instance::numbered(number, &[("role", &format!("r{}", number % SERVICES))]);
    numbers.map(of).collect()
}

fn sorted(mut addresses: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    for addresses in addresses.values_mut() {
        addresses.sort();
    }
    addresses
}

/// The addresses of each backend in the file, sorted.
fn served(file: &str) -> BTreeMap<String, Vec<String>> {
    let mut served = BTreeMap::<String, Vec<String>>::new();
    let mut section = String::new();
    for line in file.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["backend", name, ..] => name.clone_into(&mut section),
            ["server", _, address, ..] => {
                served.entry(section.clone()).or_default().push(address.to_owned());
            }
            _ => {}
        }
    }
    sorted(served)
}

fn expected(instances: &[Instance]) -> BTreeMap<String, Vec<String>> {
    let mut expected = BTreeMap::<String, Vec<String>>::new();
    for instance in instances {
        let address = format!("{}:8080", instance.private_ip.as_deref().unwrap());
        expected.entry(instance.tags["role"].replace('r', "s")).or_default().push(address);
    }
    sorted(expected)
}

#[tokio::test]
async fn a_hundred_services_over_a_thousand_instances_cost_one_chain_of_pages_an_interval() {
    let (endpoint, dir) = (Endpoint::start().await, Dir::new("scale"));
    let file = dir.join("haproxy.cfg");
    let all = instances(0..INSTANCES);
    endpoint.hold(all.clone());
    endpoint.shuffle();
    let agent = AgentTask::start(config(&endpoint, &file));
    let until_asked = async |polls: usize| {
        wait_until(DEADLINE, &format!("{polls} answers"), async || match endpoint.requests() {
            // The answer to the last page of each is in the agent's hands when it asks for the next first page.
            asked if asked > 2 * polls => Ok(()),
            asked => Err(format!("{asked} pages")),
        })
        .await;
    };
    wait_until(DEADLINE, "all to be served", async || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let counters = agent.status().output().counters;
        let done = served(&text) == expected(&all) && (counters.writes, counters.reloads) == (1, 1);
        if done { Ok(()) } else { Err(format!("{counters:?}")) }
    })
    .await;
    let touched = || {
        let found = std::fs::metadata(&file).unwrap();
        (found.ino(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec())
    };
    let before = (touched(), agent.status().output().counters);

    // In an order that changes from answer to answer.
    until_asked(POLLS).await;
    assert_eq!((touched(), agent.status().output().counters), before, "another order is no change");
    let asked = endpoint.asked();
    let pages: Vec<_> = asked.iter().map(|asked| asked.page).collect();
    assert!(pages.iter().enumerate().all(|(call, page)| *page == call % 2), "{pages:?}");
    // When they were asked, not when they arrived, is what the interval is between: a busy machine can delay the first.
    let (chains, took) = (endpoint.chains(), asked[asked.len() - 1].at - asked[0].at);
    assert!(took >= EVERY * u32::try_from(chains - 2).unwrap(), "{chains} chains in {took:?}");
    assert!(agent.status().services().iter().all(|service| service.state() == "ok"));

    // It does look: one that is gone is a write and a reload.
    let fewer = instances(1..INSTANCES);
    wait_until(DEADLINE, "the time between two answers", async || match endpoint.requests() {
        asked if asked % 2 == 0 => Ok(()),
        asked => Err(format!("{asked} pages")),
    })
    .await;
    endpoint.hold(fewer.clone());
    wait_until(DEADLINE, "the first instance to be gone", async || {
        let text = std::fs::read_to_string(&file).unwrap();
        if served(&text) == expected(&fewer) { Ok(()) } else { Err(format!("{:?}", served(&text)["s0"])) }
    })
    .await;
    wait_until(DEADLINE, "a reload", async || match agent.status().output().counters {
        counters if (counters.writes, counters.reloads) == (2, 2) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    agent.stop().await;
}
