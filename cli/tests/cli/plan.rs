//! `plan`.

use std::os::unix::fs::MetadataExt as _;

use e2e::{Dir, Port};
use serde_json::{Value, json};

use crate::program::{COUNTED, Outcome, outcome, run, site, synapse, write_site};

/// A directory with a file that an earlier run has written.
async fn applied() -> Dir {
    let dir = Dir::new("plan");
    write_site(&dir, COUNTED);
    std::fs::create_dir(dir.join("out")).expect("the directory is new");
    let once = run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await;
    assert_eq!(once.code, Some(0), "{}", once.stderr);
    dir
}

async fn plan(dir: &Dir) -> Outcome {
    run(dir, ["plan", "-c", "synapse.yaml", "--log", "warn"]).await
}

async fn planned(dir: &Dir) -> (Option<i32>, Value) {
    let outcome = run(dir, ["plan", "--json", "-c", "synapse.yaml", "--log", "warn"]).await;
    let value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    (outcome.code, value)
}

/// All files below `out`, and those beside it: name, inode, time of the last write, content.
fn everything(dir: &Dir) -> Vec<(String, u64, i64, i64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = vec![dir.path().to_owned()];
    while let Some(path) = left.pop() {
        let metadata = path.metadata().expect("it was just listed");
        let name = path.display().to_string();
        let content = if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).expect("it can be listed");
            left.extend(entries.map(|entry| entry.expect("it can be read").path()));
            Vec::new()
        } else {
            std::fs::read(&path).expect("it can be read")
        };
        found.push((name, metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), content));
    }
    found.sort();
    found
}

/// Registers one more server of `web`, and takes the first away.
fn move_on(dir: &Dir) {
    dir.write(
        "endpoints.yaml",
        "web:\n- {host: 10.0.0.2, port: 8080, name: b}\n- {host: 10.0.0.3, port: 8080, name: c}\nidle: []\n",
    );
}

#[tokio::test]
async fn nothing_to_do_is_exit_code_0_and_touches_nothing() {
    let dir = applied().await;
    let before = everything(&dir);
    let outcome = plan(&dir).await;
    assert_eq!(
        (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
        (Some(0), "nothing to do\n", "")
    );
    assert_eq!(everything(&dir), before);
}

#[tokio::test]
async fn something_to_do_is_exit_code_3_and_touches_nothing() {
    let dir = applied().await;
    move_on(&dir);
    let before = everything(&dir);
    let outcome = plan(&dir).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(3), ""));
    assert_eq!(
        outcome.stdout,
        "--- out/haproxy.cfg
+++ out/haproxy.cfg
@@ -17,8 +17,8 @@
 \tbalance roundrobin
 \tmode http
 \tcookie SRV insert
-\tserver a_10.0.0.1:8080 10.0.0.1:8080 id 1 cookie a_10.0.0.1:8080 check inter 2s
 \tserver b_10.0.0.2:8080 10.0.0.2:8080 id 2 cookie b_10.0.0.2:8080 check inter 2s
+\tserver c_10.0.0.3:8080 10.0.0.3:8080 id 1 cookie c_10.0.0.3:8080 check inter 2s
 
 frontend idle
 \tbind localhost:3214
servers:
  + web/c_10.0.0.3:8080 10.0.0.3:8080
  - web/a_10.0.0.1:8080
2 changes: by a reload
"
    );
    assert_eq!(everything(&dir), before);
    // And a run does just that.
    let once = run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await;
    assert_eq!(once.code, Some(0), "{}", once.stderr);
    assert!(std::fs::read_to_string(dir.join("out/haproxy.cfg")).unwrap().contains("server c_10.0.0.3:8080"));
    assert_eq!(plan(&dir).await.code, Some(0));
}

#[tokio::test]
async fn a_first_run_is_planned_and_not_even_its_directory_made() {
    let dir = Dir::new("plan");
    write_site(&dir, COUNTED);
    std::fs::create_dir(dir.join("out")).expect("the directory is new");
    let before = everything(&dir);
    let (code, plan) = planned(&dir).await;
    assert_eq!(
        (code, &plan["action"], &plan["path"]),
        (Some(3), &json!("reload"), &json!("out/haproxy.cfg"))
    );
    let diff = plan["diff"].as_str().expect("it is text");
    assert!(diff.starts_with("--- /dev/null\n+++ out/haproxy.cfg\n@@ -0,0 +1,"), "{diff}");
    assert!(diff.lines().skip(3).all(|line| line.starts_with('+')), "{diff}");
    assert_eq!(everything(&dir), before);
}

