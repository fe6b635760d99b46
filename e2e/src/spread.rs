//! Who answers requests.

use std::collections::BTreeMap;

use tokio::net::ToSocketAddrs;

use crate::http;

/// How the answers to a number of requests were spread over servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spread {
    answered: BTreeMap<String, usize>,
    failed: Vec<String>,
}

impl Spread {
    /// Answers with status 200 by the server of that name.
    pub fn count(&self, server: &str) -> usize {
        self.answered.get(server).copied().unwrap_or(0)
    }

    /// Names of the servers that answered with status 200, sorted.
    pub fn servers(&self) -> Vec<&str> {
        self.answered.keys().map(String::as_str).collect()
    }

    /// What happened to each request that no server answered with status 200: the status, or the error.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// How many requests there were.
    pub fn total(&self) -> usize {
        self.answered.values().sum::<usize>() + self.failed.len()
    }

    /// Sends one request for `/` over a connection of its own.
    pub(crate) async fn ask(&mut self, address: impl ToSocketAddrs) {
        match http::get(address, "/").await {
            Ok(response) => match response.server {
                Some(server) if response.status == 200 => *self.answered.entry(server).or_default() += 1,
                _ => self.failed.push(format!("status {}", response.status)),
            },
            Err(error) => self.failed.push(error.to_string()),
        }
    }

    /// Adds what became of other requests.
    pub(crate) fn add(&mut self, other: Self) {
        for (server, count) in other.answered {
            *self.answered.entry(server).or_default() += count;
        }
        self.failed.extend(other.failed);
    }
}

/// Sends `count` requests for `/`, one after the other, each over its own connection.
pub async fn requests_over(address: impl ToSocketAddrs + Clone, count: usize) -> Spread {
    let mut spread = Spread::default();
    for _ in 0..count {
        spread.ask(address.clone()).await;
    }
    spread
}
