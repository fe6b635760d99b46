//! Chosen by a file.

use std::path::PathBuf;

use discovery_core::{
    Backoff, Observed, Retry, Snapshot, Watcher,
    multi::{Multi, Toggle},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{SECOND, endpoints, ends, fails, many, play, ports, run, says, until};

/// Two children that a file chooses from.
struct Toggled {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Toggled {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("temporary directories can be made");
        let toggled = Self { path: dir.path().join("weights.yaml"), _dir: dir };
        toggled.write(text);
        toggled
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.path, text).expect("it can be written");
    }

    fn watch(&self, children: [(&str, Box<dyn Watcher>); 2]) -> Multi {
        Multi::toggle("web", children, Backoff::default(), Toggle::new(&self.path, SECOND).with_seed(7))
    }

    fn run(&self) -> watch::Receiver<Observed> {
        run(self.watch([("green", play([says([2])])), ("primary", play([says([1])]))]))
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_chooses_and_chooses_again_within_its_interval() {
    let toggled = Toggled::new("primary: 1\ngreen: 0\n");
    let mut observed = toggled.run();
    until(&mut observed, [1]).await;
    toggled.write("primary: 0\ngreen: 1\n");
    let start = Instant::now();
    until(&mut observed, [2]).await;
    assert!(start.elapsed() <= SECOND, "{:?}", start.elapsed());
    toggled.write("{\"primary\": 1}");
    until(&mut observed, [1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_keeps_the_choice_and_is_told() {
    let toggled = Toggled::new("green: 1\n");
    let mut observed = toggled.run();
    until(&mut observed, [2]).await;
    for (text, reason) in [
        ("primary: 0\n", "reading the weights: no weight is more than 0"),
        ("primary: 1\nred: 1\n", "reading the weights: there is no \"red\" to choose"),
        ("primary", "reading the weights: no map from names to whole numbers"),
    ] {
        toggled.write(text);
        let told = |now: &Observed| {
            let rejected = now.snapshot.as_ref().map(Snapshot::rejected);
            rejected.is_some_and(|rejected| {
                rejected.named().iter().any(|rejection| rejection.reason().starts_with(reason))
            })
        };
        let now = timeout(60 * SECOND, observed.wait_for(told)).await.expect(reason).unwrap().clone();
        assert_eq!(now.snapshot.unwrap().endpoints(), endpoints([2]).endpoints());
    }
    std::fs::remove_file(&toggled.path).unwrap();
    sleep(10 * SECOND).await;
    assert_eq!(ports(&observed).unwrap().endpoints(), endpoints([2]).endpoints());
    toggled.write("primary: 1\n");
    until(&mut observed, [1]).await;
    assert_eq!(ports(&observed).unwrap().rejected().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_file_primary_is_chosen_and_without_a_primary_the_first() {
    let toggled = Toggled::new("nonsense");
    let mut observed = toggled.run();
    until(&mut observed, [1]).await;
    let children = [("blue", play([says([3])])), ("green", play([says([4])]))];
    until(&mut run(toggled.watch(children)), [3]).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_is_that_of_the_child_that_the_file_chooses() {
    let toggled = Toggled::new("green: 1\n");
    let mut multi = toggled.watch([("primary", play([says([1])])), ("green", play([says([2])]))]);
    assert_eq!(multi.next().await.unwrap(), endpoints([2]));
}

#[tokio::test(start_paused = true)]
async fn a_choice_that_never_answered_does_not_take_over_and_is_named() {
    let toggled = Toggled::new("primary: 1\n");
    let children = [("primary", play([says([1])])), ("green", play(many(fails)))];
    let mut observed = run(toggled.watch(children));
    until(&mut observed, [1]).await;
    sleep(10 * SECOND).await;
    toggled.write("green: 1\n");
    let state = observed.wait_for(|now| now.health.error().is_some()).await.unwrap().clone();
    assert_eq!(state.health.error().unwrap().chain(), "asking several sources: green: asking");
    assert_eq!(state.snapshot, Some(endpoints([1])));
}

#[tokio::test(start_paused = true)]
async fn a_choice_that_has_ended_takes_over_with_its_last_answer_and_is_told_at_once() {
    let toggled = Toggled::new("primary: 1\n");
    let mut multi = toggled.watch([("primary", play([says([1])])), ("green", play([says([2]), ends()]))]);
    assert_eq!(multi.next().await.unwrap(), endpoints([1]));
    toggled.write("green: 1\n");
    assert_eq!(multi.next().await.unwrap(), endpoints([2]));
    let error = timeout(SECOND / 2, multi.next()).await.expect("at once").unwrap_err();
    assert_eq!(error.when(), Retry::Never);
}
