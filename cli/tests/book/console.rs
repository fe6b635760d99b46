//! Pages with `console` blocks: what they tell to do is done, in a directory of its own, and has to print what they show.
//!
//! `…` stands for anything within a line, and a line of it alone for any lines. Several blanks are one. Numbers of ports are replaced by free ones. What only asks is
//! asked again until the answer is the one that is shown: the world needs a moment.

use std::{
    collections::BTreeMap, fmt::Write as _, fs, os::unix::fs::symlink, path::Path, process::Stdio,
    time::Duration,
};

use e2e::{Dir, Port};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::page::{Page, pages, root};

/// Ports of the pages.
const PORTS: [&str; 10] = ["2379", "2380", "12379", "12380", "3212", "3213", "3455", "8001", "8002", "8003"];

/// Longest wait for a command, and for an answer to be the one that is shown.
const DEADLINE: Duration = Duration::from_mins(1);

/// Between two questions.
const AGAIN: Duration = Duration::from_millis(50);

/// What ends a command's output.
const MARK: &str = "--- the command has ended with";

/// A shell in a directory of its own, and what it has started.
struct Shell {
    dir: Dir,
    ports: BTreeMap<&'static str, Port>,
    child: Child,
    tell: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Shell {
    fn start() -> Self {
        let dir = Dir::new("page");
        fs::create_dir(dir.join("bin")).expect("the directory is new");
        link(Path::new(env!("CARGO_BIN_EXE_synapse-rs")), &dir.join("bin/synapse-rs"));
        fs::create_dir(dir.join("clone")).expect("the directory is new");
        for name in ["deploy", "examples", "scripts"] {
            link(&root().join(name), &dir.join("clone").join(name));
        }
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(dir.join("clone"))
            .env_clear()
            .env("HOME", dir.path())
            .env(
                "PATH",
                format!(
                    "{}:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
                    dir.join("bin").display()
                ),
            )
            .env("ETCDCTL_API", "3")
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("bash runs");
        let tell = child.stdin.take().expect("it is piped");
        let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ports = PORTS.into_iter().map(|shown| (shown, Port::free())).collect();
        Self { dir, ports, child, tell, said }
    }

    /// `text` with ports of this machine.
    fn here(&self, text: &str) -> String {
        let mut rest = text;
        let mut out = String::new();
        while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
            let end = rest[start..]
                .find(|letter: char| !letter.is_ascii_digit())
                .map_or(rest.len(), |length| start + length);
            let number = &rest[start..end];
            out.push_str(&rest[..start]);
            match self.ports.get(number) {
                Some(port) => write!(out, "{port}").expect("texts grow"),
                None => out.push_str(number),
            }
            rest = &rest[end..];
        }
        out + rest
    }

