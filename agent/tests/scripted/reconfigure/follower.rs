//! An agent that follows the files of its configuration.

use std::{path::PathBuf, sync::Arc, time::Duration};

use agent::{Agent, ConfigurationStatus, Follower, Loader, Status, discovery::testing::Step};
use serde_json::json;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{SECOND, two};
use crate::site::{Site, says, until};

/// An agent with a follower.
struct Following {
    file: PathBuf,
    reload: Arc<Notify>,
    status: Status,
    stop: oneshot::Sender<()>,
    tasks: [JoinHandle<()>; 2],
}

/// All services that any configuration here has.
fn site() -> Site {
    two().service("new", || vec![says([9])]).service("stuck", || vec![Step::Hang])
}

impl Following {
    /// Starts with the services `db` and `web`.
    async fn start(site: &Site, first: &Site) -> Self {
        let file = site.path().with_file_name("synapse.json");
        std::fs::write(&file, first.text()).unwrap();
        let loader = Loader::new(&file, site.registry(&Arc::default()));
        let first = loader.load();
        let agent = Agent::new(first.config.clone().unwrap());
        let (status, reload) = (agent.status(), Arc::new(Notify::new()));
        let follower = Follower::new(agent.handle(), loader, first);
        let (stop, stopped) = oneshot::channel::<()>();
        let told = Arc::clone(&reload);
        let tasks = [
            tokio::spawn(async move { follower.run(&told).await }),
            tokio::spawn(agent.run(async { _ = stopped.await })),
        ];
        let running = Self { file, reload, status, stop, tasks };
        until("the first apply", || running.status.output().applied.is_some()).await;
        running
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
    }

    fn now(&self) -> ConfigurationStatus {
        self.status.configuration()
    }

    async fn taken(&self, count: u64) {
        until("it to be taken over", || self.now().taken == count).await;
    }

    /// Stops the agent: the follower ends with it.
    async fn stop(self) {
        drop(self.stop);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// With these alone.
fn only(names: &[&str], mut site: Site) -> Site {
    for name in ["db", "web", "new", "stuck"] {
        if !names.contains(&name) {
            site = site.without(name);
        }
    }
    site
}

/// A site in the same place as `site`, with these services alone.
fn with(site: &Site, names: &[&str]) -> Site {
    let path = json!(site.path());
    only(names, self::site()).set(&["haproxy", "config_file_path"], path)
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_file_is_taken_over_when_it_has_lasted_a_moment() {
    let site = site();
    let running = Following::start(&site, &with(&site, &["db", "web"])).await;
    let begun = Instant::now();
    running.write(&with(&site, &["web", "new"]).text());
    running.taken(1).await;
    assert!((SECOND..4 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    until("it to be served", || site.served("new") == [9]).await;
    assert!(!site.file().contains("backend db"));
    // Written anew, and nothing in it.
    running.write(&with(&site, &["web", "new"]).text());
    sleep(10 * SECOND).await;
    assert_eq!(running.now().taken, 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_all_the_time_is_not_used_before_it_stays() {
    let site = site();
    let running = Following::start(&site, &with(&site, &["db", "web"])).await;
    for round in 0..20 {
        let half = with(&site, &["web"]).set(&["agent", "settle"], json!(f64::from(round) / 1e6));
        running.write(&half.text());
        sleep(SECOND / 2).await;
    }
    assert_eq!(running.now().taken, 0);
    running.write(&with(&site, &["db", "web", "new"]).text());
    running.taken(1).await;
    until("it to be served", || site.served("new") == [9]).await;
    assert_eq!(site.served("db"), [7]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_changes_nothing_and_is_shown_until_it_is_mended_or_taken_back() {
    let site = site();
    let running = Following::start(&site, &with(&site, &["db", "web"])).await;
    let (good, before) = (with(&site, &["db", "web"]).text(), site.file());
    running.write(&good.replace("scripted", "scribbled"));
    until("it to be shown", || running.now().failure.is_some()).await;
    let failure = running.now().failure.unwrap();
    let lines: Vec<_> = failure.error.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("synapse.json:1:"), "{lines:?}");
    assert!(lines[0].contains("unknown discovery method \"scribbled\""), "{lines:?}");
    sleep(60 * SECOND).await;
    assert_eq!(running.now().failure.unwrap().at, failure.at, "told once");
    assert_eq!((running.now().taken, site.file()), (0, before));

    running.write(&good);
    until("it to be taken back", || running.now().failure.is_none()).await;
    assert_eq!(running.now().taken, 0, "that is in use");
    std::fs::remove_file(&running.file).unwrap();
    until("it to be shown", || running.now().failure.is_some()).await;
    assert!(running.now().failure.unwrap().error.contains("No such file"));
    running.write(&with(&site, &["web", "new"]).text());
    running.taken(1).await;
    assert_eq!(running.now().failure, None);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn told_to_it_reads_at_once_and_even_what_it_has() {
    let site = site();
    let off = |names: &[&str]| with(&site, names).set(&["agent", "watch_config"], json!(false));
    let running = Following::start(&site, &off(&["db", "web"])).await;
    running.write(&off(&["web", "new"]).text());
    sleep(60 * SECOND).await;
    assert_eq!(running.now().taken, 0, "nobody looks");
    let begun = Instant::now();
    running.reload.notify_one();
    running.taken(1).await;
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    running.reload.notify_one();
    running.taken(2).await;
    running.write("{");
    running.reload.notify_one();
    until("it to be shown", || running.now().failure.is_some()).await;
    // From then on it looks by itself.
    running.write(&with(&site, &["web"]).text());
    running.reload.notify_one();
    running.taken(3).await;
    running.write(&with(&site, &["db"]).text());
    running.taken(4).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_mistake_can_be_mended_while_its_answers_are_waited_for() {
    let site = site();
    let running = Following::start(&site, &with(&site, &["db", "web"])).await;
    let long = |names: &[&str]| with(&site, names).set(&["agent", "startup_wait"], json!(3600)).text();
    running.write(&long(&["web", "stuck"]));
    until("it to wait", || running.now().waiting.is_some()).await;
    running.write(&long(&["web", "new"]));
    let begun = Instant::now();
    running.taken(1).await;
    assert!(begun.elapsed() < 10 * SECOND, "{:?}", begun.elapsed());
    // And so can one that is not there any more.
    running.write(&long(&["web", "stuck"]));
    until("it to wait", || running.now().waiting.is_some()).await;
    running.write(&long(&["web", "new"]));
    running.taken(2).await;
    until("it to be served", || site.served("new") == [9]).await;
    assert!(!site.file().contains("stuck"));
    running.stop().await;
}

#[tokio::test]
async fn it_ends_with_the_agent_though_the_disk_does_not_answer() {
    let site = site();
    let running = Following::start(&site, &with(&site, &["db", "web"])).await;
    // Whoever opens a pipe waits for somebody to write.
    let path = running.file.clone();
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    running.reload.notify_one();
    // Until it has been told.
    while timeout(Duration::ZERO, running.reload.notified()).await.is_ok() {
        running.reload.notify_one();
        tokio::task::yield_now().await;
    }
    let ended = timeout(30 * SECOND, running.stop()).await;
    // Or the thread that waits would keep the runtime: whether it has come to the pipe, or will find none.
    let writer = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    drop(writer);
    ended.expect("it ends");
}
