//! `services`

use std::io::Write;

use agent::{
    Agent, Config, ServiceStatus,
    discovery::{Endpoint, multi::ChildView},
};
use anyhow::{Context as _, anyhow};
use comfy_table::{Table, presets};

use crate::failure::Failure;

/// Prints what is discovered now. Services without an answer are shown, and make it fail.
pub(crate) async fn services(config: Config, json: bool) -> Result<(), Failure> {
    let agent = Agent::new(config);
    let status = agent.status();
    let catalog = agent.discover().await;
    let services = status.services();
    let text = if json { catalog.to_json() } else { format!("{}\n", table(&services).trim_fmt()) };
    print(&text)?;
    unanswered(&services).map_or(Ok(()), |silent| Err(anyhow!(silent).into()))
}

/// Which services have no answer, and why; `None` when all have one.
pub(crate) fn unanswered(services: &[ServiceStatus]) -> Option<String> {
    let silent = services.iter().filter(|service| service.snapshot.is_none());
    let lines: Vec<_> = silent
        .map(|service| match service.health.error() {
            Some(error) => format!("{}: {}", service.service, error.chain()),
            None => service.service.clone(),
        })
        .collect();
    (!lines.is_empty()).then(|| format!("no answer for {}", lines.join("; ")))
}

fn table(services: &[ServiceStatus]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["SERVICE", "METHOD", "STATE", "ENDPOINT", "WEIGHT", "NOTE"]);
    for service in services {
        let head = [service.service.as_str(), &service.method, service.state()];
        let mut rows: Vec<_> = service.snapshot.iter().flatten().map(row).collect();
        rows.extend(service.children.iter().map(child));
        rows.extend(service.rejected.named().iter().map(|rejection| {
            [rejection.entry().to_owned(), String::new(), format!("refused: {}", rejection.reason())]
        }));
        if rows.is_empty() {
            rows.push(["-".to_owned(), String::new(), String::new()]);
        }
        for (index, row) in rows.into_iter().enumerate() {
            // A service's name stands in its first row alone: that is what makes the table readable.
            let head = if index == 0 { head } else { [""; 3] };
            table.add_row(head.into_iter().map(str::to_owned).chain(row));
        }
    }
    table
}

/// An endpoint, its weight, and what else is to be known of it.
fn row(endpoint: &Endpoint) -> [String; 3] {
    let notes = [(endpoint.backup(), "backup"), (!endpoint.available(), "unavailable")];
    let notes: Vec<_> = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect();
    let weight = endpoint.weight().map(|weight| weight.to_string()).unwrap_or_default();
    [endpoint.to_string(), weight, notes.join(", ")]
}

/// One of several sources: how it is doing, whether it is in use, and how many it knows.
fn child(child: &ChildView) -> [String; 3] {
    let health = &child.observed.health;
    let in_use = if child.in_use { ", in use" } else { "" };
    let known = child.observed.snapshot.as_ref().map_or(0, |snapshot| snapshot.len());
    let endpoints = if known == 1 { "endpoint" } else { "endpoints" };
    let error = health.error().map(|error| format!(": {}", error.chain())).unwrap_or_default();
    let note = format!("{}{in_use}, {known} {endpoints}{error}", health.state());
    [format!("({})", child.name), String::new(), note]
}

/// Prints to standard output. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result.context("writing to standard output")?),
    }
}