#[tokio::test]
async fn programs_get_one_object() {
    let dir = applied().await;
    assert_eq!(planned(&dir).await.0, Some(0));
    move_on(&dir);
    let (code, plan) = planned(&dir).await;
    assert_eq!(code, Some(3));
    let Value::Object(mut plan) = plan else { panic!("{plan}") };
    assert!(plan.remove("diff").is_some_and(|diff| diff.as_str().is_some_and(|diff| diff.contains("\n@@ "))));
    assert_eq!(
        Value::Object(plan),
        json!({
            "action": "reload",
            "reasons": [],
            "changes": [
                { "backend": "web", "server": "c_10.0.0.3:8080", "kind": "added", "text": "+ web/c_10.0.0.3:8080 10.0.0.3:8080" },
                { "backend": "web", "server": "a_10.0.0.1:8080", "kind": "removed", "text": "- web/a_10.0.0.1:8080" },
            ],
            "repairs": [],
            "commands": [],
            "meanwhile": [],
            "leaving": [],
            "strangers": [],
            "files": [],
            "unanswered": [],
            "path": "out/haproxy.cfg",
        })
    );
}

#[tokio::test]
async fn files_of_services_are_named_with_what_becomes_of_them() {
    let dir = applied().await;
    dir.write("synapse.yaml", site(&format!("{COUNTED}file_output: {{output_directory: files}}\n")));
    let before = everything(&dir);
    let outcome = plan(&dir).await;
    assert_eq!(
        (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
        (Some(3), "files of services:\n  + files/web.json\n1 file of services written\n", "")
    );
    assert_eq!(everything(&dir), before);
    let once = run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await;
    assert_eq!(once.code, Some(0), "{}", once.stderr);
    move_on(&dir);
    let (_, planned) = planned(&dir).await;
    assert_eq!(planned["files"], json!([{ "path": "files/web.json", "kind": "altered" }]));
}

#[tokio::test]
async fn a_source_without_an_answer_is_named_keeps_its_servers_and_is_a_failure() {
    let dir = applied().await;
    let nobody = Port::free();
    let silent = site(&format!("{COUNTED}agent: {{startup_wait: 0.2, backoff_min: 0.1}}\n")).replacen(
        "{method: file, path: endpoints.yaml}",
        &format!("{{method: etcd, host: 127.0.0.1, port: {nobody}, path: /web}}"),
        1,
    );
    dir.write("synapse.yaml", silent);
    let before = everything(&dir);
    let (code, plan) = planned(&dir).await;
    assert_eq!((code, &plan["action"], &plan["diff"]), (Some(1), &json!("nothing"), &json!("")));
    assert_eq!(plan["unanswered"][0]["service"], "web");
    let outcome = self::plan(&dir).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), "nothing to do\n"));
    assert!(outcome.stderr.contains("no answer for web"), "{}", outcome.stderr);
    assert_eq!(everything(&dir), before);
}

#[tokio::test]
async fn a_socket_that_nobody_listens_at_is_the_reason_for_a_reload() {
    let dir = applied().await;
    dir.write(
        "synapse.yaml",
        site(&format!(
            "{COUNTED}  do_socket: true\n  socket_file_path: {}\n",
            dir.join("nobody.sock").display()
        )),
    );
    move_on(&dir);
    let (code, plan) = planned(&dir).await;
    assert_eq!((code, &plan["action"]), (Some(3), &json!("reload")));
    let reasons = plan["reasons"].as_array().expect("it is a list");
    assert!(
        reasons.len() == 1 && reasons[0].as_str().is_some_and(|reason| reason.contains("nobody.sock")),
        "{plan}"
    );
    assert_eq!(plan["commands"], json!([]));
}

#[tokio::test]
async fn a_file_that_can_not_be_read_is_a_failure_and_a_mistake_is_one_of_the_command_line() {
    let dir = Dir::new("plan");
    write_site(&dir, COUNTED);
    std::fs::create_dir_all(dir.join("out/haproxy.cfg")).expect("the directory is new");
    let outcome = plan(&dir).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{}", outcome.stderr);
    dir.write("synapse.yaml", "{}");
    assert_eq!(plan(&dir).await.code, Some(2));
}

#[tokio::test]
async fn colours_are_for_terminals() {
    let dir = applied().await;
    move_on(&dir);
    for (name, value) in [("TERM", "xterm-256color"), ("NO_COLOR", "1")] {
        let arguments = ["plan", "-c", "synapse.yaml"];
        let outcome = outcome(synapse(&dir).args(arguments).env(name, value)).await;
        assert!(outcome.code == Some(3) && !outcome.stdout.contains('\u{1b}'), "{:?}", outcome.stdout);
    }
    let forced = outcome(synapse(&dir).args(["plan", "-c", "synapse.yaml"]).env("CLICOLOR_FORCE", "1")).await;
    assert!(forced.stdout.contains("\u{1b}[32m+\tserver c_"), "{:?}", forced.stdout);
}
