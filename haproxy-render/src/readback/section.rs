//! The sections of a file of ours, where they are not those that are wanted now.

use std::sync::Arc;

use super::ReadBack;
use crate::document::{Backend, Bind, Document, Frontend, Section, Service};
use crate::line::Line;
use crate::name::Name;
use crate::plan::Revision;
use crate::render::own;
use crate::server::Server;

/// One section as it stands in the file.
struct Raw<'a> {
    title: &'a str,
    lines: Vec<&'a str>,
}

impl Raw<'_> {
    fn name(&self, kind: &str) -> Option<Name> {
        Name::parse(self.title.strip_prefix(kind)?.strip_prefix(' ')?).ok()
    }

    /// The lines, and for those that `wanted` has as well, what they were made from.
    fn lines(&self, wanted: &[Line]) -> Option<Vec<Line>> {
        if same(&self.lines, wanted) {
            return Some(wanted.to_vec());
        }
        self.lines.iter().map(|line| Line::parse(line).ok()).collect()
    }
}

fn same(read: &[&str], wanted: &[Line]) -> bool {
    read.len() == wanted.len() && read.iter().zip(wanted).all(|(read, wanted)| *read == own(wanted))
}

/// A document that may render to `text`, whose backends are those of `read`: whoever asks has to see whether it does.
///
/// Sections of the user's own and services without a server look alike. Which is which is told by the services that `wanted` has;
/// where it has neither, it takes a reload to be rid of the section either way.
pub(super) fn document(text: &str, read: &ReadBack, wanted: &Document) -> Option<Document> {
    let mut sections = sections(text);
    let tail = sections.iter().rposition(|section| section.title == "frontend shared-frontend");
    let shared = tail.filter(|at| at + 1 == sections.len()).and_then(|_| sections.pop());

    let mut document = Document::default();
    let mut sections = sections.into_iter();
    let mut global = sections.next().filter(|section| section.title == "global")?;
    document.revision = global.lines.last().and_then(|line| Revision::from_directive(line));
    if document.revision.is_some() {
        global.lines.pop();
    }
    document.global = global.lines(&wanted.global)?;
    document.defaults =
        sections.next().filter(|section| section.title == "defaults")?.lines(&wanted.defaults)?;

    let first = first_service(sections.as_slice(), wanted);
    for section in sections.by_ref().take(first) {
        let at = document.extra_sections.len();
        let like = wanted.extra_sections.get(at).map_or(&[][..], |section| &section.lines);
        document.extra_sections.push(Section::new(Line::parse(section.title).ok()?, section.lines(like)?));
    }
    while let Some(section) = sections.next() {
        let (frontend, backend) = match section.name("frontend") {
            Some(_) => (Some(section), sections.next()?),
            None => (None, section),
        };
        let backend = read.backend(&backend.name("backend")?)?;
        let wanted = wanted.services.iter().find(|service| service.backend.name == backend.name);
        document.services.push(service(frontend, backend, wanted.map(AsRef::as_ref))?);
    }
    if let Some(shared) = shared {
        shared_frontend(&shared, &mut document, wanted)?;
    }
    Some(document)
}

/// Which section the services begin with.
fn first_service(sections: &[Raw<'_>], wanted: &Document) -> usize {
    // A server line of the user's own never looks like one of ours.
    let has_servers = |section: &Raw<'_>| section.lines.iter().any(|line| Server::read(line).is_some());
    let service = |name: &Name| wanted.services.iter().find(|service| service.backend.name == *name);
    let Some((at, backend)) = sections.iter().enumerate().find_map(|(at, section)| {
        let name = section.name("backend")?;
        (service(&name).is_some() || has_servers(section)).then_some((at, name))
    }) else {
        return sections.len();
    };
    let before =
        at.checked_sub(1).and_then(|before| Some((&sections[before], sections[before].name("frontend")?)));
    let is_its_own = |(frontend, name): (&Raw<'_>, Name)| {
        let leads = frontend.lines.last().and_then(|line| line.strip_prefix("default_backend "))
            == Some(backend.as_str());
        let wanted =
            service(&backend).map(|service| service.frontend.as_ref().map(|frontend| &frontend.name));
        leads && wanted.is_none_or(|wanted| wanted == Some(&name))
    };
    if before.is_some_and(is_its_own) { at - 1 } else { at }
}

/// A line that is not indented begins a section; all others stand in one.
fn sections(text: &str) -> Vec<Raw<'_>> {
    let mut sections: Vec<Raw<'_>> = Vec::new();
    // The header, and the blank line below it.
    for line in text.lines().skip(2) {
        match (line.strip_prefix('\t'), sections.last_mut()) {
            (Some(line), Some(section)) => section.lines.push(line),
            (None, _) if line.is_empty() => {}
            (_, _) => sections.push(Raw { title: line, lines: Vec::new() }),
        }
    }
    sections
}

fn service(frontend: Option<Raw<'_>>, backend: &Backend, wanted: Option<&Service>) -> Option<Arc<Service>> {
    let name = wanted.map_or_else(|| backend.name.clone(), |wanted| wanted.name.clone());
    let mut service = Service::new(name, backend.clone());
    if let Some(wanted) = wanted {
        let read: Vec<&str> = backend.lines.iter().map(Line::as_str).collect();
        if same(&read, &wanted.backend.lines) {
            service.backend.lines.clone_from(&wanted.backend.lines);
        }
        service.shared_frontend.clone_from(&wanted.shared_frontend);
    }
    if let Some(mut section) = frontend {
        let name = section.name("frontend")?;
        let default_backend = Name::parse(section.lines.pop()?.strip_prefix("default_backend ")?).ok()?;
        let wanted = wanted.and_then(|wanted| wanted.frontend.as_ref());
        let is_wanted = |wanted: &&Frontend| {
            let mut lines: Vec<String> = wanted.lines.iter().map(|line| own(line).into_owned()).collect();
            lines.extend(wanted.bind.as_ref().map(Bind::line));
            wanted.name == name && wanted.default_backend == default_backend && lines == section.lines
        };
        service.frontend = Some(if let Some(wanted) = wanted.filter(is_wanted) {
            wanted.clone()
        } else {
            let mut frontend = Frontend::new(name, default_backend);
            frontend.lines = section.lines(&[])?;
            frontend
        });
    }
    Some(Arc::new(service))
}

/// Which lines are whose can't be told; it does not matter where they are those that are wanted.
fn shared_frontend(section: &Raw<'_>, document: &mut Document, wanted: &Document) -> Option<()> {
    let lines = wanted.shared_frontend.iter().flatten();
    let of_services = document.services.iter().flat_map(|service| &service.shared_frontend);
    let expected: Vec<Line> = lines.chain(of_services).cloned().collect();
    if same(&section.lines, &expected) {
        document.shared_frontend.clone_from(&wanted.shared_frontend);
        return Some(());
    }
    document.shared_frontend = Some(section.lines(&[])?);
    for service in &mut document.services {
        if !service.shared_frontend.is_empty() {
            Arc::make_mut(service).shared_frontend.clear();
        }
    }
    Some(())
}
