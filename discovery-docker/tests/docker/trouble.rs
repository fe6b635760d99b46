//! What goes wrong, and what is said of it.

use discovery_core::{Rejection, Retry, Watcher};
use serde_json::json;

use crate::{
    fake::{Mood, container},
    watched::{NEVER, OFTEN, Watched, error, until, until_at},
};

#[tokio::test]
async fn every_fault_is_an_error_that_says_what_is_wrong_and_passes() {
    let watched = Watched::start().await;
    watched.fake.run([container(1, "app:1", 80, 1001)]);
    let mut member = watched.member(OFTEN);
    until_at(&mut member, &[1001]).await;
    let json =
        |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
    for (mood, expected) in [
        (Mood::Refuses(500, r#"{"message": "no space\nleft"}"#.into()), r"it answered 500: no space\nleft"),
        (Mood::Refuses(403, "<html>forbidden</html>".into()), "it answered 403: <html>forbidden</html>"),
        (Mood::Refuses(404, String::new()), "it answered 404"),
        (Mood::Says(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "asking it by HTTP"),
        (Mood::Says(json("[{")), "the answer cannot be read"),
        (Mood::Says(json("null")), "the answer cannot be read"),
        (Mood::Says(json(r#""a text""#)), "the answer cannot be read"),
        (Mood::Says(json(&"[".repeat(100_000))), "the answer cannot be read"),
        (Mood::Says(Vec::new()), "asking it by HTTP"),
        (Mood::Truncates, "asking it by HTTP"),
        (Mood::Endless, "the answer is larger than 64 MiB"),
    ] {
        watched.fake.mood(mood.clone());
        let told = error(&mut member).await;
        assert!(told.contains(expected), "{mood:?}: {told}");
        assert!(told.starts_with("listing the containers of Docker at /"), "{told}");
        watched.fake.mood(Mood::Well);
        until_at(&mut member, &[1001]).await;
    }
    watched.fake.mood(Mood::Slow);
    watched.fake.run([container(1, "app:1", 80, 1002)]);
    until_at(&mut member, &[1002]).await;
}

#[tokio::test]
async fn a_daemon_that_says_nothing_is_told_to_have_said_nothing() {
    let watched = Watched::start().await;
    watched.fake.run([container(1, "app:1", 80, 1001)]);
    let mut member = watched.member(OFTEN);
    until_at(&mut member, &[1001]).await;
    watched.fake.mood(Mood::Silent);
    let told = error(&mut member).await;
    assert!(told.ends_with("asking it: no answer within 10s"), "{told}");
}

#[tokio::test]
async fn an_endless_complaint_is_cut() {
    let watched = Watched::start().await;
    watched.fake.mood(Mood::Refuses(500, "x".repeat(1 << 20)));
    assert!(error(&mut watched.member(OFTEN)).await.len() < 1000);
}

#[tokio::test]
async fn a_socket_that_is_missing_is_told_and_found_when_it_is_there() {
    let mut watched = Watched::start().await;
    watched.fake.stop().await;
    watched.fake.run([container(1, "app:1", 80, 1001)]);
    let mut member = watched.member(NEVER);
    let told = error(&mut member).await;
    assert!(told.contains("docker.sock: No such file"), "{told}");
    watched.fake.start().await;
    until_at(&mut member, &[1001]).await;
}

#[tokio::test]
async fn a_daemon_that_ends_is_noticed_at_once_and_may_be_newer_when_it_is_back() {
    let mut watched = Watched::start().await;
    watched.fake.run([container(1, "app:1", 80, 1001)]);
    let mut member = watched.member(NEVER);
    until_at(&mut member, &[1001]).await;
    watched.fake.until_heard(1).await;
    watched.fake.stop().await;
    error(&mut member).await;
    watched.fake.versions("1.44", "1.52");
    watched.fake.run([container(2, "app:1", 80, 1002)]);
    watched.fake.start().await;
    until_at(&mut member, &[1002]).await;
    assert!(watched.fake.asked("/v1.52/containers/json") > 0);
    watched.fake.until_heard(1).await;
    watched.fake.run([]);
    until_at(&mut member, &[]).await;
}

#[tokio::test]
async fn the_newest_version_that_both_speak_is_named_in_each_request() {
    let watched = Watched::start().await;
    watched.fake.versions("1.44", "1.99");
    let mut member = watched.member(OFTEN);
    until_at(&mut member, &[]).await;
    watched.fake.until_heard(1).await;
    let unnamed: Vec<_> =
        watched.fake.requests().into_iter().filter(|path| !path.starts_with("/v1.53/")).collect();
    assert_eq!(unnamed, ["/version"]);
}

#[tokio::test]
async fn a_daemon_from_another_age_is_told() {
    let watched = Watched::start().await;
    watched.fake.versions("1.12", "1.23");
    let told = error(&mut watched.member(OFTEN)).await;
    assert!(told.contains("it speaks versions 1.12 to 1.23 of the API"), "{told}");
}

#[tokio::test]
async fn what_nobody_has_documented_costs_one_container_at_most() {
    let watched = Watched::start().await;
    let mut odd = container(2, "app:1", 80, 1002);
    odd["Mounts"] = json!([{"Type": "of tomorrow"}]);
    let mut stopping = container(3, "app:1", 80, 1003);
    stopping["State"] = json!("stopping");
    let mut bad = container(4, "app:1", 80, 1004);
    bad["Ports"] = json!({"80/tcp": 1004});
    let mut others = container(5, "db", 80, 1005);
    others["Labels"] = json!(7);
    watched.fake.run([container(1, "app:1", 80, 1001), odd, stopping, bad, others]);
    let snapshot = until_at(&mut watched.member(OFTEN), &[1001, 1002]).await;
    let named = snapshot.rejected().named();
    assert_eq!((named.len(), named[0].entry()), (1, "web-4 (000000000000)"), "{named:?}");
}

#[tokio::test]
async fn a_container_without_a_published_port_is_named() {
    let watched = Watched::start().await;
    let mut unpublished = container(2, "app:1", 80, 1002);
    unpublished["Ports"] = json!([{"PrivatePort": 80, "Type": "tcp"}]);
    watched.fake.run([container(1, "app:1", 80, 1001), unpublished]);
    let snapshot = until(&mut watched.member(OFTEN), |now| now.len() == 1).await;
    let reasons: Vec<_> = snapshot.rejected().named().iter().map(Rejection::reason).collect();
    assert_eq!(reasons, ["port 80/tcp is not published"]);
}

#[tokio::test]
async fn a_connection_is_closed_when_its_answer_has_ended() {
    let watched = Watched::start().await;
    let mut member = watched.member(NEVER);
    until_at(&mut member, &[]).await;
    watched.fake.until_heard(1).await;
    for port in 1001..1011 {
        watched.fake.run([container(1, "app:1", 80, port)]);
        until_at(&mut member, &[port]).await;
    }
    let closed = async {
        while watched.fake.connections() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::fake::PATIENCE / 4, closed).await.expect("none but that for events is open");
}

#[tokio::test]
async fn members_end_with_their_driver() {
    let watched = Watched::start().await;
    let mut member = watched.member(OFTEN);
    until_at(&mut member, &[]).await;
    drop(watched);
    let ended = async {
        loop {
            if let Err(error) = member.next().await
                && error.when() == Retry::Never
            {
                return;
            }
        }
    };
    tokio::time::timeout(crate::fake::PATIENCE, ended).await.expect("the end");
}
