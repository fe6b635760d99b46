//! The files of services: who has one, when it is written, and what else is in the directory.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use agent::{AgentError, discovery::testing::Step};
use serde_json::{Value, json};
use tempfile::TempDir;

use tokio::time::Instant;

use crate::site::{Running, Site, endpoint, fails, line, says, until};

const MINUTE: Duration = Duration::from_mins(1);

/// A site whose services have files in a directory that is not there yet.
fn site() -> (TempDir, PathBuf, Site) {
    let dir = tempfile::tempdir().expect("temporary directories can be made");
    let out = dir.path().join("made/for/it");
    let site = Site::new().set(&["file_output"], json!({ "output_directory": out }));
    (dir, out, site)
}

/// The hosts of a service's file; `None` if there is none.
fn hosts(out: &Path, service: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(out.join(format!("{service}.json"))).ok()?;
    let backends: Vec<Value> = serde_json::from_str(&text).expect("a file is whole");
    let host = |backend: &Value| backend["host"].as_str().expect("each has a host").to_owned();
    Some(backends.iter().map(host).collect())
}

/// All names in the directory, without the hidden ones.
fn names(out: &Path) -> Vec<String> {
    let entries = fs::read_dir(out).expect("it is there").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// Waits until the files are as they should be.
async fn written(running: &Running) {
    let status = running.status.clone();
    until("the files to be written", || {
        status.file_output().is_some_and(|files| files.behind.is_none() && files.files > 0)
    })
    .await;
}

async fn run(site: &Site) -> Running {
    let mut running = site.start();
    running.applied().await;
    written(&running).await;
    running
}

#[tokio::test(start_paused = true)]
async fn a_file_has_who_is_served_with_the_keys_of_synapse() {
    let (_dir, out, site) = site();
    let steps = || {
        let first = endpoint(1).with_name("i-1").unwrap().with_weight(Some(5)).with_id(Some(1));
        let first = first.with_labels([("az".to_owned(), "a".to_owned())].into()).unwrap();
        vec![Step::Yield([first, endpoint(2), endpoint(3).with_available(false)].into_iter().collect())]
    };
    let filter = json!([{ "label": "az", "value": "a", "condition": "equals" }]);
    let site = site
        .service("web", steps)
        .service("az", steps)
        .set(&["services", "web", "backend_port_override"], json!("8080"))
        .set(&["services", "az", "discovery", "label_filters"], filter)
        .set(&["services", "az", "haproxy", "disabled"], json!(true));
    let running = run(&site).await;
    let web = out.join("web.json");
    assert_eq!(
        fs::read_to_string(&web).unwrap(),
        concat!(
            r#"[{"name":"i-1","host":"10.0.0.1","port":8080,"id":1,"weight":5,"haproxy_server_options":null,"labels":{"az":"a"}},"#,
            r#"{"name":null,"host":"10.0.0.2","port":8080,"id":null,"weight":null,"haproxy_server_options":null,"labels":null}]"#,
            "\n",
        )
    );
    assert_eq!(hosts(&out, "az"), Some(vec!["10.0.0.1".to_owned()]), "HAProxy need not serve it");
    assert_eq!(fs::metadata(&web).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(names(&out), ["az.json", "web.json"]);
    assert_eq!(fs::read_dir(out.join(".synapse")).unwrap().count(), 0, "nothing half-written is left");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_says_the_same_is_not_touched() {
    let (_dir, out, site) = site();
    let site = site.service("web", || vec![says([1])]);
    site.once().await.unwrap();
    let path = out.join("web.json");
    let value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let otherwise = serde_json::to_string_pretty(&value).unwrap();
    fs::write(&path, &otherwise).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let running = run(&site).await;
    let looked_at_again = Duration::from_mins(3);
    tokio::time::sleep(looked_at_again).await;
    assert_eq!(running.status.file_output().unwrap().writes, 0);
    running.stop().await;
    assert_eq!((fs::read_to_string(&path).unwrap(), fs::metadata(&path).unwrap().ino()), (otherwise, inode));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_has_changed_is_put_right() {
    let (_dir, out, site) = site();
    let site = site.service("web", || vec![says([1])]).service("db", || vec![says([2])]);
    let running = run(&site).await;
    fs::write(out.join("web.json"), "[]").unwrap();
    fs::remove_file(out.join("db.json")).unwrap();
    until("both to be as they were", || {
        hosts(&out, "web") == Some(vec!["10.0.0.1".to_owned()])
            && hosts(&out, "db") == Some(vec!["10.0.0.2".to_owned()])
    })
    .await;
    fs::remove_dir_all(&out).unwrap();
    until("a directory that is gone to be back", || names_or_none(&out) == ["db.json", "web.json"]).await;
    running.stop().await;
}

fn names_or_none(out: &Path) -> Vec<String> {
    if out.exists() { names(out) } else { Vec::new() }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_not_answered_leaves_its_file() {
    let (_dir, out, site) = site();
    let told = site.service("web", || vec![says([1])]).service("db", || vec![says([1])]);
    told.once().await.unwrap();
    let silent = told
        .service("web", || vec![fails(), Step::Hang])
        // An empty answer is not believed at first.
        .service("db", || vec![says([])])
        .service("new", || vec![Step::Hang])
        .service("known", || vec![Step::Hang])
        .set(&["services", "known", "default_servers"], json!([{ "host": "10.0.0.9", "port": 80 }]))
        .set(&["services", "web", "default_servers"], json!([{ "host": "10.0.0.9", "port": 80 }]))
        .service("last", || vec![says([5])]);
    let running = run(&silent).await;
    until("the last to be written", || hosts(&out, "last").is_some()).await;
    for service in ["web", "db"] {
        assert_eq!(hosts(&out, service), Some(vec!["10.0.0.1".to_owned()]), "{service}");
    }
    assert_eq!(hosts(&out, "new"), None, "nobody has said that there is nobody");
    assert_eq!(hosts(&out, "known"), Some(vec!["10.0.0.9".to_owned()]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_state_file_remembers_replaces_no_file_and_makes_one_that_is_missing() {
    let (dir, out, site) = site();
    let both = |site: Site| site.service("web", || vec![says([1])]).service("db", || vec![says([2])]);
    let site = both(site).set(&["haproxy", "state_file_path"], json!(dir.path().join("state.json")));
    site.once().await.unwrap();
    let newer = "[{\"host\":\"10.0.0.7\"}]";
    fs::write(out.join("web.json"), newer).unwrap();
    fs::remove_file(out.join("db.json")).unwrap();
    let silent = site.service("web", || vec![Step::Hang]).service("db", || vec![Step::Hang]);
    let running = run(&silent).await;
    until("the missing one to be made", || hosts(&out, "db") == Some(vec!["10.0.0.2".to_owned()])).await;
    let looked_at_again = Duration::from_mins(3);
    tokio::time::sleep(looked_at_again).await;
    running.stop().await;
    assert_eq!(fs::read_to_string(out.join("web.json")).unwrap(), newer);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_written_where_that_is_believed() {
    let (_dir, out, site) = site();
    let site = site
        .service("web", || vec![says([1]), Step::Wait(Duration::from_secs(1)), says([])])
        .set(&["services", "web", "use_previous_backends"], json!(false));
    let running = run(&site).await;
    until("it to be empty", || hosts(&out, "web") == Some(Vec::new())).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn files_of_services_that_have_gone_are_removed_and_nothing_else() {
    let (_dir, out, site) = site();
    let both = |site: Site| site.service("web", || vec![says([1])]).service("old", || vec![says([2])]);
    let kept = both(site).service("off", || vec![says([3])]);
    fs::create_dir_all(&out).unwrap();
    for foreign in ["theirs.json", "README", ".hidden.json"] {
        fs::write(out.join(foreign), "theirs").unwrap();
    }
    kept.once().await.unwrap();
    assert_eq!(names(&out), ["README", "off.json", "old.json", "theirs.json", "web.json"]);

    let left = Site::new()
        .set(&["file_output"], json!({ "output_directory": out }))
        .service("web", || vec![Step::Hang])
        .service("off", || vec![says([3])])
        // It would be a service of ours, but its file is somebody else's.
        .service("theirs", || vec![says([4])])
        .set(&["services", "off", "file_output"], json!({ "disabled": true }))
        .set(&["services", "theirs", "file_output"], json!({ "disabled": true }));
    let running = run(&left).await;
    until("two to be removed", || running.status.file_output().unwrap().removals == 2).await;
    running.stop().await;
    assert_eq!(names(&out), ["README", "theirs.json", "web.json"]);
    assert!(out.join(".hidden.json").exists());
    assert_eq!(fs::read_to_string(out.join("theirs.json")).unwrap(), "theirs");
}

#[tokio::test(start_paused = true)]
async fn without_a_list_of_what_is_ours_nothing_is_removed() {
    for garbage in [None, Some("{\"format\""), Some("[\"old\"]")] {
        let (_dir, out, site) = site();
        let site = site.service("web", || vec![says([1])]);
        site.once().await.unwrap();
        fs::write(out.join("old.json"), "[]").unwrap();
        let list = out.join(".synapse-files");
        match garbage {
            None => fs::remove_file(&list).unwrap(),
            Some(text) => fs::write(&list, text).unwrap(),
        }
        site.once().await.unwrap();
        assert_eq!(names(&out), ["old.json", "web.json"], "{garbage:?}");
        // The list is whole again.
        let site = site.set(&["services", "web", "file_output"], json!({ "disabled": true }));
        site.once().await.unwrap();
        assert_eq!(names(&out), ["old.json"], "{garbage:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn files_need_no_haproxy() {
    let (_dir, out, site) = site();
    let site = site.service("web", || vec![says([1])]).without_section("haproxy");
    assert!(site.config().warnings().to_string().contains("services.web.haproxy: has no effect for HAProxy"));
    site.once().await.unwrap();
    assert_eq!(hosts(&out, "web"), Some(vec!["10.0.0.1".to_owned()]));
    let running = run(&site).await;
    assert!(running.status.output().applied.is_some());
    assert_eq!(running.status.output().counters, <_>::default());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn files_are_written_where_haproxys_is_not() {
    let (_dir, out, site) = site();
    let site = site.service("web", || vec![says([1])]).set(&["haproxy", "do_writes"], json!(false));
    site.once().await.unwrap();
    assert!(hosts(&out, "web").is_some() && !site.path().exists());
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_cannot_be_made_is_told_and_tried_again() {
    let (dir, out, site) = site();
    let blocks = dir.path().join("made");
    fs::write(&blocks, "a file").unwrap();
    let site = site.service("web", || vec![says([1]), Step::Wait(Duration::from_secs(5)), says([1, 2])]);
    let mut running = site.start();
    running.applied().await;
    let status = running.status.clone();
    until("the failure to be shown", || status.file_output().unwrap().error.is_some()).await;
    let files = status.file_output().unwrap();
    let error = files.error.unwrap();
    assert!(
        error.starts_with("provided output directory") && error.contains("is not present or creatable"),
        "{error}"
    );
    assert!(files.behind.is_some());
    until("HAProxy to be served all the same", || site.servers("web") == [line(1, 1), line(2, 2)]).await;
    fs::remove_file(&blocks).unwrap();
    until("it to be written", || hosts(&out, "web").is_some_and(|hosts| hosts.len() == 2)).await;
    until("that to be shown", || status.file_output().unwrap().error.is_none()).await;
    let files = status.file_output().unwrap();
    assert_eq!((files.behind, files.failing, files.files), (None, 0, 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_file_that_cannot_be_written_holds_up_no_other() {
    let (dir, out, site) = site();
    fs::create_dir_all(&out).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, "theirs").unwrap();
    symlink(&elsewhere, out.join("bad.json")).unwrap();
    let site = site.service("bad", || vec![says([1])]).service("web", || vec![says([2])]);
    let mut running = site.start();
    running.applied().await;
    let status = running.status.clone();
    until("the other to be written", || hosts(&out, "web").is_some()).await;
    until("the failure to be shown", || status.file_output().unwrap().failing == 1).await;
    let error = status.file_output().unwrap().error.unwrap();
    assert!(error.contains("bad.json") && error.contains("not a regular file"), "{error}");
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "theirs");
    fs::remove_file(out.join("bad.json")).unwrap();
    until("it to be written", || hosts(&out, "bad").is_some()).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_single_run_that_could_not_write_a_file_says_so() {
    let (dir, _out, site) = site();
    fs::write(dir.path().join("made"), "a file").unwrap();
    let site = site.service("web", || vec![says([1])]);
    let error = site.once().await.unwrap_err();
    assert!(
        matches!(&error, AgentError::FileOutput(why) if why.contains("not present or creatable")),
        "{error:?}"
    );
    assert_eq!(site.servers("web"), [line(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn files_do_not_wait_for_the_pace_of_reloads() {
    let (_dir, out, site) = site();
    let site = site
        .service("web", || vec![says([1]), Step::Wait(Duration::from_secs(5)), says([1, 2])])
        .set(&["haproxy", "restart_interval"], json!(600));
    let running = run(&site).await;
    let begun = Instant::now();
    until("it to be written", || hosts(&out, "web").is_some_and(|hosts| hosts.len() == 2)).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(site.servers("web"), [line(1, 1)]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_agents_with_one_directory_the_second_waits_for_the_end_of_the_first() {
    let (_dir, out, site) = site();
    let first = run(&site.service("web", || vec![says([1])])).await;
    let other = || Site::new().set(&["file_output"], json!({ "output_directory": out }));
    let other = other().service("db", || vec![says([2])]);
    let second = other.start();
    let shown = || second.status.file_output().and_then(|files| files.error);
    until("that to be shown", || shown().is_some()).await;
    assert!(shown().unwrap().starts_with("another agent keeps its files in"), "{:?}", shown());
    until("HAProxy to be served all the same", || other.served("db") == [2]).await;
    assert_eq!(names(&out), ["web.json"]);
    let error = other.once().await.unwrap_err();
    assert!(matches!(&error, AgentError::FileOutput(why) if why.contains("another agent")), "{error:?}");
    first.stop().await;
    until("the second to have its file", || names(&out) == ["db.json"]).await;
    until("the trouble to be over", || shown().is_none()).await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_can_not_be_written_gives_the_directory_to_nobody_else() {
    let (_dir, out, site) = site();
    let steps = || vec![says([1]), Step::Wait(MINUTE), says([2])];
    let first = run(&site.service("web", steps).service("db", || vec![says([3])])).await;
    fs::remove_file(out.join("web.json")).unwrap();
    fs::create_dir(out.join("web.json")).unwrap();
    let error = || first.status.file_output().and_then(|files| files.error);
    until("the failure to be shown", || error().is_some()).await;

    let other = Site::new().set(&["file_output"], json!({ "output_directory": out }));
    let second = other.service("mine", || vec![says([4])]).start();
    let refused = || second.status.file_output().and_then(|files| files.error);
    until("the second to be kept out", || refused().is_some()).await;
    let since = Instant::now();
    until("both to have tried again some times", || since.elapsed() > 5 * MINUTE).await;
    assert_eq!(names(&out), ["db.json", "web.json"]);
    assert!(refused().unwrap().starts_with("another agent"), "{:?}", refused());
    second.stop().await;
    first.stop().await;
}
