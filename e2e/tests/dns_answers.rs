//! What a real DNS server answers is told, and told again when it expires.

mod dns_support;

use discovery_dns::Server;
use dns_support::{EVERY, resolver, shown, until_shown, watch, watching};
use e2e::Knot;
use tokio::time::Instant;

#[tokio::test]
async fn addresses_come_and_go_when_their_ttl_is_over() {
    let knot = Knot::start().await;
    knot.set("web", "A", 1, &["10.0.0.2", "10.0.0.1"]).await;
    let mut web = watch(&[knot.address()], &["web.example"]);
    until_shown(&mut web, &["10.0.0.1:80", "10.0.0.2:80"]).await;
    let changed = Instant::now();
    knot.set("web", "A", 1, &["10.0.0.3"]).await;
    until_shown(&mut web, &["10.0.0.3:80"]).await;
    knot.set("web", "AAAA", 1, &["2001:db8::1"]).await;
    until_shown(&mut web, &["10.0.0.3:80", "[2001:db8::1]:80"]).await;
    assert!(changed.elapsed() < EVERY, "long before the interval was over: {:?}", changed.elapsed());
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_nobody_until_it_does() {
    let knot = Knot::start().await;
    knot.set("a", "A", 1, &["10.0.0.1"]).await;
    let mut web = watch(&[knot.address()], &["a.example", "b.example"]);
    until_shown(&mut web, &["10.0.0.1:80"]).await;
    knot.set("b", "A", 1, &["10.0.0.2"]).await;
    until_shown(&mut web, &["10.0.0.1:80", "10.0.0.2:80"]).await;
    knot.set("a", "A", 1, &[]).await;
    until_shown(&mut web, &["10.0.0.2:80"]).await;
    knot.set("b", "TXT", 1, &["text"]).await;
    knot.set("b", "A", 1, &[]).await;
    until_shown(&mut web, &[]).await;
}

#[tokio::test]
async fn an_alias_is_followed_wherever_it_leads() {
    let knot = Knot::start().await;
    let sets: [(&str, &str, u32, &[&str]); 4] = [
        ("web", "CNAME", 1, &["middle"]),
        ("middle", "CNAME", 3600, &["blue"]),
        ("blue", "A", 3600, &["10.0.0.1"]),
        ("green", "A", 3600, &["10.0.0.2"]),
    ];
    knot.set_all(&sets).await;
    let mut web = watch(&[knot.address()], &["WEB.Example."]);
    until_shown(&mut web, &["10.0.0.1:80"]).await;
    knot.set("web", "CNAME", 1, &["green"]).await;
    until_shown(&mut web, &["10.0.0.2:80"]).await;
}

#[tokio::test]
async fn srv_records_are_followed_to_the_addresses_of_their_targets() {
    let knot = Knot::start().await;
    let service = "_http._tcp.web";
    let sets: [(&str, &str, u32, &[&str]); 4] = [
        (service, "SRV", 1, &["10 3 8080 a", "10 1 8081 b", "20 0 9090 c"]),
        ("a", "A", 1, &["10.0.0.1"]),
        ("b", "AAAA", 1, &["2001:db8::2"]),
        ("c", "A", 1, &["10.0.0.3"]),
    ];
    knot.set_all(&sets).await;
    let server = Server::srv(&"_http._tcp.web.example".parse().expect("it is a name"));
    let mut web = watching(resolver(&[knot.address()]).member([server], EVERY));
    until_shown(&mut web, &["10.0.0.1:8080 weight=3", "10.0.0.3:9090 backup", "[2001:db8::2]:8081 weight=1"])
        .await;
    knot.set("a", "A", 1, &["10.0.0.9"]).await;
    until_shown(&mut web, &["10.0.0.3:9090 backup", "10.0.0.9:8080 weight=3", "[2001:db8::2]:8081 weight=1"])
        .await;
    knot.set(service, "SRV", 1, &["20 0 9090 c"]).await;
    until_shown(&mut web, &["10.0.0.3:9090"]).await;
    knot.set(service, "SRV", 1, &["0 0 0 ."]).await;
    until_shown(&mut web, &[]).await;
}

#[tokio::test]
async fn more_addresses_than_a_packet_holds_are_told_whole() {
    let knot = Knot::start().await;
    let many: Vec<String> = (0..900).map(|n| format!("10.0.{}.{}", n / 250, n % 250 + 1)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    knot.set("web", "A", 1, &many).await;
    let mut web = watch(&[knot.address()], &["web.example"]);
    web.until("all", |now| shown(now).len() == 900).await;
}

#[tokio::test]
async fn a_server_that_is_gone_leaves_what_was_known_until_it_is_back() {
    let mut knot = Knot::start().await;
    knot.set("web", "A", 1, &["10.0.0.1"]).await;
    let mut web = watch(&[knot.address()], &["web.example"]);
    until_shown(&mut web, &["10.0.0.1:80"]).await;
    knot.kill().await;
    let error = web.until_failing().await;
    assert!(
        error.contains("resolving web.example by 127.0.0.2:") && error.contains("does not answer"),
        "{error}"
    );
    assert_eq!(shown(&web.now()), ["10.0.0.1:80"]);
    knot.set("web", "A", 1, &["10.0.0.2"]).await;
    knot.restart().await;
    until_shown(&mut web, &["10.0.0.2:80"]).await;
}
