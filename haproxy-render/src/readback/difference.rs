//! How servers differ from those of a file.

use std::collections::{BTreeMap, HashSet};

use super::ReadBack;
use crate::directive;
use crate::document::{Backend, Document};
use crate::name::Name;
use crate::option::ServerOptions;
use crate::plan::Change;
use crate::server::Server;

impl ReadBack {
    /// What becomes of the servers of this file in `wanted`, as far as the two can be compared: for people, where a
    /// [`Planner`](crate::plan::Planner) has nothing to say, because nobody knows what runs.
    ///
    /// Backends that `wanted` has neither as services nor as sections of the user's own count as gone. Options are compared with
    /// what servers inherit in `wanted`.
    pub fn changes(&self, wanted: &Document) -> Vec<Change> {
        let inherited = wanted.inherited();
        let mut changes = Vec::new();
        let mut known: HashSet<&str> = HashSet::new();
        for service in &wanted.services {
            let backend = &service.backend;
            known.insert(backend.name.as_str());
            let defaults = directive::default_server(inherited.iter().copied().chain(&backend.lines));
            let was = self.backend(&backend.name).map(|was| was.servers.as_slice()).unwrap_or_default();
            compare(backend, was, &defaults.unwrap_or_default(), &mut changes);
        }
        known.extend(
            wanted
                .extra_sections
                .iter()
                .filter_map(|section| section.title.as_str().split_ascii_whitespace().nth(1)),
        );
        for gone in self.backends().filter(|backend| !known.contains(backend.name.as_str())) {
            changes.extend(gone.servers.iter().map(|server| Change::removed(&gone.name, server.name())));
        }
        changes
    }
}

fn compare(wanted: &Backend, was: &[Server], defaults: &ServerOptions, changes: &mut Vec<Change>) {
    let whole = |server: &Server| server.with_defaults(defaults).unwrap_or_else(|_| server.clone());
    let mut before: BTreeMap<&Name, &Server> = was.iter().map(|server| (server.name(), server)).collect();
    for server in &wanted.servers {
        match before.remove(server.name()) {
            None => changes.push(Change::added(&wanted.name, server)),
            Some(old) if old == server => {}
            Some(old) => {
                let (old, new) = (whole(old), whole(server));
                if old != new {
                    changes.push(Change::between(&wanted.name, &old, &new));
                }
            }
        }
    }
    changes.extend(before.keys().map(|name| Change::removed(&wanted.name, name)));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Line, Section, Service};

    const DEFAULTS: &str = "default-server check inter 2s";

    fn wanted() -> Document {
        let file = "backend web\n  server a 10.0.0.1:80 id 1 check inter 2s\n  server c 10.0.0.3:80 id 3\n";
        let read = ReadBack::parse_foreign(file);
        let web = Name::parse("web").unwrap();
        let backend = read.backend(&web).unwrap().clone();
        let mut document = Document::new(Vec::new(), vec![Line::parse(DEFAULTS).unwrap()]);
        document.services.push(Arc::new(Service::new(web, backend)));
        document.extra_sections.push(Section::new(Line::parse("backend own").unwrap(), Vec::new()));
        document
    }

    #[test]
    fn servers_are_compared_with_those_of_a_file_of_anybody() {
        let told = |text: &str| {
            let changes = ReadBack::parse_foreign(text).changes(&wanted());
            changes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told("global\n"), ["+ web/a 10.0.0.1:80", "+ web/c 10.0.0.3:80"]);
        let text = "backend web\n  server a 10.0.0.1:80 id 1\n  server b 10.0.0.2:80 id 2\n\
                    \x20 server c 10.0.0.3:80 id 3 weight 2\n\
                    backend own\n  server x 10.0.0.1:80\nbackend old\n  server y 10.0.0.1:80\n";
        assert_eq!(told(text), ["~ web/c weight 2 -> 1", "- web/b", "- old/y"]);
    }
}
