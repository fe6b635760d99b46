//! One command, and what HAProxy may answer to it.

use std::fmt::Write;
use std::net::IpAddr;
use std::num::NonZeroU16;

use super::options::Arguments;
use super::revision::{Revision, VARIABLE};
use crate::name::Name;
use crate::number::Weight;

/// One command for HAProxy's socket.
///
/// It is made of words of this program, of names, of numbers, and of options that [mean the same on the
/// socket](crate::ServerOptions::is_plain) as in the file: nothing in it ends it, begins another command or a payload, or is
/// read as a variable. It has at most 60 words (HAProxy ignores the 65th and all that follow) and 8 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    command: Box<str>,
    kind: Kind,
    server: Option<(Name, Name)>,
    gate: bool,
}

/// What a command does, as far as it matters to what is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Answered by nothing.
    Silent,
    /// As [`Silent`](Self::Silent), and just as well when the server is not there any more.
    Farewell,
    Add,
    Address,
    Delete,
}

/// What a reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The command did what it is for.
    Done,
    /// The server still has connections. Again later.
    Busy,
    /// This process will never delete the server: its configuration refers to it. A reload will.
    Pinned,
    /// Anything else: the process is not what it was thought to be. A reload puts it right.
    Refused,
}

impl Step {
    /// Lets the connection that it is sent on set variables: before [`stamp`](Self::stamp).
    pub fn allow_stamp() -> Self {
        Self { command: "experimental-mode on".into(), kind: Kind::Silent, server: None, gate: false }
    }

    /// Tells the process which document it runs now: last of a plan. On a connection that
    /// [allows](Self::allow_stamp) it.
    pub fn stamp(revision: Revision) -> Self {
        let command = format!("set var {VARIABLE} str({revision})").into();
        Self { command, kind: Kind::Silent, server: None, gate: false }
    }

    pub(crate) fn add(backend: &Name, server: &Name, arguments: &Arguments) -> Self {
        Self::on(backend, server, Kind::Add, "add server", arguments.as_str())
    }

    pub(crate) fn enable_health(backend: &Name, server: &Name) -> Self {
        Self::on(backend, server, Kind::Silent, "enable health", "")
    }

    pub(crate) fn enable_agent(backend: &Name, server: &Name) -> Self {
        Self::on(backend, server, Kind::Silent, "enable agent", "")
    }

    pub(crate) fn disable_agent(backend: &Name, server: &Name) -> Self {
        Self::on(backend, server, Kind::Farewell, "disable agent", "")
    }

    /// Ends maintenance, and draining.
    pub(crate) fn enable(backend: &Name, server: &Name) -> Self {
        Self::on(backend, server, Kind::Silent, "enable server", "")
    }

    pub(crate) fn maintain(backend: &Name, server: &Name) -> Self {
        Self::on(backend, server, Kind::Silent, "set server", "state maint")
    }

    /// As [`maintain`](Self::maintain), for a server that may be gone.
    pub(crate) fn retire(backend: &Name, server: &Name) -> Self {
        Self::on(backend, server, Kind::Farewell, "set server", "state maint")
    }

    pub(crate) fn weight(backend: &Name, server: &Name, weight: Weight) -> Self {
        Self::on(backend, server, Kind::Silent, "set server", &format!("weight {weight}"))
    }

    pub(crate) fn address(backend: &Name, server: &Name, ip: IpAddr, port: NonZeroU16) -> Self {
        Self::on(backend, server, Kind::Address, "set server", &format!("addr {ip} port {port}"))
    }

    pub(crate) fn maxconn(backend: &Name, server: &Name, maxconn: u32) -> Self {
        Self::on(backend, server, Kind::Silent, "set maxconn server", &maxconn.to_string())
    }

    /// Down until its checks pass. Lost on a server in maintenance.
    pub(crate) fn health_down(backend: &Name, server: &Name) -> Self {
        Self::on(backend, server, Kind::Silent, "set server", "health down")
    }

    pub(crate) fn health_up(backend: &Name, server: &Name) -> Self {
        Self::on(backend, server, Kind::Silent, "set server", "health up")
    }

    pub(crate) fn delete(backend: &Name, server: &Name) -> Self {
        Self::on(backend, server, Kind::Delete, "del server", "")
    }

    /// Ends the server's connections; some time later, they are gone.
    pub(crate) fn shut_down(backend: &Name, server: &Name) -> Self {
        Self::on(backend, server, Kind::Farewell, "shutdown sessions server", "")
    }

