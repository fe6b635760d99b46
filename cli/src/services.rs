//! `services`

use std::time::SystemTime;

use agent::{
    Agent, Ago, Config, ServiceStatus,
    discovery::{Catalog, Endpoint, Snapshot, multi::ChildView},
};
use comfy_table::{Table, presets};
use tracing::warn;

use crate::{
    advice::Silent,
    failure::Failure,
    progress,
    screen::{line, lines, print},
};

/// Prints what is discovered now, and whether HAProxy could not be brought to serve it. Services without an answer are shown, and
/// make it fail.
pub(crate) async fn services(config: Config, json: bool) -> Result<(), Failure> {
    let failure = config.last_failure().await.as_ref().map(not_applied);
    let agent = Agent::new(config);
    let status = agent.status();
    let found = progress::shown(&status, agent.discover()).await;
    let services = status.services();
    if json {
        print(&with_former(found, &services).to_json())?;
        if let Some(failure) = failure {
            warn!("{failure}");
        }
    } else {
        let failure = failure.map(|failure| format!("\n{failure}\n")).unwrap_or_default();
        print(&format!("{}\n{failure}", table(&services).trim_fmt()))?;
    }
    unanswered(&services).map_or(Ok(()), |silent| Err(anyhow::Error::new(silent).into()))
}

/// What stands between what is discovered and what HAProxy runs.
fn not_applied(failure: &agent::Failure) -> String {
    let age = SystemTime::now().duration_since(failure.at).unwrap_or_default();
    format!("HAProxy was not brought up to date, {} ago: {}", Ago(age), lines(&failure.error))
}

/// Adds what the state file has of services whose source does not answer, marked as such.
fn with_former(found: Catalog, services: &[ServiceStatus]) -> Catalog {
    let now = SystemTime::now();
    services.iter().fold(found, |catalog, service| match (&service.restored, service.age) {
        (Some(restored), Some(age)) => {
            let as_of = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
            catalog.with_former(service.service.clone(), restored.clone(), as_of)
        }
        _ => catalog,
    })
}

/// Which services have no answer, and why; `None` when all have one.
pub(crate) fn unanswered(services: &[ServiceStatus]) -> Option<Silent> {
    let silent = services.iter().filter(|service| service.snapshot.is_none());
    let lines: Vec<_> = silent
        .map(|service| match service.health.error() {
            Some(error) => format!("{}: {}", service.service, line(&error.chain())),
            None => service.service.clone(),
        })
        .collect();
    (!lines.is_empty()).then(|| Silent { services: lines.join("; "), so: "" })
}

fn table(services: &[ServiceStatus]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["SERVICE", "METHOD", "STATE", "ENDPOINT", "WEIGHT", "NOTE"]);
    for service in services {
        let head = [service.service.as_str(), &service.method, service.state()];
        let mut rows: Vec<_> =
            service.snapshot.iter().flatten().map(|endpoint| row(endpoint, None)).collect();
        // Without an answer: what is served until there is one.
        let former = service.age.map(|age| format!("known {} ago", Ago(age)));
        rows.extend(service.restored.iter().flatten().map(|endpoint| row(endpoint, former.as_deref())));
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
fn row(endpoint: &Endpoint, former: Option<&str>) -> [String; 3] {
    let notes = [(endpoint.backup(), "backup"), (!endpoint.available(), "unavailable")];
    let notes = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note);
    let notes: Vec<_> = notes.chain(former).collect();
    let weight = endpoint.weight().map(|weight| weight.to_string()).unwrap_or_default();
    [line(&endpoint.to_string()), weight, notes.join(", ")]
}

/// One of several sources: how it is doing, whether it is in use, and how many it knows.
fn child(child: &ChildView) -> [String; 3] {
    let health = &child.observed.health;
    let in_use = if child.in_use { ", in use" } else { "" };
    let known = child.observed.snapshot.as_ref().map_or(0, Snapshot::len);
    let endpoints = if known == 1 { "endpoint" } else { "endpoints" };
    let error = health.error().map(|error| format!(": {}", line(&error.chain()))).unwrap_or_default();
    let note = format!("{}{in_use}, {known} {endpoints}{error}", health.state());
    [format!("({})", line(&child.name)), String::new(), note]
}
