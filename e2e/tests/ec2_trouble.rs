//! EC2 goes wrong under a running agent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../discovery-ec2/tests/endpoint/mod.rs"]
mod endpoint;

use std::time::Duration;

use agent::{Config, Registry};
use e2e::{AgentTask, Dir, wait_until};
use endpoint::{Endpoint, Instance, Mood};
use serde_json::json;

const DEADLINE: Duration = Duration::from_mins(1);

fn config(endpoint: &Endpoint, file: &std::path::Path) -> Config {
    let config = json!({
        "services": { "web": {
            "discovery": {
                "method": "ec2tag",
                "tag_name": "role",
                "tag_value": "web",
                "check_interval": 0.3,
                "aws_region": "us-east-1",
                "aws_endpoint": endpoint.url(),
                "aws_access_key_id": "AKIDTEST",
                "aws_secret_access_key": "hunter2",
                "request_timeout": 1,
            },
            "haproxy": { "port": 20_000, "server_port_override": 8080 },
        } },
        "haproxy": {
            "config_file_path": file,
            "reload_command": ["true"],
            "restart_interval": 0,
            "global": [],
            "defaults": ["mode http"],
        },
        "agent": { "backoff_min": 0.05, "backoff_max": 1 },
    });
    let config = Config::parse(&config.to_string(), None, &Registry::builtin());
    config.unwrap_or_else(|report| panic!("{report}"))
}

fn instances(count: u16) -> Vec<Instance> {
    (1..=count).map(|number| Instance::numbered(number, &[("role", "web")])).collect()
}

#[tokio::test]
async fn the_file_outlives_every_trouble_of_ec2_and_the_status_says_which() {
    const DENIED: &str = "You are not authorized to perform this operation.";
    let (mut endpoint, dir) = (Endpoint::start().await, Dir::new("trouble"));
    let file = dir.join("haproxy.cfg");
    endpoint.hold(instances(3));
    let agent = AgentTask::start(config(&endpoint, &file));
    let until_served = async |count: usize| {
        wait_until(DEADLINE, &format!("{count} servers"), async || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let servers = text.lines().filter(|line| line.trim_start().starts_with("server ")).count();
            let (web, counters) = (agent.service("web"), agent.status().output().counters);
            // Each time one more, by one write and one reload.
            let times = u64::try_from(count - 2).unwrap();
            let done = (counters.writes, counters.reloads) == (times, times);
            if done && (servers, web.servers, web.state()) == (count, count, "ok") {
                Ok(text)
            } else {
                Err(format!("{servers} in the file; {counters:?}; {web:?}"))
            }
        })
        .await
    };
    let until_failing = async |because: &str| {
        wait_until(DEADLINE, because, async || {
            let web = agent.service("web");
            let why = web.health.error().map(agent::discovery::WatchError::chain).unwrap_or_default();
            let seen = web.state() == "failing" && why.contains(because);
            if seen { Ok(why) } else { Err(format!("{} {why}", web.state())) }
        })
        .await
    };
    let mut text = until_served(3).await;
    let mut now: u16 = 3;
    for (mood, because) in [
        (Mood::Refuses(503, "RequestLimitExceeded", "Request limit exceeded."), "RequestLimitExceeded"),
        (Mood::Refuses(503, "Unavailable", "The server is overloaded."), "Unavailable"),
        (Mood::Refuses(403, "UnauthorizedOperation", DENIED), "IAM permission ec2:DescribeInstances"),
        (Mood::RefusesLaterPages(500, "InternalError", "An internal error."), "page 2: InternalError"),
        (Mood::Cuts, "page 1: the answer"),
        (Mood::Freezes, "no answer within 1s"),
    ] {
        let before = agent.status().output().counters;
        // Only where it matters: each page is a call, and calls are rationed.
        if matches!(mood, Mood::RefusesLaterPages(..)) {
            endpoint.per_page(2);
        }
        endpoint.mood(mood.clone());
        endpoint.hold(instances(now + 1));
        let why = until_failing(because).await;
        assert!(!why.contains("hunter2") && !why.contains("AKID"), "{why}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "{mood:?}");
        assert_eq!(agent.status().output().counters, before, "{mood:?}");
        endpoint.per_page(1000);
        endpoint.mood(Mood::Good);
        now += 1;
        text = until_served(now.into()).await;
    }

    let asked = endpoint.requests();
    endpoint.stop().await;
    until_failing("are the region and the network right?").await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    endpoint.hold(instances(now + 1));
    endpoint.restart().await;
    until_served((now + 1).into()).await;
    assert!(endpoint.requests() > asked);
    agent.stop().await;
}
