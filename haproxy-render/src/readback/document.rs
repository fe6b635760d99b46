//! The document that a file of ours was made from.

use std::sync::Arc;

use super::ReadBack;
use crate::directive::BALANCE;
use crate::document::{Backend, Document, Service};
use crate::line::Line;
use crate::plan::Revision;
use crate::render::{is_text_of, own};

impl ReadBack {
    /// The document that renders to exactly `text`, if there is one that differs from `wanted` only in what its backends
    /// hold (servers, lines), in its revision, and in services that `wanted` has besides. `None` if anything else is
    /// different: a frontend, a section, a service that is not wanted any more; or if the file is not one of ours.
    ///
    /// This is what a process runs that was started from the file, for
    /// [`Planner::change`](crate::plan::Planner::change): so a new start of this program need not begin with a reload.
    /// Services whose backends do not differ are the same [`Arc`] as in `wanted`. Reads and renders everything: once.
    pub fn document(text: &str, wanted: &Document) -> Option<Document> {
        let read = Self::parse(text)?;
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
    use super::*;
    use crate::{Frontend, Name, Renderer, Server, render};

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
    fn what_differs_elsewhere_is_not_guessed() {
        let web = service("web", &[], &[A]);
        let text = render(&document(&[&web]));
        assert!(ReadBack::document(&text, &document(&[&web])).is_some());
        assert!(ReadBack::document(&text, &document(&[])).is_none());
        let mut other = document(&[&web]);
        other.defaults.push(Line::empty());
        assert!(ReadBack::document(&text, &other).is_none());
        let mut fronted = Service::clone(&web);
        fronted.frontend = Some(Frontend::new(name("web"), name("web")));
        assert!(ReadBack::document(&text, &document(&[&Arc::new(fronted)])).is_none());
        assert!(ReadBack::document(&text.replace("\tserver", "\t server"), &document(&[&web])).is_none());
        assert!(ReadBack::document("global\n", &document(&[])).is_none());
    }
}
