//! What a run would do now, without doing it.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use haproxy_render::{
    Document, ReadBack,
    plan::{Change, What},
};
use haproxy_runtime::{Course, Preview};
use serde::Serialize;
use similar::TextDiff;

use crate::{
    Agent, AgentError,
    agent::silent,
    file_output::{self, Fate},
    model::Model,
    output::{Output, read_back},
    state,
};

/// How long two files are compared for their smallest difference. After that the difference shown is one, if not the smallest.
const COMPARED: Duration = Duration::from_secs(2);

/// Lines around a difference.
const CONTEXT: usize = 3;

/// What a run would do now. Everything in it is made by this program or allowed by its rules, except the texts of the file, which
/// may hold what the operator keeps secret.
///
/// Serialized ([`to_json`](Self::to_json)), it is an object with the fields below, by these names, and `diff`, the text of
/// [`diff`](Self::diff). Programs may rely on them; there may be more later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Planned {
    /// By what means HAProxy would be brought to what it should run. There may be [files](Self::files) to write when this is nothing.
    pub action: Action,
    /// Why it takes a reload; empty for anything else.
    pub reasons: Vec<String>,
    /// What becomes of servers.
    pub changes: Vec<PlannedChange>,
    /// What somebody else has changed in HAProxy, and would be put right.
    pub repairs: Vec<PlannedChange>,
    /// The commands on HAProxy's socket, in their order, repairs first. The one that says which file the process runs is left out.
    pub commands: Vec<String>,
    /// With a reload: the commands that would be sent before, if it had to wait or failed.
    pub meanwhile: Vec<String>,
    /// Servers, as `backend/server`, that the commands take out of rotation, to be deleted when they have no connections any more.
    pub leaving: Vec<String>,
    /// Servers by somebody else, as `backend/server`, that would be let be.
    pub strangers: Vec<String>,
    /// What becomes of the files of services (`file_output`).
    pub files: Vec<PlannedFile>,
    /// Services whose sources have not answered: for them the plan is made with what the state file has, or HAProxy's.
    pub unanswered: Vec<Unanswered>,
    /// HAProxy's configuration file; `None` if none is written.
    pub path: Option<PathBuf>,
    /// What the file holds; `None` if there is none. Not serialized.
    #[serde(skip)]
    pub before: Option<String>,
    /// What it would hold. Not serialized.
    #[serde(skip)]
    pub after: String,
}

/// By what means something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Nothing is to do.
    Nothing,
    /// The file is written, and HAProxy at most told that it runs it.
    Write,
    /// The file is written, if it differs, and commands are sent.
    Commands,
    /// The file is written, if it differs, and HAProxy reloaded.
    Reload,
    /// The file is written, and whoever watches it reloads HAProxy.
    WriteForOthers,
}

/// What becomes of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedChange {
    /// The backend.
    pub backend: String,
    /// The server.
    pub server: String,
    /// What becomes of it.
    pub kind: Kind,
    /// All of it in one line, as the log has it: `~ web/a weight 1 -> 5`.
    pub text: String,
}

/// What becomes of the file of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedFile {
    /// The file.
    pub path: PathBuf,
    /// What becomes of it.
    pub kind: Kind,
}

/// What becomes of a server or a file, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// It comes.
    Added,
    /// It goes.
    Removed,
    /// It stays, and is another than before.
    Altered,
}

/// A service whose source has not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unanswered {
    /// Its name.
    pub service: String,
    /// The last error of its source, if there was one.
    pub error: Option<String>,
}

impl Agent {
    /// Waits for the first answers, up to `agent.startup_wait`, and tells what [`run`](Self::run) and [`once`](Self::once) would do
    /// with them. Looks at the file and at what HAProxy runs; writes nothing, sends no command, reloads nothing.
    ///
    /// A service whose source has not answered is planned as the state file knows it, or else with the servers that HAProxy's
    /// file has for it, and is [named](Planned::unanswered).
    ///
    /// # Errors
    ///
    /// HAProxy's file, or the list of those of services, can't be read. That HAProxy can't be asked what it runs is none: a run reloads it then.
    pub async fn plan(self) -> Result<Planned, AgentError> {
        let Self { config, sources, memory, .. } = self;
        let before = read_back(&config.haproxy.output).await;
        let mut output = Output::new(&config.haproxy.output, config.times);
        let mut model = Model::new(&config.services, &config.haproxy, before);
        state::recall(&config, &memory, &mut model).await;
        let running = sources.start();
        let unanswered = silent(&running, config.times.startup_wait).await;
        for view in running.views().iter() {
            model.refresh(view.service.as_str(), view.said().as_ref(), output.live());
        }
        let preview = output.preview(model.document()).await?;
        let path = config.haproxy.output.file.as_ref().map(|file| file.path().to_owned());
        let mut planned = Planned::new(preview, model.document(), unanswered, path);
        if let Some(directory) = &config.file_output {
            let services = config.services.iter().filter(|service| service.has_file);
            let served = services.map(|service| (service.name.as_str(), model.served(service.name.as_str())));
            let files = file_output::preview(directory, served).await.map_err(AgentError::FileOutput)?;
            planned.files = files.into_iter().map(PlannedFile::from).collect();
        }
        Ok(planned)
    }
}

