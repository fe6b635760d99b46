//! What a planner says.

use std::fmt;

use super::{Change, Departure, Leaving, Reason, Step};
use crate::document::Document;
use crate::name::Name;
use crate::number::ServerId;

/// How many reasons a line of a log names.
const NAMED: usize = 3;

/// What is to be done. `Display` says it in one line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Plan {
    /// Nothing: the process is as it should be. The file may still differ, in the order of lines.
    Nothing,
    /// Commands.
    Commands(Commands),
    /// A reload. The process that it starts has all that the file says.
    Reload(Reload),
}

/// Commands that bring a process from one document to another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commands {
    pub(crate) steps: Vec<Step>,
    pub(crate) changes: Vec<Change>,
    pub(crate) departing: Vec<Departure>,
    pub(crate) leaving: Leaving,
}

/// Why there has to be a reload, and what need not wait for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reload {
    pub(crate) reasons: Vec<Reason>,
    pub(crate) changes: Vec<Change>,
    pub(crate) meanwhile: Option<Box<Meanwhile>>,
}

/// What can be done by commands while a reload is not permitted yet, or fails for a reason that has nothing to do with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Meanwhile {
    pub(crate) commands: Commands,
    pub(crate) document: Document,
}

/// What is to be done about a process that is not as it was left.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Repair {
    /// What to do.
    pub plan: Plan,
    /// Servers by somebody else that are let be.
    pub strangers: Vec<Stranger>,
    /// Those that leave, without the ones that are gone. After the plan's commands it is
    /// [theirs](Commands::leaving), after a reload nobody.
    pub leaving: Leaving,
}

/// A server by somebody else, in one of our backends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stranger {
    /// The backend.
    pub backend: Name,
    /// The server.
    pub server: Name,
    /// Its id: another server that is given it will be refused.
    pub id: ServerId,
}

impl Plan {
    /// What becomes of servers; empty for a reload that has nothing to do with them.
    pub fn changes(&self) -> &[Change] {
        match self {
            Self::Nothing => &[],
            Self::Commands(commands) => &commands.changes,
            Self::Reload(reload) => &reload.changes,
        }
    }
}

impl Commands {
    /// The commands, in the order in which they have to be carried out.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What they do, for people.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Those among [`leaving`](Self::leaving) that begin to leave now.
    pub fn departing(&self) -> &[Departure] {
        &self.departing
    }

    /// All servers that leave, once the commands are carried out.
    pub fn leaving(&self) -> &Leaving {
        &self.leaving
    }
}

impl Reload {
    /// A reload for a reason that no planner knows of.
    pub fn because(reason: Reason) -> Self {
        Self { reasons: vec![reason], changes: Vec::new(), meanwhile: None }
    }

    /// Why; at least one, and not more than 16 for each backend.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// What becomes of servers.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What can be done before, if it can not be done at once; `None` if that is nothing.
    pub fn meanwhile(&self) -> Option<&Meanwhile> {
        self.meanwhile.as_deref()
    }
}

impl Meanwhile {
    /// The commands.
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// What the process runs after them: what the file has to say as long as the reload is not made. It has no
    /// [revision](Document::revision). The same plan is due again, from here.
    pub fn document(&self) -> &Document {
        &self.document
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing to do"),
            Self::Commands(commands) => commands.fmt(f),
            Self::Reload(reload) => reload.fmt(f),
        }
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.steps.len() {
            1 => f.write_str("1 command"),
            count => write!(f, "{count} commands"),
        }
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reload")?;
        for (at, reason) in self.reasons.iter().take(NAMED).enumerate() {
            write!(f, "{}{reason}", if at == 0 { ": " } else { "; " })?;
        }
        match self.reasons.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more reasons"),
        }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.server)
    }
}
