//! What was done, in a line.

use std::{fmt, time::Duration};

use haproxy_render::plan::{Change, Stranger};
use tokio::time::Instant;

use super::Cause;
use crate::{apply, file::Written};

/// How many of its kind a line names.
const NAMED: usize = 5;

/// What came of [`Live::apply`](super::Live::apply).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Nothing was to do.
    Unchanged,
    /// Everything that was due is done; `Display` says it in one line.
    Changed(Deed),
    /// It takes a reload, which the pace does not permit before `until`. Apply then, or at the next change, whichever is
    /// first.
    Deferred {
        /// When the same document may be applied.
        until: Instant,
        /// Why it takes a reload.
        causes: Vec<Cause>,
        /// What was done by commands meanwhile.
        done: Option<Deed>,
    },
}

/// What was done. `Display` says in one line what changed, how, why so, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Deed {
    /// What became of servers; empty for a reload that had nothing to do with them.
    pub changes: Vec<Change>,
    /// What somebody else had changed, and was put right.
    pub repaired: Vec<Change>,
    /// Commands that were carried out, repairs included.
    pub commands: usize,
    /// The write of the file, if it was one without a reload.
    pub written: Option<Written>,
    /// The reload, if there was one.
    pub reloaded: Option<ReloadDeed>,
    /// Servers by somebody else that were let be.
    pub strangers: Vec<Stranger>,
    /// How long it took, all in all.
    pub took: Duration,
}

/// A reload, and why there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadDeed {
    /// Why commands would not do; at least one.
    pub causes: Vec<Cause>,
    /// What it took.
    pub change: apply::Change,
    /// What makes sure that it worked.
    pub verified: Verification,
}

/// Whether HAProxy itself has said that it runs what it was reloaded for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// It did, after that long.
    Done(Duration),
    /// It could not be asked: why. As it could not before the reload, that is no failure.
    Impossible(String),
    /// Somebody else reloads, when it suits them.
    NotOurs,
}

impl Deed {
    /// Whether nothing was done.
    pub fn is_nothing(&self) -> bool {
        self.commands == 0 && self.written.is_none() && self.reloaded.is_none()
    }
}

/// The first few, and how many more there are.
fn list<T: fmt::Display>(items: &[T], between: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, item) in items.iter().take(NAMED).enumerate() {
        write!(f, "{}{item}", if at == 0 { "" } else { between })?;
    }
    match items.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => write!(f, "{between}{more} more"),
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changes, repaired, commands, written, reloaded, strangers, took } = self;
        for (title, changes) in [("put right: ", repaired), ("", changes)] {
            if !changes.is_empty() {
                f.write_str(title)?;
                list(changes, ", ", f)?;
                f.write_str("; ")?;
            }
        }
        match (reloaded, commands) {
            (Some(reloaded), _) => write!(f, "{reloaded}")?,
            (None, 0) if written.is_some() => f.write_str("wrote the file alone")?,
            (None, 0) => f.write_str("nothing to do")?,
            (None, 1) => f.write_str("by 1 command")?,
            (None, commands) => write!(f, "by {commands} commands")?,
        }
        write!(f, ", {took:.1?} in all")?;
        if !strangers.is_empty() {
            f.write_str("; servers by somebody else: ")?;
            list(strangers, ", ", f)?;
        }
        Ok(())
    }
}

impl fmt::Display for ReloadDeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("by a reload, because ")?;
        list(&self.causes, "; ", f)?;
        write!(f, " ({}", self.change)?;
        match &self.verified {
            Verification::Done(took) => write!(f, ", verified in {took:.1?})"),
            Verification::Impossible(why) => write!(f, "; not verified: {why})"),
            Verification::NotOurs => f.write_str("; whoever watches the file reloads)"),
        }
    }
}

/// What [`Live::tend`](super::Live::tend) did. `Display` says it in one line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tended {
    /// Servers that were deleted.
    pub deleted: Vec<String>,
    /// Servers whose connections were ended, because they had their time.
    pub ended: Vec<String>,
    /// Servers that this process never deletes: they stay out of rotation until the next reload.
    pub pinned: Vec<String>,
}

impl Tended {
    /// Whether there was nothing to do, or nothing could be done yet.
    pub fn is_nothing(&self) -> bool {
        self.deleted.is_empty() && self.ended.is_empty() && self.pinned.is_empty()
    }
}

impl fmt::Display for Tended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (what, servers) in [
            ("deleted", &self.deleted),
            ("ended the last connections of", &self.ended),
            ("not deletable before a reload:", &self.pinned),
        ] {
            if !servers.is_empty() {
                write!(f, "{}{what} ", if first { "" } else { "; " })?;
                list(servers, ", ", f)?;
                first = false;
            }
        }
        Ok(())
    }
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LiveCounters {
    /// Documents that were reached by commands alone.
    pub by_commands: u64,
    /// Commands that were carried out.
    pub commands: u64,
    /// Changes by somebody else that were undone by commands.
    pub repairs: u64,
    /// Batches that HAProxy did not carry out as it should.
    pub refusals: u64,
    /// Servers that were deleted after they had left.
    pub deleted: u64,
    /// Servers whose last connections were ended.
    pub ended: u64,
    /// Reloads that did not do what they were for, after which the last good file was put back.
    pub put_back: u64,
    /// Writes, checks and reloads.
    pub applier: apply::Counters,
}

#[cfg(test)]
mod tests {
    use haproxy_render::{
        Name,
        plan::{Reason, What},
    };

    use super::*;

    fn gone(server: &str) -> Change {
        let name = |text| Name::parse(text).unwrap();
        let mut change = None;
        let read = |text: &str| haproxy_render::ReadBack::parse_foreign(text);
        let file = read(&format!("backend web\n  server {server} 10.0.0.1:80\n"));
        for found in file.changes(&haproxy_render::Document::default()) {
            assert_eq!((&found.backend, &found.server), (&name("web"), &name(server)));
            change = Some(found);
        }
        change.filter(|change| change.what == What::Removed).unwrap()
    }

    #[test]
    fn one_line_says_what_how_why_and_how_long() {
        let took = Duration::from_millis(2);
        let mut deed = Deed { changes: vec![gone("a")], commands: 1, took, ..Deed::default() };
        assert_eq!(deed.to_string(), "- web/a; by 1 command, 2.0ms in all");
        deed.changes = ["a", "b", "c", "d", "e", "f", "g"].map(gone).to_vec();
        deed.commands = 7;
        let many = "- web/a, - web/b, - web/c, - web/d, - web/e, 2 more; by 7 commands, 2.0ms in all";
        assert_eq!(deed.to_string(), many);
        let reloaded = Some(apply::Reloaded { took, attempt: 1 });
        let change = apply::Change { checked: Some(took), reloaded, written: None };
        let causes = vec![Cause::Needed(Reason::Defaults), Cause::Pending];
        deed = Deed {
            reloaded: Some(ReloadDeed { causes, change, verified: Verification::Done(took) }),
            took,
            ..Deed::default()
        };
        assert_eq!(
            deed.to_string(),
            "by a reload, because section defaults changed; an earlier reload is still due (checked in 2.0ms, reloaded in \
             2.0ms, verified in 2.0ms), 2.0ms in all"
        );
        deed = Deed { repaired: vec![gone("x")], commands: 2, took, ..Deed::default() };
        assert_eq!(deed.to_string(), "put right: - web/x; by 2 commands, 2.0ms in all");
    }
}
