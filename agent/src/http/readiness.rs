//! Whether HAProxy serves what is known, and whether that is fresh enough.

use std::time::Duration;

use discovery_core::{Health, WatchError};
use tokio::time::Instant;

use super::text::line;
use crate::{Ago, FileOutputStatus, OutputStatus, ServiceStatus, config::Staleness};

/// How many services are named.
const NAMED: usize = 100;

/// For how long, and why, a service's source can't be relied upon any more; `None`: it can.
///
/// A source that is well and silent says that nothing has changed: those that lose their registry say so in bounded time. So the time
/// counts from its first failure, not from its last answer.
pub(super) fn staleness(service: &ServiceStatus, longest: Duration, now: Instant) -> Option<String> {
    match &service.health {
        Health::Healthy => None,
        Health::Starting => Some("its source has not answered yet".to_owned()),
        Health::Degraded { since, error, .. } => {
            let failing = now.saturating_duration_since(*since);
            let never = service.snapshot.is_none();
            (never || failing > longest).then(|| {
                let answered = if never { "its source has not answered yet" } else { "its source fails" };
                format!("{answered}, for {}: {}", Ago(failing), said(error))
            })
        }
        Health::Ended { error } => Some(format!("its source has ended: {}", said(error))),
    }
}

fn said(error: &WatchError) -> String {
    line(&error.chain())
}

/// What stands between this agent and being ready, each on one line.
pub(super) fn obstacles(
    alive: bool,
    services: &[ServiceStatus],
    output: &OutputStatus,
    files: Option<&FileOutputStatus>,
    staleness_of: &Staleness,
    now: Instant,
) -> Vec<String> {
    let mut obstacles = Vec::new();
    if !alive {
        obstacles.push("agent: the loop that applies gives no sign of life".to_owned());
    }
    if let Some(error) = &output.error {
        obstacles.push(format!("haproxy: it was not brought up to date: {}", line(error)));
    } else if output.applied.is_none() {
        obstacles.push("haproxy: nothing was applied yet".to_owned());
    }
    if let Some((since, error)) =
        output.behind.as_ref().and_then(|behind| Some((behind.since, behind.error.as_ref()?)))
    {
        let behind = Ago(now.saturating_duration_since(since));
        let error = line(&crate::output::chain(error));
        obstacles.push(format!("haproxy: its file has not followed for {behind}: {error}"));
    }
    if let Some(since) = output.unloaded {
        let since = Ago(now.saturating_duration_since(since));
        obstacles.push(format!("haproxy: nobody has had it load its file for {since}"));
    }
    if let Some(haproxy) = &output.haproxy
        && let Some(trouble) = &haproxy.trouble
    {
        obstacles.push(format!("haproxy: it takes no commands: {}", line(trouble)));
    }
    if let Some(files) = files
        && let Some(error) = &files.error
    {
        let who = match files.failing {
            1 => "1 service has not the file that it should".to_owned(),
            some => format!("{some} services have not the files that they should"),
        };
        obstacles.push(format!("file_output: {who}: {}", line(error)));
    }
    let (mut named, mut more) = (0_usize, 0_usize);
    for service in services {
        let Some(why) = staleness(service, staleness_of.of(&service.service), now) else { continue };
        if named == NAMED {
            more += 1;
        } else {
            named += 1;
            obstacles.push(format!("service {}: {why}", line(&service.service)));
        }
    }
    if more > 0 {
        obstacles.push(format!("and {more} more services"));
    }
    obstacles
}