    /// What it prints, and its exit code.
    async fn run(&mut self, command: &str) -> Result<(String, String), String> {
        let line = format!("{{ {command}\n}} 2>&1; code=$?; echo; echo '{MARK}' $code\n");
        self.tell.write_all(line.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut printed = String::new();
        loop {
            let line = timeout(DEADLINE, self.said.next_line())
                .await
                .map_err(|_| format!("it has not ended; it said:\n{printed}"))?;
            let line = line.map_err(|error| error.to_string())?.ok_or("the shell has ended")?;
            if let Some(code) = line.strip_prefix(MARK) {
                return Ok((printed.trim_end().to_owned(), code.trim().to_owned()));
            }
            printed.push_str(&line);
            printed.push('\n');
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn link(from: &Path, to: &Path) {
    symlink(from, to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
}

/// Whether `printed` is what is shown, line by line.
fn is_shown(shown: &[&str], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((&"…", shown)), _) => (0..=printed.len()).any(|skipped| is_shown(shown, &printed[skipped..])),
        (Some((shown, later)), Some((printed, rest))) => {
            fits(&even(shown), &even(printed)) && is_shown(later, rest)
        }
        _ => false,
    }
}

/// A line whose columns are as wide as they have to be: ports of this machine have more digits than those that are shown.
fn even(line: &str) -> String {
    line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a line is one in which `…` stands for anything.
fn fits(shown: &str, printed: &str) -> bool {
    let Some((before, after)) = shown.split_once('…') else { return shown == printed };
    let Some(rest) = printed.strip_prefix(before) else { return false };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().any(|at| fits(after, &rest[at..]))
}

/// Whether a command only asks, so that it can be asked again, and says by its exit code what it found.
fn asks(command: &str) -> bool {
    let own = ["check", "doctor", "plan", "render", "services", "status"];
    let words: Vec<&str> = command.split_whitespace().collect();
    words[0] == "curl"
        || (words[0] == "synapse-rs" && words.iter().any(|word| own.contains(word)) && !command.contains('&'))
}

/// Does what the page says.
async fn follow(page: &Page) -> Result<(), String> {
    let mut shell = Shell::start();
    for block in &page.blocks {
        if let Some(name) = block.value("file").filter(|_| block.language != "rust") {
            // As an editor saves it: all of it at once.
            let text = shell.here(&block.text);
            let (new, path) = (shell.dir.join("clone/new"), shell.dir.join("clone").join(name));
            fs::write(&new, text)
                .and_then(|()| fs::rename(&new, path))
                .map_err(|error| format!("{}: {error}", block.place))?;
        }
        if block.language != "console" {
            continue;
        }
        let mut lines = block.text.lines().peekable();
        while let Some(line) = lines.next() {
            let command =
                line.strip_prefix("$ ").ok_or_else(|| format!("{}: no command: {line}", block.place))?;
            let mut shown = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
                shown.push(shell.here(line));
            }
            while shown.last().is_some_and(String::is_empty) {
                shown.pop();
            }
            let command = shell.here(command);
            step(&mut shell, &command, &shown)
                .await
                .map_err(|problem| format!("{}: {command}\n{problem}", block.place))?;
        }
    }
    Ok(())
}

async fn step(shell: &mut Shell, command: &str, shown: &[String]) -> Result<(), String> {
    let until = Instant::now() + DEADLINE;
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    loop {
        let (printed, code) = shell.run(command).await?;
        let same = is_shown(&shown, &printed.lines().collect::<Vec<_>>());
        if same && (code == "0" || (asks(command) && !command.starts_with("curl"))) {
            return Ok(());
        }
        if !asks(command) || Instant::now() > until {
            return Err(format!(
                "is shown to print\n{}\nand printed\n{printed}\nwith exit code {code}",
                shown.join("\n")
            ));
        }
        sleep(AGAIN).await;
    }
}

#[tokio::test]
async fn live_pages_do_what_they_show() {
    let has = |page: &Page| page.blocks.iter().any(|block| block.language == "console");
    let mut tasks = JoinSet::new();
    for page in pages().into_iter().filter(has) {
        tasks.spawn(async move { follow(&page).await });
    }
    assert!(!tasks.is_empty(), "no page shows anything");
    let problems: Vec<_> = tasks.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[tokio::test]
async fn a_page_that_shows_something_else_is_found() {
    let follow = async |text: &str| follow(&crate::page::page("docs/a.md", text)).await;
    assert_eq!(
        follow("```console\n$ x=1\n$ echo a b $x\na … 1\n$ echo c; echo d\n…\nd\n```\n").await,
        Ok(())
    );
    assert_eq!(follow("```json file=x\n8001\n```\n```console\n$ cat x\n8001\n```\n").await, Ok(()));
    let wrong = follow("```console\n$ echo a\nb\n```\n").await.unwrap_err();
    assert_eq!(wrong, "docs/a.md:1: echo a\nis shown to print\nb\nand printed\na\nwith exit code 0");
    assert!(follow("```console\n$ false\n```\n").await.is_err());
}
