//! Who answers on the socket.

use std::fmt;

use super::Unreadable;

/// The release that a process of HAProxy is of, as `2.6`. Patches and packagers' additions do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u16,
    minor: u16,
}

/// One process of HAProxy, as `show info` describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its process id: in the namespace that HAProxy lives in.
    pub pid: u32,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// Whether it has been told to stop: another process serves new connections, and what this one is told is lost.
    pub stopping: bool,
    /// Its version.
    pub version: Version,
}

impl Version {
    /// Reads the reply to `show version`, or any text that starts alike: `2.6.12-1+deb12u4`, `3.5-dev5`.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let unreadable =
            || Unreadable::new("show version", 1, "has no version", text.lines().next().unwrap_or_default());
        let (major, rest) = text.trim().split_once('.').ok_or_else(unreadable)?;
        let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or_else(unreadable)
        };
        Ok(Self { major: number(major)?, minor: number(&rest[..end])? })
    }

    /// `MAJOR.MINOR`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Process {
    /// Reads the reply to [`Query::Info`](super::Query::Info).
    pub fn parse(reply: &str) -> Result<Self, Unreadable> {
        let unreadable = |key| Unreadable::new("show info", 1, key, reply.lines().next().unwrap_or_default());
        let value = |key: &str| {
            let found = reply.lines().find_map(|line| line.split_once(':').filter(|(name, _)| *name == key));
            found.map(|(_, value)| value.trim())
        };
        let version = value("Version").ok_or_else(|| unreadable("is not followed by a version"))?;
        Ok(Self {
            pid: value("Pid")
                .and_then(|pid| pid.parse().ok())
                .ok_or_else(|| unreadable("is not followed by a process id"))?,
            started: value("Start_time_sec")
                .and_then(|time| time.parse().ok())
                .ok_or_else(|| unreadable("is not followed by a start time"))?,
            stopping: match value("Stopping") {
                Some("0") => false,
                Some("1") => true,
                _ => return Err(unreadable("is not followed by whether it stops")),
            },
            version: Version::parse(version)?,
        })
    }

    /// Whether both are the same process, whatever has become of it in between.
    pub fn is(&self, other: &Self) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nRelease_date: 2026/10/17\nPid: 15011\n\
                        Uptime: 0d 0h00m00s\nnode: vm\nStopping: 0\nUnstoppable Jobs: 0\n\
                        Start_time_sec: 1795354235\nTainted: 0\n";

    #[test]
    fn a_version_is_two_numbers() {
        for (text, expected) in [
            ("2.6.12-1+deb12u4\n", "2.6"),
            ("3.5-dev5", "3.5"),
            ("3.4.0", "3.4"),
            ("2.10", "2.10"),
            ("3.0\n\n", "3.0"),
        ] {
            assert_eq!(Version::parse(text).unwrap().to_string(), expected);
        }
        for text in ["", "2", ".6", "2.", "v2.6", "-2.6", "2.+6", "99999999.1", "Unknown command"] {
            assert!(Version::parse(text).is_err(), "{text:?}");
        }
        assert!(Version::parse("2.10").unwrap() > Version::parse("2.9").unwrap());
    }

    #[test]
    fn a_process_is_known_by_its_id_and_start() {
        let first = Process::parse(INFO).unwrap();
        assert_eq!((first.pid, first.started, first.stopping), (15011, 1_795_354_235, false));
        assert_eq!(first.version.to_string(), "2.6");
        let stopping = Process::parse(&INFO.replace("Stopping: 0", "Stopping: 1")).unwrap();
        assert!(stopping.stopping && stopping.is(&first));
        assert!(!Process::parse(&INFO.replace("Pid: 15011", "Pid: 15012")).unwrap().is(&first));
        assert!(!Process::parse(&INFO.replace("235\n", "236\n")).unwrap().is(&first));
    }

    #[test]
    fn a_reply_that_lacks_something_is_an_error_that_says_so() {
        for key in ["Version", "Pid", "Stopping", "Start_time_sec"] {
            let error = Process::parse(&INFO.replace(key, "X")).unwrap_err().to_string();
            assert!(
                error.starts_with("reading the reply to show info: line 1 is not followed by"),
                "{error}"
            );
        }
        assert!(Process::parse("").is_err());
        assert!(Process::parse(&INFO.replace("Stopping: 0", "Stopping: 2")).is_err());
    }
}
