//! What is logged, and what must not be.

use std::{fs::File, os::unix::fs::MetadataExt as _, process::Stdio};

use e2e::{Dir, Port};
use serde_json::Value;
use tokio::time::timeout;

use crate::program::{COUNTED, DEADLINE, outcome, run, synapse, write_site};

const PASSWORD: &str = "correct-horse-battery-staple";

fn site() -> Dir {
    let dir = Dir::new("log");
    write_site(&dir, &format!("{COUNTED}  state_file_ttl: 60\n"));
    std::fs::create_dir(dir.join("out")).expect("the directory is new");
    dir
}

#[tokio::test]
async fn logs_go_to_standard_error_without_colours_when_it_is_no_terminal() {
    let dir = site();
    for no_color in [None, Some("1")] {
        let mut command = synapse(&dir);
        command.args(["run", "--once", "-c", "synapse.yaml"]);
        if let Some(value) = no_color {
            command.env("NO_COLOR", value);
        }
        let outcome = outcome(&mut command).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""));
        assert!(outcome.stderr.contains(" INFO started"), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains('\u{1b}'), "{:?}", outcome.stderr);
    }
}

#[tokio::test]
async fn logs_have_colours_when_tables_have() {
    let dir = site();
    for (name, value, coloured) in
        [("CLICOLOR_FORCE", "1", true), ("NO_COLOR", "1", false), ("TERM", "xterm-256color", false)]
    {
        let mut command = synapse(&dir);
        command.args(["run", "--once", "-c", "synapse.yaml"]).env(name, value);
        let outcome = outcome(&mut command).await;
        assert_eq!(outcome.code, Some(0));
        assert_eq!(outcome.stderr.contains('\u{1b}'), coloured, "{name}: {:?}", outcome.stderr);
    }
}

#[tokio::test]
async fn json_logs_are_one_object_a_line() {
    let dir = site();
    let outcome = run(&dir, ["run", "--once", "-c", "synapse.yaml", "--log-format", "json"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""));
    let lines: Vec<Value> = outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()), "{lines:?}");
    let started = lines.iter().find(|line| line["message"] == "started; waiting for the first answers");
    assert_eq!(started.unwrap()["services"], 2);
}

/// What `arguments` write to a standard error that is a file, which `JOURNAL_STREAM` says is the journal, with `inode` added to its own.
async fn in_the_journal(dir: &Dir, arguments: &[&str], inode: u64) -> String {
    let path = dir.join("journal");
    let journal = File::create(&path).expect("a file that can be made");
    let found = journal.metadata().expect("the file is open");
    let stream = format!("{}:{}", found.dev(), found.ino() + inode);
    let mut command = synapse(dir);
    command.args(arguments).env("JOURNAL_STREAM", stream).stderr(journal).stdout(Stdio::null());
    timeout(DEADLINE, command.status()).await.expect("it ends").expect("it starts");
    std::fs::read_to_string(path).expect("what was written")
}

#[tokio::test]
async fn in_the_journal_each_line_has_its_priority_and_no_second_moment() {
    let dir = site();
    let log = in_the_journal(&dir, &["run", "--once", "-c", "synapse.yaml"], 0).await;
    assert!(log.lines().all(|line| line.starts_with("<4> WARN ") || line.starts_with("<6> INFO ")), "{log}");
    assert!(log.contains("<4> WARN synapse.yaml:") && log.contains("<6> INFO started"), "{log}");
    let json =
        in_the_journal(&dir, &["run", "--once", "-c", "synapse.yaml", "--log-format", "json"], 0).await;
    for line in json.lines() {
        let (mark, object) = line.split_at(3);
        let object: Value = serde_json::from_str(object).unwrap();
        let level = if mark == "<4>" { "WARN" } else { "INFO" };
        assert!(object["level"] == level && object["timestamp"].is_string(), "{line}");
    }
    let warned = in_the_journal(&dir, &["check", "-c", "synapse.yaml", "--log", "loud=very"], 0).await;
    assert!(warned.starts_with("<4> WARN the log filter can't be read"), "{warned}");
}

#[tokio::test]
async fn in_the_journal_the_last_words_are_errors_in_each_of_their_lines() {
    let dir = Dir::new("log");
    dir.write("wrong.yaml", "servces: {}\n");
    let words = in_the_journal(&dir, &["run", "-c", "wrong.yaml"], 0).await;
    assert!(words.lines().count() > 1 && words.lines().all(|line| line.starts_with("<3>")), "{words}");
}

#[tokio::test]
async fn an_inherited_name_of_a_journal_that_is_elsewhere_changes_nothing() {
    let dir = site();
    let log = in_the_journal(&dir, &["run", "--once", "-c", "synapse.yaml"], 1).await;
    assert!(log.contains("Z  INFO started") && !log.contains('<'), "{log}");
}

#[tokio::test]
async fn what_is_logged_can_be_chosen() {
    let dir = site();
    let quiet = run(&dir, ["run", "--once", "-c", "synapse.yaml", "--log", "error"]).await;
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
    let quiet =
        outcome(synapse(&dir).args(["check", "-c", "synapse.yaml"]).env("SYNAPSE_LOG", "error")).await;
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
    let wrong = run(&dir, ["check", "-c", "synapse.yaml", "--log", "loud=very"]).await;
    assert_eq!(wrong.code, Some(0));
    assert!(wrong.stderr.contains("the log filter can't be read"), "{}", wrong.stderr);
}

#[tokio::test]
async fn the_password_of_a_registry_is_in_no_output() {
    let dir = Dir::new("log");
    let nobody = Port::free();
    let config = |section: &str| {
        format!(
            "services:\n  web:\n    discovery: {{method: etcd, endpoints: ['127.0.0.1:{nobody}'], prefix: /web, {section}}}\n    \
             haproxy: {{port: 3213}}\nhaproxy:\n  config_file_path: haproxy.cfg\n  reload_command: \"true\"\n  \
             global: []\n  defaults: []\nagent: {{startup_wait: 0.5, backoff_min: 0.1}}\n"
        )
    };
    dir.write("good.yaml", config(&format!("user: synapse, password: {PASSWORD}")));
    for command in [&["run", "--once"][..], &["services"], &["services", "--json"], &["render"], &["check"]] {
        for format in ["human", "json"] {
            let common = ["-c", "good.yaml", "--log", "trace", "--log-format", format];
            let outcome = run(&dir, command.iter().chain(&common)).await;
            assert_eq!(outcome.code, Some(i32::from(command != ["check"])), "{}", outcome.stderr);
            assert!(!format!("{outcome:?}").contains(PASSWORD), "{command:?}: {}", outcome.stderr);
        }
    }
    for wrong in [
        format!("user: synapse, password: [{PASSWORD}]"),
        format!("user: synapse, password: {{{PASSWORD}: 1}}"),
        format!("user: synapse, pasword: {PASSWORD}"),
        format!("password: {PASSWORD}"),
        format!("hosts: ['http://synapse:{PASSWORD}@127.0.0.1']"),
        format!("host: 'synapse:{PASSWORD}@127.0.0.1'"),
    ] {
        dir.write("wrong.yaml", config(&wrong));
        let outcome = run(&dir, ["check", "-c", "wrong.yaml", "--log", "trace"]).await;
        assert_eq!(outcome.code, Some(2), "{wrong}");
        assert!(!format!("{outcome:?}").contains(PASSWORD), "{}", outcome.stderr);
    }
}
