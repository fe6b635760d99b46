//! Who answers.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    command_line::CommandLine,
    error::SocketFault,
    reply::{Reply, shown},
};

/// Tells one HAProxy process from every other, also after its number is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Identity {
    /// The process's number, as it sees itself: in a container, the container's.
    pub pid: u32,
    /// When it started, in seconds since 1970.
    pub started: u64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (started {})", self.pid, self.started)
    }
}

/// What a process runs, stamped into it: a line of the file's `global` section sets it at the start, each batch of
/// changes sets it anew. One to 64 ASCII letters, digits, `.`, `_`, `-`.
///
/// Who reads back the revision that was stamped last knows that the process runs what the file says, whoever may have
/// reloaded HAProxy since. Another one, or none, means that the process runs something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(String);

/// A text that can't be a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no revision: 1 to 64 letters, digits, `.`, `_` or `-` are")]
pub struct InvalidRevision(String);

impl Revision {
    /// The variable that holds it, of the process as a whole.
    pub const VARIABLE: &'static str = "proc.synapse_rev";

    /// Takes `text` as a revision.
    ///
    /// # Errors
    /// Empty, above 64 characters, or a character that would need quoting in HAProxy's file or on its command line.
    pub fn parse(text: &str) -> Result<Self, InvalidRevision> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(harmless) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRevision(shown(text)))
        }
    }

    /// Of a text that is known to be harmless.
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// What is no document's: that of a process in the middle of a change.
    pub(crate) fn changing() -> Self {
        Self("changing".to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The line of the `global` section that sets it when HAProxy starts.
    pub fn directive(&self) -> String {
        format!("set-var {} str({})", Self::VARIABLE, self.0)
    }

    /// The command that sets it in a running process; needs `experimental-mode on` on the same connection.
    pub(super) fn stamp(&self) -> String {
        format!("set var {} str({})", Self::VARIABLE, self.0)
    }

    /// Reads `proc.synapse_rev: type=str value=<...>`. Anything else is no revision of ours.
    fn read(reply: &Reply) -> Option<Self> {
        let rest = reply.text().strip_prefix(Self::VARIABLE)?;
        Self::parse(rest.split_once("value=<")?.1.strip_suffix('>')?).ok()
    }
}

impl FromStr for Revision {
    type Err = InvalidRevision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a connection may do: the `level` of the `stats socket` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Everything: the level that changing servers takes.
    Admin,
    /// HAProxy's default: reads everything, changes little.
    Operator,
    /// Reads what is not sensitive.
    User,
    /// HAProxy did not say.
    Unknown,
}

impl Level {
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Admin => 3,
            Self::Operator => 2,
            Self::User => 1,
            Self::Unknown => 0,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::User => "user",
            Self::Unknown => "unknown",
        })
    }
}

/// An HAProxy process, by its own account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Which one.
    pub identity: Identity,
    /// HAProxy's version, with what the packager added: `2.6.12-1+deb12u4`.
    pub version: String,
    /// The revision stamped into it; `None` if there is none, if it is not one of ours, or if the level hides it.
    pub revision: Option<Revision>,
    /// What the connection may do.
    pub level: Level,
    /// Whether it only finishes the connections that it has: what it is told now is lost.
    pub stopping: bool,
    /// How long it runs, in whole seconds.
    pub uptime: Duration,
}

impl Process {
    /// What to ask; [`Process::read`] takes the replies in the same order.
    pub(super) const QUERY: [CommandLine; 3] = [
        CommandLine::fixed("show info"),
        CommandLine::fixed("get var proc.synapse_rev"),
        CommandLine::fixed("show cli level"),
    ];

