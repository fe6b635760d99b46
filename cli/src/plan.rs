//! `plan`

use std::{io::Write, process::ExitCode};

use agent::{Action, Agent, Config, Kind, Planned, PlannedChange, PlannedFile};
use anstyle::{AnsiColor, Style};
use anyhow::Context as _;

use crate::{
    advice::Silent,
    failure::Failure,
    progress,
    screen::{self, print},
};

/// The exit code that says that something is to do.
const SOMETHING: u8 = 3;

const HEADING: Style = Style::new().bold();
const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const ALTERED: Style = AnsiColor::Yellow.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();
const PLAIN: Style = Style::new();

/// Prints what a run would do now. Services without an answer are named, and make it fail.
pub(crate) async fn plan(config: Config, json: bool) -> Result<ExitCode, Failure> {
    let agent = Agent::new(config);
    let status = agent.status();
    let planned = progress::shown(&status, agent.plan()).await.map_err(anyhow::Error::new)?;
    if json {
        print(&planned.to_json())?;
    } else {
        let mut text = Vec::new();
        write(&planned, &mut text).context("writing to memory")?;
        screen::show(&text)?;
    }
    if !planned.unanswered.is_empty() {
        let each = planned.unanswered.iter().map(|unanswered| match &unanswered.error {
            Some(error) => format!("{}: {error}", unanswered.service),
            None => unanswered.service.clone(),
        });
        let services = each.collect::<Vec<_>>().join("; ");
        return Err(anyhow::Error::new(Silent { services, so: "; planned with what the file has" }).into());
    }
    Ok(if planned.is_nothing() { ExitCode::SUCCESS } else { ExitCode::from(SOMETHING) })
}

/// The parts that there are, each under a heading, and a summary at the end.
fn write(planned: &Planned, out: &mut impl Write) -> std::io::Result<()> {
    if !planned.is_nothing() {
        for line in planned.diff().lines() {
            styled(out, of_diff(line), line)?;
        }
        changes(out, "servers", &planned.changes)?;
        changes(out, "changed by somebody else, and put right", &planned.repairs)?;
        list(out, "commands", &planned.commands)?;
        list(out, "leaving, deleted once they have no connections", &planned.leaving)?;
        let title = match planned.action {
            Action::WriteForOthers => "somebody else's reload, because",
            _ => "a reload, because",
        };
        list(out, title, &planned.reasons)?;
        list(out, "if it has to wait, meanwhile", &planned.meanwhile)?;
        files(out, &planned.files)?;
    }
    list(out, "servers by somebody else, let be", &planned.strangers)?;
    styled(out, HEADING, &planned.summary())
}

fn changes(out: &mut impl Write, title: &str, changes: &[PlannedChange]) -> std::io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    styled(out, HEADING, &format!("{title}:"))?;
    changes.iter().try_for_each(|change| styled(out, of_kind(change.kind).0, &format!("  {}", change.text)))
}

fn files(out: &mut impl Write, files: &[PlannedFile]) -> std::io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    styled(out, HEADING, "files of services:")?;
    files.iter().try_for_each(|file| {
        let (style, sign) = of_kind(file.kind);
        styled(out, style, &format!("  {sign} {}", file.path.display()))
    })
}

fn of_kind(kind: Kind) -> (Style, char) {
    match kind {
        Kind::Added => (ADDED, '+'),
        Kind::Removed => (REMOVED, '-'),
        _ => (ALTERED, '~'),
    }
}

fn list(out: &mut impl Write, title: &str, items: &[String]) -> std::io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    styled(out, HEADING, &format!("{title}:"))?;
    items.iter().try_for_each(|item| styled(out, PLAIN, &format!("  {item}")))
}

fn of_diff(line: &str) -> Style {
    match line.as_bytes() {
        [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => HEADING,
        [b'@', ..] => PLACE,
        [b'+', ..] => ADDED,
        [b'-', ..] => REMOVED,
        _ => PLAIN,
    }
}

fn styled(out: &mut impl Write, style: Style, text: &str) -> std::io::Result<()> {
    writeln!(out, "{style}{text}{style:#}")
}
