//! Commands as real processes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{fs, os::unix::process::ExitStatusExt as _, path::Path, time::Duration};

use haproxy_runtime::{Command, CommandError, InvalidCommand, Output};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// Far more than any command here needs.
const AMPLE: Duration = Duration::from_mins(1);
/// Enough for a shell to get to where a test wants it, on a busy machine.
const SHORT: Duration = Duration::from_secs(1);

fn shell(text: &str) -> Command {
    Command::shell(text).unwrap()
}

async fn run(text: &str) -> Result<Output, CommandError> {
    shell(text).run(AMPLE).await
}

/// Waits for a file with a process's number in it.
async fn pid_in(path: &Path) -> Pid {
    let deadline = Instant::now() + AMPLE;
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if let Some(number) = text.strip_suffix('\n') {
            return Pid::from_raw(number.parse().unwrap()).unwrap();
        }
        assert!(Instant::now() < deadline, "no process wrote its number");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A zombie that nobody reaps has ended too.
fn is_running(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn ends(pid: Pid) {
    let deadline = Instant::now() + AMPLE;
    while is_running(pid) {
        assert!(Instant::now() < deadline, "{pid:?} lives on");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn both_streams_are_captured_in_order() {
    let output = run("echo one; echo two >&2; echo three").await.unwrap();
    assert_eq!(output.text(), "one\ntwo\nthree\n");
    assert_eq!(output.discarded(), 0);
}

#[tokio::test]
async fn words_are_handed_over_as_they_are() {
    let words = ["printf", "%s|", "$HOME; echo x", "*", ""];
    let output = Command::argv(words).unwrap().run(AMPLE).await.unwrap();
    assert_eq!(output.text(), "$HOME; echo x|*||");
}

#[tokio::test]
async fn a_command_that_reads_gets_nothing() {
    assert_eq!(run("cat; echo done").await.unwrap().text(), "done\n");
}

#[tokio::test]
async fn a_failure_says_how_it_ended_and_what_was_printed_last() {
    let error = run("echo first; printf 'bad \\033[31mline' >&2; exit 3").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the command ended with exit status: 3; it printed last: first | bad \\u{1b}[31mline"
    );
    assert_eq!(error.output().unwrap().text(), "first\nbad \u{1b}[31mline");
}

#[tokio::test]
async fn a_command_that_kills_its_own_group_kills_nobody_else() {
    let error = run("kill -TERM 0; sleep 300").await.unwrap_err();
    assert!(
        matches!(&error, CommandError::Failed { status, .. } if status.signal() == Some(15)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_an_error_of_starting() {
    let error = Command::argv(["/nonexistent/haproxy"]).unwrap().run(AMPLE).await.unwrap_err();
    assert!(matches!(error, CommandError::Start(_)), "{error:?}");
    assert!(error.output().is_none());
}

#[test]
fn a_command_that_can_never_run_is_refused() {
    assert_eq!(Command::shell(" \n").unwrap_err(), InvalidCommand::Empty);
    assert_eq!(Command::argv([""; 0]).unwrap_err(), InvalidCommand::Empty);
    assert_eq!(Command::argv(["", "x"]).unwrap_err(), InvalidCommand::Empty);
    assert_eq!(Command::shell("echo \0").unwrap_err(), InvalidCommand::Nul);
    assert_eq!(Command::argv(["echo", "a\0b"]).unwrap_err(), InvalidCommand::Nul);
}

#[tokio::test]
async fn the_end_of_a_long_output_is_kept() {
    let output = run("yes | head -c 3000000; echo the end").await.unwrap();
    assert_eq!(output.text().len(), 64 * 1024);
    assert!(output.text().ends_with("y\nthe end\n"));
    assert_eq!(output.discarded(), 3_000_008 - 64 * 1024);
}

#[tokio::test]
async fn a_daemon_that_holds_the_output_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let started = Instant::now();
    let output = run(&format!("sleep 300 & echo $! > {}; echo started", pid_file.display())).await.unwrap();
    assert!(started.elapsed() < AMPLE);
    assert_eq!(output.text(), "started\n");
    let daemon = pid_in(&pid_file).await;
    assert!(is_running(daemon), "a command that succeeds keeps its daemon");
    kill_process(daemon, Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_daemon_that_never_stops_printing_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let output = run(&format!("yes & echo $! > {}", pid_file.display())).await.unwrap();
    assert!(output.text().len() <= 64 * 1024);
    // Its output is closed, which is the end of it.
    ends(pid_in(&pid_file).await).await;
}

#[tokio::test]
async fn the_deadline_ends_everything_that_was_started() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let text = format!("(sleep 300 & echo $! > {}; wait) & echo waiting; wait", pid_file.display());
    let error = shell(&text).run(SHORT).await.unwrap_err();
    assert_eq!(error.to_string(), "the command was killed after 1s; it printed last: waiting");
    ends(pid_in(&pid_file).await).await;
}

#[tokio::test]
async fn the_deadline_lets_a_command_clean_up() {
    let error = shell("trap 'echo cleaned up; exit' TERM; sleep 300 & wait").run(SHORT).await.unwrap_err();
    assert!(matches!(error, CommandError::Deadline { .. }), "{error:?}");
    assert_eq!(error.output().unwrap().text(), "cleaned up\n");
}

#[tokio::test]
async fn the_deadline_ends_what_ignores_being_asked() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let text =
        format!("trap '' TERM; (sleep 300) & echo $! > {}; while :; do sleep 300; done", pid_file.display());
    let started = Instant::now();
    let error = shell(&text).run(SHORT).await.unwrap_err();
    assert!(matches!(error, CommandError::Deadline { .. }), "{error:?}");
    assert!(started.elapsed() < AMPLE);
    ends(pid_in(&pid_file).await).await;
}

#[tokio::test]
async fn the_deadline_ends_a_command_that_never_stops_printing() {
    let error = shell("yes").run(SHORT).await.unwrap_err();
    assert!(error.output().unwrap().discarded() > 0);
    assert!(error.to_string().len() < 300, "{error}");
}

#[tokio::test]
async fn dropping_the_future_ends_everything_that_was_started() {
    let directory = tempfile::tempdir().unwrap();
    let (leader, child) = (directory.path().join("leader"), directory.path().join("child"));
    let text = format!(
        "trap '' TERM; sleep 300 & echo $! > {}; echo $$ > {}; wait; sleep 300",
        child.display(),
        leader.display()
    );
    let pids = tokio::select! {
        result = run(&text) => panic!("it ended by itself: {result:?}"),
        pids = async { (pid_in(&leader).await, pid_in(&child).await) } => pids,
    };
    ends(pids.0).await;
    ends(pids.1).await;
}
