//! Completions, manual pages, and what only a terminal is shown.

use e2e::Dir;
use tokio::process::Command;

use crate::program::{COUNTED, outcome, run, write_site};

const COMMANDS: [&str; 7] = ["check", "completions", "man", "plan", "render", "run", "services"];

#[tokio::test]
async fn each_shell_gets_completions_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let outcome = run(&Dir::new("manual"), ["completions", shell]).await;
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{shell}");
        for command in COMMANDS {
            assert!(outcome.stdout.contains(command), "{shell}: {command}");
        }
    }
}

#[tokio::test]
async fn the_manual_is_a_page_for_each_command() {
    let dir = Dir::new("manual");
    let outcome = run(&dir, ["man", "new/man1"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "", ""));
    for command in COMMANDS {
        let page = std::fs::read_to_string(dir.join(&format!("new/man1/synapse-rs-{command}.1"))).unwrap();
        assert!(page.contains(&format!(".TH synapse-rs-{command} 1 ")), "{page}");
    }
    let printed = run(&dir, ["man"]).await;
    assert_eq!(printed.stdout, std::fs::read_to_string(dir.join("new/man1/synapse-rs.1")).unwrap());
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = Dir::new("manual");
    dir.write("file", "");
    let outcome = run(&dir, ["man", "file/man1"]).await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.starts_with("synapse-rs: making file/man1: "), "{}", outcome.stderr);
}

/// What a terminal of its own shows while the program runs with `arguments` and without answers.
async fn on_a_terminal(arguments: &str, no_color: bool) -> String {
    let dir = Dir::new("terminal");
    write_site(&dir, &format!("{COUNTED}agent: {{startup_wait: 1.5}}\n"));
    let config = std::fs::read_to_string(dir.join("synapse.yaml")).expect("it was written just now");
    dir.write("synapse.yaml", config.replacen("path: endpoints.yaml", "path: nowhere.yaml", 1));
    let mut command = Command::new("script");
    let line = format!("{} {arguments} -c synapse.yaml", env!("CARGO_BIN_EXE_synapse-rs"));
    command.args(["-qec", &line, "/dev/null"]).current_dir(dir.path()).stdin(std::process::Stdio::null());
    command.env("TERM", "xterm").env_remove("NO_COLOR").kill_on_drop(true);
    if no_color {
        command.env("NO_COLOR", "1");
    }
    outcome(&mut command).await.stdout
}

const PROGRESS: &str = "1 of 2 services have answered, 0 s; waiting for web";

#[tokio::test]
async fn a_terminal_shows_who_is_waited_for_and_then_no_more() {
    for arguments in ["services", "plan", "render", "run --once"] {
        let shown = on_a_terminal(arguments, true).await;
        let (_, after) =
            shown.rsplit_once("; waiting for web").unwrap_or_else(|| panic!("{arguments}: {shown:?}"));
        assert!(shown.contains(PROGRESS), "{arguments}: {shown:?}");
        assert!(after.starts_with("\r\u{1b}[2K"), "{arguments}: {shown:?}");
    }
}

#[tokio::test]
async fn colours_are_for_terminals_and_never_where_they_are_unwanted() {
    let colour = |shown: &str| shown.contains("\u{1b}[1m") || shown.contains("\u{1b}[3");
    for arguments in ["plan", "run --once", "--help"] {
        let shown = on_a_terminal(arguments, true).await;
        assert!(!colour(&shown), "{arguments}: {shown:?}");
    }
    assert!(colour(&on_a_terminal("plan", false).await));
}

#[tokio::test]
async fn no_progress_is_shown_to_files_and_pipes() {
    let dir = Dir::new("terminal");
    write_site(&dir, &format!("{COUNTED}agent: {{startup_wait: 1.5}}\n"));
    std::fs::remove_file(dir.join("endpoints.yaml")).unwrap();
    let outcome = run(&dir, ["services", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(1));
    assert!(!outcome.stderr.contains("have answered"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains('\u{1b}'), "{}", outcome.stderr);
}
