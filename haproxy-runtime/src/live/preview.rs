//! What would be done, without doing it.

use std::sync::Arc;

use haproxy_render::{
    Document,
    plan::{Change, Commands, Departure, Plan, Step, Stranger},
};

use super::{
    Cause, Live,
    acquaintance::{Found, Known},
};
use crate::error::WriteError;

/// What an apply would do now: the same that its [`Deed`](super::Deed) would tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// By what means.
    pub course: Course,
    /// Why it takes a reload; empty for everything else, and where nobody is asked what else would do.
    pub causes: Vec<Cause>,
    /// What becomes of servers; empty where it is not known what runs.
    pub changes: Vec<Change>,
    /// What somebody else has changed, and would be put right.
    pub repaired: Vec<Change>,
    /// The commands, in their order, repairs first. A last one, not among them, tells the process which document it runs.
    pub commands: Vec<String>,
    /// With a reload: the commands that would be sent before, if it had to wait for its pace or failed.
    pub meanwhile: Vec<String>,
    /// Servers that the commands take out of rotation, to be deleted when they have no connections any more: their backends
    /// and names.
    pub departing: Vec<String>,
    /// Servers by somebody else that would be let be.
    pub strangers: Vec<Stranger>,
    /// What the file holds; `None`: there is none.
    pub before: Option<String>,
    /// What it would hold.
    pub after: String,
}

/// By what means something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Course {
    /// Nothing is to do.
    Nothing,
    /// The file is written, and HAProxy at most told that it runs it.
    File,
    /// The file is written, if it differs, and commands are sent.
    Commands,
    /// The file is written, if it differs, and HAProxy reloaded.
    Reload,
    /// As [`Reload`](Self::Reload), by somebody else, who watches the file.
    ReloadByOthers,
}

impl Preview {
    pub(crate) fn new(before: Option<Vec<u8>>, after: String) -> Self {
        Self {
            course: Course::Nothing,
            causes: Vec::new(),
            changes: Vec::new(),
            repaired: Vec::new(),
            commands: Vec::new(),
            meanwhile: Vec::new(),
            departing: Vec::new(),
            strangers: Vec::new(),
            before: before.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            after,
        }
    }

    /// Whether the file would stay as it is.
    pub fn keeps_file(&self) -> bool {
        self.before.as_ref() == Some(&self.after)
    }

    fn add(&mut self, commands: &Commands) {
        self.commands.extend(texts(commands.steps()));
        let place = |departure: &Departure| format!("{}/{}", departure.backend(), departure.server());
        self.departing.extend(commands.departing().iter().map(place));
    }
}

fn texts(steps: &[Step]) -> impl Iterator<Item = String> {
    steps.iter().map(|step| step.command().to_owned())
}

impl Live {
    /// What [`apply`](Self::apply) would do now, at the start of a program. Looks at the file and at what HAProxy runs, and
    /// changes nothing anywhere: nothing is written, and HAProxy is asked questions only.
    ///
    /// What HAProxy would answer to the commands is not known before they are sent: one that it refuses makes a reload of what is
    /// told here.
    ///
    /// # Errors
    /// The file can't be read. That HAProxy can't be asked is none: then that is why it takes a reload.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn preview(&mut self, document: &Document) -> Result<Preview, WriteError> {
        let wanted = self.stamped(document);
        let after = self.renderer.render(&wanted);
        let (before, mut pending) = match self.applier.file() {
            Some(file) => (file.read().await?, file.is_reload_pending().await?),
            None => (None, false),
        };
        pending = (pending && self.applier.reloads()) || self.applier.reload_pending();
        let mut preview = Preview::new(before, after);
        let plan = match self.see(&wanted, pending, &mut preview).await {
            Ok(known) => {
                let stamped = known.document.revision == wanted.revision;
                (known.planner.change(&known.document, &wanted, &known.leaving), stamped)
            }
            Err(cause) => {
                let due = self.doubted.is_some() || cause.is_about_the_process() || pending;
                // As an apply: a process that is not spoken to is reloaded for what the file does not hold, and for nothing else.
                if !preview.keeps_file() || (due && self.applier.reloads()) {
                    preview.causes = vec![cause];
                    preview.course = self.reload_course();
                }
                return Ok(preview);
            }
        };
        match plan {
            (Plan::Commands(commands), _) => {
                preview.add(&commands);
                preview.changes = commands.changes().to_vec();
                preview.course = Course::Commands;
            }
            (Plan::Reload(reload), _) => {
                preview.causes = reload.reasons().iter().cloned().map(Cause::Needed).collect();
                preview.changes = reload.changes().to_vec();
                if let Some(meanwhile) = reload.meanwhile() {
                    preview.meanwhile = texts(meanwhile.commands().steps()).collect();
                }
                preview.course = self.reload_course();
            }
            (_, stamped) => {
                let same = stamped && preview.keeps_file();
                preview.course = match (preview.commands.is_empty(), same) {
                    (false, _) => Course::Commands,
                    (true, true) => Course::Nothing,
                    (true, false) => Course::File,
                };
            }
        }
        Ok(preview)
    }

    fn reload_course(&self) -> Course {
        if self.applier.reloads() { Course::Reload } else { Course::ReloadByOthers }
    }

    /// As [`get_to_know`](Self::get_to_know), with what would be put right on the way noted instead of done.
    async fn see(
        &mut self,
        wanted: &Arc<Document>,
        pending: bool,
        preview: &mut Preview,
    ) -> Result<Known, Cause> {
        let Found { mut known, stamped, .. } = self.find(wanted, pending).await?;
        if !stamped {
            return Ok(known);
        }
        if let Some(same) = self.known.as_ref().filter(|same| same.identity == known.identity) {
            known.leaving = same.leaving.clone();
        }
        let repair = self.inspect_twice(&known).await?;
        preview.strangers = repair.strangers;
        known.leaving = repair.leaving;
        match repair.plan {
            Plan::Nothing => {}
            plan if self.is_incurable(&plan) => {}
            Plan::Commands(commands) => {
                preview.add(&commands);
                preview.repaired = commands.changes().to_vec();
                known.leaving = commands.leaving().clone();
            }
            Plan::Reload(reload) => {
                let reason = reload.reasons().first().cloned();
                return Err(reason.map_or(Cause::Relapse, Cause::Needed));
            }
            _ => return Err(Cause::Relapse),
        }
        Ok(known)
    }
}
