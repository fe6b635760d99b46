//! From what an agent knows to what is shown of it.

use discovery_core::{Snapshot, WatchError, multi::ChildView};
use haproxy_render::Server;

use super::{
    clock::{Reading, seconds, unix},
    digest::{of_servers, of_services},
    readiness::{obstacles, staleness},
    report::{
        Change, Child, Configuration, Endpoint, FileOutput, Haproxy, Output, Pending, Rejection, Report,
        Service, StateFile, Statsd,
    },
    text::line,
};
use crate::{
    ConfigurationStatus, FileOutputStatus, HaproxyStatus, OutputStatus, PastChange, ServiceStatus,
    StateFileStatus, StatsdStatus, Status, config::Staleness,
};

/// How many endpoints, and servers, are listed of a service, and of all services together. The others are counted.
const OF_A_SERVICE: usize = 1000;
const OF_ALL: usize = 20_000;
/// How many servers by somebody else are listed.
const FOREIGN: usize = 100;

impl Report {
    /// What `status` shows now. Without the details it has everything but lists of endpoints and the digests of who serves.
    pub(super) fn of(status: &Status, longest: &Staleness, time: Reading, details: bool) -> Self {
        let (alive, output, services) = (status.is_alive(), status.output(), status.services());
        let files = status.file_output();
        let obstacles = obstacles(alive, &services, &output, files.as_ref(), longest, time.now);
        let mut left = if details { OF_ALL } else { 0 };
        let services: Vec<Service> = services
            .iter()
            .map(|service| {
                let stale = staleness(service, longest.of(&service.service), time.now).is_some();
                of_service(service, stale, time, &mut left, details)
            })
            .collect();
        let digests = services.iter().map(|service| (service.name.as_str(), service.content_hash.as_str()));
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: unix(time.at),
            started_at: time.unix(time.started),
            alive,
            ready: obstacles.is_empty(),
            obstacles,
            content_hash: if details { of_services(digests) } else { String::new() },
            services,
            output: of_output(&output, time),
            configuration: of_configuration(&status.configuration(), time),
            state_file: status.state_file().as_ref().map(|file| of_state_file(file, time)),
            file_output: files.as_ref().map(|files| of_files(files, time)),
            statsd: status.statsd().as_ref().map(of_statsd),
        }
    }
}

fn of_service(
    service: &ServiceStatus,
    stale: bool,
    time: Reading,
    left: &mut usize,
    details: bool,
) -> Service {
    let known = service.snapshot.as_ref().or(service.restored.as_ref());
    let servers = service.desired.as_ref().map_or(&[][..], |desired| desired.backend.servers.as_slice());
    let rejected = &service.rejected;
    let mut take = |available: usize| {
        let taken = available.min(OF_A_SERVICE).min(*left);
        *left -= taken;
        taken
    };
    let endpoints_total = known.map_or(0, Snapshot::len);
    let (of_known, of_servers_) = (take(endpoints_total), take(servers.len()));
    let failing = match &service.health {
        discovery_core::Health::Degraded { since, .. } => Some(time.since(*since)),
        _ => None,
    };
    let mut listed: Vec<&Server> = if of_servers_ > 0 { servers.iter().collect() } else { Vec::new() };
    listed.sort_unstable_by(|one, other| one.name().cmp(other.name()));
    Service {
        name: service.service.clone(),
        method: line(&service.method),
        state: service.state().to_owned(),
        stale,
        age_seconds: service.age.map(seconds),
        failing_seconds: failing,
        failures: service.failures,
        error: service.health.error().map(|error| line(&error.chain())),
        restored: service.restored.is_some(),
        endpoints_total,
        servers_total: servers.len(),
        rejected_total: rejected.total(),
        content_hash: if details { of_servers(servers) } else { String::new() },
        endpoints: known.into_iter().flatten().take(of_known).map(of_endpoint).collect(),
        servers: listed.into_iter().take(of_servers_).map(of_server).collect(),
        rejected: rejected.named().iter().filter(|_| details).map(of_rejection).collect(),
        sources: service.children.iter().map(|child| of_child(child, time)).collect(),
    }
}

fn of_endpoint(endpoint: &discovery_core::Endpoint) -> Endpoint {
    Endpoint {
        name: endpoint.name().map(line),
        host: endpoint.host().to_string(),
        port: endpoint.port().get(),
        weight: endpoint.weight(),
        backup: endpoint.backup(),
        unavailable: !endpoint.available(),
    }
}

fn of_server(server: &Server) -> Endpoint {
    Endpoint {
        name: Some(server.name().to_string()),
        host: server.address().to_string(),
        port: server.port().get(),
        weight: server.weight().map(|weight| u32::from(weight.get())),
        backup: server.backup(),
        unavailable: false,
    }
}

