//! What `/status` says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that an agent knows of itself, as `/status` says it in JSON. `docs/status.md` describes it.
///
/// Ages are in seconds. Later versions may add to it; what is missing in the answer of an older one has its default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Report {
    /// The version of the program that answers.
    pub version: String,
    /// When it was made, in seconds since 1970.
    pub at: f64,
    /// Since when it runs, in seconds since 1970.
    pub started_at: f64,
    /// Whether the loop that applies gives signs of life: what `/healthz` says.
    pub alive: bool,
    /// Whether HAProxy serves what is known, and what is known is fresh enough: what `/readyz` says.
    pub ready: bool,
    /// Why it is not ready, one a line.
    pub obstacles: Vec<String>,
    /// A digest of who is to be served: two hosts on which it is the same serve the same servers of the same services.
    pub content_hash: String,
    /// The services, in the order of the configuration.
    pub services: Vec<Service>,
    /// What HAProxy was brought to run.
    pub output: Output,
    /// Which configuration is in use.
    pub configuration: Configuration,
    /// How the state file is doing; none is kept if it is not there.
    pub state_file: Option<StateFile>,
    /// How the files of services are doing; there are none if it is not there.
    pub file_output: Option<FileOutput>,
    /// How metrics are sent by statsd; none are if it is not there.
    pub statsd: Option<Statsd>,
}

/// A service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its discovery method.
    pub method: String,
    /// How its source is doing: `waiting`, `ok`, `failing` or `ended`.
    pub state: String,
    /// Whether its source has failed for longer than `max_staleness`, has ended, or has not answered though it was waited for.
    pub stale: bool,
    /// How long ago its source last said what is known of it, or that it still is so.
    pub age_seconds: Option<f64>,
    /// How long its source has been failing.
    pub failing_seconds: Option<f64>,
    /// How often its source has failed since it was first asked.
    pub failures: u64,
    /// The last error, unless the last answer was good.
    pub error: Option<String>,
    /// What is known is what the state file has: the source has not answered since the start.
    pub restored: bool,
    /// How many endpoints are known.
    pub endpoints_total: usize,
    /// How many servers HAProxy is to use.
    pub servers_total: usize,
    /// How many entries and endpoints are not served because they can't be.
    pub rejected_total: usize,
    /// A digest of its servers, as of all in [`Report::content_hash`].
    pub content_hash: String,
    /// The first of the endpoints that its source knows.
    pub endpoints: Vec<Endpoint>,
    /// The first of the servers that HAProxy is to use, by their names.
    pub servers: Vec<Endpoint>,
    /// The first of those that are not served.
    pub rejected: Vec<Rejection>,
    /// What its source is made of, where that is several.
    pub sources: Vec<Child>,
}

/// Somebody who serves.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Endpoint {
    /// What it calls itself, or HAProxy calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address, or its host's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The share of traffic that it asks for, or has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// It takes traffic only while no other can.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
    /// It is known, and wants no traffic.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unavailable: bool,
}

/// An entry or an endpoint that is not served.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Rejection {
    /// Where it stands, or which it is.
    pub entry: String,
    /// What is wrong with it.
    pub reason: String,
}

/// One source of several.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Child {
    /// Its name.
    pub name: String,
    /// How it is doing: `waiting`, `ok`, `failing` or `ended`.
    pub state: String,
    /// Whether what it says is part of what is served.
    pub in_use: bool,
    /// How many endpoints it knows.
    pub endpoints_total: usize,
    /// How long ago it last said so.
    pub age_seconds: Option<f64>,
    /// The last error, unless the last answer was good.
    pub error: Option<String>,
}

/// HAProxy, and what was done about it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Output {
    /// How long ago it was last brought to what it should run, or found to run it.
    pub applied_seconds: Option<f64>,
    /// When that was, in seconds since 1970.
    pub applied_at: Option<f64>,
    /// How long ago something was last changed.
    pub changed_seconds: Option<f64>,
    /// When that was, in seconds since 1970.
    pub changed_at: Option<f64>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// What waits for its time.
    pub pending: Option<Pending>,
    /// For how long the file has not held what HAProxy runs.
    pub behind_seconds: Option<f64>,
    /// Why the file can't be written.
    pub behind_error: Option<String>,
    /// For how long HAProxy has not run what its file holds, though somebody else was to have it loaded.
    pub unloaded_seconds: Option<f64>,
    /// The revision that HAProxy is known to run.
    pub revision: Option<String>,
    /// HAProxy itself; none where there is no socket.
    pub haproxy: Option<Haproxy>,
    /// Servers, as `BACKEND/SERVER`, that somebody else has added and that are let be.
    pub foreign_servers: Vec<String>,
    /// Totals since the start, by what they count.
    pub counters: BTreeMap<String, u64>,
    /// The last ten changes, the newest first.
    pub changes: Vec<Change>,
}

/// A change that waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Pending {
    /// For how much longer.
    pub in_seconds: f64,
    /// Why it takes a reload.
    pub causes: Vec<String>,
}

/// HAProxy, as it was last found at its socket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Haproxy {
    /// How long ago that was.
    pub seen_seconds: f64,
    /// Its version.
    pub version: Option<String>,
    /// The id of its process.
    pub pid: Option<u64>,
    /// What it can be told to do.
    pub capabilities: Vec<String>,
    /// Why it takes no commands, if it does not.
    pub trouble: Option<String>,
}

/// A change that was made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Change {
    /// When, in seconds since 1970.
    pub at: f64,
    /// How long ago.
    pub ago_seconds: f64,
    /// How long it took.
    pub took_seconds: f64,
    /// The way it was made: `commands`, `reload` or `file`.
    pub how: String,
    /// Which services changed.
    pub what: String,
    /// What was done, and why.
    pub done: String,
}

/// The configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Configuration {
    /// How long the one that is in use has been.
    pub since_seconds: f64,
    /// Since when, in seconds since 1970.
    pub since_at: f64,
    /// How many were taken over since the start, the first not counted.
    pub taken: u64,
    /// How long a newer one has waited for the first answers of its new sources.
    pub waiting_seconds: Option<f64>,
    /// Why the newest one is not in use.
    pub error: Option<String>,
}

/// The state file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StateFile {
    /// How long ago it was last written.
    pub written_seconds: Option<f64>,
    /// Its length then.
    pub bytes: u64,
    /// How often it was written.
    pub writes: u64,
    /// Why the last write failed, if it did.
    pub error: Option<String>,
}

/// The files of services.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct FileOutput {
    /// The directory that they are in.
    pub directory: String,
    /// How many files in it are ours.
    pub files: usize,
    /// How often one was written.
    pub writes: u64,
    /// How many were removed.
    pub removals: u64,
    /// For how long not all of them have been as they should be.
    pub behind_seconds: Option<f64>,
    /// For how many services the last attempt failed.
    pub failing: usize,
    /// Why it failed.
    pub error: Option<String>,
}

/// Where metrics go by statsd.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Statsd {
    /// The server, as the configuration has it: a host and a port.
    pub server: String,
    /// Where that is; none while nobody knows.
    pub address: Option<String>,
    /// How many lines were dropped, because they could not be sent soon enough.
    pub dropped: u64,
    /// Why nobody knows where it is, or whether it still is there.
    pub error: Option<String>,
}
