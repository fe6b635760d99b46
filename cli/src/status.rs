//! `status`

use std::{io::Write as _, process::ExitCode, time::Duration};

use agent::{
    Config,
    http::{Ago, AskError, Change, Output, Report, Service, ask},
};
use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use comfy_table::{Table, presets};
use tokio::time::sleep;

use crate::{failure::Failure, services::print};

/// How often it is asked again.
const EVERY: Duration = Duration::from_secs(2);
/// To the beginning of the screen, and empty it.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// What is said of an agent that is not ready.
const NOT_READY: u8 = 3;

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
    loop {
        let answer = ask(address).await;
        if !watch {
            let report = answer.map_err(|error| Failure::Failed(failed(address, error)))?;
            show(&report, address, json, false)?;
            return Ok(if report.ready { ExitCode::SUCCESS } else { ExitCode::from(NOT_READY) });
        }
        match answer {
            Ok(report) => show(&report, address, json, true)?,
            // It may come back.
            Err(error) => print(&format!("{:#}\n", failed(address, error)))?,
        }
        sleep(EVERY).await;
    }
}

fn failed(address: &str, error: AskError) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("asking {address} for its status"))
}

fn show(report: &Report, address: &str, json: bool, again: bool) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string(report).context("writing the status as JSON")?;
        return print(&format!("{text}\n"));
    }
    let mut text = String::new();
    if again && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        text.push_str(CLEAR);
    }
    text.push_str(&page(report, address));
    // It leaves out colours where nobody sees them: no terminal, NO_COLOR.
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result.context("writing to standard output")?),
    }
}

/// The report as text for people.
fn page(report: &Report, address: &str) -> String {
    let (style, ready) = if report.ready { (GOOD, "ready") } else { (BAD, "not ready") };
    let mut lines = vec![format!(
        "synapse-rs {} at {address}: {style}{ready}{style:#}, content {}",
        plain(&report.version),
        plain(&report.content_hash)
    )];
    lines.extend(report.obstacles.iter().map(|obstacle| format!("  {BAD}{}{BAD:#}", plain(obstacle))));
    lines.push(haproxy(&report.output));
    if let Some(error) = &report.configuration.error {
        lines.push(format!("{BAD}a newer configuration is refused{BAD:#}: {}", plain(error)));
    }
    lines.push(String::new());
    lines.push(trimmed(&services(&report.services)));
    if !report.output.changes.is_empty() {
        lines.push(String::new());
        lines.push(trimmed(&changes(&report.output.changes)));
    }
    lines.join("\n") + "\n"
}

/// What HAProxy runs, in a line.
fn haproxy(output: &Output) -> String {
    let mut parts = Vec::new();
    if let Some(haproxy) = &output.haproxy {
        let version = haproxy.version.as_deref().map_or_else(|| "does not answer".to_owned(), plain);
        parts.push(format!("{version}, {} ago", Ago::seconds(haproxy.seen_seconds)));
    }
    if let Some(revision) = &output.revision {
        parts.push(format!("runs revision {}", plain(revision)));
    }
    parts.push(match output.applied_seconds {
        Some(seconds) if output.error.is_none() => format!("found right {} ago", Ago::seconds(seconds)),
        Some(seconds) => format!("last right {} ago", Ago::seconds(seconds)),
        None => "nothing applied yet".to_owned(),
    });
    if let Some(pending) = &output.pending {
        let causes: Vec<_> = pending.causes.iter().map(|cause| plain(cause)).collect();
        parts.push(format!("a reload waits for {:.1} s: {}", pending.in_seconds, causes.join("; ")));
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
            plain(&service.name),
            plain(&service.method),
            plain(&state),
            age,
            known.to_string(),
            served.to_string(),
            refused.to_string(),
            plain(&note),
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
            plain(&change.how),
            format!("{:.1} ms", change.took_seconds * 1000.0),
            plain(&change.what),
        ]);
    }
    table
}

fn trimmed(table: &Table) -> String {
    table.trim_fmt()
}

/// A text of whoever has answered, without what a terminal takes for a command.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
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
            "output": {
                "revision": "r1",
                "haproxy": {"version": "3.0.5", "seen_seconds": 12.0},
                "applied_seconds": 2.0,
                "changes": [{"ago_seconds": 61.0, "how": "commands", "took_seconds": 0.0012, "what": "web +1 -0 ~0"}]
            }
        });
        let shown = page(&serde_json::from_value(report).unwrap(), "x:1");
        let expected = [
            "synapse-rs 1.2.3 at x:1: ",
            "service web: its source fails\u{fffd}[2J",
            "HAProxy: 3.0.5, 12 s ago; runs revision r1; found right 2 s ago",
            "failing, stale",
            "1 min ago",
            "for 1 min: no route\u{fffd}to host",
            "commands",
            "1.2 ms",
        ];
        for text in expected {
            assert!(shown.contains(text), "no {text:?} in {shown}");
        }
        assert!(!shown.contains("\u{1b}[2J"));
    }
}
