//! A discovery method of one's own, beside the built-in ones.
//!
//!     cargo run -p agent --example method -- synapse.yaml
//!
//! The method `range` knows a row of addresses, as a rack has them. It has keys, which are checked when the configuration is
//! read, with line and column like all others, and it can be used wherever a method can: here also as the fallback of
//! a registry. The program shows what is discovered, once.

use std::{error::Error, net::Ipv4Addr};

use agent::{
    Agent, Config, Registry, Source,
    config::{Problem, Section},
    discovery::{Endpoint, Fixed, Snapshot},
};

/// What stands in the section, beside `method` and `label_filters`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    first: Ipv4Addr,
    #[serde(default = "one")]
    count: u8,
    port: u16,
}

fn one() -> u8 {
    1
}

/// Checks a section, and says how to make a watcher of it.
fn range(section: &Section) -> Result<Source, Vec<Problem>> {
    let Range { first, count, port } = section.parse()?;
    let endpoint = |offset| {
        let address = u32::from(first).checked_add(offset).ok_or("the range goes beyond the last address")?;
        let host = std::net::IpAddr::from(Ipv4Addr::from(address)).try_into()?;
        Ok(Endpoint::new(host, port)?)
    };
    let endpoints: Result<Snapshot, Box<dyn Error>> = (0..u32::from(count)).map(endpoint).collect();
    let endpoints = endpoints.map_err(|error| vec![section.problem(error.to_string())])?;
    // A source that changes would be a `Watcher`, or a `Fetch` in `Polled`, instead of `Fixed`.
    Ok(Source::new(move |_context| Fixed::new(endpoints.clone())))
}

/// What the services of a configuration are served by, one a line.
pub(crate) async fn program(text: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let registry = Registry::builtin().with("range", range);
    let config = Config::parse(text, None, &registry)?;
    let catalog = Agent::new(config).discover().await;
    let lines = catalog
        .services()
        .flat_map(|(service, snapshot)| snapshot.iter().map(move |endpoint| format!("{service} {endpoint}")));
    Ok(lines.collect())
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "a program for a terminal")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: method FILE")?;
    for line in program(&std::fs::read_to_string(path)?).await? {
        println!("{line}");
    }
    Ok(())
}
