//! What an agent keeps on disk, and what it makes of it at a start while sources do not answer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod file;
mod pace;
mod start;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use agent::{ServiceStatus, discovery::testing::Step};
use serde_json::{Value, json};

use crate::site::{Running, Site};

const SECOND: Duration = Duration::from_secs(1);

/// A site that keeps its state in a directory of its own.
fn site() -> Site {
    let site = Site::new();
    std::fs::create_dir(site.path().with_file_name("state")).unwrap();
    let path = state_path(&site);
    site.set(&["haproxy", "state_file_path"], json!(path))
}

fn state_path(site: &Site) -> PathBuf {
    site.path().with_file_name("state").join("state.json")
}

/// What the file has that is called as the state file and this.
fn beside(site: &Site, suffix: &str) -> Option<String> {
    std::fs::read_to_string(state_path(site).with_file_name(format!("state.json{suffix}"))).ok()
}

fn state(site: &Site) -> Value {
    serde_json::from_str(&beside(site, "").unwrap()).unwrap()
}

/// The hosts that the state file has of a service.
fn remembered(site: &Site, service: &str) -> Vec<String> {
    let endpoints = state(site)["services"][service]["endpoints"].clone();
    let hosts = endpoints.as_array().cloned().unwrap_or_default().into_iter();
    hosts.map(|endpoint| endpoint["host"].as_str().unwrap().to_owned()).collect()
}

/// Seconds since 1970, so long ago.
fn ago(seconds: u32) -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() - f64::from(seconds)
}

/// Writes a state file, just now, with this as its services.
fn write_state(site: &Site, services: &Value) {
    let file = json!({ "format": "synapse-rs state", "version": 1, "written": ago(0), "services": services });
    std::fs::write(state_path(site), file.to_string()).unwrap();
}

fn forget_haproxys_file(site: &Site) {
    std::fs::remove_file(site.path()).unwrap();
}

/// The site with a source that never answers.
fn silent(site: Site) -> Site {
    site.service("web", || vec![Step::Hang])
}

fn web(running: &Running) -> ServiceStatus {
    running.status.services().into_iter().find(|service| service.service == "web").unwrap()
}
