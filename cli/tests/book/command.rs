//! Commands in pages: of this program, of this repository, and of others.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use crate::{cargo, page::root, shell};

/// Programs of others, and which sub-commands and options of theirs the documents may use. Where a first word is given that is no option,
/// one of those has to be used.
const KNOWN: [(&str, &[&str]); 30] = [
    ("adduser", &["--system", "--group", "--no-create-home", "--home"]),
    ("apt", &["install", "remove", "purge", "-y"]),
    ("aws", &["s3", "ec2", "--recursive"]),
    ("cat", &[]),
    ("cd", &[]),
    ("chgrp", &[]),
    ("chmod", &[]),
    ("cp", &["-a"]),
    ("curl", &["-s", "-f", "-fsS", "-i"]),
    ("diff", &["-u"]),
    ("docker", &["compose", "build", "-f", "-t", "up", "exec", "--build", "-d", "logs", "down"]),
    (
        "etcd",
        &[
            "--data-dir",
            "--listen-client-urls",
            "--advertise-client-urls",
            "--listen-peer-urls",
            "--log-level",
        ],
    ),
    (
        "etcdctl",
        &[
            "put",
            "get",
            "del",
            "lease",
            "grant",
            "keep-alive",
            "role",
            "user",
            "--lease",
            "--prefix",
            "--endpoints",
            "--user",
        ],
    ),
    ("git", &["clone", "diff"]),
    ("haproxy", &["-W", "-D", "-S", "-c", "-f", "-p", "-v"]),
    ("journalctl", &["-u", "-f"]),
    ("kill", &["-HUP", "-TERM", "-USR2"]),
    ("man", &["-l"]),
    ("mdbook", &["build"]),
    ("mkdir", &["-p"]),
    ("mv", &[]),
    ("pidof", &[]),
    ("printf", &[]),
    ("promtool", &["check", "rules", "config", "metrics"]),
    ("rm", &[]),
    ("sleep", &[]),
    ("socat", &["-"]),
    (
        "systemctl",
        &[
            "daemon-reload",
            "disable",
            "edit",
            "enable",
            "reload",
            "restart",
            "start",
            "status",
            "stop",
            "--now",
        ],
    ),
    ("touch", &[]),
    ("zkCli.sh", &["-server", "set", "get"]),
];

/// Variables that the documents may set.
const VARIABLES: [&str; 12] = [
    "BOOK",
    "CONFIG",
    "E2E_HAPROXY",
    "ETCDCTL_API",
    "EXTRAOPTS",
    "GOLDEN",
    "NO_COLOR",
    "SYNAPSE_CONFIG",
    // Numbers of processes, to end them.
    "etcd",
    "haproxy",
    "servers",
    "synapse",
];

/// What is wrong with these lines.
pub(crate) fn check(text: &str) -> Result<(), String> {
    for words in shell::commands(text)? {
        one(&words).map_err(|problem| format!("{problem}: {}", words.join(" ")))?;
    }
    Ok(())
}

fn one(words: &[String]) -> Result<(), String> {
    let mut words = words;
    while let Some((first, rest)) = words.split_first() {
        if let Some((name, _)) = first.split_once('=') {
            if !VARIABLES.contains(&name) {
                return Err(format!("the variable {name} is not known here"));
            }
        } else if first != "sudo" {
            break;
        }
        words = rest;
    }
    let Some((program, words)) = words.split_first() else { return Ok(()) };
    if matches!(program.as_str(), "synapse-rs" | "target/release/synapse-rs" | "./target/release/synapse-rs")
    {
        return ours(words);
    }
    if program == "cargo" {
        return cargo::check(words);
    }
    if program == "docker" {
        containers(words)?;
    }
    if let Some((_, known)) = KNOWN.iter().find(|(name, _)| name == program) {
        return of_others(words, known);
    }
    if !program.contains('/') || program.starts_with('/') {
        return Err(format!("the program {program} is not known here"));
    }
    script(program, words)
}

/// Asked for its help behind these words, the program says what is wrong with them first.
fn ours(words: &[String]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synapse-rs"));
    // `help` is followed by commands alone.
    let help = if words.first().is_some_and(|word| word == "help") { None } else { Some("--help") };
    let output = command.args(words).args(help).env_remove("SYNAPSE_CONFIG").output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn of_others(words: &[String], known: &[&str]) -> Result<(), String> {
    let option = |word: &str| word.starts_with('-') && !word.trim_start_matches('-').is_empty();
    // What stands behind `--` is no option.
    let words = words.split(|word| word == "--").next().unwrap_or_default();
    let name = |word: &str| word.split_once('=').map_or(word, |(name, _)| name).to_owned();
    if let Some(unknown) = words.iter().find(|word| option(word) && !known.contains(&name(word).as_str())) {
        return Err(format!("the option {unknown} is not known here"));
    }
    let commands = known.iter().any(|word| !word.starts_with('-'));
    let first = words.iter().find(|word| known.contains(&word.as_str()) && !option(word));
    if commands && first.is_none() { Err("its command is not known here".to_owned()) } else { Ok(()) }
}

/// A file of this repository that can be run, and whose options stand in it.
fn script(path: &str, words: &[String]) -> Result<(), String> {
    let path = root().join(path);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mode = path.metadata().map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o111 == 0 {
        return Err("it can't be run".to_owned());
    }
    // What goes on to cargo.
    let passed = text.contains("cargo");
    let own = words.iter().filter(|word| word.starts_with("--") && *word != "--");
    match own.clone().find(|word| !text.contains(word.as_str())) {
        Some(_) if passed => cargo::check(&[vec!["build".to_owned()], words.to_vec()].concat()),
        Some(unknown) => Err(format!("it does not know {unknown}")),
        None => Ok(()),
    }
}

/// The files and services that Docker is told of.
fn containers(words: &[String]) -> Result<(), String> {
    let behind = |flag: &str| words.iter().skip_while(|word| *word != flag).nth(1);
    let Some(file) = behind("-f") else { return Err("it names no file (-f)".to_owned()) };
    let text = fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
    match behind("exec").or_else(|| behind("logs")) {
        Some(service) if !text.contains(&format!("\n  {service}:")) => {
            Err(format!("{file} has no service {service}"))
        }
        _ => Ok(()),
    }
}

#[test]
fn what_nobody_knows_is_found_in_a_command() {
    for right in [
        "synapse-rs check --explain synapse.yaml\nsynapse-rs -c x --log debug run --once",
        "sudo apt install ./x.deb && systemctl enable --now synapse-rs",
        "scripts/test --no-live # all",
        "kill -HUP \"$(pidof synapse-rs)\"",
        "scripts/deb --no-default-features --features etcd",
    ] {
        assert_eq!(check(right), Ok(()), "{right}");
    }
    for wrong in [
        "synapse-rs chek -c x",
        "synapse-rs plan --jsn",
        "synapse-rs status --url",
        "systemctl relod haproxy",
        "kill -HUP \"$(pidoff synapse-rs)\"",
        "scripts/tset",
        "scripts/test --fast-only",
        "curl --retries 3 x",
        "PATH=x synapse-rs",
        "docker compose -f deploy/compose.yml up",
        "docker compose -f deploy/compose.yaml exec etc ls",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}
