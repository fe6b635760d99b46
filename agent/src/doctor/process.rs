//! Processes of this machine, as the kernel lists them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use haproxy_runtime::Process;

use super::{
    Finding, Topic, count,
    master::{END_THEM, OLD},
};
use crate::Ago;

/// So many times a second the kernel counts for who reads `/proc`: part of its interface, whatever it counts itself.
const TICKS: u64 = 100;

/// A process, by its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    pid: u32,
    name: String,
    parent: u32,
    /// After the machine.
    started: Duration,
    /// The file after `-f`.
    file: Option<String>,
}

/// HAProxy's processes that run beside those that answer, for the same file: what earlier reloads have left. `/proc` of another
/// machine or container knows nothing of them.
pub(super) fn old_workers(proc: &Path, answering: &[Process]) -> Option<Finding> {
    let up = fs::read_to_string(proc.join("uptime")).ok()?;
    let up = Duration::try_from_secs_f64(up.split(' ').next()?.parse().ok()?).ok()?;
    let list: Vec<Listed> = directories(proc).filter_map(|directory| read(&directory)).collect();
    let answering: Vec<_> = answering.iter().map(|process| process.identity.pid).collect();
    let (current, old) = left_behind(&list, &answering)?;
    let oldest = old.iter().map(|process| up.saturating_sub(process.started)).max()?;
    let since = up.saturating_sub(current.started);
    let subject = current.file.as_deref().unwrap_or("haproxy").to_owned();
    let pids: Vec<_> = old.iter().take(5).map(|process| process.pid.to_string()).collect();
    let text = format!(
        "{} beside process {}, which runs for {}: {}{}; the oldest runs for {}",
        count(old.len(), "old worker"),
        current.pid,
        Ago(since),
        pids.join(", "),
        if old.len() > pids.len() { ", …" } else { "" },
        Ago(oldest)
    );
    Some(if since > OLD {
        Finding::warning(Topic::Haproxy, subject, text, END_THEM)
    } else {
        Finding::ok(Topic::Haproxy, subject, text)
    })
}

/// The one that answers, and those of the same file that were started before it and are no masters.
fn left_behind<'a>(list: &'a [Listed], answering: &[u32]) -> Option<(&'a Listed, Vec<&'a Listed>)> {
    let haproxy = |process: &&Listed| process.name == "haproxy";
    let current = list.iter().filter(haproxy).find(|process| answering.contains(&process.pid))?;
    let is_parent = |pid: u32| list.iter().any(|process| process.parent == pid && process.name == "haproxy");
    let old: Vec<_> = list
        .iter()
        .filter(haproxy)
        .filter(|process| !answering.contains(&process.pid) && !is_parent(process.pid))
        .filter(|process| process.file == current.file && process.started < current.started)
        .collect();
    (!old.is_empty()).then_some((current, old))
}

fn read(directory: &Path) -> Option<Listed> {
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    let arguments = fs::read(directory.join("cmdline")).ok()?;
    let mut listed = parse(&stat, &arguments)?;
    // Two of them may be started in two directories with the same words.
    if let Some(file) = listed.file.as_mut().filter(|file| !file.starts_with('/'))
        && let Ok(within) = fs::read_link(directory.join("cwd"))
    {
        *file = super::line(&within.join(&*file).display().to_string());
    }
    Some(listed)
}

/// The name, in parentheses, may hold anything; the rest follows it.
fn parse(stat: &str, arguments: &[u8]) -> Option<Listed> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks: u64 = fields.get(19)?.parse().ok()?;
    let words: Vec<_> = arguments.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let file = words.iter().position(|word| word == "-f").and_then(|at| words.get(at + 1));
    Some(Listed {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        started: Duration::from_millis(ticks.saturating_mul(1000 / TICKS)),
        file: file.map(|file| super::line(file)),
    })
}

/// The directories of all processes.
pub(super) fn directories(proc: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(proc).into_iter().flatten().filter_map(Result::ok);
    let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    entries.filter(move |entry| entry.file_name().to_str().is_some_and(is_process)).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: u32, name: &str, parent: u32, ticks: u64) -> String {
        format!("{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 1000 10\n")
    }

    fn listed(pid: u32, parent: u32, ticks: u64) -> Listed {
        parse(&stat(pid, "haproxy", parent, ticks), b"haproxy\0-W\0-f\0/etc/h.cfg\0").unwrap()
    }

    #[test]
    fn a_process_is_read_whatever_it_is_called() {
        let process = parse(&stat(7, "a) S 9 (b", 3, 250), b"x\0").unwrap();
        assert_eq!((process.pid, process.parent, process.name.as_str()), (7, 3, "a) S 9 (b"));
        assert_eq!((process.started, process.file), (Duration::from_millis(2500), None));
        assert_eq!(parse("7 (x", b""), None);
        assert_eq!(parse("", b""), None);
    }

    #[test]
    fn workers_of_before_are_neither_masters_nor_of_another_file() {
        let other = parse(&stat(50, "haproxy", 1, 100), b"haproxy\0-f\0/etc/other.cfg\0").unwrap();
        let list = [listed(10, 1, 100), listed(11, 10, 200), listed(12, 10, 300), other];
        let (current, old) = left_behind(&list, &[12]).unwrap();
        assert_eq!((current.pid, old.iter().map(|one| one.pid).collect::<Vec<_>>()), (12, vec![11]));
        assert_eq!(left_behind(&list, &[11]), None, "what is younger is a successor");
        assert_eq!(left_behind(&list, &[99]), None, "one of another machine");
    }
}
