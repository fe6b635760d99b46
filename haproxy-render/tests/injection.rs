//! Whatever the values are made from: the file has the lines and the words that they stand for, and no others.

mod strategy;

use haproxy_render::{Document, Renderer, Server, render, render_service};
use proptest::prelude::*;

/// Lines that a document stands for: header, titles with a blank line before each, and what is below them.
fn expected_lines(document: &Document) -> usize {
    let services: usize = document
        .services
        .iter()
        .map(|service| {
            let frontend = service.frontend.as_ref();
            let frontend = frontend
                .map_or(0, |frontend| 3 + frontend.lines.len() + usize::from(frontend.bind.is_some()));
            frontend + 2 + service.backend.lines.len() + service.backend.servers.len()
        })
        .sum();
    let sections: usize = document.extra_sections.iter().map(|section| 2 + section.lines.len()).sum();
    let of_services: usize = document.services.iter().map(|service| service.shared_frontend.len()).sum();
    let shared = document.shared_frontend.as_ref().map_or(0, |lines| 2 + lines.len() + of_services);
    1 + 2 + document.global.len() + 2 + document.defaults.len() + sections + services + shared
}

/// A model of how HAProxy's file parser takes a line apart: quotes and escapes resolved, a comment cut off.
fn haproxy_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None, '#') => break,
            (None, ' ' | '\t' | '\u{b}' | '\u{c}') => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == char => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    assert_eq!(quote, None, "a quote stays open");
    words.extend(word);
    words
}

fn check_words(server: &Server) -> Result<(), TestCaseError> {
    let line = server.line().to_string();
    let words = haproxy_words(&line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let target = format!("{}:{}", server.address(), server.port());
    let id = server.id().to_string();
    prop_assert_eq!(&words[..5], &["server", server.name().as_str(), &target, "id", &id]);
    prop_assert!(words.len() <= 64, "HAProxy takes 64 words: {}", line);
    prop_assert!(words.iter().all(|word| !word.is_empty()), "an empty word ends the line: {}", line);

    let mut front = Vec::new();
    if server.backup() {
        front.push("backup");
    }
    if let Some(cookie) = server.cookie() {
        front.extend(["cookie", cookie.as_str()]);
    }
    prop_assert!(words[5..].starts_with(&front), "{}", line);

    let weight = server.weight().map(|weight| weight.get().to_string());
    let mut back = Vec::new();
    if let Some(weight) = &weight {
        back.extend(["weight", weight]);
    }
    if server.disabled() {
        back.push("disabled");
    }
    prop_assert!(words[5..].ends_with(&back), "{}", line);
    Ok(())
}

proptest! {
    #[test]
    fn a_document_has_exactly_its_own_lines(document in strategy::document()) {
        let text = render(&document);
        prop_assert!(!text.contains(['\r', '\0']));
        prop_assert!(text.ends_with('\n'));
        prop_assert_eq!(text.matches('\n').count(), expected_lines(&document), "{}", text);
    }

    #[test]
    fn equal_documents_give_equal_bytes(document in strategy::document()) {
        let text = render(&document);
        prop_assert_eq!(&render(&document.clone()), &text);
        let mut renderer = Renderer::default();
        prop_assert_eq!(&renderer.render(&document), &text);
        prop_assert_eq!(&renderer.render(&document), &text);
    }

    #[test]
    fn a_rendered_service_is_a_part_of_the_document(document in strategy::document()) {
        let text = render(&document);
        let services: String = document.services.iter().map(|service| render_service(service)).collect();
        prop_assert!(text.contains(&services));
    }

    #[test]
    fn a_server_line_has_exactly_its_own_words(server in strategy::server()) {
        check_words(&server)?;
    }
}
