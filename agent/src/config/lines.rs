//! Lines of HAProxy's language in a configuration.

use haproxy_render::{
    Line,
    keyword::{self, Retired},
};

use super::{Node, Problem, Section, Value, service::Findings};

/// A list of lines under one key, with the places they stand at.
pub(super) struct Lines<'a> {
    section: &'a Section,
    key: &'a str,
    kind: Kind,
}

/// The section of HAProxy's file that lines go to, as far as it matters which of them HAProxy has given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `defaults`, `frontend`, `listen`, `backend`.
    Proxy,
    Global,
    /// `peers`, `userlist`, …: their keywords are others, and none is known to have gone.
    Other,
}

impl<'a> Lines<'a> {
    /// Those of a proxy.
    pub(super) fn new(section: &'a Section, key: &'a str) -> Self {
        Self { section, key, kind: Kind::Proxy }
    }

    /// Those of the section that begins with this line.
    pub(super) fn under(self, title: &str) -> Self {
        let kind = match title.split_ascii_whitespace().next() {
            Some("defaults" | "frontend" | "listen" | "backend") => Kind::Proxy,
            Some("global") => Kind::Global,
            _ => Kind::Other,
        };
        Self { kind, ..self }
    }

    /// Turns texts into lines; a text of several lines (a YAML block, say) is as many lines. Empty ones are dropped. What no
    /// HAProxy takes any more is a problem, what only some still take is warned of.
    pub(super) fn parse(&self, texts: &[String], found: &mut Findings<'_>) -> Vec<Line> {
        let mut lines = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            for part in text.lines().filter(|part| !part.trim().is_empty()) {
                match Line::parse(part) {
                    Ok(line) => {
                        if let Some(retired) = self.retired(&line) {
                            let list = if retired.last.is_none() {
                                &mut *found.problems
                            } else {
                                &mut *found.warnings
                            };
                            list.push(self.problem(index, retired.to_string()));
                        }
                        lines.push(line);
                    }
                    Err(error) => found.problems.push(self.problem(index, error.to_string())),
                }
            }
        }
        lines
    }

    fn retired(&self, line: &Line) -> Option<Retired> {
        match self.kind {
            Kind::Proxy => keyword::retired(line),
            Kind::Global => keyword::retired_from_global(line),
            Kind::Other => None,
        }
    }

    pub(super) fn problem(&self, index: usize, message: impl Into<String>) -> Problem {
        let path = self.section.path().key(self.key);
        match self.section.get(self.key) {
            Some(Node { value: Value::Seq(items), .. }) if index < items.len() => {
                let item = &items[index];
                Problem::new(item.line, item.column, &path.index(index), message)
            }
            _ => self.section.problem_at(self.key, message),
        }
    }
}
