//! Lines of HAProxy's language in a configuration.

use haproxy_render::{Line, keyword};

use super::{Node, Problem, Section, Value};

/// A list of lines under one key, with the places they stand at.
pub(super) struct Lines<'a> {
    section: &'a Section,
    key: &'a str,
}

impl<'a> Lines<'a> {
    pub(super) fn new(section: &'a Section, key: &'a str) -> Self {
        Self { section, key }
    }

    /// Turns texts into lines; a text of several lines (a YAML block, say) is as many lines. Empty ones are dropped.
    pub(super) fn parse(&self, texts: &[String], problems: &mut Vec<Problem>) -> Vec<Line> {
        let mut lines = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            for part in text.lines().filter(|part| !part.trim().is_empty()) {
                match Line::parse(part) {
                    Ok(line) => {
                        if let Some(advice) = keyword::removed(&line) {
                            let message = format!("HAProxy does not take this line any more: {advice}");
                            problems.push(self.problem(index, message));
                        }
                        lines.push(line);
                    }
                    Err(error) => problems.push(self.problem(index, error.to_string())),
                }
            }
        }
        lines
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
