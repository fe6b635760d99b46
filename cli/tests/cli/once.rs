//! `run --once`.

use std::os::unix::fs::MetadataExt as _;

use e2e::Dir;

use crate::program::{COUNTED, RENDERED, run, write_site};

fn read(dir: &Dir, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap_or_default()
}

#[tokio::test]
async fn it_writes_reloads_and_ends_well() {
    let dir = Dir::new("once");
    write_site(&dir, COUNTED);
    std::fs::create_dir(dir.join("out")).unwrap();
    let outcome = run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{}", outcome.stderr);
    assert_eq!(read(&dir, "out/haproxy.cfg"), RENDERED);
    assert_eq!(read(&dir, "reloads"), "reload\n");
}

#[tokio::test]
async fn a_second_time_nothing_is_written_or_reloaded() {
    let dir = Dir::new("once");
    write_site(&dir, COUNTED);
    std::fs::create_dir(dir.join("out")).unwrap();
    let identity = || {
        let file = std::fs::metadata(dir.join("out/haproxy.cfg")).unwrap();
        (file.ino(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec())
    };
    assert_eq!(run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await.code, Some(0));
    let before = identity();
    let again = run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await;
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(identity(), before);
    assert_eq!(read(&dir, "reloads"), "reload\n");
}

#[tokio::test]
async fn a_silent_source_is_a_failure_that_names_it_and_the_others_are_applied() {
    let dir = Dir::new("once");
    write_site(&dir, &format!("{COUNTED}agent: {{startup_wait: 0.5, backoff_min: 0.1}}\n"));
    std::fs::create_dir(dir.join("out")).unwrap();
    let config = read(&dir, "synapse.yaml").replacen(
        "idle:\n    discovery: {method: file, path: endpoints.yaml}",
        "idle:\n    discovery: {method: file, path: nowhere.yaml}",
        1,
    );
    dir.write("synapse.yaml", config);
    let outcome = run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let last = outcome.failure().unwrap();
    assert_eq!(
        last,
        "synapse-rs: no answer within 500ms from the source of idle (reading nowhere.yaml: No such file or directory (os error 2))"
    );
    assert_eq!(read(&dir, "out/haproxy.cfg"), RENDERED);
}

#[tokio::test]
async fn a_failed_reload_is_a_failure_that_says_what_the_command_said() {
    let dir = Dir::new("once");
    write_site(&dir, "  reload_command: echo no such process >&2; exit 3\n");
    std::fs::create_dir(dir.join("out")).unwrap();
    let outcome = run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(1));
    let last = outcome.failure().unwrap();
    assert!(last.starts_with("synapse-rs: bringing HAProxy up to date: "), "{last}");
    assert!(outcome.stderr.contains("no such process"), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_failed_check_leaves_the_live_file_and_is_a_failure() {
    let dir = Dir::new("once");
    let checks = "  do_checks: true\n  check_command: exit 1\n  candidate_config_file_path: out/candidate\n";
    write_site(&dir, &format!("{COUNTED}{checks}"));
    std::fs::create_dir(dir.join("out")).unwrap();
    dir.write("out/haproxy.cfg", "# the one that works\n");
    let outcome = run(&dir, ["run", "--once", "-c", "synapse.yaml"]).await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert_eq!(read(&dir, "out/haproxy.cfg"), "# the one that works\n");
    assert_eq!(read(&dir, "reloads"), "");
}
