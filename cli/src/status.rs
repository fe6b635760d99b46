//! `status`

use std::{process::ExitCode, time::Duration};

use agent::{
    Ago, Config,
    http::{AskError, Change, Output, Report, Service, ask},
};
use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use comfy_table::{Table, presets};
use tokio::time::sleep;

use crate::{
    failure::Failure,
    screen::{self, line},
};

/// How often it is asked again.
const EVERY: Duration = Duration::from_secs(2);
/// To the beginning of the screen, and empty it.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// What is said of an agent that is not ready.
const NOT_READY: u8 = 3;

/// No time that anybody means is longer, in seconds.
const MOST: f64 = 1e6;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Where the configuration says that the status is.
pub(crate) fn configured(config: &Config) -> Result<String, Failure> {
    let address = config.status_address().map(|address| address.to_string());
    address.ok_or_else(|| {
        let message = "synapse-rs: the configuration has no `status`, so nobody can be asked: add it, or say where with --url";
        Failure::Usage(message.to_owned())
    })
}

/// Host and port of a URL, which need not have a scheme.
pub(crate) fn address(url: &str) -> Result<String, Failure> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let address = rest.split_once(['/', '?', '#']).map_or(rest, |(address, _)| address);
    let port = address
        .rsplit_once(':')
        .and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
    if rest.contains("://") || port.is_none() {
        return Err(Failure::Usage(format!("synapse-rs: --url: expected http://HOST:PORT, not {url:?}")));
    }
    Ok(address.to_owned())
}

/// Asks whoever is at `address`, and prints the answer.
pub(crate) async fn status(address: &str, json: bool, watch: bool) -> Result<ExitCode, Failure> {
    if watch {
        return watched(address, json).await;
    }
    let report = ask(address).await.map_err(|error| failed(address, error))?;
    shown(&report, address, json, "")?;
    Ok(if report.ready { ExitCode::SUCCESS } else { ExitCode::from(NOT_READY) })
}

/// The same again and again, until nobody reads it any more: what ends it is a signal, as a rule.
async fn watched(address: &str, json: bool) -> Result<ExitCode, Failure> {
    let clear = if std::io::IsTerminal::is_terminal(&std::io::stdout()) { CLEAR } else { "" };
    loop {
        let read = match ask(address).await {
            Ok(report) => shown(&report, address, json, clear)?,
            // It may come back.
            Err(error) => {
                let failure = failed(address, error);
                if json {
                    // Whoever reads the other understands objects.
                    failure.report();
                    true
                } else {
                    screen::show(format!("{clear}{failure}\n").as_bytes())?
                }
            }
        };
        if !read {
            return Ok(ExitCode::SUCCESS);
        }
        sleep(EVERY).await;
    }
}

fn failed(address: &str, error: AskError) -> Failure {
    Failure::Failed(anyhow::Error::new(error).context(format!("asking {address} for its status")))
}

/// Prints it behind `clear`. Whether somebody reads on.
fn shown(report: &Report, address: &str, json: bool, clear: &str) -> Result<bool, Failure> {
    let text = if json {
        serde_json::to_string(report).context("writing the status as JSON")? + "\n"
    } else {
        clear.to_owned() + &page(report, address)
    };
    screen::show(text.as_bytes())
}

/// The report as text for people.
fn page(report: &Report, address: &str) -> String {
    let (style, ready) = if report.ready { (GOOD, "ready") } else { (BAD, "not ready") };
    let mut lines = vec![format!(
        "synapse-rs {} at {address}: {style}{ready}{style:#}, content {}",
        line(&report.version),
        line(&report.content_hash)
    )];
    lines.extend(report.obstacles.iter().map(|obstacle| format!("  {BAD}{}{BAD:#}", line(obstacle))));
    lines.push(haproxy(&report.output));
    if let Some(error) = &report.configuration.error {
        lines.push(format!("{BAD}a newer configuration is refused{BAD:#}: {}", line(error)));
    }
    lines.extend(beside(report).map(|(what, error)| format!("{BAD}{what}{BAD:#}: {}", line(error))));
    lines.push(String::new());
    lines.push(trimmed(&services(&report.services)));
    if !report.output.changes.is_empty() {
        lines.push(String::new());
        lines.push(trimmed(&changes(&report.output.changes)));
    }
    lines.join("\n") + "\n"
}

/// What goes wrong beside all that.
fn beside(report: &Report) -> impl Iterator<Item = (&'static str, &str)> {
    let files = report.file_output.as_ref().and_then(|files| files.error.as_deref());
    let state = report.state_file.as_ref().and_then(|file| file.error.as_deref());
    let statsd = report.statsd.as_ref().and_then(|statsd| statsd.error.as_deref());
    let all = [("files of services", files), ("state file", state), ("statsd", statsd)];
    all.into_iter().filter_map(|(what, error)| Some((what, error?)))
}