impl Planned {
    fn new(
        preview: Preview,
        wanted: &Document,
        unanswered: Vec<(String, Option<String>)>,
        path: Option<PathBuf>,
    ) -> Self {
        let mut changes = preview.changes;
        if changes.is_empty() && !matches!(preview.course, Course::Nothing | Course::File) {
            // Nobody knows what runs. What the file says is worth knowing all the same.
            let read = preview
                .before
                .as_deref()
                .map(|text| ReadBack::parse(text).unwrap_or_else(|| ReadBack::parse_foreign(text)));
            changes = read.unwrap_or_default().changes(wanted);
        }
        Self {
            action: match preview.course {
                Course::File => Action::Write,
                Course::Commands => Action::Commands,
                Course::Reload => Action::Reload,
                Course::ReloadByOthers => Action::WriteForOthers,
                _ => Action::Nothing,
            },
            reasons: preview.causes.iter().map(ToString::to_string).collect(),
            changes: changes.iter().map(PlannedChange::from).collect(),
            repairs: preview.repaired.iter().map(PlannedChange::from).collect(),
            commands: preview.commands,
            meanwhile: preview.meanwhile,
            leaving: preview.departing,
            strangers: preview.strangers.iter().map(ToString::to_string).collect(),
            files: Vec::new(),
            unanswered: unanswered
                .into_iter()
                .map(|(service, error)| Unanswered { service, error })
                .collect(),
            // What is not written is no file.
            before: preview.before,
            after: if path.is_some() { preview.after } else { String::new() },
            path,
        }
    }

    /// Whether nothing is to do.
    pub fn is_nothing(&self) -> bool {
        self.action == Action::Nothing && self.files.is_empty()
    }

    /// How the file would change, as a unified diff; empty if it would not.
    pub fn diff(&self) -> String {
        let before = self.before.as_deref().unwrap_or_default();
        if before == self.after {
            return String::new();
        }
        let path = self.path.as_deref().unwrap_or_else(|| "haproxy.cfg".as_ref()).display();
        let old = if self.before.is_some() { path.to_string() } else { "/dev/null".to_owned() };
        TextDiff::configure()
            .timeout(COMPARED)
            .diff_lines(before, &self.after)
            .unified_diff()
            .context_radius(CONTEXT)
            .header(&old, &path.to_string())
            .to_string()
    }

    /// All of it for programs, as one JSON object with a line feed at its end: see [`Planned`].
    ///
    /// # Panics
    ///
    /// Never: strings, lists and numbers can all be written.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct WithDiff<'a> {
            #[serde(flatten)]
            planned: &'a Planned,
            diff: String,
        }
        let all = WithDiff { planned: self, diff: self.diff() };
        let mut text = serde_json::to_string_pretty(&all).expect("a plan is made of strings and lists");
        text.push('\n');
        text
    }

    /// What is to be done, in one line: `2 changes: by 4 commands, without a reload`.
    pub fn summary(&self) -> String {
        let haproxy = (self.action != Action::Nothing).then(|| self.summary_of_haproxy());
        let files = (!self.files.is_empty()).then(|| self.summary_of_files());
        let parts: Vec<_> = haproxy.into_iter().chain(files).collect();
        if parts.is_empty() { "nothing to do".to_owned() } else { parts.join("; ") }
    }

    fn summary_of_haproxy(&self) -> String {
        let mut text = String::new();
        if !self.repairs.is_empty() {
            _ = write!(text, "{}, ", count(self.repairs.len(), "repair"));
        }
        if !self.changes.is_empty() {
            _ = write!(text, "{}, ", count(self.changes.len(), "change"));
        }
        let text = text.trim_end_matches(", ");
        let how = match self.action {
            Action::Nothing => "nothing to do".to_owned(),
            Action::Write => "writing the file alone: HAProxy goes on as it is".to_owned(),
            Action::Commands => format!("by {}, without a reload", count(self.commands.len(), "command")),
            Action::Reload => "by a reload".to_owned(),
            Action::WriteForOthers => "by writing the file; whoever watches it reloads HAProxy".to_owned(),
        };
        if text.is_empty() { how } else { format!("{text}: {how}") }
    }

    fn summary_of_files(&self) -> String {
        let removed = self.files.iter().filter(|file| file.kind == Kind::Removed).count();
        let files = |count: usize| format!("{count} file{} of services", if count == 1 { "" } else { "s" });
        match self.files.len() - removed {
            0 => format!("{} removed", files(removed)),
            written if removed == 0 => format!("{} written", files(written)),
            written => format!("{} written, {removed} removed", files(written)),
        }
    }
}

fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl From<(PathBuf, Fate)> for PlannedFile {
    fn from((path, fate): (PathBuf, Fate)) -> Self {
        let kind = match fate {
            Fate::Made => Kind::Added,
            Fate::Rewritten => Kind::Altered,
            Fate::Removed => Kind::Removed,
        };
        Self { path, kind }
    }
}

impl From<&Change> for PlannedChange {
    fn from(change: &Change) -> Self {
        Self {
            backend: change.backend.to_string(),
            server: change.server.to_string(),
            kind: match change.what {
                What::Added(..) => Kind::Added,
                What::Removed => Kind::Removed,
                _ => Kind::Altered,
            },
            text: change.to_string(),
        }
    }
}
