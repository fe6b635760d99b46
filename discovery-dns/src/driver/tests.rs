use discovery_core::{Endpoint, Retry, Watcher};
use futures_util::future::join_all;
use hickory_resolver::proto::rr::RecordType;

use super::*;
use crate::{
    member::Member,
    nameserver::Nameservers,
    resolver::Resolver,
    scripted::{Does, Scripted, nobody, within},
    server::Server,
};

const NAMESERVER: &[&str] = &["10.0.0.1"];
const EVERY: Duration = Duration::from_secs(30);

fn at(host: &str) -> Server {
    Server::at(Endpoint::new(host.parse().unwrap(), 80).unwrap())
}

/// When A records of the name were asked for, in seconds since `start`.
fn asked(dns: &Scripted, name: &str, start: Instant) -> Vec<f64> {
    let seen = dns.seen().into_iter().filter(|seen| seen.name == name && seen.kind == RecordType::A);
    seen.map(|seen| (seen.when - start).as_secs_f64()).collect()
}

async fn answers(member: &mut Member, times: usize) {
    for _ in 0..times {
        within(member.next()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_asked_for_again_when_its_ttl_or_the_interval_is_over_but_no_sooner_than_a_second() {
    for (ttl, wait) in [(5, 5.0), (3600, 30.0), (0, 1.0), (1, 1.0)] {
        let dns = Scripted::default();
        dns.has("web", ttl, &["10.0.0.1"]);
        let start = Instant::now();
        answers(&mut dns.resolver(NAMESERVER).member([at("web")], EVERY), 3).await;
        let asked = asked(&dns, "web", start);
        let longest = wait + 1f64.min(wait / 10.0) + 0.01;
        let pauses = [asked[0], asked[1] - asked[0], asked[2] - asked[1]];
        assert!(
            pauses[0] == 0.0 && pauses[1..].iter().all(|pause| (wait..=longest).contains(pause)),
            "{ttl}: {asked:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_believed_for_as_long_as_was_said_or_else_for_the_interval() {
    for (ttl, wait) in [(Some(7), 7.0), (None, 30.0)] {
        let dns = Scripted::default();
        dns.all_do("web", &Does::Answer(nobody(false, ttl)));
        let start = Instant::now();
        answers(&mut dns.resolver(NAMESERVER).member([at("web")], EVERY), 2).await;
        let asked = asked(&dns, "web", start);
        assert!((wait..wait + 1.01).contains(&asked[1]), "{ttl:?}: {asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_several_services_have_is_asked_once() {
    let dns = Scripted::default();
    dns.has("web", 10, &["10.0.0.1"]);
    let resolver = dns.resolver(NAMESERVER);
    let mut members: Vec<_> = (0..5).map(|_| resolver.member([at("WEB"), at("web")], EVERY)).collect();
    join_all(members.iter_mut().map(|member| answers(member, 2))).await;
    assert_eq!(dns.times("web"), 2);
    let mut late = resolver.member([at("web")], EVERY);
    answers(&mut late, 1).await;
    assert_eq!(dns.times("web"), 2, "it was told what is known");
}

#[tokio::test(start_paused = true)]
async fn who_wants_to_know_more_often_sets_the_pace_while_there() {
    let dns = Scripted::default();
    dns.has("web", 3600, &["10.0.0.1"]);
    let resolver = dns.resolver(NAMESERVER);
    let mut slow = resolver.member([at("web")], EVERY);
    answers(&mut slow, 1).await;
    let start = Instant::now();
    let mut quick = resolver.member([at("web")], EVERY / 10);
    answers(&mut quick, 3).await;
    assert!(start.elapsed() < EVERY / 4, "{:?}", start.elapsed());
    drop(quick);
    answers(&mut slow, 2).await;
    let start = Instant::now();
    answers(&mut slow, 1).await;
    assert!(start.elapsed() > EVERY.mul_f64(0.95), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_to_know_is_not_asked() {
    let dns = Scripted::default();
    dns.has("web", 1, &["10.0.0.1"]);
    let resolver = dns.resolver(NAMESERVER);
    let mut member = resolver.member([at("web")], EVERY);
    answers(&mut member, 1).await;
    drop(member);
    tokio::time::sleep(10 * EVERY).await;
    assert_eq!(dns.times("web"), 1);
    answers(&mut resolver.member([at("web")], EVERY), 1).await;
    assert_eq!(dns.times("web"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_asked_for_again_with_growing_pauses() {
    let dns = Scripted::default();
    dns.all_do("web", &Does::Refuse);
    let mut member = dns.resolver(NAMESERVER).member([at("web")], EVERY);
    let start = Instant::now();
    for _ in 0..8 {
        member.next().await.unwrap_err();
    }
    let asked = asked(&dns, "web", start);
    assert!(asked[1] - asked[0] <= 0.1 + 0.01 && asked[7] - asked[6] >= 1.0, "{asked:?}");
    dns.has("web", 60, &["10.0.0.1"]);
    let start = Instant::now();
    assert_eq!(member.next().await.unwrap().len(), 1);
    assert!(start.elapsed() <= Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nameservers_that_never_answer_cost_ten_seconds_at_most() {
    let dns = Scripted::default();
    let many: Vec<String> = (1..20).map(|n| format!("10.0.0.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    dns.all_do("web", &Does::Hang);
    let start = Instant::now();
    let error = dns.resolver(&many).member([at("web")], EVERY).next().await.unwrap_err();
    assert_eq!(start.elapsed(), DEADLINE);
    assert!(error.chain().ends_with("no answer within 10s"), "{}", error.chain());
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_questions_are_under_way_and_none_is_forgotten() {
    let dns = Scripted::default();
    let names: Vec<String> = (0..AT_ONCE * 3).map(|n| format!("web-{n}")).collect();
    for name in &names {
        dns.has(name, 3600, &["10.0.0.1"]);
    }
    dns.takes(Duration::from_secs(1));
    let start = Instant::now();
    let servers = names.iter().map(|name| at(name));
    answers(&mut dns.resolver(NAMESERVER).member(servers, EVERY), 1).await;
    let first = dns.seen().iter().filter(|seen| seen.when == start).count();
    assert_eq!(first, AT_ONCE * 2, "A and AAAA");
    assert_eq!(dns.seen().len(), names.len() * 2);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_gone_ends_its_watchers_for_good() {
    let listed = Nameservers::Listed(vec!["10.0.0.1".parse().unwrap()]);
    let (resolver, driver) = Resolver::through(listed, Backoff::default(), Arc::new(Scripted::default()));
    let mut member = resolver.member([at("web")], EVERY);
    drop(driver);
    assert_eq!(member.next().await.unwrap_err().when(), Retry::Never);
}

#[tokio::test(start_paused = true)]
async fn a_driver_ends_when_nobody_can_ask_any_more() {
    let listed = Nameservers::Listed(vec!["10.0.0.1".parse().unwrap()]);
    let (resolver, driver) = Resolver::through(listed, Backoff::default(), Arc::new(Scripted::default()));
    let member = resolver.member([at("web")], EVERY);
    drop((resolver, member));
    driver.await;
}
