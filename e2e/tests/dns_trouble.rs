//! Nameservers that are no help take nobody away.

mod dns_support;

use std::net::Ipv4Addr;

use dns_support::{shown, until_shown, watch};
use e2e::{Knot, Nameserver, Says};

/// What is said, and what is told of it.
fn useless() -> [(Says, &'static str); 9] {
    [
        (Says::Code(2), "answers SERVFAIL"),
        (Says::Code(5), "answers REFUSED"),
        (Says::Code(9), "answers NOTAUTH"),
        (Says::Nothing, "does not answer within 2s"),
        (Says::Noise, "answers what cannot be read"),
        (Says::WrongId, "does not answer within 2s"),
        (Says::WrongName, "does not answer within 2s"),
        (Says::Cut, "answers with a part only, over TCP too"),
        (Says::Referral, "does not know, and names other nameservers"),
    ]
}

fn some() -> Says {
    Says::Addresses(vec![Ipv4Addr::new(10, 0, 0, 1)])
}

#[tokio::test]
async fn whatever_a_nameserver_says_that_is_no_answer_leaves_what_was_known() {
    let nameserver = Nameserver::start(some()).await;
    let mut web = watch(&[nameserver.address()], &["web.example"]);
    for (says, told) in useless() {
        nameserver.says(some());
        until_shown(&mut web, &["10.0.0.1:80"]).await;
        nameserver.says(says.clone());
        let error = web.until_failing().await;
        assert!(error.contains(told), "{says:?}: {error}");
        assert_eq!(shown(&web.now()), ["10.0.0.1:80"], "{says:?}");
    }
    nameserver.says(Says::Circle);
    web.until("a circle", |now| {
        now.health.error().is_some_and(|error| error.chain().contains("alias to alias"))
    })
    .await;
    assert_eq!(shown(&web.now()), ["10.0.0.1:80"]);
    nameserver.says(Says::Code(3));
    until_shown(&mut web, &[]).await;
}

#[tokio::test]
async fn the_next_nameserver_is_asked_when_one_is_no_help() {
    let (knot, first) = (Knot::start().await, Nameserver::start(Says::Code(2)).await);
    for (n, (says, _)) in useless().into_iter().enumerate() {
        first.says(says);
        let address = format!("10.0.0.{}", n + 1);
        knot.set("web", "A", 1, &[&address]).await;
        let mut web = watch(&[first.address(), knot.address()], &["web.example"]);
        until_shown(&mut web, &[&format!("{address}:80")]).await;
    }
}

#[tokio::test]
async fn an_answer_that_udp_cut_is_asked_for_over_tcp() {
    let many: Vec<_> = (1..=200).map(|n| Ipv4Addr::new(10, 0, 0, n)).collect();
    let nameserver = Nameserver::start(Says::OverTcp(many)).await;
    let mut web = watch(&[nameserver.address()], &["web.example"]);
    web.until("all", |now| shown(now).len() == 200).await;
    assert!(nameserver.asked().1 > 0);
}
