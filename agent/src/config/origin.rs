//! The files of a configuration, and which of them a place is in.

use std::sync::Arc;

use super::{Problem, erb};

/// The files of one configuration. Their lines are counted through, as if each stood below the one before: so whoever finds a
/// mistake in the tree that is made of them needs to know of no files, and says a line and a column.
#[derive(Default)]
pub(super) struct Origins(Vec<Origin>);

struct Origin {
    /// `None`: the main file, which the report names.
    name: Option<Arc<str>>,
    /// How many lines the files before have.
    before: u32,
    /// What its text has from the environment.
    values: Vec<String>,
}

impl Origins {
    /// Adds a file of this text below the others, and tells how many lines stand above.
    pub(super) fn add(&mut self, name: Option<&str>, text: &str, next: u32, values: Vec<String>) -> u32 {
        let before = if self.0.is_empty() { 0 } else { next };
        self.0.push(Origin { name: name.map(Arc::from), before, values });
        before.saturating_add(lines(text))
    }

    /// What was found at a counted-through place, at the place of its own file, and without what came from the environment.
    pub(super) fn place(&self, mut problem: Problem) -> Problem {
        let next = self.0.partition_point(|origin| origin.before < problem.line);
        let Some(origin) = self.0[..next].last() else { return problem };
        if problem.file.is_none() {
            problem.line -= origin.before;
            problem.file.clone_from(&origin.name);
            problem.message = erb::masked(&problem.message, &origin.values);
        }
        problem
    }

    /// `text` without what came from the environment, whatever file it is about.
    pub(super) fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, origin| erb::masked(&text, &origin.values))
    }
}

/// At least as many lines as any reader counts.
fn lines(text: &str) -> u32 {
    let ends = text.bytes().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    u32::try_from(ends).unwrap_or(u32::MAX).saturating_add(2)
}
