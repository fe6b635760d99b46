//! HAProxy's processes, as its master lists them.

use std::time::Duration;

use super::reply::shown;

/// A worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Worker {
    /// Its number, as the master sees it.
    pub pid: u32,
    /// Reloads since it was started, those that failed included.
    pub reloads: u32,
    /// How long it runs, in whole seconds.
    pub age: Duration,
    /// Its HAProxy's version.
    pub version: String,
}

/// HAProxy's processes at one moment: what its master says to `show proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processes {
    /// The master's number. It survives reloads.
    pub master: u32,
    /// The master's version.
    pub version: String,
    /// Reloads since the start, those that failed included.
    pub reloads: u32,
    /// Reloads that failed since the last one that succeeded.
    pub failed: u32,
    /// The workers that take new connections: one.
    ///
    /// None after a reload that failed, from version 3.1 on: the worker that goes on is then among the old ones.
    pub workers: Vec<Worker>,
    /// Those that only finish the connections that they have, and each take the memory of a whole HAProxy until then.
    pub old_workers: Vec<Worker>,
}

impl Processes {
    /// Reads the reply to `show proc`; `None` if it is none.
    ///
    /// It is a table with headings in between; `programs`, which the master may run as well, are left out.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut master = None;
        let (mut workers, mut old_workers, mut old) = (Vec::new(), Vec::new(), false);
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix('#') {
                old = heading.trim_start().starts_with("old");
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(pid), Some(kind)) = (words.next().and_then(|word| word.parse().ok()), words.next())
            else {
                continue;
            };
            match kind {
                "master" => {
                    let reloads = words.next()?.parse().ok()?;
                    let (_, failed) = line.split_once("failed:")?;
                    let failed = failed.split_once(']')?.0.trim().parse().ok()?;
                    master = Some((pid, reloads, failed, version(line)));
                }
                "worker" => {
                    let reloads = words.next()?.parse().ok()?;
                    let age = words.next().and_then(age)?;
                    let list = if old { &mut old_workers } else { &mut workers };
                    list.push(Worker { pid, reloads, age, version: version(line) });
                }
                _ => {}
            }
        }
        let (master, reloads, failed, version) = master?;
        Some(Self { master, version, reloads, failed, workers, old_workers })
    }
}

/// The last column.
fn version(line: &str) -> String {
    line.split_whitespace().next_back().map(shown).unwrap_or_default()
}

/// Reads `1d02h03m04s`.
fn age(text: &str) -> Option<Duration> {
    let (days, rest) = text.split_once('d')?;
    let (hours, rest) = rest.split_once('h')?;
    let (minutes, rest) = rest.split_once('m')?;
    let seconds = rest.strip_suffix('s')?;
    let [days, hours, minutes, seconds] =
        [days, hours, minutes, seconds].map(|number| number.parse::<u32>().ok().map(u64::from));
    Some(Duration::from_secs(((days? * 24 + hours?) * 60 + minutes?) * 60 + seconds?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n\
                        10              master          3 [failed: 1]   1d00h00m02s     2.6.12-1+deb12u4\n\
                        # workers\n\
                        12              worker          0               0d00h01m01s     2.6.12-1+deb12u4\n\
                        # old workers\n\
                        11              worker          2               1d02h03m04s     2.6.12-1+deb12u4\n\
                        9               worker          3               1d02h03m05s     2.6.12-1+deb12u4\n\
                        # programs\n\
                        13              exporter        0               0d00h00m01s     -\n\n";

    #[test]
    fn workers_are_told_from_old_workers_and_programs() {
        let worker = |pid, reloads, seconds| Worker {
            pid,
            reloads,
            age: Duration::from_secs(seconds),
            version: "2.6.12-1+deb12u4".to_owned(),
        };
        let expected = Processes {
            master: 10,
            version: "2.6.12-1+deb12u4".to_owned(),
            reloads: 3,
            failed: 1,
            workers: vec![worker(12, 0, 61)],
            old_workers: vec![worker(11, 2, 93_784), worker(9, 3, 93_785)],
        };
        assert_eq!(Processes::read(TEXT), Some(expected));
    }

    #[test]
    fn what_is_no_list_of_processes_is_none() {
        let broken = [
            ("[failed: 1]", ""),
            ("3 [failed", "three [failed"),
            ("0d00h01m01s", "61s"),
            ("0d00h01m01s", "0d00h01m-1s"),
            ("1d02h03m04s", "99999999999d00h00m00s"),
            ("master", "worker"),
        ];
        for (from, to) in broken {
            assert_eq!(Processes::read(&TEXT.replacen(from, to, 1)), None, "{from} {to}");
        }
        assert_eq!(Processes::read("Unknown command: 'show proc'\n"), None);
        assert_eq!(Processes::read(""), None);
    }
}
