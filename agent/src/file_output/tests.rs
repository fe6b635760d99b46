//! A disk that hangs, and what happens meanwhile.

use std::{fs, sync::Arc, time::Duration};

use discovery_core::{Endpoint, Snapshot};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::{Board, Files};
use crate::{Config, Registry, fold::Served, meter::Meter};

fn config(directory: &std::path::Path, services: &[&str]) -> Config {
    let service = |name: &&str| ((*name).to_owned(), json!({ "discovery": { "method": "base" } }));
    let services: serde_json::Map<_, _> = services.iter().map(service).collect();
    let text = json!({ "services": services, "file_output": { "output_directory": directory } });
    Config::parse(&text.to_string(), None, &Registry::builtin()).unwrap()
}

fn known(port: u16) -> Served {
    Served::Known(Snapshot::new([Endpoint::new("10.0.0.1".parse().unwrap(), port).unwrap()]))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let looking = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(Duration::from_hours(1), looking).await.is_ok(), "after an hour: still not {what}");
}

#[tokio::test(start_paused = true)]
async fn of_what_is_said_while_the_disk_hangs_the_newest_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let board = Arc::<Board>::default();
    let hung = board.hung.lock().await;
    let files = Files::start(Arc::clone(&board), &config(dir.path(), &["web"]), Meter::default()).await;
    for port in 1..=1000 {
        files.say("web", &known(port), true);
    }
    until("told that it hangs", || board.status().unwrap().error.is_some()).await;
    let status = board.status().unwrap();
    assert!(status.error.unwrap().contains("does not answer"));
    assert!(status.behind.is_some() && status.writes == 0);
    drop(hung);
    until("written", || board.status().unwrap().behind.is_none()).await;
    assert_eq!(board.status().unwrap().writes, 1);
    assert!(fs::read_to_string(dir.path().join("web.json")).unwrap().contains("\"port\":1000,"));
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_some_seconds_for_a_disk_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let board = Arc::<Board>::default();
    let _hung = board.hung.lock().await;
    let mut files = Files::start(Arc::clone(&board), &config(dir.path(), &["web"]), Meter::default()).await;
    files.say("web", &known(1), true);
    let begun = Instant::now();
    assert!(files.finish().await.unwrap_err().contains("does not answer"));
    assert!((4..=6).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn services_come_and_go_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let has = |service: &str| dir.path().join(format!("{service}.json")).exists();
    let board = Arc::<Board>::default();
    let mut files =
        Files::start(Arc::clone(&board), &config(dir.path(), &["web", "old"]), Meter::default()).await;
    files.say("web", &known(1), true);
    files.say("old", &known(1), true);
    files.say("unknown", &known(1), true);
    until("both there", || has("web") && has("old")).await;
    files.configure(&config(dir.path(), &["web", "new"])).await;
    files.say("new", &Served::Unheard(Snapshot::default()), false);
    until("the old gone", || !has("old")).await;
    files.say("new", &known(2), true);
    until("the new there", || has("new")).await;
    assert!(has("web") && !has("unknown"));

    let other = tempfile::tempdir().unwrap();
    files.configure(&config(other.path(), &["web"])).await;
    files.say("web", &known(3), true);
    until("there", || other.path().join("web.json").exists()).await;
    assert!(has("web") && has("new"), "a directory that is left is left as it is");
    files.finish().await.unwrap();
}
