//! The document that a file of ours was made from.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ReadBack, ReadBackLines, section};
use crate::directive::BALANCE;
use crate::document::{Backend, Document, Service};
use crate::line::Line;
use crate::plan::Revision;
use crate::render::{is_text_of, own};
use crate::server::Server;

impl ReadBack {
    /// The document that renders to exactly `text`; `None` if there is none, because the file is not one of ours, or was edited.
    ///
    /// This is what a process runs that was started from the file, for
    /// [`Planner::change`](crate::plan::Planner::change): so a new start of this program need not begin with a reload, and where it
    /// takes one, what can be done by commands does not wait for it.
    ///
    /// `wanted` helps to tell what is a service and what a section of the user's own, which look alike. Services that do not differ
    /// from it but in backends of the same content are the same [`Arc`]. Reads and renders everything: once, or twice if more than
    /// backends differ.
    pub fn document(text: &str, wanted: &Document) -> Option<Document> {
        let near = || {
            let mut lines = DocumentLines::new(wanted);
            let ours = text.split_inclusive('\n').all(|line| lines.take(line));
            lines.finish().filter(|document| ours && is_text_of(text, document))
        };
        let other = || section::document(text, &Self::parse(text)?, wanted);
        near().or_else(|| other().filter(|document| is_text_of(text, document)))
    }
}

/// Finds the document that [`ReadBack::document`] finds, line by line, if that differs from what is wanted only in what its backends
/// hold (servers, lines), in its revision, and in services that it lacks. Of a file that holds nearly what is wanted, nearly nothing is
/// kept: what is the same is shared with that.
///
/// What it finds is a guess that the caller has to check: only if it renders to the text of the file, the file was made from it.
#[derive(Debug)]
pub struct DocumentLines<'a> {
    wanted: &'a Document,
    lines: ReadBackLines,
    /// The place of its service in what is wanted, for each backend.
    places: HashMap<&'a str, usize>,
    /// The services that the file has.
    services: Vec<Option<Arc<Service>>>,
    revision: Option<Revision>,
    /// How many lines there were, and whether more of the first section may come.
    number: usize,
    global: bool,
}

impl<'a> DocumentLines<'a> {
    /// Of a file that may hold something like `wanted`.
    pub fn new(wanted: &'a Document) -> Self {
        let backends = wanted.services.iter().map(|service| service.backend.name.as_str());
        Self {
            wanted,
            lines: ReadBackLines::default(),
            places: backends.zip(0..).collect(),
            services: vec![None; wanted.services.len()],
            revision: None,
            number: 0,
            global: true,
        }
    }

    /// As [`ReadBackLines::take`].
    pub fn take(&mut self, line: &str) -> bool {
        self.number += 1;
        // It begins after the title of the file and a blank line.
        if self.number > 2 && self.global {
            let line = line.trim_end_matches('\n');
            self.global = !line.is_empty();
            let found = line.strip_prefix('\t').and_then(Revision::from_directive);
            self.revision = self.revision.or(found);
        }
        let ours = self.lines.take(line);
        self.settle();
        ours
    }

    /// The document, if the file was one of ours.
    pub fn finish(mut self) -> Option<Document> {
        self.lines.read.finish(self.lines.current.take());
        self.settle();
        let mut document = self.wanted.clone();
        document.revision = self.revision;
        document.services = self.services.into_iter().flatten().collect();
        self.lines.begun.then_some(document)
    }

    /// Keeps of the backends that are complete what is not wanted.
    fn settle(&mut self) {
        while let Some((name, was)) = self.lines.read.backends.pop_first() {
            let Some(&place) = self.places.get(name.as_str()) else { continue };
            // Of two sections of one name the first is as good a guess.
            self.services[place].get_or_insert_with(|| before(&self.wanted.services[place], was));
        }
    }
}

/// The service with the backend that the file has.
fn before(service: &Arc<Service>, was: Backend) -> Arc<Service> {
    let wanted = service.backend.lines.as_slice();
    let lines = same_lines(&was, wanted);
    if lines && was.servers == service.backend.servers {
        return Arc::clone(service);
    }
    let mut before = Service::clone(service);
    if !lines {
        // An earlier version stated no algorithm.
        before.backend.lines = match wanted.split_first() {
            Some((first, rest)) if first.as_str() == BALANCE && same_lines(&was, rest) => rest.to_vec(),
            _ => was.lines,
        };
    }
    // What stays is shared with what is wanted, server by server.
    let wanted: HashMap<&str, &Server> =
        service.backend.servers.iter().map(|server| (server.name().as_str(), server)).collect();
    let same =
        |was: &Server| wanted.get(was.name().as_str()).copied().filter(|wanted| *wanted == was).cloned();
    before.backend.servers = was.servers.into_iter().map(|was| same(&was).unwrap_or(was)).collect();
    Arc::new(before)
}