fn of_rejection(rejection: &discovery_core::Rejection) -> Rejection {
    Rejection { entry: line(rejection.entry()), reason: line(rejection.reason()) }
}

fn of_child(child: &ChildView, time: Reading) -> Child {
    let observed = &child.observed;
    Child {
        name: line(&child.name),
        state: observed.health.state().to_owned(),
        in_use: child.in_use,
        endpoints_total: observed.snapshot.as_ref().map_or(0, Snapshot::len),
        age_seconds: observed.confirmed.map(|at| time.since(at)),
        error: observed.health.error().map(WatchError::chain).map(|error| line(&error)),
    }
}

fn of_output(output: &OutputStatus, time: Reading) -> Output {
    let since = |at| time.since(at);
    let behind = output.behind.as_ref();
    Output {
        applied_seconds: output.applied.map(since),
        applied_at: output.applied.map(|at| time.unix(at)),
        changed_seconds: output.changed.map(since),
        changed_at: output.changed.map(|at| time.unix(at)),
        error: output.error.as_deref().map(line),
        pending: output.pending.as_ref().map(|pending| Pending {
            in_seconds: seconds(pending.until.saturating_duration_since(time.now)),
            causes: pending.causes.iter().map(|cause| line(cause)).collect(),
        }),
        behind_seconds: behind.map(|behind| since(behind.since)),
        behind_error: behind
            .and_then(|behind| behind.error.as_ref())
            .map(|error| line(&crate::output::chain(error))),
        unloaded_seconds: output.unloaded.map(since),
        revision: output.revision.clone(),
        haproxy: output.haproxy.as_ref().map(|haproxy| of_haproxy(haproxy, time)),
        foreign_servers: output.foreign_servers.iter().take(FOREIGN).map(|server| line(server)).collect(),
        counters: counters(output),
        changes: output.history.iter().map(|change| of_change(change, time)).collect(),
    }
}

/// The totals, by the names that they have in metrics.
fn counters(output: &OutputStatus) -> std::collections::BTreeMap<String, u64> {
    let of = &output.counters;
    let mut counters = vec![
        ("writes", of.writes),
        ("write_failures", of.write_failures),
        ("check_failures", of.check_failures),
        ("reloads", of.reloads),
        ("reload_failures", of.reload_failures),
    ];
    if let Some(live) = &output.live {
        counters.extend([
            ("changes_by_commands", live.by_commands),
            ("commands", live.commands),
            ("command_refusals", live.refusals),
            ("repairs", live.repairs),
            ("files_put_back", live.put_back),
        ]);
    }
    counters.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

fn of_haproxy(haproxy: &HaproxyStatus, time: Reading) -> Haproxy {
    Haproxy {
        seen_seconds: time.since(haproxy.at),
        version: haproxy.version.as_deref().map(line),
        pid: haproxy.pid,
        capabilities: haproxy.capabilities.iter().map(|&capability| capability.to_owned()).collect(),
        trouble: haproxy.trouble.as_deref().map(line),
    }
}

fn of_change(change: &PastChange, time: Reading) -> Change {
    Change {
        at: unix(change.at),
        ago_seconds: seconds(time.at.duration_since(change.at).unwrap_or_default()),
        took_seconds: seconds(change.took),
        how: change.how.word().to_owned(),
        what: line(&change.what),
        done: line(&change.done),
    }
}

fn of_configuration(configuration: &ConfigurationStatus, time: Reading) -> Configuration {
    Configuration {
        since_seconds: time.since(configuration.since),
        since_at: time.unix(configuration.since),
        taken: configuration.taken,
        waiting_seconds: configuration.waiting.map(|at| time.since(at)),
        error: configuration.failure.as_ref().map(|failure| line(&failure.error)),
    }
}

fn of_state_file(file: &StateFileStatus, time: Reading) -> StateFile {
    StateFile {
        written_seconds: file.written.map(|at| time.since(at)),
        bytes: file.bytes,
        writes: file.writes,
        error: file.error.as_deref().map(line),
    }
}

fn of_files(files: &FileOutputStatus, time: Reading) -> FileOutput {
    FileOutput {
        directory: line(&files.directory.to_string_lossy()),
        files: files.files,
        writes: files.writes,
        removals: files.removals,
        behind_seconds: files.behind.map(|at| time.since(at)),
        failing: files.failing,
        error: files.error.as_deref().map(line),
    }
}

fn of_statsd(statsd: &StatsdStatus) -> Statsd {
    Statsd {
        server: line(&format!("{}:{}", statsd.host, statsd.port)),
        address: statsd.address.map(|address| address.to_string()),
        dropped: statsd.dropped,
        error: statsd.error.as_deref().map(line),
    }
}