/// What HAProxy runs, in a line.
fn haproxy(output: &Output) -> String {
    let mut parts = Vec::new();
    if let Some(haproxy) = &output.haproxy {
        let version = haproxy.version.as_deref().map_or_else(|| "does not answer".to_owned(), line);
        parts.push(format!("{version}, {} ago", Ago::seconds(haproxy.seen_seconds)));
    }
    if let Some(revision) = &output.revision {
        parts.push(format!("runs revision {}", line(revision)));
    }
    parts.push(match output.applied_seconds {
        // Who does not answer can't be known to be right now.
        Some(seconds)
            if output.error.is_none()
                && output.haproxy.as_ref().is_none_or(|haproxy| haproxy.version.is_some()) =>
        {
            format!("found right {} ago", Ago::seconds(seconds))
        }
        Some(seconds) => format!("last right {} ago", Ago::seconds(seconds)),
        None => "nothing applied yet".to_owned(),
    });
    if let Some(pending) = &output.pending {
        let causes: Vec<_> = pending.causes.iter().map(|cause| line(cause)).collect();
        let why = if causes.is_empty() { String::new() } else { format!(": {}", causes.join("; ")) };
        parts.push(format!("a reload waits for {:.1} s{why}", pending.in_seconds.clamp(0.0, MOST)));
    }
    if let Some(seconds) = output.behind_seconds {
        parts.push(format!("its file is {} behind", Ago::seconds(seconds)));
    }
    format!("HAProxy: {}", parts.join("; "))
}

fn services(services: &[Service]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "SERVICE",
        "METHOD",
        "STATE",
        "CONFIRMED",
        "KNOWN",
        "SERVED",
        "REFUSED",
        "NOTE",
    ]);
    for service in services {
        let state = if service.stale { format!("{}, stale", service.state) } else { service.state.clone() };
        let note = match (&service.error, service.failing_seconds) {
            (Some(error), Some(seconds)) => format!("for {}: {error}", Ago::seconds(seconds)),
            (Some(error), None) => error.clone(),
            (None, _) if service.restored => "known from the state file".to_owned(),
            (None, _) => String::new(),
        };
        let age = service
            .age_seconds
            .map_or_else(|| "-".to_owned(), |seconds| format!("{} ago", Ago::seconds(seconds)));
        let (known, served, refused) =
            (service.endpoints_total, service.servers_total, service.rejected_total);
        table.add_row([
            line(&service.name),
            line(&service.method),
            line(&state),
            age,
            known.to_string(),
            served.to_string(),
            refused.to_string(),
            line(&note),
        ]);
    }
    table
}

fn changes(changes: &[Change]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["LAST CHANGES", "HOW", "TOOK", "WHAT"]);
    for change in changes {
        table.add_row([
            format!("{} ago", Ago::seconds(change.ago_seconds)),
            line(&change.how),
            format!("{:.1} ms", change.took_seconds.clamp(0.0, MOST) * 1000.0),
            line(&change.what),
        ]);
    }
    table
}

fn trimmed(table: &Table) -> String {
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port() {
        for (url, expected) in [
            ("http://127.0.0.1:3455", "127.0.0.1:3455"),
            ("http://[::1]:3455/status?x", "[::1]:3455"),
            ("node1:80/", "node1:80"),
        ] {
            assert_eq!(address(url).unwrap(), expected);
        }
        for url in ["https://127.0.0.1:3455", "127.0.0.1", ":80", "http://", "x:99999", ""] {
            assert!(address(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_page_says_what_there_is_and_commands_no_terminal() {
        let report = serde_json::json!({
            "version": "1.2.3",
            "content_hash": "abc",
            "obstacles": ["service web: its source fails\u{1b}[2J"],
            "services": [{
                "name": "web", "method": "etcd", "state": "failing", "stale": true, "age_seconds": 75.0,
                "failing_seconds": 70.0, "error": "no route\nto host", "endpoints_total": 3, "servers_total": 2
            }],
            "state_file": {"error": "no room\u{7}"},
            "output": {
                "pending": {"in_seconds": 1e300},
                "revision": "r1",
                "haproxy": {"version": "3.0.5", "seen_seconds": 12.0},
                "applied_seconds": 2.0,
                "changes": [{"ago_seconds": 61.0, "how": "commands", "took_seconds": 0.0012, "what": "web +1 -0 ~0"}]
            }
        });
        let shown = page(&serde_json::from_value(report).unwrap(), "x:1");
        let expected = [
            "synapse-rs 1.2.3 at x:1: ",
            "service web: its source fails\\u{1b}[2J",
            "HAProxy: 3.0.5, 12 s ago; runs revision r1; found right 2 s ago",
            "failing, stale",
            "a reload waits for 1000000.0 s",
            ": no room\\u{7}",
            "1 min ago",
            "for 1 min: no route\\nto host",
            "commands",
            "1.2 ms",
        ];
        for text in expected {
            assert!(shown.contains(text), "no {text:?} in {shown}");
        }
        assert!(!shown.contains("\u{1b}[2J"));
    }
}
