use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RData, RecordType, rdata::SRV};
use tokio::time::{Instant, timeout};

use super::*;
use crate::scripted::{Does, Scripted, record, records, srv, within};

const NAMESERVER: &[&str] = &["10.0.0.1"];
const EVERY: Duration = Duration::from_secs(30);
const WEB: &str = "_http._tcp.web";

fn at(host: &str) -> Server {
    Server::at(Endpoint::new(host.parse().unwrap(), 80).unwrap())
}

fn service() -> Server {
    Server::srv(&WEB.parse().unwrap())
}

fn member(dns: &Scripted, servers: impl IntoIterator<Item = Server>) -> Member {
    dns.resolver(NAMESERVER).member(servers, EVERY)
}

fn shown(snapshot: &Snapshot) -> Vec<String> {
    snapshot.iter().map(|endpoint| format!("{endpoint:?}")).collect()
}

fn rejected(snapshot: &Snapshot) -> Vec<String> {
    let named = snapshot.rejected().named().iter();
    named.map(|one| format!("{}: {}", one.entry(), one.reason())).collect()
}

#[tokio::test(start_paused = true)]
async fn each_address_of_a_name_is_an_endpoint_like_the_server() {
    let dns = Scripted::default();
    dns.has("web", 60, &["10.0.0.2", "10.0.0.1", "2001:db8::1"]);
    let labels = std::collections::BTreeMap::from([("az".to_owned(), "a".to_owned())]);
    let server = at("web").with_name("w").unwrap().with_labels(labels).unwrap();
    let snapshot = member(&dns, [server]).next().await.unwrap();
    let labels = r#"labels={"az": "a"}"#;
    assert_eq!(
        shown(&snapshot),
        [
            format!("w_10.0.0.1:80 {labels}"),
            format!("w_10.0.0.2:80 {labels}"),
            format!("w_[2001:db8::1]:80 {labels}"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn addresses_are_not_asked_for() {
    let dns = Scripted::default();
    let mut member = member(&dns, [at("10.0.0.9"), at("::1")]);
    assert_eq!(shown(&member.next().await.unwrap()), ["10.0.0.9:80", "[::1]:80"]);
    assert!(timeout(100 * EVERY, member.next()).await.is_err(), "there is no news");
    assert!(dns.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_fails_fails_all_and_takes_nothing_away() {
    let dns = Scripted::default();
    dns.has("a", 5, &["10.0.0.1"]);
    dns.has("b", 5, &["10.0.0.2"]);
    let mut member = member(&dns, [at("a"), at("b"), at("10.0.0.3")]);
    assert_eq!(member.next().await.unwrap().len(), 3);
    dns.all_do("b", &Does::Refuse);
    let error = within(async {
        loop {
            match member.next().await {
                Ok(snapshot) => assert_eq!(snapshot.len(), 3, "no part of it"),
                Err(error) => break error.chain(),
            }
        }
    })
    .await;
    let expected = "resolving b by 10.0.0.1:53: 10.0.0.1:53 answers SERVFAIL (";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_exist_takes_nothing_from_the_others() {
    let dns = Scripted::default();
    dns.has("a", 60, &["10.0.0.1"]);
    let snapshot = member(&dns, [at("a"), at("gone")]).next().await.unwrap();
    assert_eq!((shown(&snapshot), snapshot.rejected().total()), (vec!["10.0.0.1:80".to_owned()], 0));
    assert!(member(&dns, [at("gone")]).next().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_loses_nothing() {
    let dns = Scripted::default();
    dns.has("web", 10, &["10.0.0.1"]);
    dns.takes(Duration::from_secs(1));
    let mut member = member(&dns, [at("web")]);
    let mut calls = 0;
    let snapshot = within(async {
        loop {
            calls += 1;
            if let Ok(answer) = timeout(Duration::from_millis(70), member.next()).await {
                break answer.unwrap();
            }
        }
    })
    .await;
    assert!(calls > 10 && snapshot.len() == 1, "{calls}");
    assert_eq!(dns.times("web"), 1);
}

#[tokio::test(start_paused = true)]
async fn srv_records_say_port_share_and_who_is_a_backup() {
    let dns = Scripted::default();
    dns.serves(WEB, 60, vec![srv(10, 60, 8080, "a"), srv(10, 20, 8081, "b"), srv(20, 0, 9090, "c")]);
    dns.has("a", 60, &["10.0.0.1", "10.0.0.2"]);
    dns.has("b", 60, &["10.0.0.3"]);
    dns.has("c", 60, &["2001:db8::1"]);
    let snapshot = member(&dns, [service().with_name("web").unwrap()]).next().await.unwrap();
    assert_eq!(
        shown(&snapshot),
        [
            "web_10.0.0.1:8080 weight=60",
            "web_10.0.0.2:8080 weight=60",
            "web_10.0.0.3:8081 weight=20",
            "web_[2001:db8::1]:9090 backup",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn targets_come_and_go_and_none_is_told_before_it_is_known() {
    let dns = Scripted::default();
    dns.serves(WEB, 5, vec![srv(1, 0, 80, "a")]);
    dns.has("a", 5, &["10.0.0.1"]);
    dns.has("b", 5, &["10.0.0.2"]);
    dns.takes(Duration::from_millis(300));
    let mut member = member(&dns, [service()]);
    assert_eq!(shown(&member.next().await.unwrap()), ["10.0.0.1:80"]);
    dns.serves(WEB, 5, vec![srv(1, 0, 80, "b")]);
    let moved = within(async {
        loop {
            let snapshot = member.next().await.unwrap();
            assert_eq!(snapshot.len(), 1, "never nobody");
            if shown(&snapshot) == ["10.0.0.2:80"] {
                break Instant::now();
            }
        }
    })
    .await;
    while moved.elapsed() < 2 * EVERY {
        member.next().await.unwrap();
    }
    assert!(dns.seen().iter().filter(|seen| seen.name == "a").all(|seen| seen.when <= moved));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fails_fails_the_service() {
    let dns = Scripted::default();
    dns.serves(WEB, 60, vec![srv(1, 0, 80, "a"), srv(1, 0, 80, "b")]);
    dns.has("a", 60, &["10.0.0.1"]);
    dns.all_do("b", &Does::Hang);
    let error = member(&dns, [service()]).next().await.unwrap_err();
    assert!(error.chain().contains("resolving b. by"), "{}", error.chain());
    dns.all_do("b", &Does::Answer(crate::scripted::nobody(false, Some(60))));
    assert_eq!(shown(&member(&dns, [service()]).next().await.unwrap()), ["10.0.0.1:80"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_stranger_wrote_into_records_is_refused_and_named() {
    let dns = Scripted::default();
    let odd = Name::from_labels([&b"a\nb \xff"[..], &b"example"[..]]).unwrap();
    let odd = RData::SRV(SRV::new(1, 0, 80, odd));
    dns.serves(WEB, 60, vec![srv(1, 0, 80, "a"), srv(1, 0, 0, "b"), odd]);
    dns.has("a", 60, &["10.0.0.1", "0.0.0.0"]);
    dns.has("b", 60, &["10.0.0.2"]);
    let snapshot = member(&dns, [service()]).next().await.unwrap();
    assert_eq!(shown(&snapshot), ["10.0.0.1:80"]);
    let rejected = rejected(&snapshot);
    assert_eq!(rejected.len(), 3, "{rejected:?}");
    assert!(rejected.iter().any(|one| one.contains("b.:0: the port is 0")), "{rejected:?}");
    assert!(
        rejected.iter().any(|one| one.contains("0.0.0.0: the host is the unspecified address")),
        "{rejected:?}"
    );
    assert!(rejected.iter().any(|one| one.contains("has a character that neither")), "{rejected:?}");
    assert!(dns.seen().iter().all(|seen| ["a", "b", WEB].contains(&seen.name.as_str())));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_addresses_is_cut_and_named() {
    let dns = Scripted::default();
    for n in 0..12u32 {
        let address = |m: u32| RData::A(std::net::Ipv4Addr::from(0x0a00_0000 + (n << 16) + m).into());
        let name = format!("web-{n}");
        let many = (1..=1500).map(|m| record(&name, 60, address(m))).collect();
        dns.has(&name, 60, &[]);
        dns.does(&name, RecordType::A, Does::Answer(records(many)));
    }
    let snapshot = member(&dns, (0..12).map(|n| at(&format!("web-{n}")))).next().await.unwrap();
    assert_eq!(snapshot.len(), MAX_ENDPOINTS);
    let rejected = rejected(&snapshot);
    assert!(
        rejected.contains(&"web-0: 1500 records: only the first 1000 are used".to_owned()),
        "{rejected:?}"
    );
    assert!(
        rejected.contains(&"all servers: 12000 endpoints: only 10000 are used".to_owned()),
        "{rejected:?}"
    );
}
