//! The metrics that pages name.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use e2e::{Dir, Haproxy, Port, get, wait_until};
use serde_json::json;
use tokio::process::Command;

use crate::page::pages;

/// What begins as metrics do: a variable of HAProxy's, and a tag of Synapse's.
const OTHERS: [&str; 2] = ["synapse_rev", "synapse_version"];

/// All words in a text that are names of metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("synapse_") && !OTHERS.contains(word)).map(str::to_owned).collect()
}

/// What is scraped of a program that has everything.
async fn scraped() -> BTreeSet<String> {
    let dir = Dir::new("metrics");
    let (front, status) = (Port::free(), Port::free());
    let socket = dir.join("haproxy.sock").display().to_string();
    let haproxy = Haproxy::start(&format!("global\n stats socket {socket} level admin\nlisten a\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n bind 127.0.0.1:{front}\n")).await;
    let config = json!({
        "services": {"web": {"discovery": {"method": "base"}, "default_servers": [{"host": "10.0.0.1", "port": 80}], "haproxy": {"port": front.number()}}},
        "haproxy": {
            "config_file_path": haproxy.config(),
            "state_file_path": dir.join("state.json"),
            "reload_command": haproxy.reload_command(),
            "socket_file_path": socket,
            "global": [],
            "defaults": ["mode http", "timeout connect 1s", "timeout client 1s", "timeout server 1s"],
        },
        "file_output": {"output_directory": dir.join("services")},
        "statsd": {"host": "127.0.0.1"},
        "status": {"listen": status.address().to_string()},
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_synapse-rs"));
    command
        .arg("-c")
        .arg(dir.write("synapse.json", config.to_string()))
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let _program = command.spawn().expect("the program runs");
    wait_until(Duration::from_mins(1), "an apply among the metrics", async || {
        let response = get(status.address(), "/metrics").await.map_err(|error| error.to_string())?;
        let types = response.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let names: BTreeSet<String> = types.map(str::to_owned).collect();
        // Who HAProxy is, is found out after the first apply.
        if names.contains("synapse_changed_timestamp_seconds") && names.contains("synapse_haproxy_info") {
            Ok(names)
        } else {
            Err(format!("{names:?}"))
        }
    })
    .await
}

#[tokio::test]
async fn live_the_page_about_metrics_has_all_and_no_page_has_another() {
    let scraped = scraped().await;
    for page in pages() {
        let blocks = page.blocks.iter().map(|block| &block.text);
        let spans = page.spans.iter().map(|(_, span)| span);
        let named: BTreeSet<String> = blocks.chain(spans).flat_map(|text| named(text)).collect();
        let unknown: Vec<_> = named.difference(&scraped).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", page.path);
        if page.path == "docs/metrics.md" {
            assert_eq!(named, scraped);
        }
    }
}
