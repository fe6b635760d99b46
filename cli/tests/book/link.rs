//! Links, and the table of contents.

use std::{collections::BTreeMap, path::Path};

use crate::page::{Page, page, pages, root};

/// The table of contents.
const SUMMARY: &str = "docs/SUMMARY.md";

/// `target`, relative to the page at `from`, from the repository's root; nothing if it leads out of the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut path: Vec<&str> = from.split('/').collect();
    path.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(path.pop()?),
            _ => path.push(part),
        }
    }
    Some(path.join("/"))
}

fn in_book(path: &str) -> bool {
    path.starts_with("docs/")
}

/// What is wrong with where `page` links to.
fn broken(page: &Page, all: &BTreeMap<&str, &Page>) -> Vec<String> {
    let mut problems = Vec::new();
    for (place, link) in &page.links {
        if link.contains("://") {
            continue;
        }
        let (target, anchor) =
            link.split_once('#').map_or((link.as_str(), None), |(path, anchor)| (path, Some(anchor)));
        let path = if target.is_empty() { Some(page.path.clone()) } else { resolve(&page.path, target) };
        let Some(path) = path else {
            problems.push(format!("{place}: {link} leads out of the repository"));
            continue;
        };
        if !all.contains_key(path.as_str()) && !root().join(&path).exists() {
            problems.push(format!("{place}: {link}: there is no {path}"));
        }
        // mdBook takes each page for one of the book, and links to what it would become there.
        if in_book(&page.path)
            && !in_book(&path)
            && Path::new(&path).extension().is_some_and(|kind| kind == "md")
        {
            problems.push(format!("{place}: {link} leads out of the book"));
        }
        let Some(anchor) = anchor else { continue };
        if !all.get(path.as_str()).is_some_and(|page| page.anchors.contains(anchor)) {
            problems.push(format!("{place}: {link}: {path} has no such heading"));
        }
    }
    problems
}

#[test]
fn every_link_leads_to_a_file_or_a_heading_that_is_there() {
    let pages = pages();
    let all = pages.iter().map(|page| (page.path.as_str(), page)).collect();
    let problems: Vec<_> = pages.iter().flat_map(|page| broken(page, &all)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_link_to_nowhere_is_found() {
    let pages = [page(
        "docs/a.md",
        "# Here\n[1](a.md#here) [2](#gone) [3](b.md) [4](../../c.md) [5](../README.md)\n",
    )];
    let all = pages.iter().map(|page| (page.path.as_str(), page)).collect();
    assert_eq!(
        broken(&pages[0], &all),
        [
            "docs/a.md:2: #gone: docs/a.md has no such heading",
            "docs/a.md:2: b.md: there is no docs/b.md",
            "docs/a.md:2: ../../c.md leads out of the repository",
            "docs/a.md:2: ../README.md leads out of the book",
        ]
    );
}

#[test]
fn the_table_of_contents_has_every_page_of_the_book_once() {
    let pages = pages();
    let summary = pages.iter().find(|page| page.path == SUMMARY).expect("the book has a table of contents");
    let mut named: Vec<_> = summary.links.iter().filter_map(|(_, link)| resolve(SUMMARY, link)).collect();
    named.sort();
    let book = pages.iter().map(|page| &page.path).filter(|path| in_book(path) && *path != SUMMARY);
    assert_eq!(named.iter().collect::<Vec<_>>(), book.collect::<Vec<_>>());
}
