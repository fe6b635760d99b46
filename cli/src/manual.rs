//! `man`

use std::path::Path;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::{args::Args, failure::Failure, screen::print};

/// Prints the manual page of the program, or writes it and one for each command to a directory, which is made if it is not there.
pub(crate) fn man(directory: Option<&Path>) -> Result<(), Failure> {
    let program = program();
    let Some(directory) = directory else {
        return print(&page(&program)?);
    };
    std::fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    for command in std::iter::once(&program).chain(program.get_subcommands()) {
        let path = directory.join(format!("{}.1", name(command)));
        std::fs::write(&path, page(command)?).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn program() -> Command {
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    program
}

/// `synapse-rs`, or `synapse-rs-COMMAND`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The manual page of a command.
fn page(command: &Command) -> anyhow::Result<String> {
    render(command).context("making the manual page")
}

fn render(command: &Command) -> anyhow::Result<String> {
    let man = Man::new(command.clone());
    let mut parts = Vec::new();
    man.render_name_section(&mut parts)?;
    man.render_synopsis_section(&mut parts)?;
    man.render_description_section(&mut parts)?;
    man.render_options_section(&mut parts)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut parts)?;
    }
    rest(command).to_writer(&mut parts)?;
    // Each part comes with the same definitions, which once is enough of, and the title is to stand before all.
    let mut definitions = Vec::new();
    Roff::new().to_writer(&mut definitions)?;
    let (parts, definitions) = (String::from_utf8(parts)?, String::from_utf8(definitions)?);
    // No date: the same program makes the same page.
    let title = format!(
        ".TH {} 1 \"\" \"synapse-rs {}\" \"User Commands\"\n",
        name(command),
        env!("CARGO_PKG_VERSION")
    );
    Ok(definitions.clone() + &title + &parts.replace(&definitions, ""))
}

/// What the help has behind the options, and where to read on.
fn rest(command: &Command) -> Roff {
    let mut rest = Roff::new();
    let more = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for (title, lines) in sections(&more) {
        rest.control("SH", [title.to_uppercase().as_str()]);
        // As it stands: these are commands, and columns.
        rest.control("nf", []);
        for line in lines.lines() {
            rest.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        rest.control("fi", []);
    }
    rest.control("SH", ["SEE ALSO"]);
    let others: &[&str] =
        if name(command) == "synapse-rs" { &["haproxy"] } else { &["synapse-rs", "haproxy"] };
    for (index, other) in others.iter().enumerate() {
        let after = if index + 1 == others.len() { "(1)" } else { "(1)," };
        rest.text([bold(*other), roman(after)]);
    }
    rest
}

/// The paragraphs of a help text that have a title: `Examples:`, and what follows it.
fn sections(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("\n\n").filter_map(|paragraph| paragraph.split_once(":\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_with_examples() {
        let program = program();
        for command in std::iter::once(&program).chain(program.get_subcommands()) {
            let page = page(command).unwrap();
            for part in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS", ".SH EXAMPLES"] {
                assert!(page.contains(part), "{}: no {part}", name(command));
            }
        }
    }

    #[test]
    fn the_page_of_the_program_has_the_exit_codes_and_the_commands() {
        let page = page(&program()).unwrap();
        assert_eq!(page.matches(".ds Aq").count(), 2, "{page}");
        assert!(page.contains(".SH \"EXIT CODES\"\n.nf\n0  success\n"), "{page}");
        assert!(page.contains("synapse\\-rs\\-plan(1)"), "{page}");
    }
}
