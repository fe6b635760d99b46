//! The report as a page.

use std::{borrow::Borrow, fmt::Write as _};

use askama::Template;

use super::report::{Endpoint, Output, Report, Service};
use crate::Ago;

/// What a browser may do with it: no scripts, nothing from elsewhere, in nobody's frame.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How many services are shown, and how many lines of one and of all.
const SERVICES: usize = 1000;
const OF_A_SERVICE: usize = 50;
const OF_ALL: usize = 2000;

/// The page, in which askama escapes all that is said.
#[derive(Template)]
#[template(path = "status.html")]
struct Page<'a> {
    report: &'a Report,
    services: Vec<Shown<'a>>,
    more_services: usize,
}

/// A service, with as much of it as is shown.
struct Shown<'a> {
    of: &'a Service,
    servers: &'a [Endpoint],
}

pub(super) fn html(report: &Report) -> Result<String, askama::Error> {
    let mut left = OF_ALL;
    let mut all: Vec<&Service> = report.services.iter().collect();
    all.sort_by_key(|service| concern(service));
    let services = all.into_iter().take(SERVICES).map(|of| {
        let servers = &of.servers[..of.servers.len().min(OF_A_SERVICE).min(left)];
        left -= servers.len();
        Shown { of, servers }
    });
    let (services, more_services) = (services.collect(), report.services.len().saturating_sub(SERVICES));
    Page { report, services, more_services }.render()
}

/// The classes of marks, the worst first: that is the order in which services are shown, so that nobody has to look for one that is not
/// well.
const MARKS: [&str; 3] = ["bad", "odd", "good"];

fn concern(service: &Service) -> usize {
    match service.state.as_str() {
        _ if service.stale => 0,
        "ok" if service.rejected_total == 0 => 2,
        _ => 1,
    }
}

impl Shown<'_> {
    /// The class of its mark.
    fn mark(&self) -> &'static str {
        MARKS[concern(self.of)]
    }

    fn more(&self) -> usize {
        self.of.servers_total.saturating_sub(self.servers.len())
    }

    fn more_rejected(&self) -> usize {
        self.of.rejected_total.saturating_sub(self.of.rejected.len())
    }
}

impl Page<'_> {
    fn output(&self) -> &Output {
        &self.report.output
    }

    /// How many services there are, and how many are in which state, if not all are well.
    fn tally(&self) -> String {
        let services = &self.report.services;
        let plural = if services.len() == 1 { "" } else { "s" };
        let mut tally = format!("{} service{plural}", services.len());
        for state in ["failing", "ended", "waiting"] {
            let count = services.iter().filter(|service| service.state == state).count();
            if count > 0 {
                let _ = write!(tally, ", {count} {state}");
            }
        }
        let stale = services.iter().filter(|service| service.stale).count();
        if stale > 0 {
            let _ = write!(tally, ", {stale} stale");
        }
        tally
    }

    /// What is to be seen in the tab.
    fn headline(&self) -> &'static str {
        if self.report.ready { "ready" } else { "not ready" }
    }
}

/// What HAProxy calls a server, where that says more than its address.
fn name(server: &Endpoint) -> &str {
    let name = server.name.as_deref().unwrap_or_default();
    let address = name.strip_prefix(&server.host).and_then(|rest| rest.strip_prefix(':'));
    let same = address.is_some_and(|port| port.parse() == Ok(server.port));
    if same { "" } else { name }
}

/// A time for people; a dash where there is none.
fn ago(seconds: impl Borrow<Option<f64>>) -> String {
    seconds.borrow().map_or_else(|| "–".to_owned(), time)
}

/// A time for people.
fn time(seconds: impl Borrow<f64>) -> String {
    Ago::seconds(*seconds.borrow()).to_string()
}

/// A short time for people.
fn took(seconds: impl Borrow<f64>) -> String {
    let seconds = *seconds.borrow();
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") }
}