/// Whether the lines are the same in the file.
fn same_lines(read: &Backend, wanted: &[Line]) -> bool {
    read.lines.len() == wanted.len()
        && read.lines.iter().zip(wanted).all(|(read, wanted)| read.as_str() == own(wanted))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::{Bind, Frontend, Name, Renderer, Section, render};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn service(backend: &str, lines: &[&str], servers: &[&str]) -> Arc<Service> {
        let lines = lines.iter().map(|line| Line::parse(line).unwrap()).collect();
        let mut backend = Backend::new(name(backend), lines);
        backend.servers = servers.iter().map(|line| Server::read(line).unwrap()).collect();
        Arc::new(Service::new(backend.name.clone(), backend))
    }

    fn document(services: &[&Arc<Service>]) -> Document {
        let mut document = Document::new(vec![Line::parse("daemon").unwrap()], Vec::new());
        document.services = services.iter().map(|service| Arc::clone(service)).collect();
        document
    }

    const A: &str = "server a 10.0.0.1:80 id 1";
    const B: &str = "server b 10.0.0.2:80 id 2 check";

    #[test]
    fn a_file_tells_what_it_was_made_from() {
        let db = service("db", &["server a 10.0.0.1:80 id 9"], &[A]);
        let mut before = document(&[&service("web", &["mode http"], &[A, B]), &db]);
        before.revision = Some(Renderer::default().revision(&before));
        let text = render(&before);
        let wanted = document(&[&service("web", &["mode tcp"], &[B]), &db, &service("new", &[], &[A])]);
        let read = ReadBack::document(&text, &wanted).unwrap();
        assert_eq!(read, before);
        assert!(Arc::ptr_eq(&read.services[1], &db));
    }

    #[test]
    fn other_sections_are_told_from_the_file() {
        let line = |text: &str| Line::parse(text).unwrap();
        let (web, db) = (service("web", &["mode http"], &[A, B]), service("db", &[], &[A]));
        let mut front_service = Service::clone(&web);
        let mut frontend = Frontend::new(name("in"), name("web"));
        frontend.bind = Some(Bind::new(line("::1"), NonZeroU16::new(80)));
        front_service.frontend = Some(frontend);
        front_service.shared_frontend = vec![line("use_backend web if { path /web }")];
        let front_service = Arc::new(front_service);
        let mut before = document(&[&service("old", &[], &[B]), &front_service, &db]);
        before.defaults = vec![line("mode http"), line("server a 10.0.0.9:80 id 7")];
        before.extra_sections = vec![
            Section::new(line("listen stats"), vec![line("stats enable")]),
            Section::new(line("backend of-the-users-own"), vec![line("server x 10.9.9.9:80")]),
        ];
        before.shared_frontend = Some(vec![line("bind :80")]);
        before.revision = Some(Renderer::default().revision(&before));
        let text = render(&before);

        // Everything but the services is another.
        let mut wanted = document(&[&front_service, &service("db", &[], &[B]), &service("new", &[], &[A])]);
        wanted.extra_sections = vec![Section::new(line("listen stats"), vec![line("stats uri /")])];
        let read = ReadBack::document(&text, &wanted).unwrap();
        assert_eq!(render(&read), text);
        assert_eq!((&read.global, read.revision), (&before.global, before.revision));
        let titles: Vec<_> = read.extra_sections.iter().map(|section| section.title.as_str()).collect();
        assert_eq!(titles, ["listen stats", "backend of-the-users-own"]);
        let backends: Vec<_> = read.services.iter().map(|service| service.backend.name.as_str()).collect();
        assert_eq!(backends, ["old", "web", "db"]);
        assert_eq!(read.services[1].frontend, front_service.frontend);
        assert_eq!(read.services[2], db);

        // What is the same is made of the same lines.
        let mut same = before.clone();
        same.global = vec![line("nbthread 2")];
        let read = ReadBack::document(&text, &same).unwrap();
        assert_eq!(Document { global: same.global.clone(), ..read }, same);
    }

    #[test]
    fn what_was_edited_is_not_guessed() {
        let web = service("web", &[], &[A]);
        let text = render(&document(&[&web]));
        assert!(ReadBack::document(&text, &document(&[&web])).is_some());
        assert!(ReadBack::document(&text, &document(&[])).is_some());
        assert!(ReadBack::document(&text.replace("\tserver", "\t server"), &document(&[&web])).is_none());
        assert!(ReadBack::document(&format!("{text}# edited\n"), &document(&[&web])).is_none());
        assert!(ReadBack::document(&text.replace("\n\nglobal", "\nglobal"), &document(&[&web])).is_none());
        assert!(ReadBack::document("global\n", &document(&[])).is_none());
    }
}
