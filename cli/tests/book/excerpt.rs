//! Rust in pages: parts of files that are compiled.

use std::fs;

use crate::page::{Block, root};

/// Where such a file may be: what is run, by name or as a test, and what is documented with an example.
const COMPILED: [&str; 2] = ["/examples/", "/tests/"];

/// What is wrong with it.
pub(crate) fn check(block: &Block) -> Result<(), String> {
    let path = block.value("file").ok_or("it says no file=PATH of which it is a part")?;
    if !COMPILED.iter().any(|directory| path.contains(directory)) {
        return Err(format!("{path} is no example and no test"));
    }
    let file = fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))?;
    if lines(&file).contains(&lines(&block.text)) { Ok(()) } else { Err(format!("{path} has no such lines")) }
}

/// Its lines, wherever they are indented to.
fn lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    format!("\n{}\n", lines.join("\n"))
}
