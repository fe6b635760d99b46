//! How changes are seen.

use discovery_core::{Endpoint, Watcher};
use serde_json::{Value, json};

use crate::{
    fake::{Fake, PATIENCE, Telling, container},
    watched::{NEVER, OFTEN, Watched, at, until, until_at},
};

fn with(mut container: Value, key: &str, value: Value) -> Value {
    container[key] = value;
    container
}

/// Waits until the daemon was asked for something so often.
async fn until_asked(fake: &Fake, part: &str, times: usize) {
    let asked = async {
        while fake.asked(part) < times {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("it is asked");
}

#[tokio::test]
async fn an_event_is_seen_long_before_the_interval_is_over() {
    let watched = Watched::start().await;
    let mut member = watched.member(NEVER);
    watched.fake.run([container(1, "app:1", 80, 1001)]);
    until_at(&mut member, &[1001]).await;
    watched.fake.until_heard(1).await;
    watched.fake.run([container(1, "app:1", 80, 1001), container(2, "app:2", 80, 1002)]);
    until_at(&mut member, &[1001, 1002]).await;
    watched.fake.run([]);
    until_at(&mut member, &[]).await;
}

#[tokio::test]
async fn a_container_that_is_still_listed_when_its_end_is_told_is_gone_soon_after() {
    let watched = Watched::start().await;
    let mut member = watched.member(NEVER);
    let all = |ports: std::ops::Range<u16>| ports.map(|port| container(port, "app:1", 80, port));
    watched.fake.run(all(1..5));
    until_at(&mut member, &[1, 2, 3, 4]).await;
    watched.fake.until_heard(1).await;
    // One after the other: the first may be seen because it has just begun to listen.
    watched.fake.run(all(2..5));
    until_at(&mut member, &[2, 3, 4]).await;
    watched.fake.run(all(3..5));
    until_at(&mut member, &[3, 4]).await;
    watched.fake.run(all(4..5));
    until_at(&mut member, &[4]).await;
    assert_eq!(watched.fake.asked("/events"), 1, "it is still listened to");
}

#[tokio::test]
async fn what_happens_while_it_begins_to_listen_is_seen() {
    let watched = Watched::start().await;
    let mut member = watched.member(NEVER);
    until_at(&mut member, &[]).await;
    // At first, and when it was told that it will be told.
    until_asked(&watched.fake, "/containers/json", 2).await;
    watched.fake.run_quietly([container(1, "app:1", 80, 1001)]);
    until_at(&mut member, &[1001]).await;
    assert_eq!(watched.fake.asked("/events"), 1);
}

#[tokio::test]
async fn without_events_changes_are_seen_at_the_interval() {
    let watched = Watched::start().await;
    watched.fake.telling(Telling::Refuses);
    let mut member = watched.member(OFTEN);
    until_at(&mut member, &[]).await;
    until_asked(&watched.fake, "/events", 1).await;
    watched.fake.run([container(1, "app:1", 80, 1001)]);
    until_at(&mut member, &[1001]).await;
}

#[tokio::test]
async fn a_stream_that_says_nothing_while_something_has_changed_is_replaced() {
    let watched = Watched::start().await;
    watched.fake.telling(Telling::Nothing);
    let mut member = watched.member(OFTEN);
    until_at(&mut member, &[]).await;
    until_asked(&watched.fake, "/containers/json", 4).await;
    assert_eq!(watched.fake.asked("/events"), 1, "while nothing has changed it is let be");
    watched.fake.telling(Telling::Well);
    watched.fake.run_quietly([container(1, "app:1", 80, 1001)]);
    until_at(&mut member, &[1001]).await;
    until_asked(&watched.fake, "/events", 2).await;
}

#[tokio::test]
async fn events_that_end_in_the_middle_are_seen_and_asked_for_again() {
    let watched = Watched::start().await;
    watched.fake.telling(Telling::HalfOf);
    let mut member = watched.member(NEVER);
    until_at(&mut member, &[]).await;
    for port in 1001..1004 {
        watched.fake.until_heard(1).await;
        watched.fake.run([container(1, "app:1", 80, port)]);
        until_at(&mut member, &[port]).await;
    }
}

#[tokio::test]
async fn a_flood_of_nonsense_keeps_nothing_from_being_seen() {
    let watched = Watched::start().await;
    watched.fake.telling(Telling::Floods);
    let mut member = watched.member(NEVER);
    until_at(&mut member, &[]).await;
    until_asked(&watched.fake, "/containers/json", 4).await;
    watched.fake.run_quietly([container(1, "app:1", 80, 1001)]);
    until_at(&mut member, &[1001]).await;
    assert_eq!(watched.fake.asked("/events"), 1);
    // Some more are in the buffers of the connection.
    let most = 100 * watched.fake.asked("/containers/json") + 1500;
    assert!(watched.fake.flooded() < most, "{} pieces, not less than {most}", watched.fake.flooded());
}

#[tokio::test]
async fn a_storm_of_events_is_answered_by_few_questions() {
    let watched = Watched::start().await;
    let mut member = watched.member(NEVER);
    until_at(&mut member, &[]).await;
    watched.fake.until_heard(1).await;
    for number in 1..=500 {
        watched.fake.run([container(number, "app:1", 80, 1000 + number)]);
        tokio::task::yield_now().await;
    }
    until_at(&mut member, &[1500]).await;
    let asked = watched.fake.asked("/containers/json");
    assert!(asked < 100, "{asked} questions for 500 events");
}

#[tokio::test]
async fn health_is_seen_in_old_versions_and_in_new_ones() {
    let watched = Watched::start().await;
    let mut member = watched.member(NEVER);
    until_at(&mut member, &[]).await;
    watched.fake.until_heard(1).await;
    let one = || container(1, "app:1", 80, 1001);
    for (key, value, available) in [
        ("Status", json!("Up 1 second (health: starting)"), false),
        ("Status", json!("Up 1 minute (healthy)"), true),
        ("Status", json!("Up 2 minutes (unhealthy)"), false),
        ("Health", json!({"Status": "healthy", "FailingStreak": 0}), true),
        ("Health", json!({"Status": "starting"}), false),
        ("Health", json!({"Status": "none"}), true),
        ("Health", json!({"Status": "unhealthy"}), false),
    ] {
        watched.fake.run_quietly([with(one(), key, value)]);
        watched.fake.tell("container", "health_status: any");
        until(&mut member, |now| now.iter().map(Endpoint::available).eq([available])).await;
    }
}

#[tokio::test]
async fn only_what_runs_is_there_even_if_more_is_listed() {
    let watched = Watched::start().await;
    watched.fake.run([
        container(1, "app:1", 80, 1001),
        with(container(2, "app:1", 80, 1002), "State", json!("exited")),
        with(container(3, "app:1", 80, 1003), "State", json!("paused")),
        container(4, "other", 80, 1004),
    ]);
    assert_eq!(watched.member(NEVER).next().await.unwrap().endpoints(), at(&[1001]));
}

#[tokio::test]
async fn a_container_is_found_at_its_own_address() {
    let watched = Watched::start().await;
    watched.fake.run([container(7, "app:1", 9, 1)]);
    let snapshot = watched.inside(NEVER).next().await.unwrap();
    let own = Endpoint::new("172.17.0.7".parse().unwrap(), 80).unwrap();
    assert_eq!(snapshot.endpoints(), [own]);
}

#[tokio::test]
async fn a_container_stays_when_its_images_name_goes_to_a_newer_image() {
    let watched = Watched::start().await;
    let mut member = watched.member(NEVER);
    until_at(&mut member, &[]).await;
    watched.fake.until_heard(1).await;
    let id = |number: u16| format!("{number:064x}");
    watched.fake.inspected([
        json!({"Id": id(1), "Config": {"Image": "app:1", "Env": []}}),
        // Podman's is a text here, which the documented form is not.
        json!({"Id": id(2), "Config": {"Image": "app:1", "Entrypoint": {"odd": 1}}}),
        json!({"Id": id(3), "Config": {"Image": "other:1"}}),
    ]);
    let whole = format!("sha256:{}", "ab".repeat(32));
    watched.fake.run([
        container(1, &whole, 80, 1001),
        container(2, &"ab".repeat(6), 80, 1002),
        container(3, &whole, 80, 1003),
        container(4, &whole, 80, 1004),
        container(5, "app:1", 80, 1005),
    ]);
    until_at(&mut member, &[1001, 1002, 1005]).await;
    watched.fake.run([container(1, &whole, 80, 1001)]);
    until_at(&mut member, &[1001]).await;
    assert_eq!(watched.fake.asked(&id(1)), 1, "what it was started as does not change");
}

#[tokio::test]
async fn services_share_the_questions_to_a_daemon() {
    let watched = Watched::start().await;
    watched.fake.run([container(1, "app:1", 80, 1001)]);
    let mut members: Vec<_> = (0..20).map(|_| watched.member(NEVER)).collect();
    for member in &mut members {
        until_at(member, &[1001]).await;
    }
    watched.fake.until_heard(1).await;
    watched.fake.run([container(1, "app:1", 80, 1002)]);
    for member in &mut members {
        until_at(member, &[1002]).await;
    }
    assert_eq!((watched.fake.asked("/version"), watched.fake.asked("/events")), (1, 1));
    assert!(watched.fake.asked("/containers/json") < 20, "{:?}", watched.fake.requests());
    drop(members);
    watched.fake.run_quietly([]);
    let unheard = async {
        while watched.fake.heard() > 0 {
            // A connection that the other side has closed is noticed by writing to it.
            watched.fake.tell("container", "start");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, unheard).await.expect("nobody wants to know any more");
    let mut late = watched.member(NEVER);
    assert!(late.next().await.unwrap().is_empty(), "nothing old is told");
}
