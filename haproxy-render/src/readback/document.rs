//! The document that a file of ours was made from.

use std::sync::Arc;

use super::{ReadBack, section};
use crate::directive::BALANCE;
use crate::document::{Backend, Document, Service};
use crate::line::Line;
use crate::plan::Revision;
use crate::render::{is_text_of, own};

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
        let read = Self::parse(text)?;
        let near = Self::near(text, &read, wanted);
        near.or_else(|| section::document(text, &read, wanted).filter(|document| is_text_of(text, document)))
    }

    /// A document that differs from `wanted` only in what its backends hold (servers, lines), in its revision, and in services
    /// that `wanted` has besides.
    fn near(text: &str, read: &Self, wanted: &Document) -> Option<Document> {
        let mut document = wanted.clone();
        let mut global = text.lines().skip(2).take_while(|line| !line.is_empty());
        document.revision = global.find_map(|line| Revision::from_directive(line.strip_prefix('\t')?));
        document.services.retain(|service| read.backend(&service.backend.name).is_some());
        for service in &mut document.services {
            let Some(was) = read.backend(&service.backend.name) else { continue };
            let wanted = service.backend.lines.as_slice();
            let lines = same_lines(was, wanted);
            if !(lines && was.servers == service.backend.servers) {
                let mut before = Service::clone(service);
                before.backend.servers.clone_from(&was.servers);
                if !lines {
                    // An earlier version stated no algorithm.
                    before.backend.lines = match wanted.split_first() {
                        Some((first, rest)) if first.as_str() == BALANCE && same_lines(was, rest) => {
                            rest.to_vec()
                        }
                        _ => was.lines.clone(),
                    };
                }
                *service = Arc::new(before);
            }
        }
        is_text_of(text, &document).then_some(document)
    }
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
    use crate::{Bind, Frontend, Name, Renderer, Section, Server, render};

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
