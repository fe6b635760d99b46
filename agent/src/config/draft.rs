//! On the way from texts to one tree.

use super::{
    KeyPath, Node, Problem, Report, SyntaxError,
    erb::{self, Environment},
    origin::Origins,
    parse::parse_made,
};

/// The texts of a configuration that were read so far, and what was found in them.
pub(super) struct Draft {
    file: Option<String>,
    origins: Origins,
    next: u32,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Draft {
    /// Nothing yet of a configuration whose main file messages call `file`.
    pub(super) fn new(file: Option<&str>) -> Self {
        Self {
            file: file.map(str::to_owned),
            origins: Origins::default(),
            next: 0,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reads a text; the first is the main file's, whose `name` is `None`. `None`: it can't be read, and the problems say why.
    pub(super) fn tree(
        &mut self,
        name: Option<&str>,
        text: &str,
        environment: Option<&Environment>,
    ) -> Option<Node> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let made = erb::expand(text, environment);
        let above = self.next;
        self.next = self.origins.add(name, text, above, made.values);
        let below = |mut problem: Problem| {
            problem.line = problem.line.saturating_add(above);
            problem
        };
        self.warnings.extend(made.warnings.into_iter().map(below));
        if !made.problems.is_empty() {
            self.problems.extend(made.problems.into_iter().map(below));
            return None;
        }
        match parse_made(&made.text, &made.places) {
            Ok(mut root) => {
                root.lower(above);
                Some(root)
            }
            Err(SyntaxError { line, column, message }) => {
                self.problems.push(below(Problem::new(line, column, &KeyPath::root(), message)));
                None
            }
        }
    }

    /// Places problems in their files.
    pub(super) fn report(&self, problems: Vec<Problem>) -> Report {
        let placed = problems.into_iter().map(|problem| self.place(problem));
        Report::new(self.file.clone(), placed.collect())
    }

    /// Places a problem in its file.
    pub(super) fn place(&self, problem: Problem) -> Problem {
        self.origins.place(problem)
    }

    /// `text`, which is about any of the files, without what came from the environment.
    pub(super) fn masked(&self, text: &str) -> String {
        self.origins.masked(text)
    }
}
