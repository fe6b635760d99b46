//! `doctor`

use std::{io::Write, process::ExitCode};

use agent::{Agent, Config, Finding, Severity};
use anstyle::{AnsiColor, Style};
use anyhow::Context as _;

use crate::{
    failure::Failure,
    screen::{self, print},
};

const OK: Style = AnsiColor::Green.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Prints what was found, with the remedies. An error among it makes it fail.
pub(crate) async fn doctor(config: Config, json: bool) -> Result<ExitCode, Failure> {
    let findings = Agent::new(config).examine().await;
    if json {
        let text = serde_json::to_string_pretty(&findings).context("writing the findings as JSON")?;
        print(&format!("{text}\n"))?;
    } else {
        let mut text = Vec::new();
        write(&findings, &mut text).context("writing to memory")?;
        screen::show(&text)?;
    }
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A line for each finding, one more for its remedy, and a summary.
fn write(findings: &[Finding], out: &mut impl Write) -> std::io::Result<()> {
    for finding in findings {
        let Finding { severity, topic, .. } = finding;
        let style = match severity {
            Severity::Ok => OK,
            Severity::Warning => WARNING,
            _ => ERROR,
        };
        writeln!(out, "{style}{severity:<7}{style:#}  {topic:<8}  {finding}")?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "{:19}-> {remedy}", "")?;
        }
    }
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    writeln!(out, "{errors} error{}, {warnings} warning{}", plural(errors), plural(warnings))
}
