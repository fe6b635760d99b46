//! Every code block, and every command within a sentence, of every page.

use crate::{
    command, configuration, excerpt,
    page::{Block, pages},
};

/// What a drop-in may have, by section.
const UNIT: [(&str, &[&str]); 1] =
    [("[Service]", &["ExecReload", "ReadWritePaths", "SupplementaryGroups", "Type", "User"])];

/// Checks that need nothing but the repository. `None`: it is of another kind.
fn check(block: &Block) -> Option<Result<(), String>> {
    Some(match block.language.as_str() {
        "sh" => command::check(&block.text),
        "console" => {
            let commands: Vec<_> = block.text.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
            if commands.is_empty() {
                Err("it has no command".to_owned())
            } else {
                command::check(&commands.join("\n"))
            }
        }
        "rust" => excerpt::check(block),
        "ini" => unit(&block.text),
        "javascript" if block.kind() == Some("polkit") => polkit(&block.text),
        "text" if block.kind() == Some("diagram") => Ok(()),
        _ => return None,
    })
}

/// A rule, as far as that can be told without polkit: one call whose brackets and quotes end.
fn polkit(text: &str) -> Result<(), String> {
    let mut open = Vec::new();
    for letter in text.chars() {
        match letter {
            '(' => open.push(')'),
            '{' => open.push('}'),
            ')' | '}' if open.pop() != Some(letter) => return Err(format!("a `{letter}` too many")),
            _ => {}
        }
    }
    let whole = text.starts_with("polkit.addRule(function (action, subject) {") && open.is_empty();
    if whole && text.matches('"').count().is_multiple_of(2) {
        Ok(())
    } else {
        Err("it is no rule of polkit".to_owned())
    }
}

fn unit(text: &str) -> Result<(), String> {
    let mut known: &[&str] = &[];
    for line in text.lines() {
        if line.starts_with('[') {
            let section = UNIT.iter().find(|(section, _)| *section == line);
            known = section.ok_or_else(|| format!("the section {line} is not known here"))?.1;
        } else if !line.split_once('=').is_some_and(|(key, _)| known.contains(&key)) {
            return Err(format!("the setting {line} is not known here"));
        }
    }
    Ok(())
}

#[test]
fn every_command_excerpt_and_drop_in_is_right() {
    let mut problems = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            if let Some(Err(problem)) = check(block) {
                problems.push(format!("{}: {problem}", block.place));
            }
        }
        for (place, span) in page.spans {
            // In a sentence an argument may be missing, or only be named.
            let words: Vec<_> =
                span.split(' ').filter(|word| word.contains(|letter: char| !letter.is_uppercase())).collect();
            if words.first() == Some(&"synapse-rs")
                && let Err(problem) = command::check(&words.join(" "))
                && !problem.contains("a value is required")
            {
                problems.push(format!("{place}: {problem}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn live_every_other_block_is_a_configuration_and_right() {
    let mut problems = Vec::new();
    let blocks: Vec<Block> = pages().into_iter().flat_map(|page| page.blocks).collect();
    for block in blocks.iter().filter(|block| check(block).is_none()) {
        let checked = match block.language.as_str() {
            "haproxy" | "json" | "yaml" => configuration::check(block).await,
            "" => Err("it does not say what it is".to_owned()),
            language => Err(format!("nobody knows how to check `{language}`")),
        };
        if let Err(problem) = checked {
            problems.push(format!("{}: {problem}", block.place));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