    /// Reads the replies to [`Process::QUERY`].
    pub(super) fn read(replies: &[Reply]) -> Result<Self, SocketFault> {
        let [info, revision, level] = replies else {
            return Err(SocketFault::garbage("fewer replies than commands"));
        };
        let (mut pid, mut started, mut version) = (None, None, None);
        let (mut stopping, mut uptime) = (false, 0);
        for line in info.text().lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name {
                "Pid" => pid = value.parse().ok(),
                "Start_time_sec" => started = value.parse().ok(),
                "Version" => version = Some(shown(value)),
                "Stopping" => stopping = value != "0",
                "Uptime_sec" => uptime = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        let (Some(pid), Some(started), Some(version)) = (pid, started, version) else {
            return Err(SocketFault::garbage(info.text()));
        };
        let level = match level.text() {
            "admin" => Level::Admin,
            "operator" => Level::Operator,
            "user" => Level::User,
            _ => Level::Unknown,
        };
        let identity = Identity { pid, started };
        let revision = Revision::read(revision);
        Ok(Self { identity, version, revision, level, stopping, uptime: Duration::from_secs(uptime) })
    }

    /// Whether a reply to `show info` says that the process is ending.
    pub(super) fn is_stopping(info: &Reply) -> bool {
        info.text().lines().any(|line| line.starts_with("Stopping:") && line != "Stopping: 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "Name: HAProxy\nVersion: 3.2.26-1\nPid: 17003\nUptime: 0d 0h00m03s\nUptime_sec: 3\nStopping: 0\n\
                        Start_time_sec: 1795354474\nnode: a:b\n";

    fn read(info: &str, revision: &str, level: &str) -> Result<Process, SocketFault> {
        Process::read(&[Reply::new(info), Reply::new(revision), Reply::new(level)])
    }

    #[test]
    fn a_process_is_read() {
        let process = read(INFO, "proc.synapse_rev: type=str value=<abc.1>\n", "admin\n").unwrap();
        let expected = Process {
            identity: Identity { pid: 17003, started: 1_795_354_474 },
            version: "3.2.26-1".to_owned(),
            revision: Some(Revision::parse("abc.1").unwrap()),
            level: Level::Admin,
            stopping: false,
            uptime: Duration::from_secs(3),
        };
        assert_eq!(process, expected);
    }

    #[test]
    fn a_stopping_process_says_so() {
        let info = INFO.replace("Stopping: 0", "Stopping: 1");
        assert!(read(&info, "", "").unwrap().stopping);
        assert!(Process::is_stopping(&Reply::new(info)));
        assert!(!Process::is_stopping(&Reply::new(INFO)));
    }

    #[test]
    fn what_is_not_a_revision_of_ours_is_none() {
        for reply in [
            "Variable not found.",
            "Permission denied",
            "proc.synapse_rev: type=str value=<>",
            "proc.synapse_rev: type=str value=<a b>",
            "proc.synapse_rev: type=sint value=3",
            "proc.other: type=str value=<a>",
        ] {
            assert_eq!(read(INFO, reply, "user").unwrap().revision, None, "{reply}");
        }
    }

    #[test]
    fn a_reply_without_the_identity_is_garbage() {
        for missing in ["Pid", "Start_time_sec", "Version"] {
            let info = INFO.replace(missing, "Else");
            assert!(matches!(read(&info, "", ""), Err(SocketFault::Garbage { .. })), "{missing}");
        }
        let info = INFO.replace("17003", "many");
        assert!(matches!(read(&info, "", ""), Err(SocketFault::Garbage { .. })));
    }

    #[test]
    fn a_revision_needs_no_quoting() {
        let revision = Revision::parse("a1.B-_").unwrap();
        assert_eq!(revision.directive(), "set-var proc.synapse_rev str(a1.B-_)");
        assert!(CommandLine::parse(&revision.stamp()).is_ok());
        for text in ["", "a b", "a)", "é", "a\n", &"x".repeat(65)] {
            assert!(Revision::parse(text).is_err(), "{text:?}");
        }
        assert!(Revision::parse(&"x".repeat(64)).is_ok());
    }

    #[test]
    fn the_query_is_made_of_commands() {
        for command in Process::QUERY {
            assert_eq!(CommandLine::parse(command.as_str()), Ok(command));
        }
        assert!(Process::QUERY[1].as_str().ends_with(Revision::VARIABLE));
    }
}
