//! The clock, and who looks.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use haproxy_runtime::Process;

use super::{Finding, Topic};
use crate::Ago;

/// By how much clocks may differ without a word.
const SLACK: Duration = Duration::from_mins(1);

pub(super) fn examine(file: Option<&Path>, processes: &[Process]) -> Vec<Finding> {
    let now = SystemTime::now();
    let written = file.and_then(|file| fs::metadata(file).ok()?.modified().ok());
    let started = processes
        .iter()
        .map(|process| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(process.identity.started)));
    let finding = behind(now, written, started.flatten().max()).unwrap_or_else(|| {
        Finding::ok(Topic::Machine, "the clock", "is not behind what it has stamped before")
    });
    let uid = rustix::process::geteuid();
    let as_root = if uid.is_root() {
        ", which may do everything: look as the user that runs this program, too"
    } else {
        ""
    };
    vec![
        finding,
        Finding::ok(Topic::Machine, "this user", format!("has the number {}{as_root}", uid.as_raw())),
    ]
}

/// A clock that was set back makes ages and certificates wrong.
fn behind(now: SystemTime, written: Option<SystemTime>, started: Option<SystemTime>) -> Option<Finding> {
    let (latest, what) = [(written, "HAProxy's file was written"), (started, "HAProxy was started")]
        .into_iter()
        .filter_map(|(at, what)| Some((at?, what)))
        .max()?;
    let ahead = latest.duration_since(now).ok().filter(|ahead| *ahead > SLACK)?;
    let text = format!("{what} {} from now, by its own account: the clock was set back", Ago(ahead));
    let remedy = "set the clock (`timedatectl`, chrony): certificates, AWS signatures and ages depend on it";
    Some(Finding::warning(Topic::Machine, "the clock", text, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_behind_what_it_has_stamped_was_set_back() {
        let now = SystemTime::now();
        let later = |seconds| now.checked_add(Duration::from_secs(seconds));
        assert_eq!(behind(now, None, None), None);
        assert_eq!(behind(now, later(30), Some(now)), None);
        let text = |written, started| behind(now, written, started).unwrap().text;
        assert!(text(later(7200), None).starts_with("HAProxy's file was written 2 h from now"));
        assert!(text(later(7200), later(90_000)).starts_with("HAProxy was started 1 d from now"));
    }
}