    /// Computes the dynamic cookies of a backend's servers anew.
    pub(crate) fn dynamic_cookies(backend: &Name) -> Self {
        let command = format!("enable dynamic-cookie backend {backend}").into();
        Self { command, kind: Kind::Silent, server: None, gate: false }
    }

    /// The same command as one that the next ones rely on.
    pub(crate) fn gate(mut self) -> Self {
        self.gate = true;
        self
    }

    fn on(backend: &Name, server: &Name, kind: Kind, verb: &'static str, rest: &str) -> Self {
        let mut command = String::with_capacity(
            verb.len() + backend.as_str().len() + server.as_str().len() + rest.len() + 3,
        );
        write!(command, "{verb} {backend}/{server}").expect("a `String` takes any text");
        if !rest.is_empty() {
            command.push(' ');
            command.push_str(rest);
        }
        Self { command: command.into(), kind, server: Some((backend.clone(), server.clone())), gate: false }
    }

    /// The command, without line feed.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The backend and the name of the server that it is about, if it is about one.
    pub fn server(&self) -> Option<(&Name, &Name)> {
        self.server.as_ref().map(|(backend, server)| (backend, server))
    }

    /// What takes the server of its name away, whoever has put it there, if this adds one: HAProxy refuses a name that is taken, and
    /// does not show all options of who has it. The second command is a [gate](Self::is_gate).
    pub fn displace(&self) -> Option<[Self; 2]> {
        let (backend, server) = self.server().filter(|_| self.kind == Kind::Add)?;
        Some([Self::retire(backend, server), Self::delete(backend, server).gate()])
    }

    /// What undoes the first command of [`displace`](Self::displace), where the second can't be done yet.
    pub fn readmit(&self) -> Option<Self> {
        let (backend, server) = self.server().filter(|_| self.kind == Kind::Add)?;
        Some(Self::enable(backend, server))
    }

    /// Whether the commands that follow make sense only once this one is [`Done`](Verdict::Done): it makes room for a server
    /// of the same name or id. What is sent ahead stops here. A server that is [`Busy`](Verdict::Busy) is out of rotation
    /// already, so try again soon, for about a second, and then write the file and reload.
    pub fn is_gate(&self) -> bool {
        self.gate
    }

