//! How often HAProxy is reloaded: never for nothing, seldom for much, and soon enough in a stream that never ends.

mod serving_support;

use std::time::Duration;

use e2e::{AgentTask, HttpBackend};
use serde_json::json;
use serving_support::{Touched, Web, all_answered, key, named, register, registration, servers, until, with};
use tokio::time::{Instant, interval};

/// The label with which a registration changes and its server does not.
const LABEL: &str = "round";

/// How long a change may take to be served within a stream of others: `settle_max` (0.1 s, or 1 s), `restart_interval` (0.2 s) and
/// two reloads, that which runs and its own, on a machine that is busy with other tests.
const BOUND: Duration = Duration::from_secs(4);
/// How long a stream goes on: longer than that, so that none can wait for its end.
const STREAM: Duration = Duration::from_secs(6);

/// What a source last said that label of blue is.
fn label(agent: &AgentTask) -> Option<String> {
    let known = agent.service("web").snapshot?;
    let blue = known.endpoints().iter().find(|endpoint| endpoint.name() == Some("blue"))?;
    blue.label(LABEL).map(str::to_owned)
}

#[tokio::test]
async fn a_thousand_wake_ups_for_nothing_write_nothing_and_reload_nothing() {
    let mut web = Web::prepare().await;
    // Each is looked at by itself.
    web.site.set("/agent", "settle", 0);
    web.site.set("/agent", "settle_max", 0);
    let (agent, traffic) = web.serve().await;
    let count = || (agent.status().output().counters, web.site.haproxy().reload_commands());
    let (before, touched) = (count(), Touched::last(&web.site));
    for round in 0..1000 {
        let value = with(&web.blue, &json!({ "labels": { LABEL: round.to_string() } }));
        web.etcd.put(&key("blue"), &value).await;
        // The same again: an event without any news.
        web.etcd.put(&key("green"), &registration(&web.green)).await;
        until("the round to be known", || match label(&agent) {
            Some(known) if known == round.to_string() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    assert_eq!((count(), Touched::last(&web.site)), (before, touched));

    // It was awake: what does make a difference is one write and one reload.
    let red = HttpBackend::start("red").await;
    register(&web.etcd, &red).await;
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    let ((counters, reloads), (before, commands)) = (count(), before);
    assert_eq!((counters.writes, counters.reloads), (before.writes + 1, before.reloads + 1));
    assert_eq!(reloads, commands + 1);
    all_answered(traffic).await;
}

#[tokio::test]
async fn fifty_changes_in_a_second_are_two_reloads_at_most() {
    const INTERVAL: Duration = Duration::from_secs(2);
    let mut web = Web::prepare().await;
    web.site.set("/haproxy", "restart_interval", INTERVAL.as_secs());
    let (agent, traffic) = web.serve().await;
    // The worst case: HAProxy may be reloaded at once, for the first change alone.
    until("the interval to be over", || {
        let applied = agent.status().output().applied.expect("it serves");
        if applied.elapsed() > INTERVAL { Ok(()) } else { Err(format!("{:?}", applied.elapsed())) }
    })
    .await;
    let (before, begin) = (web.site.haproxy().reload_commands(), Instant::now());
    let mut tick = interval(Duration::from_millis(20));
    for change in 0..49 {
        tick.tick().await;
        let name = format!("n{}", change % 5);
        if change / 5 % 2 == 0 {
            web.etcd.put(&key(&name), &named(&name, &web.green)).await;
        } else {
            web.etcd.delete(&key(&name)).await;
        }
    }
    let red = HttpBackend::start("red").await;
    tick.tick().await;
    register(&web.etcd, &red).await;
    let took = begin.elapsed();
    web.site.until_serves("web", &["blue", "green", "red"]).await;
    assert_eq!(servers(&web.site), ["blue", "green", "n4", "red"]);
    // A machine too busy for fifty changes in a second is granted what the interval grants it.
    let granted = 2 + usize::try_from(took.as_secs() / INTERVAL.as_secs()).unwrap();
    let reloads = web.site.haproxy().reload_commands() - before;
    assert!((1..=granted).contains(&reloads), "{reloads} reloads for changes that took {took:?}");

    // Nothing was left over: the next change is the next reload.
    web.etcd.delete(&key("red")).await;
    web.site.until_serves("web", &["blue", "green"]).await;
    assert_eq!(web.site.haproxy().reload_commands() - before, reloads + 1);
    all_answered(traffic).await;
}

/// Changes what HAProxy is to make of blue again and again, until `during` ends: returns the median time between changes.
async fn streaming(web: &Web, during: impl Future<Output = ()>) -> Duration {
    let mut gaps = Vec::new();
    let mut last = Instant::now();
    let stream = async {
        loop {
            // Small, so that red need not wait for its turn.
            let weight = 1 + gaps.len() % 7;
            web.etcd.put(&key("blue"), &with(&web.blue, &json!({ "weight": weight }))).await;
            gaps.push(last.elapsed());
            last = Instant::now();
        }
    };
    tokio::select! {
        () = stream => {}
        () = during => {}
    }
    gaps.sort_unstable();
    gaps[gaps.len() / 2]
}

/// Has red come and go within a stream of other changes; each must take effect within [`BOUND`]. Returns the median time between
/// the others.
async fn changes_within_a_stream(web: &Web) -> Duration {
    let (_agent, traffic) = web.serve().await;
    // A new one for each round, whom nobody asks because of an earlier one; none ends before the requests do.
    let mut reds = Vec::new();
    let mut slowest = Duration::ZERO;
    let gap = streaming(web, async {
        let begin = Instant::now();
        while begin.elapsed() < STREAM {
            let red = HttpBackend::start("red").await;
            let change = Instant::now();
            web.etcd.put(&key("red"), &with(&red, &json!({ "weight": 8 }))).await;
            until("red to be asked", || if red.requests() > 0 { Ok(()) } else { Err("no".to_owned()) }).await;
            slowest = slowest.max(change.elapsed());

            let change = Instant::now();
            web.etcd.delete(&key("red")).await;
            until("red to be out of the file", || match servers(&web.site) {
                without if without == ["blue", "green"] => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
            slowest = slowest.max(change.elapsed());
            reds.push(red);
        }
    })
    .await;
    assert!(slowest < BOUND, "{slowest:?}");
    web.site.until_serves("web", &["blue", "green"]).await;
    all_answered(traffic).await;
    gap
}

#[tokio::test]
async fn a_stream_of_changes_faster_than_they_settle_is_applied_while_it_goes_on() {
    let mut web = Web::prepare().await;
    web.site.set("/haproxy", "use_nerve_weights", true);
    // One every millisecond or so. Whether they are faster than 5 ms depends on how busy the machine is: see below.
    changes_within_a_stream(&web).await;
}

#[tokio::test]
async fn a_longer_time_to_settle_holds_nothing_back_for_longer_than_its_limit() {
    let mut web = Web::prepare().await;
    web.site.set("/haproxy", "use_nerve_weights", true);
    web.site.set("/agent", "settle", 0.5);
    web.site.set("/agent", "settle_max", 1);
    let gap = changes_within_a_stream(&web).await;
    assert!(gap < Duration::from_millis(100), "one every {gap:?} is no stream");
}
