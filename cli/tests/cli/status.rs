//! `status`, asked of one that runs, of nobody, and of strangers.

use std::{process::Stdio, time::Duration};

use e2e::{Dir, Port, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdout},
    time::timeout,
};

use crate::program::{COUNTED, DEADLINE, Outcome, Running, run, synapse, write_site};

/// A site of two services whose status is served, at work.
async fn at_work() -> (Dir, Port, Running) {
    let (dir, port) = (Dir::new("status"), Port::free());
    write_site(&dir, &format!("{COUNTED}status: {{listen: '127.0.0.1:{port}', max_staleness: 0}}\n"));
    std::fs::create_dir(dir.join("out")).expect("the directory is new");
    let running = Running::start(&dir, ["-c", "synapse.yaml"]);
    until(&dir, 0).await;
    (dir, port, running)
}

/// Asks until the exit code is as wanted.
async fn until(dir: &Dir, code: i32) -> Outcome {
    wait_until(DEADLINE, &format!("`status` to end with {code}"), async || {
        let outcome = run(dir, ["status", "-c", "synapse.yaml"]).await;
        if outcome.code == Some(code) { Ok(outcome) } else { Err(format!("{outcome:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_table_says_what_there_is_and_the_exit_code_whether_it_is_ready() {
    let (dir, port, _running) = at_work().await;
    let outcome = run(&dir, ["status", "-c", "synapse.yaml"]).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let lines: Vec<_> = outcome.stdout.lines().collect();
    let head = format!("synapse-rs {} at 127.0.0.1:{port}: ready, content ", env!("CARGO_PKG_VERSION"));
    assert!(lines[0].starts_with(&head), "{}", outcome.stdout);
    assert!(lines[1].starts_with("HAProxy: found right "), "{}", outcome.stdout);
    let row = |name: &str| {
        let row = lines.iter().find(|line| line.split_whitespace().next() == Some(name));
        row.unwrap_or_else(|| panic!("{}", outcome.stdout)).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(row("SERVICE")[1..], ["METHOD", "STATE", "CONFIRMED", "KNOWN", "SERVED", "REFUSED", "NOTE"]);
    assert_eq!(
        (row("web")[1..3].to_vec(), row("web")[6..].to_vec()),
        (vec!["file", "ok"], vec!["2", "2", "0"])
    );
    assert_eq!(row("idle")[6..], ["0", "0", "0"]);
    assert!(lines.last().is_some_and(|line| line.contains("web +2 -0 ~0")), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains('\u{1b}'), "colours where there is no terminal");

    std::fs::remove_file(dir.join("endpoints.yaml")).unwrap();
    let outcome = until(&dir, 3).await;
    assert!(outcome.stdout.contains(": not ready, "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(": its source fails, for "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("failing, stale"), "{}", outcome.stdout);
}

#[tokio::test]
async fn json_is_what_the_status_says() {
    let (dir, port, _running) = at_work().await;
    let url = format!("http://127.0.0.1:{port}/");
    let outcome = run(&dir, ["status", "--json", "--url", &url]).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(outcome.stdout.lines().count(), 1);
    assert_eq!((&report["ready"], &report["services"][0]["servers_total"]), (&true.into(), &2.into()));
}

#[tokio::test]
async fn nobody_there_is_a_failure_and_no_status_a_mistake_each_with_what_to_do() {
    let (dir, nobody) = (Dir::new("status"), Port::free());
    let outcome = run(&dir, ["status", "--url", &format!("http://127.0.0.1:{nobody}")]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    let said =
        format!("synapse-rs: asking 127.0.0.1:{nobody} for its status: connecting to 127.0.0.1:{nobody}: ");
    assert!(outcome.stderr.starts_with(&said), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("\n  next: see that it runs there"), "{}", outcome.stderr);
    write_site(&dir, COUNTED);
    let outcome = run(&dir, ["status", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("has no `status`"), "{}", outcome.stderr);
    let outcome = run(&dir, ["status", "--url", "https://127.0.0.1:1"]).await;
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("expected http://HOST:PORT"), "{}", outcome.stderr);
}

/// A server that answers whatever it is asked with `bytes`, and closes; with none it never does.
async fn stranger(bytes: Option<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Some(bytes) = &bytes {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(bytes).await;
            } else {
                kept.push(stream);
            }
        }
    });
    url
}

fn http(code: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {code}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn whoever_answers_something_else_is_told_apart() {
    let dir = Dir::new("status");
    for (bytes, why) in [
        (b"220 smtp\r\n".to_vec(), "asking for the status: "),
        (Vec::new(), "asking for the status: connection closed before message completed"),
        (http("404 Not Found", ""), "there is no status: the answer is 404 Not Found"),
        (http("200 OK", "<html>"), "understanding the status: "),
        (http("200 OK", "{}"), "understanding the status: it does not say a version"),
        (http("200 OK", &"[".repeat(1000)), "understanding the status: "),
    ] {
        let outcome = run(&dir, ["status", "--url", &stranger(Some(bytes)).await]).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{why}");
        assert!(outcome.stderr.contains(why), "{why}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains("\n  next: somebody else seems to answer there"),
            "{}",
            outcome.stderr
        );
    }
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 600\r\n\r\n{".to_vec();
    let outcome = run(&dir, ["status", "--url", &stranger(Some(cut)).await]).await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("reading the status: "), "{}", outcome.stderr);
}

#[tokio::test]
async fn whoever_never_answers_is_given_up() {
    let outcome = run(&Dir::new("status"), ["status", "--url", &stranger(None).await]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    assert!(
        outcome.stderr.contains("no answer within 10s\n  next: whoever is there hangs"),
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn what_a_stranger_says_commands_no_terminal() {
    let evil = "a\u{1b}[2J\n\u{9b}31m\u{202e}";
    let report = serde_json::json!({
        "version": evil, "content_hash": evil, "obstacles": [evil], "configuration": {"error": evil},
        "services": [{"name": evil, "method": evil, "state": evil, "stale": true, "error": evil.repeat(1000)}],
        "output": {
            "error": evil, "revision": evil, "haproxy": {"version": evil}, "pending": {"in_seconds": 1e300, "causes": [evil]},
            "changes": [{"how": evil, "what": evil, "done": evil, "took_seconds": 1e300}],
        },
        "file_output": {"error": evil}, "state_file": {"error": evil}, "statsd": {"error": evil},
    });
    let url = stranger(Some(http("200 OK", &report.to_string()))).await;
    let outcome = run(&Dir::new("status"), ["status", "--url", &url]).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(3), ""));
    assert!(!outcome.stdout.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(r"a\u{1b}[2J\n\u{9b}31m\u{202e}"), "{}", outcome.stdout);
    assert!(outcome.stdout.lines().count() < 20 && outcome.stdout.len() < 20_000, "{}", outcome.stdout);
}

/// `status --watch` with `arguments`, and the lines that it prints.
fn watching(dir: &Dir, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = synapse(dir);
    command.args(["status", "--watch"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    (child, lines)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = timeout(DEADLINE, lines.next_line()).await.expect("it goes on");
    line.expect("it is text").expect("it has not ended")
}

#[tokio::test]
async fn watching_goes_on_through_an_outage_until_a_signal() {
    let (dir, port, mut running) = at_work().await;
    let url = format!("http://127.0.0.1:{port}");
    let (mut child, mut lines) = watching(&dir, &["--json", "--url", &url]);
    for _ in 0..2 {
        assert!(next(&mut lines).await.starts_with(r#"{"version":"#));
    }
    // Not SIGINT: whoever runs tests in the background may have it ignored, here and in what is started from here.
    let id = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    kill_process(id.expect("it runs"), Signal::TERM).unwrap();
    let status = timeout(DEADLINE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::TERM.as_raw()));
    let (mut child, mut lines) = watching(&dir, &["--json", "--url", &url]);
    next(&mut lines).await;
    running.signal(Signal::TERM);
    running.ended(DEADLINE).await;
    // What went wrong is not for whoever reads objects.
    let mut errors = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let error = timeout(DEADLINE, errors.next_line()).await.expect("it tells").unwrap().unwrap();
    assert!(error.contains("connecting to 127.0.0.1:"), "{error}");
    let _running = Running::start(&dir, ["-c", "synapse.yaml"]);
    assert!(next(&mut lines).await.starts_with(r#"{"version":"#));
}

#[tokio::test]
async fn watching_ends_when_nobody_reads_any_more() {
    let (dir, port, _running) = at_work().await;
    for more in [&[][..], &["--json"]] {
        let url = format!("http://127.0.0.1:{port}");
        let (mut child, mut lines) = watching(&dir, &[more, &["--url", &url]].concat());
        next(&mut lines).await;
        drop(lines);
        let status = timeout(Duration::from_secs(30), child.wait()).await.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(0));
    }
}