    /// What HAProxy's reply means, given without its prompt. Only the replies that are known count as success: HAProxy marks
    /// neither errors nor success in a way that all versions share.
    ///
    /// | command | done | busy | pinned |
    /// |---|---|---|---|
    /// | `add server` | `New server registered.`, warnings before it or not | | |
    /// | `del server` | `Server deleted.`, `No such server.` | `Server still has connections attached to it, …` | `This server cannot be removed at runtime …` |
    /// | `set server … addr` | `IP changed from …`, `port changed from …`, `no need to change …`, `nothing changed` | | |
    /// | `disable agent`, `shutdown sessions`, `set server … state maint` of a server that goes | nothing, `No such server.` | | |
    /// | all others | nothing | | |
    pub fn judge(&self, reply: &str) -> Verdict {
        let reply = reply.trim();
        let done = match self.kind {
            Kind::Silent => reply.is_empty(),
            Kind::Farewell => reply.is_empty() || reply == "No such server.",
            Kind::Add => reply.lines().next_back().map(str::trim) == Some("New server registered."),
            Kind::Address => {
                let changed = ["IP changed from ", "port changed from ", "no need to change the addr"];
                reply == "nothing changed"
                    || (changed.iter().any(|start| reply.starts_with(start))
                        && reply.ends_with("by 'stats socket command'"))
            }
            Kind::Delete => match reply {
                "Server deleted." | "No such server." => true,
                _ if reply.starts_with("Server still has connections attached to it") => {
                    return Verdict::Busy;
                }
                _ if reply.starts_with("This server cannot be removed at runtime") => return Verdict::Pinned,
                _ => false,
            },
        };
        if done { Verdict::Done } else { Verdict::Refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        let (b, s) = (Name::parse("b").unwrap(), Name::parse("s").unwrap());
        vec![
            Step::allow_stamp(),
            Step::stamp(Revision::parse("0123456789abcdef").unwrap()),
            Step::enable_health(&b, &s),
            Step::enable_agent(&b, &s),
            Step::enable(&b, &s),
            Step::maintain(&b, &s),
            Step::weight(&b, &s, Weight::MAX),
            Step::maxconn(&b, &s, 0),
            Step::health_down(&b, &s),
            Step::health_up(&b, &s),
            Step::dynamic_cookies(&b),
            Step::disable_agent(&b, &s),
            Step::retire(&b, &s),
            Step::shut_down(&b, &s),
            Step::address(&b, &s, "::1".parse().unwrap(), NonZeroU16::MIN),
            Step::delete(&b, &s),
        ]
    }

    #[test]
    fn commands_are_put_in_haproxys_words() {
        let steps = steps();
        let commands: Vec<&str> = steps.iter().map(Step::command).collect();
        assert_eq!(
            commands,
            [
                "experimental-mode on",
                "set var proc.synapse_rev str(0123456789abcdef)",
                "enable health b/s",
                "enable agent b/s",
                "enable server b/s",
                "set server b/s state maint",
                "set server b/s weight 256",
                "set maxconn server b/s 0",
                "set server b/s health down",
                "set server b/s health up",
                "enable dynamic-cookie backend b",
                "disable agent b/s",
                "set server b/s state maint",
                "shutdown sessions server b/s",
                "set server b/s addr ::1 port 1",
                "del server b/s",
            ]
        );
        assert!(
            !steps.iter().any(Step::is_gate)
                && Step::delete(&Name::parse("b").unwrap(), &Name::parse("s").unwrap()).gate().is_gate()
        );
    }

    #[test]
    fn most_commands_are_answered_by_nothing() {
        for step in &steps()[..14] {
            for reply in ["", "\n", "\n\n"] {
                assert_eq!(step.judge(reply), Verdict::Done, "{}", step.command());
            }
            for reply in [
                "Done.",
                "Unknown command, but maybe one of the following ones is a better match:\n",
                "Permission denied\n",
                "This command is restricted to experimental mode only.\n",
                "No such backend.\n",
                "New server registered.\n",
            ] {
                assert_eq!(step.judge(reply), Verdict::Refused, "{}: {reply}", step.command());
            }
        }
    }

    #[test]
    fn a_server_that_is_gone_need_not_go() {
        for (at, step) in steps().iter().enumerate() {
            let farewell = matches!(at, 11..=13 | 15);
            let expected = if farewell { Verdict::Done } else { Verdict::Refused };
            assert_eq!(step.judge("No such server.\n"), expected, "{}", step.command());
        }
    }

    #[test]
    fn a_new_server_may_come_with_warnings() {
        let (b, s) = (Name::parse("b").unwrap(), Name::parse("s").unwrap());
        let add = Step::add(&b, &s, &Arguments::new("10.0.0.1:80 id 1"));
        assert_eq!(add.command(), "add server b/s 10.0.0.1:80 id 1");
        assert_eq!(add.server(), Some((&b, &s)));
        for (reply, expected) in [
            ("New server registered.\n", Verdict::Done),
            ("Ignoring cookie as HTTP mode is disabled.\nNew server registered.\n\n", Verdict::Done),
            ("", Verdict::Refused),
            ("New server registered.\nunknown keyword 'x'.", Verdict::Refused),
            ("Already exists a server with the same name in backend.\n", Verdict::Refused),
            (
                "'id' : custom id 1 already used at h.cfg:15 ('server New server registered.').\n",
                Verdict::Refused,
            ),
        ] {
            assert_eq!(add.judge(reply), expected, "{reply}");
        }
    }

    #[test]
    fn an_address_is_answered_by_what_changed() {
        let step = &steps()[14];
        for reply in [
            "IP changed from '127.0.0.1' to '::1', port changed from '80' to '1' by 'stats socket command'\n",
            "no need to change the addr, no need to change the port by 'stats socket command'\n",
            "no need to change the addr, port changed from '80' to '1' by 'stats socket command'\n",
            "port changed from '99' to '98' by 'stats socket command'\n",
            "nothing changed\n",
        ] {
            assert_eq!(step.judge(reply), Verdict::Done, "{reply}");
        }
        for reply in [
            "",
            "Invalid addr format 'x'\n",
            "IP changed from 'a' to 'b', can't change the port\n",
            "nothing changed, by 'stats socket command'",
        ] {
            assert_eq!(step.judge(reply), Verdict::Refused, "{reply}");
        }
    }

    #[test]
    fn a_delete_may_have_to_wait() {
        let step = &steps()[15];
        for (reply, expected) in [
            ("Server deleted.", Verdict::Done),
            ("Server still has connections attached to it, cannot remove it.", Verdict::Busy),
            (
                "This server cannot be removed at runtime due to other configuration elements pointing to it.\n",
                Verdict::Pinned,
            ),
            ("Only servers in maintenance mode can be deleted.", Verdict::Refused),
            ("No such backend.", Verdict::Refused),
            ("", Verdict::Refused),
        ] {
            assert_eq!(step.judge(reply), expected, "{reply}");
        }
    }
}
