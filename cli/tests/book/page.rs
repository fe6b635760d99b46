//! Pages of Markdown, taken apart.

use std::{
    collections::BTreeSet,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A code block.
#[derive(Debug)]
pub(crate) struct Block {
    /// Where it stands: page and line.
    pub(crate) place: String,
    /// Its language; what is indented is `sh`.
    pub(crate) language: String,
    /// The words behind the language.
    pub(crate) words: Vec<String>,
    pub(crate) text: String,
}

impl Block {
    /// What stands behind `KEY=` among the words.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// The word that is no `KEY=VALUE`.
    pub(crate) fn kind(&self) -> Option<&str> {
        self.words.iter().map(String::as_str).find(|word| !word.contains('='))
    }
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    /// From the repository's root.
    pub(crate) path: String,
    pub(crate) blocks: Vec<Block>,
    /// Code within sentences, with its place.
    pub(crate) spans: Vec<(String, String)>,
    /// Where its links and pictures lead, with their places.
    pub(crate) links: Vec<(String, String)>,
    /// What a link into it can name behind `#`.
    pub(crate) anchors: BTreeSet<String>,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    directory.parent().expect("this crate is a directory of the repository").to_owned()
}

/// All pages of the repository, in the order of their paths.
pub(crate) fn pages() -> Vec<Page> {
    let root = root();
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let path = path.strip_prefix(&root).expect("it was found below the root");
            page(path.to_str().expect("paths are plain"), &text)
        })
        .collect()
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let entry = entry.expect("a directory can be listed");
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // What is built is not written.
            if !hidden && name != "target" && name != "book" {
                walk(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// What `text`, at `path`, has.
pub(crate) fn page(path: &str, text: &str) -> Page {
    let mut page = Page {
        path: path.to_owned(),
        blocks: Vec::new(),
        spans: Vec::new(),
        links: Vec::new(),
        anchors: BTreeSet::new(),
    };
    let place = |range: &Range<usize>| {
        let before = text.get(..range.start).unwrap_or_default();
        format!("{path}:{}", before.matches('\n').count() + 1)
    };
    let (mut block, mut heading, mut comment) = (None, None, None);
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => block = Some(begin(&kind, place(&range))),
            Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let heading = heading.take().expect("it has begun");
                page.anchors.insert(anchor(&heading, &page.anchors));
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push((place(&range), dest_url.into_string()));
            }
            Event::Text(more) => {
                if let Some(block) = &mut block {
                    block.text.push_str(&more);
                } else if let Some(heading) = &mut heading {
                    heading.push_str(&more);
                }
            }
            // In a comment, what has to be there for the rest of the page, and is no news to its reader.
            Event::Start(Tag::HtmlBlock) => comment = Some((place(&range), String::new())),
            Event::Html(more) => {
                if let Some((_, comment)) = &mut comment {
                    comment.push_str(&more);
                }
            }
            Event::End(TagEnd::HtmlBlock) => {
                if let Some((place, comment)) = comment.take()
                    && let Some(text) = comment.strip_prefix("<!-- console\n")
                {
                    let text = text.trim_end().trim_end_matches("-->").to_owned();
                    page.blocks.push(Block {
                        place,
                        language: "console".to_owned(),
                        words: Vec::new(),
                        text,
                    });
                }
            }
            Event::Code(code) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&code);
                }
                page.spans.push((place(&range), code.into_string()));
            }
            _ => {}
        }
    }
    page
}

fn begin(kind: &CodeBlockKind<'_>, place: String) -> Block {
    let (language, words) = match kind {
        CodeBlockKind::Indented => ("sh".to_owned(), Vec::new()),
        CodeBlockKind::Fenced(info) => {
            let mut words = info.split_whitespace().map(str::to_owned);
            (words.next().unwrap_or_default(), words.collect())
        }
    };
    Block { place, language, words, text: String::new() }
}

/// What a heading is called in a link, as code hosting sites and mdBook make it.
fn anchor(heading: &str, taken: &BTreeSet<String>) -> String {
    let plain: String = heading
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter.is_alphanumeric().then(|| letter.to_ascii_lowercase()),
        })
        .collect();
    let numbered = (1..).map(|number| format!("{plain}-{number}"));
    let mut candidates = std::iter::once(plain.clone()).chain(numbered);
    candidates.find(|candidate| !taken.contains(candidate)).expect("there are more numbers than headings")
}

#[test]
fn a_page_is_taken_apart_as_it_is_shown() {
    let page = page(
        "docs/a.md",
        "# A `b`: c\n\ntext `span` [link](b.md#x)\n\n    indented\n\n1. item\n\n   ```yaml file=x.yaml weights\n   a: 1\n   ```\n\n# A b c\n",
    );
    let blocks: Vec<_> = page
        .blocks
        .iter()
        .map(|block| (block.place.as_str(), block.language.as_str(), block.text.as_str()))
        .collect();
    assert_eq!(blocks, [("docs/a.md:5", "sh", "indented\n"), ("docs/a.md:9", "yaml", "a: 1\n")]);
    assert_eq!((page.blocks[1].value("file"), page.blocks[1].kind()), (Some("x.yaml"), Some("weights")));
    assert_eq!(page.links, [("docs/a.md:3".to_owned(), "b.md#x".to_owned())]);
    assert_eq!(page.anchors.iter().map(String::as_str).collect::<Vec<_>>(), ["a-b-c", "a-b-c-1"]);
}
