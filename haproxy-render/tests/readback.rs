//! A file of ours, read back, is what was rendered; any other file is read as far as it goes, and without harm.

mod strategy;

use std::collections::BTreeSet;
use std::sync::Arc;

use haproxy_render::{HEADER, Line, Name, ReadBack, Server, render};
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_was_rendered_is_read_back(document in strategy::document()) {
        let text = render(&document);
        let read = ReadBack::parse(&text).expect("the file is ours");
        prop_assert_eq!(read.skipped(), 0, "{}", text);
        let mut again = document.clone();
        for service in &mut again.services {
            let read = read.backend(&service.backend.name).expect("the backend was rendered");
            prop_assert_eq!(&read.servers, &service.backend.servers);
            for (read, written) in read.lines.iter().zip(&service.backend.lines) {
                // A line of the user's that looks like one of ours is written with a tab for a blank.
                prop_assert_eq!(read.as_str().replace('\t', " "), written.as_str().replace('\t', " "));
            }
            Arc::make_mut(service).backend = read.clone();
        }
        prop_assert_eq!(render(&again), text);
    }

    #[test]
    fn a_document_is_told_from_its_file_whatever_is_wanted(
        document in strategy::document(),
        wanted in strategy::document(),
    ) {
        let text = render(&document);
        for wanted in [&document, &wanted] {
            // A section without a title can't be told from none.
            let Some(read) = ReadBack::document(&text, wanted) else { continue };
            prop_assert_eq!(render(&read), text.clone());
            prop_assert_eq!(read.revision, document.revision);
        }
    }

    #[test]
    fn a_file_that_was_cut_off_has_no_server_that_was_not_rendered(
        document in strategy::document(),
        at in any::<prop::sample::Index>(),
    ) {
        let text = render(&document);
        let cut = text.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
        let Some(read) = ReadBack::parse(&text[..*at.get(&cut)]) else { return Ok(()) };
        for service in &document.services {
            let servers = read.backend(&service.backend.name).map(|read| read.servers.clone()).unwrap_or_default();
            prop_assert!(service.backend.servers.starts_with(&servers));
        }
    }

    #[test]
    fn a_server_in_the_file_of_another_is_the_same_server(server in strategy::server()) {
        let text = format!("backend web\n  mode http\n  {}\n", server.line());
        let read = ReadBack::parse_foreign(&text);
        prop_assert_eq!(read.skipped(), 0, "{}", text);
        let backend = read.backend(&Name::parse("web").unwrap()).expect("the backend is there");
        let [found] = backend.servers.as_slice() else { panic!("not one server: {text}") };
        let fields = |server: &Server| {
            let target = (server.name().clone(), server.address().clone(), server.port(), server.id());
            (target, server.weight(), server.backup(), server.cookie().cloned(), server.disabled())
        };
        prop_assert_eq!(fields(found), fields(&server), "{}", text);
        prop_assert_eq!(found.options(), server.options(), "{}", text);
    }

    #[test]
    fn any_file_of_another_is_read_without_harm(lines in prop::collection::vec(strategy::hostile(), 0..20)) {
        for text in [lines.concat(), format!("backend web\nserver {}\n", lines.join("\nserver a 10.0.0.1:1 "))] {
            for backend in ReadBack::parse_foreign(&text).backends() {
                let names: BTreeSet<_> = backend.servers.iter().map(Server::name).collect();
                let ids: BTreeSet<_> = backend.servers.iter().map(Server::id).collect();
                prop_assert_eq!((names.len(), ids.len()), (backend.servers.len(), backend.servers.len()));
                for server in &backend.servers {
                    prop_assert!(!server.line().to_string().contains(['\n', '\r', '\0']));
                }
            }
        }
    }

    #[test]
    fn any_text_is_read_without_harm(lines in prop::collection::vec(strategy::hostile(), 0..20)) {
        let body = lines.join("\n\t");
        prop_assert!(ReadBack::parse(&body).is_none_or(|_| body.starts_with(HEADER)));
        let read = ReadBack::parse(&format!("{HEADER}\nbackend web\n\t{body}\n")).expect("the header is ours");
        for backend in read.backends() {
            for line in &backend.lines {
                prop_assert_eq!(Line::parse(line.as_str()), Ok(line.clone()));
            }
        }
    }
}
