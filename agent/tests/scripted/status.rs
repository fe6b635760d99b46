//! What the status shows.

use std::time::Duration;

use agent::discovery::{Rejection, Snapshot, testing::Step};

use crate::site::{Site, endpoint, endpoints, line, says, until};

#[tokio::test(start_paused = true)]
async fn entries_that_cannot_be_served_are_named_with_the_reason() {
    let steps = || {
        let evil = endpoint(2).with_server_options("check ca-file /etc/shadow").expect("it is one line");
        let snapshot = Snapshot::new([endpoint(1), evil]);
        vec![Step::Yield(snapshot.with_rejected([Rejection::new("/services/web/x", "not JSON")]))]
    };
    let site = Site::new().service("web", steps);
    let mut running = site.start();
    running.applied().await;
    let service = running.status.services().remove(0);
    let rejected: Vec<_> =
        service.rejected.named().iter().map(|rejection| (rejection.entry(), rejection.reason())).collect();
    assert_eq!(
        rejected,
        [
            ("/services/web/x", "not JSON"),
            (
                "10.0.0.2:80",
                "haproxy_server_options: server option \"ca-file\": a registry may not use it: it makes HAProxy read a file"
            ),
        ]
    );
    assert_eq!(service.servers, 1);
    assert_eq!(site.servers("web"), [line(1, 1)]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn it_tells_who_said_what_how_long_ago() {
    let site = Site::new().service("web", || vec![says([1, 2])]).service("silent", || vec![Step::Hang]);
    let mut running = site.start();
    let waiting = running.status.services();
    assert!(waiting.iter().all(|service| service.snapshot.is_none() && service.age.is_none()));
    running.applied().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let services = running.status.services();
    let web = services.iter().find(|service| service.service == "web").unwrap();
    assert_eq!((web.method.as_str(), web.state(), web.servers), ("scripted", "ok", 2));
    assert_eq!(web.snapshot, Some(endpoints([1, 2])));
    assert!(web.age.is_some_and(|age| age >= Duration::from_secs(30)), "{:?}", web.age);
    let silent = services.iter().find(|service| service.service == "silent").unwrap();
    assert_eq!((silent.state(), silent.servers, silent.age), ("waiting", 0, None));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn it_stays_when_the_agent_is_gone() {
    let site = Site::new().service("web", || vec![says([1])]);
    let running = site.start();
    let mut status = running.status.clone();
    until("it to be served", || site.servers("web") == [line(1, 1)]).await;
    until("that to be told", || status.output().applied.is_some()).await;
    running.stop().await;
    while status.changed().await {}
    assert_eq!(status.services()[0].snapshot, Some(endpoints([1])));
    assert_eq!(status.output().counters.writes, 1);
}
