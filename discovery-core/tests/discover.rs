//! A service as tower sees it.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use discovery_core::{
    Backoff, Discover, Endpoint, Fixed, Health, Key, Observed, Snapshot, WatchError, discover, supervise,
};
use futures_util::{FutureExt as _, StreamExt as _, future::Ready, future::ready};
use tokio::{sync::watch, time::timeout};
use tower::{
    Service, ServiceExt as _,
    balance::p2c::Balance,
    discover::Change,
    load::{Constant, Load as _},
};

fn endpoint(port: u16) -> Endpoint {
    let host = "10.0.0.1".parse().expect("an address");
    Endpoint::new(host, port).expect("a port")
}

fn ports(ports: &[u16]) -> Snapshot {
    ports.iter().map(|&port| endpoint(port)).collect()
}

fn publish(to: &watch::Sender<Observed>, snapshot: Snapshot) {
    to.send_modify(|now| {
        now.snapshot = Some(snapshot);
        now.health = Health::Healthy;
    });
}

fn shown(change: Result<Change<Key, String>, Infallible>) -> String {
    match change {
        Ok(Change::Insert(key, service)) => format!("+{} {service}", key.port),
        Ok(Change::Remove(key)) => format!("-{}", key.port),
        Err(never) => match never {},
    }
}

/// All changes that are there now.
fn now<F: FnMut(&Endpoint) -> String>(stream: &mut Discover<F>) -> Vec<String> {
    let mut changes = Vec::new();
    while let Some(Some(change)) = stream.next().now_or_never() {
        changes.push(shown(change));
    }
    changes
}

fn weight(endpoint: &Endpoint) -> String {
    format!("{:?}", endpoint.weight())
}

#[tokio::test]
async fn arrivals_come_before_removals_and_what_changed_comes_again() {
    let (sender, observed) = watch::channel(Observed::default());
    let mut stream = discover(observed, weight);
    assert!(now(&mut stream).is_empty());

    publish(&sender, ports(&[1, 2]));
    assert_eq!(now(&mut stream), ["+1 None", "+2 None"]);

    publish(&sender, Snapshot::new([endpoint(2).with_weight(Some(9)), endpoint(3)]));
    assert_eq!(now(&mut stream), ["+3 None", "+2 Some(9)", "-1"]);

    publish(&sender, Snapshot::default());
    assert_eq!(now(&mut stream), ["-2", "-3"]);
}

#[tokio::test]
async fn what_is_known_already_is_news_to_who_comes_later() {
    let (sender, mut observed) = watch::channel(Observed::default());
    publish(&sender, ports(&[1]));
    observed.mark_unchanged();
    assert_eq!(now(&mut discover(observed, weight)), ["+1 None"]);
}

#[tokio::test]
async fn trouble_of_the_source_yields_nothing() {
    let (sender, observed) = watch::channel(Observed::default());
    publish(&sender, ports(&[1]));
    let mut stream = discover(observed, weight);
    assert_eq!(now(&mut stream), ["+1 None"]);
    let error = Arc::new(WatchError::new("asking the registry"));
    sender.send_modify(|now| now.health = Health::Ended { error });
    assert!(now(&mut stream).is_empty());
    publish(&sender, ports(&[1]));
    assert!(now(&mut stream).is_empty());
}

#[tokio::test]
async fn who_wants_no_traffic_is_not_in_it_and_backups_only_alone() {
    let (sender, observed) = watch::channel(Observed::default());
    let mut stream = discover(observed, weight);
    let backup = endpoint(3).with_backup(true);
    publish(&sender, Snapshot::new([endpoint(1), endpoint(2).with_available(false), backup.clone()]));
    assert_eq!(now(&mut stream), ["+1 None"]);
    publish(&sender, Snapshot::new([endpoint(1).with_available(false), backup]));
    assert_eq!(now(&mut stream), ["+3 None", "-1"]);
}

#[tokio::test]
async fn it_skips_what_nobody_took_in_time() {
    let (sender, observed) = watch::channel(Observed::default());
    let mut stream = discover(observed, weight);
    for port in 1..100 {
        publish(&sender, ports(&[port]));
    }
    assert_eq!(now(&mut stream), ["+99 None"]);
}

#[tokio::test]
async fn it_wakes_for_news_and_ends_after_the_last_when_the_sender_is_gone() {
    let (sender, observed) = watch::channel(Observed::default());
    let stream = discover(observed, weight);
    let all = tokio::spawn(async move {
        let mut stream = stream;
        let all: Vec<_> = stream.by_ref().map(shown).collect().await;
        assert!(stream.next().await.is_none(), "it stays ended");
        all
    });
    tokio::task::yield_now().await;
    publish(&sender, ports(&[1]));
    drop(sender);
    let all = timeout(Duration::from_secs(10), all).await;
    assert_eq!(all.expect("it ends").expect("it does not panic"), ["+1 None"]);
}

/// Answers each request with its own name.
struct Named(String);

impl Service<()> for Named {
    type Response = String;
    type Error = Infallible;
    type Future = Ready<Result<String, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}

#[tokio::test]
async fn towers_balancer_spreads_requests_over_those_who_are_there() {
    let (sender, observed) = watch::channel(Observed::default());
    let connect = |endpoint: &Endpoint| Constant::new(Named(endpoint.to_string()), 1);
    let mut balance = Balance::new(discover(observed, connect));
    assert!(balance.ready().now_or_never().is_none(), "nobody is there");

    publish(&sender, ports(&[1, 2]));
    let mut asked = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let service = balance.ready().await.expect("it never fails");
        asked.insert(service.call(()).await.expect("it never fails"));
    }
    assert_eq!(asked.into_iter().collect::<Vec<_>>(), ["10.0.0.1:1", "10.0.0.1:2"]);

    publish(&sender, ports(&[2, 3]));
    for _ in 0..50 {
        let name = balance.ready().await.expect("it never fails").call(()).await.expect("it never fails");
        assert_ne!(name, "10.0.0.1:1", "it was removed");
    }
    drop(sender);
    assert_eq!(balance.len(), 2);
    assert!(balance.ready().await.is_ok(), "it keeps what it has");
}

#[tokio::test(start_paused = true)]
async fn a_supervised_source_reaches_the_balancer() {
    let (publish, observed) = watch::channel(Observed::default());
    let source = Fixed::new(ports(&[7]));
    tokio::spawn(supervise("web", source, Backoff::default(), publish, std::future::pending()));
    let connect = |endpoint: &Endpoint| Constant::new(Named(endpoint.to_string()), 1);
    assert_eq!(connect(&endpoint(1)).load(), 1);
    let mut balance: Balance<_, ()> = Balance::new(discover(observed, connect));
    let name = balance.ready().await.expect("it never fails").call(()).await.expect("it never fails");
    assert_eq!(name, "10.0.0.1:7");
}
